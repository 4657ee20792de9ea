"""Plugin packages as their authors and users meet them: built, installed into a fresh environment, run from elsewhere."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from lcnkit.testing.archives import TinyArchive

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "examples" / "lcnkit-latest-clear"
ODC = ROOT / "plugins" / "lcnkit-odc"
RUN = ("dataset=landcovernet", "bands=[B04]", "backend=serial", "n_periods=2")


@dataclass(frozen=True)
class Environment:
    """A virtual environment, and an unrelated folder to run it in."""

    python: Path
    folder: Path

    def run(self, *arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        variables = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "HYDRA_FULL_ERROR")}
        variables["LCNKIT_CACHE_DIR"] = str(self.folder / "cache")
        return subprocess.run(
            [str(self.python), *arguments], cwd=cwd or self.folder, env=variables, capture_output=True, text=True, check=False, timeout=300
        )

    def lcnkit(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.run("-m", "lcnkit", *arguments)


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], Path]:
    """Builds the wheel of a source folder, as ``pip`` does; the folder itself is left as it is."""
    tools = _build_tools(tmp_path_factory.mktemp("tools"))
    made: dict[Path, Path] = {}

    def do(source: Path) -> Path:
        if source not in made:
            work = tmp_path_factory.mktemp(source.name)
            names = ("lcnkit", "configs", "pyproject.toml", "README.md", "LICENSE") if source == ROOT else tuple(os.listdir(source))
            for name in names:
                _copy(source / name, work / "source" / name)
            _pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(work), str(work / "source"), tools=tools)
            (made[source],) = work.glob("*.whl")
        return made[source]

    return do


@pytest.fixture(scope="module")
def install(build: Callable[[Path], Path], tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Environment]:
    """Makes a fresh environment with lcnkit and the packages in some folders."""
    made: dict[tuple[Path, ...], Environment] = {}

    def do(*sources: Path) -> Environment:
        if sources not in made:
            folder = tmp_path_factory.mktemp("environment")
            venv.create(folder / "venv", symlinks=os.name != "nt")
            (python,) = [path for path in (folder / "venv").glob("*/python*") if path.stem == "python"]
            _pip("--python", str(python), "install", "--no-deps", "--no-index", *(str(build(source)) for source in (ROOT, *sources)))
            _lend_dependencies(python)
            (folder / "elsewhere").mkdir()
            made[sources] = Environment(python, folder / "elsewhere")
        return made[sources]

    return do


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two chips; the latest clear acquisition of the first half is not the clearest one."""
    tiny = TinyArchive(tmp_path_factory.mktemp("archive"))
    for chip in ("33TVL_00", "33TVL_01"):
        tiny.chip(chip)
        for day, cloud in (("2018-02-01", 5), ("2018-03-01", 40), ("2018-04-01", 70), ("2018-09-01", 10)):
            tiny.item(chip, day, cloud, B04=int(day[5:7]) * 100)
    return tiny.write()


def package(folder: Path, name: str, text: str) -> Path:
    """The sources of a plugin package of one module."""
    module = name.replace("-", "_")
    folder.mkdir()
    (folder / f"{module}.py").write_text(text)
    project = (EXAMPLE / "pyproject.toml").read_text().replace("lcnkit-latest-clear", name).replace("lcnkit_latest_clear", module)
    (folder / "pyproject.toml").write_text(project.replace('version = "0.1.0"', 'version = "3.1"'))
    return folder


def chosen(output: Path) -> set[str]:
    """Months of the frames in a data set."""
    manifest = json.loads((output / "manifest.json").read_text())
    return {frame["time"][5:7] for sample in manifest["samples"] for frames in sample["facts"]["frames"].values() for frame in frames}


def test_the_environment_holds_the_installed_package_and_not_this_repository(install) -> None:
    fresh = install(EXAMPLE)
    done = fresh.run("-c", "import lcnkit, lcnkit_configs; print(lcnkit.__file__); print(lcnkit_configs.__file__)")
    assert done.returncode == 0, done.stderr
    assert all(Path(line).is_relative_to(fresh.python.parents[1]) for line in done.stdout.split())


def test_an_installed_strategy_is_listed_with_its_package_options_and_help(install) -> None:
    done = install(EXAMPLE).lcnkit("plugins", "latest_clear")
    assert (done.returncode, done.stderr) == (0, "")
    assert " ".join(done.stdout.split()) == (
        "strategy +strategy=NAME strategy.OPTION=VALUE latest_clear (lcnkit-latest-clear 0.1.0) "
        "Keep, per chip and period, the latest candidate that is clear enough; ties go to the last id. "
        "max_cloud: float = 20.0 Percent, 0 to 100. Unknown cloud cover (NaN) is never clear enough."
    )
    assert "latest_clear" in install(EXAMPLE).lcnkit("--help").stdout


def test_an_installed_strategy_runs_with_its_option(install, archive, tmp_path) -> None:
    arguments = ("+strategy=latest_clear", f"dataset.root={archive}", *RUN)
    done = install(EXAMPLE).lcnkit(*arguments, "strategy.max_cloud=60", f"output_dir={tmp_path / 'out'}")
    assert done.returncode == 0, done.stderr
    assert chosen(tmp_path / "out") == {"03", "09"}
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["config"]["strategy"] == {"name": "latest_clear", "max_cloud": 60.0}
    assert manifest["versions"]["lcnkit-latest-clear"] == "0.1.0"
    wrong = install(EXAMPLE).lcnkit(*arguments, "strategy.max_clouds=60", f"output_dir={tmp_path / 'wrong'}")
    assert wrong.returncode == 1
    assert "max_cloud" in wrong.stderr
    assert "Traceback" not in wrong.stderr


def test_an_installed_strategy_takes_part_in_a_sweep(install, archive, tmp_path) -> None:
    both = "+strategy=latest_clear,season_min_cc"
    done = install(EXAMPLE).lcnkit("-m", both, f"dataset.root={archive}", *RUN, f"output_dir={tmp_path / 'sweep'}")
    assert done.returncode == 0, done.stdout + done.stderr
    names = {json.loads(path.read_text())["config"]["strategy"]["name"] for path in (tmp_path / "sweep").glob("*/manifest.json")}
    assert names == {"latest_clear", "season_min_cc"}


def test_a_name_offered_twice_is_one_clear_line(install, tmp_path_factory) -> None:
    text = (EXAMPLE / "lcnkit_latest_clear.py").read_text()
    rival = package(tmp_path_factory.mktemp("rival") / "source", "lcnkit-rival", text)
    fresh = install(EXAMPLE, rival)
    for arguments in (["plugins"], ["+strategy=latest_clear"], ["--help"]):
        done = fresh.lcnkit(*arguments)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.count("\n") == 1, done.stderr
        for word in ("'latest_clear'", "lcnkit-latest-clear 0.1.0", "lcnkit-rival 3.1"):
            assert word in done.stderr


def test_a_package_that_cannot_be_imported_does_not_stop_the_others(install, archive, tmp_path, tmp_path_factory) -> None:
    broken = package(tmp_path_factory.mktemp("broken") / "source", "lcnkit-broken", "import no_such_library\n")
    fresh = install(EXAMPLE, broken)
    listed = fresh.lcnkit("plugins")
    assert listed.returncode == 0
    assert "latest_clear" in listed.stdout
    assert "not loaded: lcnkit-broken 3.1 (ModuleNotFoundError: No module named 'no_such_library')" in listed.stdout
    done = fresh.lcnkit("+strategy=latest_clear", f"dataset.root={archive}", *RUN, f"output_dir={tmp_path / 'out'}")
    assert done.returncode == 0, done.stderr
    assert (done.stdout + done.stderr).count("lcnkit-broken") == 1


def test_the_example_passes_its_own_tests(install) -> None:
    _run_tests(install(EXAMPLE), EXAMPLE)


@pytest.fixture(scope="module")
def with_odc(install) -> Environment:
    if importlib.util.find_spec("odc") is None or importlib.util.find_spec("odc.stac") is None:
        pytest.skip("odc-stac is not installed here, and the fresh environment borrows its libraries: pip install odc-stac")
    return install(ODC)


def test_the_odc_reader_makes_the_same_data_set(with_odc, archive, tmp_path) -> None:
    checksums = {}
    for reader in ("auto", "odc"):
        done = with_odc.lcnkit(f"reader={reader}", f"dataset.root={archive}", *RUN, f"output_dir={tmp_path / reader}")
        assert done.returncode == 0, done.stdout + done.stderr
        manifest = json.loads((tmp_path / reader / "manifest.json").read_text())
        checksums[reader] = manifest["checksum"]
        assert manifest["config"]["reader"]["name"] == reader
    assert checksums["odc"] == checksums["auto"]


def test_the_odc_reader_passes_its_own_tests(with_odc) -> None:
    _run_tests(with_odc, ODC)


def _run_tests(environment: Environment, source: Path) -> None:
    """pytest, as the package's author would call it, on a copy: nothing is written beside the sources."""
    copy = environment.folder / source.name
    if not copy.exists():
        _copy(source, copy)
        for module in copy.glob("lcnkit_*.py"):
            module.unlink()  # what is tested is the installed one
    done = environment.run("-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(copy), cwd=copy)
    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info", "build", ".*_cache"))
    elif source.exists():
        shutil.copy(source, target)


def _build_tools(folder: Path) -> Path | None:
    """Where setuptools is new enough to build our wheels; ``None``: in this interpreter already."""
    found = [dist.version for dist in importlib.metadata.distributions(name="setuptools")]
    if any(int(version.split(".")[0]) >= 77 for version in found):
        return None
    done = _pip("install", "--quiet", "--target", str(folder), "setuptools>=77", check=False)
    if done.returncode:
        pytest.skip(f"setuptools>=77 is needed to build wheels, there is {found}, and it cannot be fetched: {done.stderr.strip()[-300:]}")
    return folder


def _pip(*arguments: str, tools: Path | None = None, check: bool = True) -> subprocess.CompletedProcess[str]:
    if importlib.util.find_spec("pip") is None:
        pytest.skip("pip is not installed in this environment")
    variables = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1", **({"PYTHONPATH": str(tools)} if tools else {})}
    done = subprocess.run([sys.executable, "-m", "pip", *arguments], env=variables, capture_output=True, text=True, check=False, timeout=300)
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done


def _lend_dependencies(python: Path) -> None:
    """Let the environment see the libraries of this interpreter, behind its own.

    A line in a .pth file is a plain path: the .pth files in there, such as that of an editable lcnkit, are not read.
    """
    code = "import sysconfig; print(sysconfig.get_paths()['purelib'])"
    own = subprocess.run([str(python), "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    ours = dict.fromkeys(sysconfig.get_paths()[kind] for kind in ("purelib", "platlib"))
    (Path(own) / "borrowed.pth").write_text("".join(f"{path}\n" for path in ours))

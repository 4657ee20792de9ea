"""``python -m lcnkit retry``: what failed is made from the configuration that the folder keeps."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from lcnkit.cli import main
from lcnkit.terminal import console
from lcnkit.testing.archives import TinyArchive

Command = Callable[..., int]


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TinyArchive:
    """Three chips; the working folder is the one above, so that ``archive`` is a relative path."""
    archive = TinyArchive(tmp_path / "archive", size=4)
    for number, name in enumerate("ABC"):
        archive.chip(name)
        for month in (2, 8):
            archive.item(name, f"2018-{month:02d}-01", cloud=month, B04=1000 * number + month)
    archive.write()
    monkeypatch.chdir(tmp_path)
    return archive


@pytest.fixture
def lcn(capfd: pytest.CaptureFixture[str]) -> Command:
    def run(*arguments: str) -> int:
        console.cache_clear()
        capfd.readouterr()
        status = main(list(arguments))
        run.err = capfd.readouterr().err  # type: ignore[attr-defined]
        assert "Traceback" not in run.err  # type: ignore[attr-defined]
        return status

    return run


SET_UP = ("dataset=landcovernet", "dataset.root=archive", "n_periods=2", "bands=[B04]", "backend=serial")


def raster(archive: TinyArchive, chip: str) -> Path:
    (path,) = archive.root.glob(f"*source*/*_{chip}_20180201/B04.tif")
    return path


def tree(folder: Path) -> dict[str, bytes]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files if path.name != "lcnkit.log" and ".hydra" not in path.parts}


def test_makes_what_failed_and_nothing_else(archive: TinyArchive, lcn: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    assert lcn(*SET_UP, "output_dir=undisturbed") == 0
    path = raster(archive, "B")
    shutil.move(path, tmp_path / "away")
    assert lcn(*SET_UP, "output_dir=out") == 3
    assert f"go on      with python -m lcnkit retry {tmp_path / 'out'}" in lcn.err
    assert lcn("retry", "out") == 3, "it is still away"
    shutil.move(tmp_path / "away", path)
    kept = {path.name: path.read_bytes() for path in (tmp_path / "out" / ".hydra").iterdir()}
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")  # relative paths mean what they meant in the run
    assert lcn("retry", "../out", "retries=5", "on_error=raise") == 0
    assert Path.cwd() == tmp_path / "elsewhere"
    assert "resume     2 of 3 chips are there already, 1 to do" in lcn.err
    assert tree(tmp_path / "out") == tree(tmp_path / "undisturbed"), "failures.csv is gone, too"
    assert {path.name: path.read_bytes() for path in (tmp_path / "out" / ".hydra").iterdir()} == kept
    assert "resume     2 of 3" in (tmp_path / "out" / "lcnkit.log").read_text()
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_nothing_failed(archive: TinyArchive, lcn: Command, tmp_path: Path):
    assert lcn(*SET_UP, "output_dir=out", "overwrite=true") == 0
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert lcn("retry", "out") == 0
    assert lcn.err == f"retry      nothing to do: no chip of {tmp_path / 'out'} failed\n"
    assert {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in (tmp_path / "out").rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(("exporter", "file"), [("npz", "items/B.npz"), ("pickle", "items.pkl")])
def test_samples_that_are_gone(archive: TinyArchive, lcn: Command, tmp_path: Path, exporter: str, file: str):
    """Nothing failed, and something is missing all the same."""
    assert lcn(*SET_UP, "output_dir=out", f"exporter={exporter}") == 0
    before = tree(tmp_path / "out")
    (tmp_path / "out" / file).unlink()
    assert lcn("retry", "out") == 0
    assert "nothing to do" not in lcn.err
    assert tree(tmp_path / "out") == before


def test_overwrite_of_the_run_is_not_done_again(archive: TinyArchive, lcn: Command, tmp_path: Path):
    raster(archive, "B").unlink()
    assert lcn(*SET_UP, "output_dir=out", "overwrite=true") == 3
    assert lcn("retry", "out") == 3
    assert "resume     2 of 3 chips are there already, 1 to do" in lcn.err


def test_a_run_that_could_not_begin(archive: TinyArchive, lcn: Command, tmp_path: Path):
    shutil.move(archive.root, tmp_path / "away")
    assert lcn(*SET_UP, "output_dir=out") == 1
    shutil.move(tmp_path / "away", archive.root)
    assert lcn("retry", "out") == 0


@pytest.mark.slow
def test_on_another_backend(archive: TinyArchive, lcn: Command, tmp_path: Path):
    assert lcn(*SET_UP, "output_dir=undisturbed") == 0
    path = raster(archive, "B")
    shutil.move(path, tmp_path / "away")
    assert lcn(*SET_UP, "output_dir=out") == 3
    shutil.move(tmp_path / "away", path)
    assert lcn("retry", "out", "backend.workers=1", "+backend=local", "backend.dashboard=null") == 0
    assert "backend    local: 1 worker with 1 thread" in lcn.err
    assert tree(tmp_path / "out") == tree(tmp_path / "undisturbed")


def test_a_sweep(archive: TinyArchive, lcn: Command, tmp_path: Path):
    path = raster(archive, "B")
    shutil.move(path, tmp_path / "away")
    assert lcn("-m", *SET_UP[:2], "n_periods=1,2", "bands=[B04]", "backend=serial", "output_dir=sweep") == 3
    jobs = sorted(folder for folder in (tmp_path / "sweep").iterdir() if folder.is_dir())
    assert [(job / "failures.csv").exists() for job in jobs] == [True, True]
    shutil.move(tmp_path / "away", path)
    assert lcn("retry", str(jobs[0])) == 0, "a folder may have = in its name"
    assert [(job / "failures.csv").exists() for job in jobs] == [False, True]
    assert lcn("retry", "sweep") == 0
    assert f"nothing to do: no chip of {jobs[0]} failed" in lcn.err
    assert [(job / "failures.csv").exists() for job in jobs] == [False, False]
    assert lcn("retry", *map(str, jobs)) == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "retry needs the output folder of a run"),
        (("nowhere",), "There is no folder nowhere. Give the output folder of a run"),
        (("archive",), "archive holds no data set: no run of lcnkit wrote it."),
        (("python",), "python was not made on the command line"),
        (("out", "n_periods=3"), "n_periods=... may change it: retry takes backend=NAME"),
        (("out", "overwrite=true"), "overwrite=... may change it"),
        (("out", "retries.x=1"), "retries.x=... may change it"),
        (("out", "-m"), "retry takes no flag -m"),
        (("out", "backend=locl"), "There is no backend 'locl'; there is .*Did you mean 'local'"),
        (("out", "backend.threads=3"), "backend has no option 'threads'|backend.threads|no option"),
        (("out", "retries=-1"), "retries is -1"),
        (("out", "retries=1,2"), "must give one value"),
        (("out", "retries=[1"), "cannot be read"),
        (("torn",), r"torn/.hydra/config.yaml cannot be read .*run the command that made the folder again"),
    ],
)
def test_mistakes_end_in_one_line(archive: TinyArchive, lcn: Command, tmp_path: Path, arguments, said):
    import re

    raster(archive, "B").unlink()
    assert lcn(*SET_UP, "output_dir=out") == 3
    (tmp_path / "python").mkdir()
    (tmp_path / "python" / "manifest.json").write_text("{}")
    shutil.copytree(tmp_path / "out" / ".hydra", tmp_path / "torn" / ".hydra")
    (tmp_path / "torn" / ".hydra" / "config.yaml").write_text("a: [1\nb: }")
    before = tree(tmp_path / "out")
    assert lcn("retry", *arguments) == 1
    (line,) = [line for line in lcn.err.splitlines() if line.startswith("lcnkit:")]
    assert re.search(said, line), line
    assert tree(tmp_path / "out") == before


def test_help_tells_of_it(capsys: pytest.CaptureFixture[str]):
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    for word in ("python -m lcnkit retry OUTPUT", "retries=N", "on_error=WORD", "130 interrupted"):
        assert word in text

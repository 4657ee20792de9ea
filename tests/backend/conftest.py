"""Other environments for workers: a real one each, with the packages of this one but for a few."""

from __future__ import annotations

import os
import site
import sysconfig
import venv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True)
class Environment:
    """A virtual environment that has what this one has, but for lcnkit and what is left out."""

    python: Path
    packages: Path

    def add(self, name: str, version: str, module: str | None = None, offers: str = "strategy") -> None:
        """Install a package, as its wheel would: with a module that is an lcnkit plugin, or nothing but its name."""
        _install(self.packages, name, version, module, offers)


def _install(folder: Path, name: str, version: str, module: str | None, offers: str) -> None:
    home = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    home.mkdir(parents=True)
    (home / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    if module is not None:
        (home / "entry_points.txt").write_text(f"[lcnkit]\n{module} = {module}\n")
        (folder / f"{module}.py").write_text(f"def lcnkit_{offers}():\n    return {{}}\n")


@pytest.fixture
def install() -> Callable[..., None]:
    """Puts a package into a folder: ``install(folder, "lcnkit-x", "1.0", "lcnkit_x", "strategy")``."""
    return _install


@pytest.fixture
def other_environment(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Environment]:
    """Makes an environment without lcnkit; ``leave_out`` names further packages, ``lcnkit`` says that it is to be there."""

    def make(*leave_out: str, lcnkit: bool = False) -> Environment:
        folder = tmp_path_factory.mktemp("environment")
        venv.create(folder / "venv", symlinks=os.name != "nt")
        python = folder / "venv" / "bin" / "python"
        packages = Path(sysconfig.get_path("purelib", vars={"base": str(folder / "venv"), "platbase": str(folder / "venv")}))
        lent = folder / "lent"
        lent.mkdir()
        for entry in (entry for here in _site_packages() for entry in here.iterdir()):
            name = entry.name.lower()
            if not name.startswith(("lcnkit", "__editable__", *(f"{one}-" for one in leave_out))) and not (lent / entry.name).exists():
                (lent / entry.name).symlink_to(entry)
        paths = [str(lent)]
        if lcnkit:
            paths.append(str(Path(__file__).parents[2]))
            import importlib.metadata

            _install(packages, "lcnkit", importlib.metadata.version("lcnkit"), None, "")
        (packages / "lent.pth").write_text("\n".join(paths) + "\n")
        command = python.parent / "dask"
        command.write_text(f"#!{python}\nfrom dask.__main__ import main\nif __name__ == '__main__':\n    main()\n")
        command.chmod(0o755)
        return Environment(python, packages)

    return make


def _site_packages() -> list[Path]:
    return [Path(folder) for folder in dict.fromkeys([*site.getsitepackages(), sysconfig.get_path("platlib")]) if Path(folder).is_dir()]

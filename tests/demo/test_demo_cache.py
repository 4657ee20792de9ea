"""The demo archive in the cache: made once, whole or not at all."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lcnkit.cache_dir import cache_folder
from lcnkit.demo import DemoOptions, demo_root
from lcnkit.errors import OutputError

SMALL = DemoOptions(chips=3, acquisitions=4, size=32)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder."""
    monkeypatch.setenv("LCNKIT_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_the_cache_is_made_once(cache: Path) -> None:
    calls: list[tuple[int, int]] = []
    root = demo_root(SMALL, lambda done, total: calls.append((done, total)))
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    assert demo_root(SMALL, lambda done, total: calls.append((done, total))) == root
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before
    assert calls == [(1, 3), (2, 3), (3, 3)]
    assert root.parent == cache / "demo"


def test_other_options_have_another_folder(cache: Path) -> None:
    tiny: dict[str, Any] = {"chips": 1, "acquisitions": 1, "size": 8}
    variants: list[dict[str, Any]] = [{}, {"chips": 2}, {"acquisitions": 2}, {"size": 9}, {"seed": 1}, {"compress": "deflate"}]
    assert len({demo_root(DemoOptions(**{**tiny, **variant})) for variant in variants}) == len(variants)


def test_an_interrupted_making_leaves_nothing(cache: Path) -> None:
    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        demo_root(SMALL, interrupt)
    assert not [path for path in (cache / "demo").iterdir() if path.is_dir()]
    assert (demo_root(SMALL) / "catalog.json").is_file()


def test_what_a_killed_process_left_is_removed(cache: Path) -> None:
    die = "import os; from lcnkit.demo import *; demo_root(DemoOptions(chips=3, acquisitions=4, size=32), lambda *_: os._exit(9))"
    assert subprocess.run([sys.executable, "-c", die], check=False, env=child_environment()).returncode == 9
    (left,) = (path for path in (cache / "demo").iterdir() if path.is_dir())
    root = demo_root(SMALL)
    assert not left.exists()
    assert len(list(root.glob("*_labels/*/stac.json"))) == 3


def test_two_processes_make_one_archive(cache: Path) -> None:
    make = (
        "from lcnkit.demo import *; made = []\ndemo_root(DemoOptions(chips=3, acquisitions=4, size=32), lambda *_: made.append(1)); print(len(made))"
    )
    command = [sys.executable, "-c", make]
    pair = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=child_environment()) for _ in range(2)]
    outputs = [process.communicate(timeout=60)[0].strip() for process in pair]
    assert [process.returncode for process in pair] == [0, 0]
    assert sorted(outputs) == ["0", "3"]
    assert len([path for path in (cache / "demo").iterdir() if path.is_dir()]) == 1


def test_a_cache_that_cannot_be_made_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("LCNKIT_CACHE_DIR", str(tmp_path / "file"))
    with pytest.raises(OutputError, match="LCNKIT_CACHE_DIR") as raised:
        demo_root(SMALL)
    assert str(tmp_path / "file") in str(raised.value)


@pytest.mark.skipif(sys.platform == "win32", reason="needs resource limits")
def test_a_full_disk_leaves_nothing(cache: Path) -> None:
    fill = (
        "import resource; from lcnkit.demo import *; from lcnkit.errors import OutputError\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (6000, 6000))\n"
        "try: demo_root(DemoOptions(chips=1, acquisitions=1, size=64))\n"
        "except OutputError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", fill], capture_output=True, text=True, check=True, env=child_environment())
    assert "LCNKIT_CACHE_DIR" in done.stdout
    assert not [path for path in (cache / "demo").iterdir() if path.is_dir()]


def test_the_cache_folder_has_a_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LCNKIT_CACHE_DIR", raising=False)
    assert cache_folder().is_absolute()
    assert "lcnkit" in cache_folder().parts


def test_import_is_light() -> None:
    ask = "import sys, lcnkit.demo; print([name for name in ('rasterio', 'pandas', 'pystac', 'filelock') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True, env=child_environment())
    assert done.stdout.strip() == "[]"


def child_environment() -> dict[str, str]:
    """The environment, with the package to be found in a process of its own."""
    package_home = str(Path(sys.modules["lcnkit.demo"].__file__ or "").parents[2])
    return {**os.environ, "PYTHONPATH": os.pathsep.join([package_home, os.environ.get("PYTHONPATH", "")])}

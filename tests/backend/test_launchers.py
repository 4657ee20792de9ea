"""Hydra's launchers run the jobs of a sweep side by side: each writes what it would write alone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lcnkit.testing.archives import TinyArchive


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["serial", "local"])
def test_joblib(backend: str, tiny: TinyArchive, tmp_path: Path) -> None:
    """Its processes have a start method of their own, which Dask's workers do not know."""
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher", reason="hydra-joblib-launcher is not installed (pip install -e '.[slow]')")
    words = ["dataset=landcovernet", f"dataset.root={tiny.root}", "bands=[B04]", f"backend={backend}"]
    if backend == "local":
        words.append("backend.workers=1")
    lcnkit(tmp_path, *words, "-m", "n_periods=1,2", "hydra/launcher=joblib", f"output_dir={tmp_path / 'sweep'}")
    for number in (1, 2):
        lcnkit(tmp_path, *words, f"n_periods={number}", f"output_dir={tmp_path / f'single{number}'}")
        (swept,) = (tmp_path / "sweep").glob(f"*n_periods={number}*")
        for name in ("items.pkl", "manifest.json"):
            assert (swept / name).read_bytes() == (tmp_path / f"single{number}" / name).read_bytes()


@pytest.mark.slow
def test_a_job_that_failed_in_another_process_is_told(tiny: TinyArchive, tmp_path: Path) -> None:
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher", reason="hydra-joblib-launcher is not installed (pip install -e '.[slow]')")
    words = ["dataset=landcovernet", f"dataset.root={tiny.root}", "backend=serial", "-m", "bands=[B04],[B99]", "hydra/launcher=joblib"]
    done = started(tmp_path, *words, f"output_dir={tmp_path / 'sweep'}")
    assert done.returncode == 3
    assert "a job of the sweep ended with exit status 1" in done.stderr
    assert "Traceback" not in done.stderr
    assert len(list((tmp_path / "sweep").glob("*/items.pkl"))) == 1


def started(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "LCNKIT_CACHE_DIR": str(folder / "cache")}
    return subprocess.run(
        [sys.executable, "-m", "lcnkit", *words], cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False
    )


def lcnkit(folder: Path, *words: str) -> None:
    done = started(folder, *words)
    assert done.returncode == 0, done.stderr

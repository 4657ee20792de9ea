"""The same data set, byte for byte, whichever backend made it and whoever wrote it."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from servers.dask_processes import DaskProcesses, dask_processes
from servers.gateway import PASSWORD, GatewayServer, serving_gateway

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's archive is made once, and seen by all workers."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def cluster(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaskProcesses]:
    with dask_processes(tmp_path_factory.mktemp("cluster")) as found:
        for _ in range(2):
            found.worker(LCNKIT_CACHE_DIR=str(cache))
        yield found


@pytest.fixture(scope="module")
def gateway(cache: Path) -> Iterator[GatewayServer]:
    with serving_gateway(cache) as found:
        yield found


def made(output: Path, cache: Path, *words: str) -> tuple[str, str]:
    """Checksums of a run's data set and manifest."""
    environment = {**os.environ, "LCNKIT_CACHE_DIR": str(cache), "GATEWAY_PASSWORD": PASSWORD}
    done = subprocess.run(
        [sys.executable, "-m", "lcnkit", "n_periods=3", f"output_dir={output}", *words],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in output.iterdir() if path.name.startswith(".")) in ([".hydra"], [".hydra", ".lcnkit"])
    first, second = (hashlib.sha256((output / name).read_bytes()).hexdigest() for name in ("items.pkl", "manifest.json"))
    return first, second


@pytest.fixture(scope="module")
def expected(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """As `serial` makes it."""
    return made(tmp_path_factory.mktemp("serial") / "out", cache, "backend=serial")


def test_local(expected: tuple[str, str], cache: Path, tmp_path: Path) -> None:
    assert made(tmp_path / "out", cache, "backend=local", "backend.workers=2") == expected


@pytest.mark.parametrize("gather", ["auto", "workers", "client"])
def test_scheduler(gather: str, expected: tuple[str, str], cache: Path, cluster: DaskProcesses, tmp_path: Path) -> None:
    words = ("backend=scheduler", f"backend.scheduler_file={cluster.file}", f"backend.gather={gather}")
    assert made(tmp_path / "out", cache, *words) == expected


@pytest.mark.parametrize("gather", ["auto", "client"])
def test_gateway(gather: str, expected: tuple[str, str], cache: Path, gateway: GatewayServer, tmp_path: Path) -> None:
    assert made(tmp_path / "out", cache, *gateway.words(workers=2, gather=gather)) == expected
    assert gateway.clusters() == []

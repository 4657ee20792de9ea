"""Whether workers share a folder is tried, not guessed: with workers that see another file system."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from servers.dask_processes import dask_processes

from lcnkit.backend.scheduler import Scheduler
from lcnkit.backend.serial import Serial

pytestmark = pytest.mark.slow


def namespace(script: str) -> list[str]:
    """What to put before a command so that it runs after ``script``, with mounts of its own."""
    command = ["unshare", "--mount"]
    for tried in (command, [*command, "--map-root-user"]):
        if (
            shutil.which("unshare")
            and subprocess.run([*tried, "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True, check=False).returncode == 0
        ):
            return [*tried, "sh", "-ec", f'{script}; exec "$@"', "sh"]
    pytest.skip("this machine allows no mount namespaces")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "out"
    path.mkdir()
    return path


@pytest.mark.parametrize(
    ("script", "shared"),
    [
        ("true", True),
        ("mount -t tmpfs none {0}", False),
        ("mount --bind {0} {0}; mount -o remount,bind,ro {0}", False),
        ("mount -t tmpfs none {0}/..", False),
    ],
    ids=["the same", "another of that name", "read only", "absent"],
)
def test_a_folder_as_workers_see_it(script: str, shared: bool, folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    home = tmp_path_factory.mktemp("cluster")
    with dask_processes(home) as cluster:
        cluster.worker(before=namespace(script.format(folder)))
        with Scheduler(address=cluster.address).open() as pool:
            assert pool.shares(folder) is shared
    assert list(folder.iterdir()) == []


def test_one_worker_of_two_that_does_not_see_it(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    home = tmp_path_factory.mktemp("cluster")
    with dask_processes(home, 1) as cluster, Scheduler(address=cluster.address).open() as pool:
        assert pool.shares(folder)
        cluster.worker(before=namespace(f"mount -t tmpfs none {folder}"))
        pool.client.wait_for_workers(2, timeout=60)  # type: ignore[attr-defined]
        assert pool.shares(folder), "it is tried once for a folder"
        with Scheduler(address=cluster.address).open() as another:
            assert not another.shares(folder)


def test_gather_decides_without_a_trial(tmp_path: Path) -> None:
    for gather, shared in (("workers", True), ("client", False)):
        with Scheduler(address="tcp://127.0.0.1:1", gather=gather).open() as pool:  # type: ignore[arg-type]
            assert pool.shares(tmp_path / "absent") is shared
    with Serial().open() as pool:
        assert pool.shares(tmp_path / "absent")

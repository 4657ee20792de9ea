"""scheduler keeps the contract of backends, and leaves the cluster as it was."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from servers.dask_processes import DaskProcesses, dask_processes
from servers.loopback import free_port

from lcnkit.backend.scheduler import Scheduler
from lcnkit.config import compose
from lcnkit.errors import BackendError, ConfigError
from lcnkit.testing.backend import BackendContract, Square, process_id


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaskProcesses]:
    with dask_processes(tmp_path_factory.mktemp("cluster"), 2) as found:
        yield found


@pytest.mark.slow
class TestScheduler(BackendContract):
    @pytest.fixture
    def backend(self, cluster: DaskProcesses) -> Scheduler:
        return Scheduler(address=cluster.address)

    def test_runs_on_the_workers_of_the_scheduler(self, pool, cluster: DaskProcesses) -> None:
        import psutil

        ids = {outcome.value for outcome in pool.map(process_id, range(60))}
        mine = {child.pid for worker in cluster.workers for child in psutil.Process(worker.pid).children(recursive=True)}
        assert len(ids) == 2
        assert ids <= mine


@pytest.mark.slow
def test_leaves_the_cluster_as_it_was(cluster: DaskProcesses) -> None:
    from distributed import Client

    for _ in range(2):
        with Scheduler(scheduler_file=str(cluster.file)).open() as pool:
            assert [outcome.value for outcome in pool.map(Square(), [3])] == [9]
    with Client(cluster.address, set_as_default=False) as client:
        assert len(client.nthreads()) == 2
        assert "lcnkit" not in client.run_on_scheduler(lambda dask_scheduler: list(dask_scheduler.worker_plugins))
        assert client.run_on_scheduler(lambda dask_scheduler: len(dask_scheduler.tasks)) == 0


@pytest.mark.slow
def test_workers_are_set_up_also_those_that_join_later_and_mind_ctrl_c(tmp_path: Path) -> None:
    def state() -> tuple[bool, bool]:
        import signal
        import sys

        return "lcnkit.make" in sys.modules, signal.getsignal(signal.SIGINT) != signal.SIG_IGN

    with dask_processes(tmp_path, 1) as cluster, Scheduler(address=cluster.address).open() as pool:
        assert list(pool.map(Square(), [1]))
        cluster.worker()
        deadline = time.monotonic() + 60
        while len(pool.client.nthreads()) < 2 and time.monotonic() < deadline:  # type: ignore[attr-defined]
            time.sleep(0.2)
        loaded = pool.client.run(state)  # type: ignore[attr-defined]
        assert list(loaded.values()) == [(True, True)] * 2


def test_what_dask_is_told_for_a_run_leaves_its_own_settings_there() -> None:
    """The next run in a notebook, or of a sweep, needs them. In another process, since Dask's cluster parts are loaded in this one."""
    lines = (
        "from lcnkit.backend.dask_backend import quiet",
        "with quiet():",
        "    import distributed",
        "import dask",
        "print(dask.config.get('distributed.client'), dask.config.get('distributed.admin.low-level-log-length'))",
    )
    done = subprocess.run([sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "heartbeat" in done.stdout
    assert done.stdout.split()[-1] != "10"


def test_needs_to_know_where_the_scheduler_is() -> None:
    with pytest.raises(ConfigError, match="backend.address=tcp://HOST:8786"), Scheduler().open():
        pass
    with pytest.raises(ConfigError, match="set one of them"):
        Scheduler(address="tcp://127.0.0.1:1", scheduler_file="x")
    with pytest.raises(ConfigError, match=r"backend.worker_timeout_s is 0"):
        Scheduler(worker_timeout_s=0)
    with pytest.raises(ConfigError, match=r"backend.gather is 'somewhere'.*auto, workers, client"):
        compose("backend=scheduler", "backend.gather=somewhere", "dataset.root=x")


@pytest.mark.parametrize(
    ("address", "said"),
    [("tcp://127.0.0.1:{port}", "127.0.0.1"), ("tcp://127.0.0.1", "port"), ("smoke://127.0.0.1:80", "smoke"), ("tls://127.0.0.1:{port}", "TLS")],
)
def test_nobody_at_that_address(address: str, said: str) -> None:
    address = address.format(port=free_port())
    started = time.monotonic()
    with pytest.raises(BackendError) as raised, Scheduler(address=address, timeout_s=2).open() as pool:
        next(pool.map(Square(), [1]))
    assert time.monotonic() - started < 15
    text = str(raised.value)
    assert text.startswith(f"The scheduler {address} cannot be reached in 2 s: ")
    assert said in text
    assert "\n" not in text


@pytest.mark.parametrize(("content", "said"), [(None, "it is not there."), ("{", "it holds no address"), ('{"id": 1}', "it holds no address")])
def test_a_scheduler_file_that_is_of_no_use(content: str | None, said: str, tmp_path: Path) -> None:
    file = tmp_path / "scheduler.json"
    if content is not None:
        file.write_text(content)
    with pytest.raises(BackendError, match=said), Scheduler(scheduler_file=str(file), timeout_s=0.5).open() as pool:
        next(pool.map(Square(), [1]))


@pytest.mark.slow
def test_no_worker_in_time(tmp_path: Path) -> None:
    with dask_processes(tmp_path) as cluster:
        with pytest.raises(BackendError, match="had no worker in 2 s"), Scheduler(address=cluster.address, worker_timeout_s=2).open() as pool:
            next(pool.map(Square(), [1]))
        assert cluster.scheduler.poll() is None


@pytest.mark.slow
def test_waits_for_a_scheduler_file_and_a_worker_that_come_later(tmp_path: Path) -> None:
    with dask_processes(tmp_path) as cluster:
        late = tmp_path / "late.json"
        copying = threading.Timer(1.0, shutil.copy, (cluster.file, late))
        copying.start()
        cluster.worker()
        with Scheduler(scheduler_file=str(late)).open() as pool:
            assert [outcome.value for outcome in pool.map(Square(), [4])] == [16]
        copying.join()


@pytest.mark.slow
def test_tls(tmp_path: Path) -> None:
    certificate, key = _certificate(tmp_path)
    files = {"ca": certificate, "cert": certificate, "key": key}
    options = [word for name, file in files.items() for word in (f"--tls-{name}-file" if name == "ca" else f"--tls-{name}", str(file))]
    with dask_processes(tmp_path, 0, "--protocol", "tls", "--host", "127.0.0.1", *options) as cluster:
        assert cluster.address.startswith("tls://")
        cluster.worker(*options)
        with Scheduler(address=cluster.address, tls_ca=str(certificate), tls_cert=str(certificate), tls_key=str(key)).open() as pool:
            assert [outcome.value for outcome in pool.map(Square(), [5])] == [25]
        missing = Scheduler(address=cluster.address, tls_ca=str(tmp_path / "none.pem"), tls_cert=str(certificate), tls_key=str(key))
        with pytest.raises(ConfigError, match=r"backend.tls_ca=.*none.pem: there is no such file"), missing.open() as pool:
            next(pool.map(Square(), [1]))


def _certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate that signs itself, and its key."""
    from dask_gateway_server.tls import new_keypair

    certificate, key = folder / "cert.pem", folder / "key.pem"
    for file, data in zip((certificate, key), new_keypair("127.0.0.1"), strict=True):
        file.write_bytes(data)
    os.chmod(key, 0o600)
    return certificate, key


def test_the_options_of_a_configuration(tmp_path: Path) -> None:
    file = tmp_path / "scheduler.json"
    file.write_text(json.dumps({"address": "tcp://127.0.0.1:1"}))
    backend = compose("backend=scheduler", f"backend.scheduler_file={file}", "backend.gather=client", "dataset.root=x").backend
    assert backend == Scheduler(scheduler_file=str(file), gather="client")

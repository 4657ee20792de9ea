"""Tasks on a Dask cluster that goes wrong: lost workers, a task that takes its worker with it, a cluster that is gone."""

from __future__ import annotations

import gc
import os
import signal
import threading
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from servers.dask_processes import DaskProcesses, dask_processes

from lcnkit.backend.dask_flight import Batch, Flight
from lcnkit.backend.local import Local
from lcnkit.backend.scheduler import Scheduler
from lcnkit.contracts import Outcome
from lcnkit.errors import BackendError, WorkerLost
from lcnkit.testing.backend import Square, outcomes_in_order

pytestmark = pytest.mark.slow

GONE = r"The cluster is gone: .*the same command with the same output_dir goes on from here"


def dies(*culprits: int) -> Callable[[int], int]:
    """A function that kills its process for some numbers; made here, so that it travels by value."""

    def function(number: int) -> int:
        if number in culprits:
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(0.01)
        return number

    return function


def check(outcomes: list[Outcome[Any]], count: int, *culprits: int) -> None:
    assert [outcome.index for outcome in outcomes_in_order(outcomes)] == list(range(count)), "each task has one outcome"
    for outcome in outcomes:
        if outcome.index in culprits:
            assert isinstance(outcome.error, WorkerLost), outcome.error
            assert "its worker was lost" in str(outcome.error)
            assert "most likely out of memory" in str(outcome.error)
        else:
            assert (outcome.value, outcome.error) == (outcome.index, None)


@pytest.mark.parametrize("workers", [1, 2])
def test_only_the_task_that_ends_its_worker_is_lost(workers: int) -> None:
    """Also where its neighbours wait on the same worker each time."""
    with Local(workers=workers, dashboard=None).open() as pool:
        check(list(pool.map(dies(9), range(24))), 24, 9)
        check(list(pool.map(dies(), range(10))), 10)


def test_two_such_tasks_in_one_batch() -> None:
    with Local(workers=1, dashboard=None, batch=6).open() as pool:
        check(list(pool.map(dies(1, 3), range(9))), 9, 1, 3)


def test_a_worker_that_runs_out_of_memory() -> None:
    def hungry(number: int) -> int:
        held = []
        while number == 5 and len(held) < 400:
            held.append(bytearray(os.urandom(1 << 20) * 8))
            time.sleep(0.02)
        return number

    with Local(workers=2, memory_limit="400MB", dashboard=None).open() as pool:
        check(list(pool.map(hungry, range(12))), 12, 5)


def test_workers_that_are_killed_cost_no_task() -> None:
    def slow(number: int) -> int:
        time.sleep(0.05)
        return number

    mine = set(psutil.Process().children(recursive=True))
    with Local(workers=2, dashboard=None).open() as pool:
        outcomes = pool.map(slow, range(120))
        got = [next(outcomes)]
        for number in range(40):
            got.append(next(outcomes))
            if number in (5, 20):
                workers = [one for one in set(psutil.Process().children(recursive=True)) - mine if _is_worker(one)]
                workers[0].kill()
        got += outcomes
    check(got, 120)


def _is_worker(process: psutil.Process) -> bool:
    """A local worker was started by multiprocessing, or forked from what that keeps for it."""
    try:
        parent = process.parent()
        return "spawn_main" in " ".join(process.cmdline()) or (parent is not None and "multiprocessing.forkserver" in " ".join(parent.cmdline()))
    except psutil.Error:
        return False


def kill_workers(cluster: DaskProcesses) -> None:
    for worker in cluster.workers:
        for process in [*psutil.Process(worker.pid).children(recursive=True), psutil.Process(worker.pid)]:
            process.kill()
        worker.wait()


def test_the_scheduler_is_gone(tmp_path: Path) -> None:
    with dask_processes(tmp_path, 1) as cluster, Scheduler(address=cluster.address, timeout_s=3, worker_timeout_s=20).open() as pool:
        outcomes = pool.map(dies(), range(10_000))
        next(outcomes)
        cluster.scheduler.kill()
        started = time.monotonic()
        with pytest.raises(BackendError, match=GONE):
            list(outcomes)
        assert time.monotonic() - started < 60


def test_all_workers_are_gone(tmp_path: Path) -> None:
    with dask_processes(tmp_path, 2) as cluster, Scheduler(address=cluster.address, worker_timeout_s=30).open() as pool:
        pool._timeout = 3  # type: ignore[attr-defined]  # a first worker may take longer
        outcomes = pool.map(dies(), range(10_000))
        next(outcomes)
        kill_workers(cluster)
        with pytest.raises(BackendError, match=r"no worker for 3 s.*goes on from here"):
            list(outcomes)


def test_workers_come_back(tmp_path: Path) -> None:
    with dask_processes(tmp_path, 1) as cluster, Scheduler(address=cluster.address, worker_timeout_s=60).open() as pool:
        outcomes = pool.map(dies(), range(300))
        got = [next(outcomes)]
        kill_workers(cluster)
        cluster.workers.clear()
        later = threading.Timer(3.0, cluster.worker)
        later.start()
        got += outcomes
        later.join()
    check(got, 300)


def test_the_client_holds_one_batch_of_samples_at_a_time() -> None:
    size, count = 2 << 20, 100

    def sample(number: int) -> bytes:
        return bytes([number]) * size

    with Local(workers=2, dashboard=None).open() as pool:
        pool._gather = "client"  # type: ignore[attr-defined]
        assert pool.shares(Path("/anywhere")) is False
        list(pool.map(Square(), range(10)))
        tracemalloc.start()
        try:
            for number, outcome in enumerate(pool.map(sample, range(count))):
                assert outcome.value is not None
                time.sleep(0.01 if number < 30 else 0)  # a slow client: results are ready before it asks
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak < 8 * size, f"{peak / size:.0f} samples of {count} were held at once"


@pytest.mark.parametrize(("seconds", "count", "largest"), [(0.0, 800, 64), (0.25, 24, 4)], ids=["quick", "slow"])
def test_batches_are_as_large_as_their_tasks_are_quick(seconds: float, count: int, largest: int, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[int] = []
    send = Flight.send

    def noted(self: Flight, batch: Batch) -> None:
        sent.append(len(batch.tasks))
        send(self, batch)

    monkeypatch.setattr(Flight, "send", noted)

    def task(number: int) -> int:
        time.sleep(seconds)
        return number

    with Local(workers=2, dashboard=None).open() as pool:
        check(list(pool.map(task, range(count))), count)
    assert sent[:2] == [1, 1]
    assert max(sent) == largest
    assert sent[-1] == 1, "all workers end at the same time"


def test_ctrl_c_meets_no_call_of_dasks(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """It is raised in the main thread. Here it comes while a result is fetched, and ends the wait only: asyncio has nothing to complain of."""
    import distributed

    fetched: list[threading.Thread] = []
    interrupted, result = threading.Event(), distributed.Future.result

    def fetch(future: Any, *arguments: Any, **options: Any) -> Any:
        fetched.append(threading.current_thread())
        if len(fetched) == 1:
            os.kill(os.getpid(), signal.SIGINT)
            assert interrupted.wait(10)  # the run has given up: what it had sent is cancelled
        return result(future, *arguments, **options)

    monkeypatch.setattr(distributed.Future, "result", fetch)
    with Local(workers=1, dashboard=None, batch=1).open() as pool:
        with pytest.raises(KeyboardInterrupt):
            list(pool.map(Square(), range(1000)))
        interrupted.set()
        assert [outcome.value for outcome in pool.map(Square(), [3])] == [9]
    gc.collect()
    assert threading.main_thread() not in fetched
    assert [record.message for record in caplog.records if record.name == "asyncio"] == []

"""Batches in flight on a Dask cluster: sent, waited for, and missed when their workers are gone."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from lcnkit.backend.dask_batch import Results, packed
from lcnkit.contracts import R
from lcnkit.errors import BackendError

# How often the cluster is looked at while nothing comes back, and at most while much does.
_TICK_S = 1.0
# So often a batch is sent that somebody or something cancelled.
_SENT_AT_MOST = 4


@dataclass
class Batch:
    """Tasks that travel together, each with its index."""

    tasks: list[tuple[int, Any]]
    alone: bool = False
    """Whether nothing else runs at the same time: where its worker is lost, it was this task."""
    sent: int = 0
    lost: int = 0
    """How many workers were lost with its tasks."""


@dataclass(frozen=True)
class Landed:
    """A batch that is no longer in flight."""

    batch: Batch
    results: Results | None = None
    """``None`` where there are none, and it is to be sent again in some form."""
    lost: bool = False
    """Whether its workers were lost; else it was cancelled, which says nothing of its tasks."""


def aside(call: Callable[[], R]) -> R:
    """What a call gives, made on a thread of its own.

    A second Ctrl-C is raised wherever the main thread is. Inside a call of Dask's it would leave a coroutine half way, which
    asyncio then reports with a traceback, after all that we have to say.
    """
    done: queue.SimpleQueue[tuple[bool, Any]] = queue.SimpleQueue()

    def run() -> None:
        try:
            done.put((True, call()))
        except BaseException as error:
            done.put((False, error))

    threading.Thread(target=run, name="lcnkit-aside", daemon=True).start()
    good, value = done.get()
    if not good:
        raise value
    result: R = value
    return result


class Flight:
    """The batches of one ``map``. Results are fetched one batch at a time."""

    def __init__(self, client: Any, function: Callable[[Any], Any], timeout_s: float) -> None:
        """Args: timeout_s is how long a cluster may have no workers, or no scheduler, before it is given up."""
        self._client, self._function, self._timeout = client, function, timeout_s
        self._running: dict[str, tuple[Any, Batch]] = {}
        self._done: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._looked = self._had_workers = time.monotonic()
        self._threads = 0
        self._first_landed = 0.0
        self._tasks_since = 0
        self._look()

    def __len__(self) -> int:
        return len(self._running)

    @property
    def threads(self) -> int:
        """Worker threads there are; clusters grow and shrink."""
        if time.monotonic() - self._looked > _TICK_S:
            self._look()
        return max(1, self._threads)

    @property
    def task_s(self) -> float | None:
        """About how long a task keeps a worker's thread, seen from here; ``None`` while too few have landed to say."""
        if self._tasks_since < 2 * self.threads:
            return None
        return max(1e-6, (time.monotonic() - self._first_landed) * self.threads / self._tasks_since)

    def send(self, batch: Batch) -> None:
        """Hand a batch to the scheduler."""
        import pickle

        batch.sent += 1
        future = self._client.submit(pickle.loads, packed(self._function, [task for _, task in batch.tasks]), pure=False)
        self._running[future.key] = (future, batch)
        future.add_done_callback(self._done.put)

    def land(self) -> Landed:
        """Wait for a batch.

        Raises:
            BackendError: The cluster is gone.
        """
        while True:
            try:
                future = self._done.get(timeout=_TICK_S)
            except queue.Empty:
                self._look()
                continue
            entry = self._running.pop(future.key, None)
            if entry is not None:
                self._count(entry[1])
                return aside(partial(self._landed, entry[1], future))

    def _count(self, batch: Batch) -> None:
        """The first to land only starts the clock: what came before was the start of the cluster."""
        if self._first_landed:
            self._tasks_since += len(batch.tasks)
        else:
            self._first_landed = time.monotonic()

    def cancel(self) -> None:
        """Start nothing more of what was sent."""
        if self._running and self._client.status == "running":
            with contextlib.suppress(OSError):  # the scheduler has just gone
                self._client.cancel([future for future, _ in self._running.values()], force=True)
        self._running.clear()

    def _landed(self, batch: Batch, future: Any) -> Landed:
        try:
            return self._fetched(batch, future)
        finally:
            future.release()

    def _fetched(self, batch: Batch, future: Any) -> Landed:
        from distributed import CancelledError
        from distributed.scheduler import KilledWorker

        error: BaseException | None = future.exception() if future.status == "error" else None
        try:
            if error is None and future.status != "cancelled":
                return Landed(batch, future.result(timeout=self._timeout))
        except (OSError, CancelledError):  # the connection went, or the worker that held the result
            pass
        except Exception as raised:  # what came back cannot be read here, or was lost with its worker, and Dask could not make it again
            error = raised
        if isinstance(error, KilledWorker):
            batch.lost += error.allowed_failures + 1
            return Landed(batch, lost=True)
        if error is not None:
            return Landed(batch, [(None, error)] * len(batch.tasks))
        self._await_connection()
        if batch.sent < _SENT_AT_MOST:
            return Landed(batch)
        lost = BackendError("the task was cancelled, or its result could not be fetched, each time it was tried")
        return Landed(batch, [(None, lost)] * len(batch.tasks))

    def _await_connection(self) -> None:
        deadline = time.monotonic() + self._timeout
        while self._client.status != "running":
            if self._client.status == "closed" or time.monotonic() > deadline:
                raise self._gone("the connection to the scheduler is lost")
            time.sleep(0.1)

    def _look(self) -> None:
        """Count the workers."""
        if self._client.status == "closed":
            raise self._gone("the connection to the scheduler is lost")
        try:
            self._threads = sum(aside(self._client.nthreads).values())
        except OSError:  # no answer
            self._threads = 0
        self._looked = time.monotonic()
        if self._threads:
            self._had_workers = self._looked
        elif self._looked - self._had_workers > self._timeout:
            raise self._gone(f"it has had no worker for {self._timeout:.0f} s")

    @staticmethod
    def _gone(why: str) -> BackendError:
        return BackendError(f"The cluster is gone: {why}. What is written is kept: the same command with the same output_dir goes on from here.")

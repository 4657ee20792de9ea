"""Tasks on a Dask cluster, a bounded number in flight; shared by all backends that have one."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, wait
from itertools import count, islice
from operator import length_hint
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from lcnkit.backend.dask_flight import Batch, Flight
from lcnkit.contracts import Outcome, Pool, R, T, overlap_of
from lcnkit.errors import WorkerLost

if TYPE_CHECKING:
    from distributed import Client

Gather = Literal["auto", "workers", "client"]

#: Batches in flight per worker thread: one that runs and one that is there when it ends.
IN_FLIGHT = 2
#: Tasks in a batch: before it is known how long they take, and at most; and for how long a batch should keep a worker busy.
#: Towards the end batches become smaller, so that all workers end at the same time.
FIRST_BATCH, MOST_IN_BATCH, BATCH_S = 4, 64, 0.25
#: The same where tasks wait for a server, several at once: the last of a batch have no others to wait beside.
WAITING_BATCH_S = 1.0
#: Batches in flight for each worker that a cluster may grow to. An adaptive cluster grows when what it has in hand takes it
#: longer than some seconds, and it does not see what is still to come.
IN_FLIGHT_TO_GROW = 16
#: However large a cluster may grow, no more batches than these wait for workers that are not there.
MOST_TO_GROW = 100


class DaskPool(Pool):
    """The workers of a Dask client.

    Tasks travel in batches: a task of a few milliseconds would otherwise cost as much in the scheduler. A batch that is
    lost with its workers is tried again task by task; what is lost again is tried once more when all else is done, with
    nothing beside it, so that no task pays for the memory that another one took.
    """

    def __init__(
        self,
        connect: Callable[[], Client],
        batch: int | None = None,
        *,
        gather: Gather = "workers",
        timeout_s: float = 180.0,
        grows_to: int = 0,
        early: bool = False,
    ) -> None:
        """A pool that has no workers yet.

        Args:
            connect: Starts or finds the cluster; called by the first `map` or `shares` that needs one, and only once.
            batch: Tasks per message; ``None`` for a good guess.
            gather: What `shares` answers: ``workers`` yes, ``client`` no, ``auto`` what a trial in the folder shows.
            timeout_s: How long the cluster may be without workers, or out of reach, before `map` gives up.
            grows_to: Workers that an adaptive cluster may have.
            early: Connect when tasks are expected, on a thread of its own; who asks for it must `settle` before closing.
        """
        self._connect, self._batch, self._gather, self._timeout, self._grows_to = connect, batch, gather, timeout_s, grows_to
        self._early = early
        self._connected: Client | None = None
        self._connecting: Future[Client] | None = None
        self._shared: dict[Path, bool] = {}

    @property
    def client(self) -> Client:
        """The Dask client; starts or finds the cluster."""
        if self._connected is None:
            self._connected = self._connecting.result() if self._connecting else self._connect()
        return self._connected

    def expect(self) -> None:
        """See `lcnkit.contracts.Pool.expect`."""
        if self._early and self._connected is None and self._connecting is None:
            self._connecting = Future()
            # A daemon: where it never comes to an end, the process still does.
            threading.Thread(target=_fulfil, args=(self._connecting, self._connect), name="lcnkit-connect", daemon=True).start()

    def settle(self) -> None:
        """Wait until a cluster that is being started can be closed."""
        if self._connecting is not None:
            wait([self._connecting], timeout=self._timeout)

    def shares(self, folder: Path) -> bool:
        """See `lcnkit.contracts.Pool.shares`."""
        if folder not in self._shared:
            self._shared[folder] = self._gather == "workers" or (self._gather == "auto" and self._try(folder))
        return self._shared[folder]

    def _try(self, folder: Path) -> bool:
        from lcnkit.backend.sharing import is_shared

        return is_shared(self.client, folder)

    def map(self, function: Callable[[T], R], tasks: Iterable[T]) -> Generator[Outcome[R]]:
        """See `lcnkit.contracts.Pool.map`.

        Raises:
            BackendError: The cluster cannot be had, or is gone.
        """
        flight = Flight(self.client, function, self._timeout)
        new = _Numbered(iter(tasks))
        again: deque[Batch] = deque()
        suspects: deque[Batch] = deque()
        try:
            while True:
                for batch in self._ready(flight, new, again, overlap_of(function)):
                    flight.send(batch)
                if not flight and suspects:
                    flight.send(suspects.popleft())
                if not flight:
                    return
                landed = flight.land()
                batch, results = landed.batch, landed.results
                if results is not None:
                    for (index, _), (value, error) in zip(batch.tasks, results, strict=True):
                        yield Outcome(index, value, error)
                elif not landed.lost:  # the connection to the scheduler was lost, and is there again
                    (suspects if batch.alone else again).append(batch)
                elif batch.alone:
                    yield Outcome(batch.tasks[0][0], error=_lost(batch))
                elif len(batch.tasks) > 1:
                    again.extend(Batch([task], lost=batch.lost) for task in batch.tasks)
                else:
                    suspects.append(Batch(batch.tasks, alone=True, lost=batch.lost))
        finally:
            flight.cancel()

    def _ready(self, flight: Flight, new: _Numbered, again: deque[Batch], overlap: int) -> Iterator[Batch]:
        """Batches to send now, until enough are in flight."""
        while len(flight) < self._enough(flight.threads):
            if again:
                yield again.popleft()
                continue
            tasks = list(islice(new, self._size(flight, new.left, overlap)))
            if not tasks:
                return
            yield Batch(tasks)

    def _enough(self, threads: int) -> int:
        if self._travels:  # results wait in the workers' memory until they are fetched
            return IN_FLIGHT * max(threads, min(self._grows_to, MOST_TO_GROW // IN_FLIGHT))
        return max(IN_FLIGHT * threads, min(IN_FLIGHT_TO_GROW * self._grows_to, MOST_TO_GROW))

    def _size(self, flight: Flight, left: int, overlap: int) -> int:
        """Small batches while workers are idle, larger ones once all are busy."""
        if self._batch:
            return self._batch
        if self._travels or len(flight) < flight.threads:
            return -(-overlap // 2)
        if overlap == 1:
            return self._done_in(BATCH_S, flight, left)
        # In a batch of just as many as a worker makes at once, each waits beside those that it began with, and none takes their place.
        return max(overlap, min(2 * overlap, left // flight.threads), self._done_in(WAITING_BATCH_S, flight, left))

    def _done_in(self, seconds: float, flight: Flight, left: int) -> int:
        """As many tasks as a worker does in that time: what each message costs is then little beside them."""
        if flight.task_s is None:
            return FIRST_BATCH
        share = -(-left // (IN_FLIGHT * flight.threads)) if left else MOST_IN_BATCH  # 0: nobody knows
        return max(1, min(MOST_IN_BATCH, round(seconds / flight.task_s), share))

    @property
    def _travels(self) -> bool:
        """Whether samples come back, and not receipts."""
        return False in self._shared.values()


def _fulfil(future: Future[Client], connect: Callable[[], Client]) -> None:
    try:
        future.set_result(connect())
    except BaseException as error:  # told when the workers are needed
        future.set_exception(error)


class _Numbered(Iterator[tuple[int, Any]]):
    """Tasks with their numbers, and how many are left."""

    def __init__(self, tasks: Iterator[Any]) -> None:
        self._tasks, self._number = tasks, count()

    def __next__(self) -> tuple[int, Any]:
        task = next(self._tasks)
        return next(self._number), task

    @property
    def left(self) -> int:
        """0 where it is not known."""
        return length_hint(self._tasks)


def _lost(batch: Batch) -> WorkerLost:
    return WorkerLost(
        f"its worker was lost {batch.lost} times while it ran, at last with nothing else running: most likely out of memory, or a "
        "library crashed. Give workers more memory or fewer threads, and run again for what is missing."
    )

"""Backend: one task after another, in this process."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice

from lcnkit.contracts import Backend, Outcome, Pool, R, T, overlap_of
from lcnkit.hookspecs import hookimpl


@dataclass(frozen=True, kw_only=True)
class Serial(Backend):
    """Run one task after another in this process: the simplest to debug."""

    @contextmanager
    def open(self) -> Iterator[Pool]:
        """See `lcnkit.contracts.Backend.open`."""
        yield SerialPool()


class SerialPool(Pool):
    """This process."""

    def map(self, function: Callable[[T], R], tasks: Iterable[T]) -> Generator[Outcome[R]]:
        """See `lcnkit.contracts.Pool.map`."""
        overlap = overlap_of(function)
        if overlap > 1:
            yield from _overlapping(function, tasks, overlap)
            return
        for index, task in enumerate(tasks):
            yield _outcome(function, index, task)


def _outcome(function: Callable[[T], R], index: int, task: T) -> Outcome[R]:
    try:
        return Outcome(index, function(task))
    except Exception as error:  # a task's error is its outcome
        return Outcome(index, error=error)


def _overlapping(function: Callable[[T], R], tasks: Iterable[T], overlap: int) -> Generator[Outcome[R]]:
    """Several tasks at once, on threads: they mostly wait."""
    numbered = enumerate(tasks)
    with ThreadPoolExecutor(overlap, thread_name_prefix="lcnkit-chip") as threads:
        running: set[Future[Outcome[R]]] = set()
        try:
            while True:
                for index, task in islice(numbered, overlap - len(running)):
                    running.add(threads.submit(_outcome, function, index, task))
                if not running:
                    return
                done, running = wait(running, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in done)
        finally:
            for future in running:
                future.cancel()


@hookimpl
def lcnkit_backend() -> dict[str, type[Serial]]:
    """Offer the backend."""
    return {"serial": Serial}

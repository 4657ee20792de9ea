"""Backend: one task after another, in this process."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from lcnkit.contracts import Backend, Outcome, Pool, R, T
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
        for index, task in enumerate(tasks):
            try:
                yield Outcome(index, function(task))
            except Exception as error:  # a task's error is its outcome
                yield Outcome(index, error=error)


@hookimpl
def lcnkit_backend() -> dict[str, type[Serial]]:
    """Offer the backend."""
    return {"serial": Serial}

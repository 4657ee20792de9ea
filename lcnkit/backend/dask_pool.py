"""Tasks on a Dask cluster, a bounded number in flight; shared by all backends that have one."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Generator, Iterable
from itertools import islice
from typing import TYPE_CHECKING, Any

from lcnkit.contracts import Outcome, Pool, R, T

if TYPE_CHECKING:
    from distributed import Client

#: Batches in flight per worker thread: one that runs and one that is there when it ends.
IN_FLIGHT = 2


class DaskPool(Pool):
    """The workers of a Dask client.

    Tasks travel in batches: a task of a few milliseconds would otherwise cost as much in the scheduler.
    """

    def __init__(self, connect: Callable[[], Client], batch: int | None) -> None:
        """Args: connect starts or finds the cluster, at the first `map`; batch is tasks per message, ``None`` for a good guess."""
        self._connect = connect
        self._batch = batch

    def map(self, function: Callable[[T], R], tasks: Iterable[T]) -> Generator[Outcome[R]]:
        """See `lcnkit.contracts.Pool.map`."""
        import cloudpickle
        from distributed import as_completed

        client: Any = self._connect()
        threads = max(1, sum(client.nthreads().values()))
        numbered = enumerate(tasks)
        ahead = IN_FLIGHT * threads
        running: Any = as_completed()  # type: ignore[no-untyped-call]
        sizes: dict[str, list[int]] = {}

        def submit(count: int) -> None:
            for _ in range(count):
                batch = list(islice(numbered, self._batch or guess_batch(len(sizes), threads)))
                if not batch:
                    return
                # Pickled here and read inside the task: what a worker cannot import is then the task's error. Left
                # to Dask, it would end the worker's connection, and the run would wait for ever.
                payload = cloudpickle.dumps((function, [task for _, task in batch]))
                future = client.submit(run_batch, payload, len(batch), pure=False)
                sizes[future.key] = [index for index, _ in batch]
                running.add(future)

        submit(ahead)
        try:
            for future in running:
                indices = sizes.pop(future.key)
                if future.status == "finished":
                    for index, (value, error) in zip(indices, future.result(), strict=True):
                        yield Outcome(index, value, error)
                else:
                    lost = _reason(future)
                    yield from (Outcome(index, error=lost) for index in indices)
                future.release()
                submit(1)
        finally:
            client.cancel(list(running.futures), force=True)


def guess_batch(in_flight: int, threads: int) -> int:
    """Small batches while workers are idle, larger ones once all are busy."""
    return 1 if in_flight < threads else 4


def run_batch(payload: bytes, size: int) -> list[tuple[Any, BaseException | None]]:
    """Run a batch on a worker; an error of one task does not end the others.

    Args:
        payload: The pickled function and list of tasks.
        size: How many tasks there are, should they not be readable here.
    """
    try:
        function, tasks = pickle.loads(payload)
    except Exception as error:  # above all a plugin that is not installed here
        lost = RuntimeError(f"the worker cannot load the task ({type(error).__name__}: {error}); install the same packages there")
        return [(None, lost)] * size
    done: list[tuple[Any, BaseException | None]] = []
    for task in tasks:
        try:
            done.append((function(task), None))
        except Exception as error:  # a task's error is its outcome
            done.append((None, portable(error)))
    return done


def portable(error: Exception) -> BaseException:
    """The error, or one that says the same where it does not survive the way to the client."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # an exception class may do anything when it is made again
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


def _reason(future: object) -> BaseException:
    error = future.exception() if getattr(future, "status", "") == "error" else None  # type: ignore[attr-defined]
    return error if isinstance(error, BaseException) else RuntimeError("the task was cancelled")

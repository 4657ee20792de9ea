"""A batch of tasks on its way to a Dask worker and back: what travels, and what the worker does with it."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from lcnkit.contracts import R, T, overlap_of

#: What became of each task of a batch, in its order: value and error.
Results = list[tuple[Any, BaseException | None]]


def packed(function: Callable[[T], R], tasks: Sequence[T]) -> bytes:
    """Bytes that give the `Results` of the tasks to whoever unpickles them.

    Dask runs ``pickle.loads`` on them, so that its scheduler, which reads every task, meets nothing of lcnkit and need
    not have it installed. What a worker cannot import is an error of the task; left to Dask, it would end the
    worker's connection, and the run would wait for ever.
    """
    import cloudpickle

    return pickle.dumps(_Call(cloudpickle.dumps((function, list(tasks))), len(tasks)))


class _Call:
    """Unpickled, it is the answer of `run_batch`."""

    def __init__(self, payload: bytes, size: int) -> None:
        self._arguments = (payload, size)

    def __reduce__(self) -> tuple[Callable[..., Results], tuple[bytes, int]]:
        return run_batch, self._arguments


def run_batch(payload: bytes, size: int) -> Results:
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

    def one(task: Any) -> tuple[Any, BaseException | None]:
        try:
            return function(task), None
        except Exception as error:  # a task's error is its outcome
            return None, portable(error)

    at_once = min(overlap_of(function), len(tasks))
    if at_once < 2:
        return [one(task) for task in tasks]
    with ThreadPoolExecutor(at_once, thread_name_prefix="lcnkit-chip") as threads:
        return list(threads.map(one, tasks))


def portable(error: Exception) -> BaseException:
    """The error, or one that says the same where it does not survive the way to the client."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # an exception class may do anything when it is made again
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error

"""Work shared out among processes, the plainest way: as many parts as processes, each begun at once."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Sequence
from typing import Any


def in_processes(function: Callable[..., None], jobs: Sequence[Any], processes: int, *arguments: Any) -> None:
    """``function(part number, jobs of the part, *arguments)`` in so many processes; in this one where there is one.

    Raises:
        RuntimeError: A process failed.
    """
    if processes == 1:
        function(0, jobs, *arguments)
        return
    # Forked: nothing is imported again, which is the best that a loop of one's own can do.
    context = multiprocessing.get_context("fork")
    started = [context.Process(target=function, args=(part, jobs[part::processes], *arguments)) for part in range(processes)]
    for process in started:
        process.start()
    for process in started:
        process.join()
    if any(process.exitcode for process in started):
        raise RuntimeError(f"{function.__qualname__} failed in a process")

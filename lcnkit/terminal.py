"""What a person sees while a run goes on: a bar on a terminal, plain lines in a file."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

log = logging.getLogger(__name__)

#: Seconds between two progress lines where there is no terminal.
LINE_EVERY_S = 10.0

Advance = Callable[[bool], None]
"""Called after each chip with whether it failed."""


def counted(number: int, word: str, words: str | None = None) -> str:
    """A number and what it counts: ``1 chip``, ``2 chips``; ``words`` where the plural is not made with an s."""
    return f"{number} {word if number == 1 else words or word + ('es' if word.endswith('s') else 's')}"


@lru_cache(maxsize=1)
def console() -> Console:
    """The console on standard error; one for the bar and for messages, so that neither tears the other."""
    from rich.console import Console

    return Console(stderr=True, highlight=False, soft_wrap=True)


class ConsoleHandler(logging.Handler):
    """Log messages on the console, above the bar while there is one."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print the message as it is; warnings and errors stand out by colour on a terminal."""
        style = "bold red" if record.levelno >= logging.ERROR else "yellow" if record.levelno >= logging.WARNING else None
        console().print(self.format(record), style=style, markup=False)


@contextmanager
def progress(total: int, what: str = "chips") -> Iterator[Advance]:
    """Show how far a run is: done, failed, per second, time left."""
    if not total:
        yield lambda failed: None
    elif console().is_terminal:
        with _bar(total, what) as advance:
            yield advance
    else:
        yield _lines(total, what)


@contextmanager
def _bar(total: int, what: str) -> Iterator[Advance]:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn(what.ljust(10)),
        BarColumn(bar_width=28),
        MofNCompleteColumn(),
        TextColumn("{task.fields[failed]}", style="red"),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console(), transient=True) as bar:
        task = bar.add_task(what, total=total, failed="", rate="")
        done = failures = 0
        started = time.perf_counter()

        def advance(failed: bool) -> None:
            nonlocal done, failures
            done, failures = done + 1, failures + failed
            rate = done / max(time.perf_counter() - started, 1e-6)
            bar.update(task, advance=1, failed=f"{failures} failed" if failures else "", rate=f"{rate:.1f}/s")

        yield advance


def _lines(total: int, what: str) -> Advance:
    done = failures = 0
    started = last = time.perf_counter()

    def advance(failed: bool) -> None:
        nonlocal done, failures, last
        done, failures = done + 1, failures + failed
        now = time.perf_counter()
        if now - last >= LINE_EVERY_S and done < total:
            last = now
            rate = done / (now - started)
            log.info("%s %d of %d, %d failed, %.1f/s, %.0f s left", what.ljust(10), done, total, failures, rate, (total - done) / rate)

    return advance

"""One run, or one plan, for whoever started it on the command line."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lcnkit.settings import Run
    from lcnkit.sharing import Sharing

log = logging.getLogger("lcnkit")


def carry_out(run: Run, notes: Mapping[str, str] | None = None, sharing: Sharing | None = None) -> int:
    """Make the data set, and say how it went; gives the exit status."""
    from lcnkit.cli_help import report_text
    from lcnkit.pipeline import prepare

    report = prepare(run, notes, sharing)
    log.info("%s", report_text(report))
    if report.stopped:
        log.error("lcnkit: %s", report.stopped)
    elif report.signal:
        log.error("lcnkit: Interrupted when all chips were there: the data set is finished.")
    return report.status


def make_plan(run: Run, notes: Mapping[str, str] | None = None, sharing: Sharing | None = None) -> int:
    """Choose, write ``selection.parquet``, and say what would be read; gives the exit status."""
    from lcnkit.cli_help import plan_text
    from lcnkit.pipeline import plan_only

    prepared, folder = plan_only(run, notes, sharing)
    log.info("%s", plan_text(prepared, folder))
    return 0 if not prepared.failures else 3 if prepared.tasks else 1


def together(statuses: Sequence[int]) -> int:
    """The status of several runs: theirs where they agree, else 3, some of it failed."""
    return max(statuses, default=0) if len(set(statuses)) <= 1 else 3


@contextmanager
def logging_put_back() -> Iterator[None]:
    """Take away what Hydra sets up for a run, and close its file, for whoever calls `main` from a program."""
    loggers = [logging.getLogger(), log]
    before = [(logger.level, list(logger.handlers)) for logger in loggers]
    try:
        yield
    finally:
        for logger, (level, handlers) in zip(loggers, before, strict=True):
            for handler in set(logger.handlers) - set(handlers):
                handler.close()
            logger.handlers[:] = handlers
            logger.setLevel(level)

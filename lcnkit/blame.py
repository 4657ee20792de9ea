"""Whose plugin it was: what other people's code raises outside of any chip ends a run with a sentence that names it."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from lcnkit.errors import LcnkitError, PluginError, in_one_line
from lcnkit.plugins import Plugin, Registry
from lcnkit.secrets import scrub
from lcnkit.settings import Run

log = logging.getLogger(__name__)


@contextmanager
def plugins_named(run: Run, registry: Registry) -> Iterator[None]:
    """Inside the block, what fails in a plugin that is not ours, or because of what one answered, names it.

    A run that has none of them raises what it raises: then the mistake is ours.

    Raises:
        PluginError: Instead of any error that lcnkit did not raise on purpose.
    """
    try:
        yield
    except LcnkitError:
        raise
    except Exception as error:
        others = registry.others_in(run)
        if not others:
            raise
        log.debug("%s", scrub("".join(traceback.format_exception(error))))
        said, trace = scrub(in_one_line(error)), "The trace is in lcnkit.log, for its authors."
        frames = _frames(error)
        for where, line, module in reversed(frames):
            for plugin in others:
                if module.partition(".")[0] == plugin.cls.__module__.partition(".")[0]:
                    raise PluginError(f"The {_named(plugin)} failed: {said} ({where}, line {line}). {trace}") from error
        place = f" ({frames[-1][0]}, line {frames[-1][1]})" if frames else ""
        used = " and ".join(f"the {_named(plugin)}" for plugin in others)
        raise PluginError(
            f"The run failed: {said}{place}. It uses {used}: most likely one answered what its contract does not allow, which its suite in "
            f"lcnkit.testing would show. {trace}"
        ) from error


def _named(plugin: Plugin) -> str:
    return f"{plugin.kind} {plugin.name!r} ({plugin.package})"


def _frames(error: BaseException) -> list[tuple[str, int, str]]:
    """File, line and module of each call that led to the error, the innermost last; what it was raised from comes after it."""
    found: list[tuple[str, int, str]] = []
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        step: TracebackType | None = cause.__traceback__
        while step is not None:
            code = step.tb_frame.f_code
            found.append((Path(code.co_filename).name, step.tb_lineno, str(step.tb_frame.f_globals.get("__name__", ""))))
            step = step.tb_next
        cause = cause.__cause__ or cause.__context__
    return found

"""Every error lcnkit raises on purpose.

A message says what was wanted, of which item or file, what was found instead, and what to change.
Two fates: a wrong set-up (`SetupError`) stops the run before any pixel is read; a bad chip
(`ChipError`) is recorded with the step it failed in, and the run goes on.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class LcnkitError(Exception):
    """Base class: catch this to catch all that lcnkit says of its input."""


class SetupError(LcnkitError):
    """The run cannot start as it is set up."""


class ConfigError(SetupError):
    """An option has a value that cannot be meant."""


class UnknownName(ConfigError):
    """A plugin, preset or option of that name does not exist."""


class PluginError(SetupError):
    """A plugin cannot be loaded, or breaks the contract of its kind."""


class PluginNameClash(PluginError):
    """Two plugins offer the same name of the same kind."""


class DataError(SetupError):
    """The label collection or a source collection cannot be read."""


class PlanError(SetupError):
    """A saved plan does not fit the run, or the plan must not go on (`when_empty=error`)."""


class JobFailed(LcnkitError):
    """A job of a sweep failed in another process, where it has said why."""


class BackendError(SetupError):
    """The workers cannot be had, or cannot do this run: no scheduler, other versions, a plugin that is missing there."""


class OutputError(SetupError):
    """The output folder cannot be used or written."""


class OutputFull(OutputError):
    """The disk is full: what is written so far is kept, and the run can go on later."""


class ChipError(LcnkitError):
    """One chip cannot be made; the others can."""


class MissingAsset(ChipError):
    """An item lacks an asset that was asked for."""


class UnreadableAsset(ChipError):
    """A raster is absent, cut short or damaged."""


class UnreachableAsset(UnreadableAsset):
    """A server did not answer, or not well (429, 5xx, a cut connection): it may do so later."""


class WorkerLost(ChipError):
    """The worker that made the chip was lost each time, most likely out of memory; the pool has tried again already, at last on its own."""


class BadLabel(ChipError):
    """A label raster cannot be used: no CRS, no such band, unreadable."""


class NoCandidates(ChipError):
    """No acquisition covers the chip in its interval, or none was selected."""


class GridMismatch(ChipError):
    """A raster cannot be brought onto the chip's grid."""


def in_one_line(error: BaseException) -> str:
    """An error of somebody else's, its class and what it says: ``ValueError: no such key``."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`` Did you mean 'x'?`` for the known words nearest to ``word``, else an empty string."""
    near = difflib.get_close_matches(word, list(known), n=2, cutoff=0.55)
    return f" Did you mean {' or '.join(repr(name) for name in near)}?" if near else ""


def listing(names: Iterable[str], most: int = 20) -> str:
    """Names for a message: comma separated, cut after ``most``; ``none`` where there are none."""
    every = list(names)
    more = f" and {len(every) - most} more" if len(every) > most else ""
    return (", ".join(every[:most]) or "none") + more

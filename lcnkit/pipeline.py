"""The pipeline: labels, candidates, selection, read, transform, export, report.

First the plan (metadata only), then the pixels. Nothing here knows a concrete plugin.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lcnkit.blame import plugins_named
from lcnkit.claim import claim
from lcnkit.errors import OutputFull
from lcnkit.finish import finish
from lcnkit.journal import OutputFolder
from lcnkit.materialise import materialise
from lcnkit.model import Failure
from lcnkit.output import guarded, whole_file
from lcnkit.planning import Prepared, make_plan
from lcnkit.plugins import Registry, load_registry
from lcnkit.settings import Run, describe_run
from lcnkit.sharing import Sharing, shared


@dataclass(frozen=True)
class Report:
    """What became of a run."""

    output: Path
    made: int
    """Chips made by this run."""
    kept: int
    """Chips that an earlier run of the same configuration had made."""
    dropped: int
    """Chips left out by ``when_empty=drop``."""
    failures: tuple[Failure, ...]
    shapes: tuple[tuple[int, ...], ...]
    """Distinct ``(time, band, y, x)``."""
    seconds: Mapping[str, float]
    """Wall time of ``plan`` and ``make``; work time of each step, summed over workers."""
    stopped: str = ""
    """Why the run ended before its last chip, if it did."""
    signal: int = 0
    """The signal that ended it (SIGINT, SIGTERM), 0 where none did."""
    hints: tuple[str, ...] = ()
    """What a user may have overlooked."""

    @property
    def status(self) -> int:
        """Exit status: 0 all chips, 1 nothing was done, 3 some chips failed, 128 and its number where a signal ended the run."""
        if self.signal:
            return 128 + self.signal
        if not self.failures and not self.stopped:
            return 0
        return 3 if self.made + self.kept else 1


def prepare(run: Run, notes: Mapping[str, str] | None = None, sharing: Sharing | None = None) -> Report:
    """Turn a label collection into training-ready samples, and account for every chip.

    Args:
        run: What to make, from `lcnkit.compose` or built by hand.
        notes: Texts to keep in the output folder once it may be written, by relative path.
        sharing: What other runs of a sweep have made already, and what this one leaves for the next.

    Raises:
        SetupError: The run cannot start: its data, its options or its output folder are not as they must be.
    """
    started = time.perf_counter()
    registry = _registry(sharing)
    config = _describe(run, registry)
    with plugins_named(run, registry), claim(Path(run.output_dir), config, overwrite=run.overwrite) as output, shared(sharing) as common:
        _keep(output, notes)
        plan = make_plan(run, output, registry, common)  # labels, candidates, selection; written before the first pixel is read
        planned = time.perf_counter()
        made = materialise(plan, output, common)  # read, transform, export; on workers
        try:
            receipts, failures, hints = finish(plan, output, config, _packages(run, registry), made)
        except OutputFull as error:
            receipts, failures, hints = made.receipts.of(made.receipts), tuple(made.failures), ()
            made.stopped = str(error)
    return Report(
        output=output.path,
        made=made.new,
        kept=made.kept,
        dropped=len(plan.dropped),
        failures=failures,
        shapes=tuple(sorted({tuple(shape) for receipt in receipts for shape in receipt.shapes.values()})),
        seconds={"plan": planned - started, "make": time.perf_counter() - planned, **made.seconds},
        stopped=made.stopped,
        signal=made.signal,
        hints=hints,
    )


def plan_only(run: Run, notes: Mapping[str, str] | None = None, sharing: Sharing | None = None) -> tuple[Prepared, Path]:
    """The first half of `prepare`: choose, write ``selection.parquet``, and stop before the first pixel."""
    registry = _registry(sharing)
    config = _describe(run, registry)
    with plugins_named(run, registry), claim(Path(run.output_dir), config, overwrite=run.overwrite) as output, shared(sharing) as common:
        _keep(output, notes)
        return make_plan(run, output, registry, common, pixels=False), output.path


def _keep(output: OutputFolder, notes: Mapping[str, str] | None) -> None:
    for name, text in (notes or {}).items():
        with guarded(output.path, "write the configuration"), whole_file(output.path / name) as file:
            file.write(text.encode())


def _registry(sharing: Sharing | None) -> Registry:
    """The plugins that are installed, looked up once for all runs of a sweep."""
    return load_registry() if sharing is None else sharing.once("registry", load_registry)


def _packages(run: Run, registry: Registry) -> dict[str, str]:
    """Versions of the packages whose plugins a run uses; one of this session has none."""
    found = (plugin.package.rpartition(" ") for plugin in registry.others_in(run))
    return {name: version for name, _, version in found if version[:1].isdigit()}


def _describe(run: Run, registry: Registry) -> dict[str, Any]:
    return describe_run(run, {f"{plugin.cls.__module__}.{plugin.cls.__qualname__}": plugin.name for plugin in registry})

"""Materialising: every planned sample made, written and accounted for."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from lcnkit.contracts import Exporter, Outcome, Pool
from lcnkit.errors import OutputError, OutputFull
from lcnkit.make import Recipe, Task
from lcnkit.manifest import manifest_of, write_failures
from lcnkit.model import Failure, Frame, Receipt
from lcnkit.output import MANIFEST, OutputFolder, guarded, read_manifest, write_json
from lcnkit.planning import Prepared
from lcnkit.settings import Run
from lcnkit.terminal import progress

log = logging.getLogger(__name__)


@dataclass
class Made:
    """What became of the samples of a run."""

    kept: dict[str, Receipt]
    """By chip: made by an earlier run, and still what the plan says."""
    receipts: dict[str, Receipt] = field(default_factory=dict)
    """By chip: made by this run."""
    failures: list[Failure] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    """Work time by step, summed over workers."""
    stopped: str = ""
    """Why not every sample was tried, if so."""


def materialise(prepared: Prepared, output: OutputFolder, pool: Pool) -> Made:
    """Make every sample that is not there yet; each one is remembered as soon as it is written."""
    result = Made(_finished_before(output, prepared))
    waiting = [task for task in prepared.tasks if task.chip.id not in result.kept]
    if result.kept:
        log.info("resume     %d of %d chips are there already, %d to do", len(result.kept), len(prepared.tasks), len(waiting))
    if not waiting:
        return result
    recipe = _recipe(prepared, output)
    if not result.kept:
        _reserve(recipe, waiting, output, pool)
    with progress(len(waiting)) as advance, closing(pool.map(recipe, waiting)) as outcomes:
        for outcome in outcomes:
            made = _value(outcome, waiting)
            if isinstance(made, OutputFull):
                result.stopped = str(made)
                break
            if isinstance(made, Receipt):
                output.record(made)
                result.receipts[made.chip_id] = made
                for step, seconds in made.seconds.items():
                    result.seconds[step] = result.seconds.get(step, 0.0) + seconds
            else:
                log.warning("failed     %s at %s: %s", made.chip_id, made.step, made.message)
                result.failures.append(made)
            advance(isinstance(made, Failure))
    return result


# So many chips are tried for a model of the others; where none can be made, samples find their place at the end.
_TRIED_AS_MODEL = 3


def _reserve(recipe: Recipe, tasks: Sequence[Task], output: OutputFolder, pool: Pool) -> None:
    """Let the exporter lay out the data set, and say early that it will not fit on the disk."""
    if type(recipe.exporter).reserve is Exporter.reserve:  # a format with a file for each sample has nothing to lay out
        return
    for task in tasks[:_TRIED_AS_MODEL]:
        model = next(iter(pool.map(recipe.model, [task]))).value
        if model is not None:  # else it will fail again, and be recorded, when it is made for good
            break
    else:
        return
    with guarded(output.path, "lay out the data set"):
        needed = recipe.exporter.reserve(recipe.outlines(model, tasks), output.path.absolute())
        free = shutil.disk_usage(output.path).free
    if needed > free:
        log.warning("The data set will need %.1f GB, and %.1f GB are free in %s", needed / 1e9, free / 1e9, output.path)


def _value(outcome: Outcome[Receipt | Failure], waiting: list[Task]) -> Receipt | Failure | OutputFull:
    if isinstance(outcome.error, OutputFull):
        return outcome.error
    if outcome.value is None:
        error = outcome.error
        return Failure(waiting[outcome.index].chip.id, "backend", type(error).__name__, str(error) or "the worker was lost")
    return outcome.value


def finish(
    prepared: Prepared, output: OutputFolder, config: Mapping[str, Any], made: Made
) -> tuple[list[Receipt], tuple[Failure, ...], tuple[str, ...]]:
    """The finished data set in the order of the label collection: its receipts, its failures, and hints for the user.

    Raises:
        OutputFull: There is no room to finish; the samples are kept.
    """
    every = {**made.kept, **made.receipts}
    receipts = [every[task.chip.id] for task in prepared.tasks if task.chip.id in every]
    failures = _in_order(prepared, (*prepared.failures, *made.failures))
    write_failures(output.path, failures)
    if made.stopped or not (receipts or not failures):
        return receipts, failures, ()
    counts = {"chips": len(receipts), "failed": len(failures), "dropped": len(prepared.dropped), "missing_frames": _missing(receipts)}
    about = {"name": prepared.source, "collection": prepared.collection, "bands": _bands(receipts, prepared)}
    unchanged = manifest_of(config, prepared.labels, about, receipts, counts, prepared.plan.n_periods)
    if _is_finished(output, unchanged):
        return receipts, failures, _hints(unchanged, prepared.run)
    with guarded(output.path, "finish the data set"):
        receipts = prepared.run.exporter.finish(receipts, output.path)
    manifest = manifest_of(config, prepared.labels, about, receipts, counts, prepared.plan.n_periods)
    with guarded(output.path, "write the manifest"):
        write_json(output.path / MANIFEST, manifest)
    output.forget_state()
    return receipts, failures, _hints(manifest, prepared.run)


def _is_finished(output: OutputFolder, manifest: Mapping[str, Any]) -> bool:
    """Whether the folder holds this very data set already: then nothing is written again."""
    try:
        return bool(read_manifest(output.path) == manifest)
    except OutputError:
        return False


def _missing(receipts: Sequence[Receipt]) -> int:
    return sum(frame["item_id"] is None for receipt in receipts for frames in receipt.facts["frames"].values() for frame in frames)


def _hints(manifest: Mapping[str, Any], run: Run) -> tuple[str, ...]:
    """A class called "No Data" that is left among the classes would be trained as one."""
    total = sum(entry["pixels"] for entry in manifest["classes"])
    return tuple(
        f"class {entry['value']}, {entry['name']!r}, is {entry['pixels'] / total:.1%} of the label pixels; label.ignore=[{entry['value']}] "
        f"makes it {run.label.ignore_index}, which loss functions can skip"
        for entry in manifest["classes"]
        if entry["pixels"]
        and str(entry["name"]).lower() in ("no data", "nodata", "unlabelled", "unlabeled")
        and entry["value"] not in run.label.ignore
    )


def _bands(receipts: list[Receipt], prepared: Prepared) -> list[str]:
    return list(receipts[0].facts["bands"][prepared.source]) if receipts else list(prepared.bands)


def _in_order(prepared: Prepared, failures: Iterable[Failure]) -> tuple[Failure, ...]:
    """Failures in the order of the chips, so that the same run writes the same file on every backend."""
    place = {chip: number for number, chip in enumerate([*prepared.plan.chip_ids])}
    return tuple(sorted(failures, key=lambda failure: (place.get(failure.chip_id, -1), failure.chip_id)))


def _recipe(prepared: Prepared, output: OutputFolder) -> Recipe:
    run, source = prepared.run, prepared.run.source
    names = prepared.labels.class_names
    return Recipe(
        source=prepared.source,
        catalog=source.catalog,
        reader=source.reader,
        bands=prepared.bands,
        transforms=source.transforms,
        label=run.label,
        label_attrs={"ignore_index": run.label.ignore_index, "class_names": {str(value): name for value, name in names.items()}},
        exporter=run.exporter,
        folder=output.path.absolute(),
    )


def _finished_before(output: OutputFolder, prepared: Prepared) -> dict[str, Receipt]:
    """Samples of an earlier run that show what the plan says now."""
    planned = {task.chip.id: _shown(task.frames) for task in prepared.tasks}
    kept = {}
    for chip_id, receipt in output.receipts().items():
        shown = [(frame["period"], frame["item_id"]) for frame in receipt.facts.get("frames", {}).get(prepared.source, [])]
        if planned.get(chip_id) == shown:
            kept[chip_id] = receipt
    return kept


def _shown(frames: tuple[Frame, ...]) -> list[tuple[int, str | None]]:
    return [(frame.period, frame.item_id or None) for frame in frames]

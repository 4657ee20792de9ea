"""The pipeline: labels, candidates, selection, read, transform, export, report.

First the plan (metadata only), then the pixels. Nothing here knows a concrete plugin.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lcnkit.candidates import complete
from lcnkit.cloud import MaskRecipe, measure
from lcnkit.contracts import Catalog, Outcome, Pool, Query, chooses_by_period, frames_wanted
from lcnkit.errors import ChipError, NoCandidates, OutputFull, UnknownName, did_you_mean, listing
from lcnkit.labels import LabelSet, read_labels, without_links
from lcnkit.make import Recipe, Task
from lcnkit.manifest import write_failures, write_manifest
from lcnkit.model import Chip, Failure, Frame, Receipt
from lcnkit.output import SELECTION, OutputFolder, claim, guarded, whole_file
from lcnkit.plan import Plan, load_plan, save_plan
from lcnkit.plugins import Registry, load_registry
from lcnkit.selection import Shape, choose, fill_nearest, frames_by_chip, refuse_gaps, sorted_out
from lcnkit.settings import Run, describe_run, source_name
from lcnkit.terminal import progress

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)


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
    hints: tuple[str, ...] = ()
    """What a user may have overlooked."""

    @property
    def status(self) -> int:
        """Exit status: 0 all chips, 1 nothing was done, 3 some chips failed."""
        if not self.failures and not self.stopped:
            return 0
        return 3 if self.made + self.kept else 1


@dataclass(frozen=True)
class Prepared:
    """A run whose plan is made: chips with their frames, and chips that cannot be made."""

    run: Run
    source: str
    collection: str
    bands: tuple[str, ...]
    labels: LabelSet
    plan: Plan
    tasks: tuple[Task, ...]
    dropped: tuple[str, ...]
    failures: tuple[Failure, ...]


def prepare(run: Run, notes: Mapping[str, str] | None = None) -> Report:
    """Turn a label collection into training-ready samples, and account for every chip.

    Args:
        run: What to make, from `lcnkit.compose` or built by hand.
        notes: Texts to keep in the output folder once it may be written, by relative path.

    Raises:
        SetupError: The run cannot start: its data, its options or its output folder are not as they must be.
    """
    registry = load_registry()
    config = _describe(run, registry)
    started = time.perf_counter()
    with claim(Path(run.output_dir), config, overwrite=run.overwrite) as output, run.backend.open() as pool:
        _keep(output, notes)
        prepared = make_plan(run, output, pool, registry)
        planned = time.perf_counter()
        done = _finished_before(output, prepared)
        outcome = _materialise(prepared, output, pool, done)
        report = _finish(prepared, output, config, done, outcome)
    wall = {"plan": planned - started, "make": time.perf_counter() - planned, **outcome.seconds}
    return replace(report, seconds=wall)


def plan_only(run: Run, notes: Mapping[str, str] | None = None) -> tuple[Prepared, Path]:
    """The first half of `prepare`: choose, write ``selection.parquet``, and stop before the first pixel."""
    registry = load_registry()
    with claim(Path(run.output_dir), _describe(run, registry), overwrite=run.overwrite) as output, run.backend.open() as pool:
        _keep(output, notes)
        return make_plan(run, output, pool, registry), output.path


def make_plan(run: Run, output: OutputFolder, pool: Pool, registry: Registry) -> Prepared:
    """Labels, candidates, selection: what is to be read for every chip. Writes the plan before any pixel is read."""
    run = _with_data(run)
    source = run.source
    labels = read_labels(_root(run), run.dataset, run.chips, run.interval)
    shape = Shape(chooses_by_period(source.strategy), frames_wanted(source.strategy, run.n_periods))
    collection = source.catalog.find_collection(source.collection or run.dataset.source)
    name = source_name(run.dataset, collection)
    bands = run.dataset.bands_of(name, source.bands)
    plan = _saved_plan(run, output, labels, shape)
    if plan is None:
        table = _candidates(run, labels, collection, name, pool)
        table = choose(source.strategy, table, registry.name_of(source.strategy))
        if run.when_empty == "nearest" and shape.by_period:
            table = fill_nearest(table)
        plan = Plan(table, tuple(chip.id for chip in labels.chips), run.n_periods, shape)
    with guarded(output.path, "write the plan"):
        save_plan(plan, output.path / SELECTION)
    tasks, dropped, failures = _tasks(run, labels, plan, collection)
    _refuse_unknown_bands(source.catalog, tasks, bands)
    log.info("plan       %d candidates, %d chosen for %d chips: %s", len(plan.table), plan.table["selected"].sum(), len(tasks), SELECTION)
    return Prepared(run, name, collection, bands, labels, plan, tasks, dropped, (*labels.failures, *failures))


def _candidates(run: Run, labels: LabelSet, collection: str, name: str, pool: Pool) -> pd.DataFrame:
    """Search once for all chips, and make cloud cover known as far as it can be."""
    query = Query(collection, labels.interval, run.min_coverage, labels.all_ids)
    found = run.source.catalog.search(labels.chips, query)
    table = complete(found, name, {chip.id: chip.interval for chip in labels.chips}, run.n_periods)
    mask = run.dataset.cloud_assets.get(name)
    if mask and run.cloud != "metadata":
        classes = tuple(run.dataset.cloud_classes.get(name, ()))
        recipe = MaskRecipe(run.source.catalog, run.source.reader, mask, run.cloud_threshold, classes)
        chips = {chip.id: chip for chip in labels.chips}
        table = measure(table, chips, recipe, pool, force=run.cloud == "mask")
    return table


def _tasks(run: Run, labels: LabelSet, plan: Plan, collection: str) -> tuple[tuple[Task, ...], tuple[str, ...], tuple[Failure, ...]]:
    """Chips to make, chips to drop, and chips that have nothing to show."""
    tasks: list[Task] = []
    dropped: list[str] = []
    failures: list[Failure] = []
    gaps: list[tuple[str, int]] = []
    found = {str(chip): int(count) for chip, count in plan.table["chip_id"].value_counts().items()}
    planned = set(plan.chip_ids)
    chips = [chip for chip in labels.chips if chip.id in planned]
    for chip, frames in frames_by_chip(plan.table, chips, plan.n_periods, plan.shape):
        if all(frame.missing for frame in frames):
            failures.append(_nothing(run, chip, collection, int(found.get(chip.id, 0))))
            continue
        gaps += [(chip.id, frame.period) for frame in frames if frame.missing]
        if sorted_out(frames, run.when_empty):
            dropped.append(chip.id)
        else:
            tasks.append(Task(without_links(chip), frames))
    if run.when_empty == "error":
        refuse_gaps(gaps)
    return tuple(tasks), tuple(dropped), tuple(failures)


# So many items are looked at before a band counts as unknown; the failures of single chips are theirs alone.
_SAMPLED_ITEMS = 5


def _refuse_unknown_bands(catalog: Catalog, tasks: tuple[Task, ...], bands: tuple[str, ...]) -> None:
    """Stop at once where a band is misspelt, instead of failing chip after chip.

    Raises:
        UnknownName: Items from all over the run lack the band.
    """
    sampled = tasks[:: max(1, len(tasks) // _SAMPLED_ITEMS)][:_SAMPLED_ITEMS]
    hrefs = [next(frame.item_href for frame in task.frames if not frame.missing) for task in sampled]
    known: set[str] = set()
    for href in hrefs:
        try:
            known.update(catalog.items([href])[0].assets)
        except ChipError:
            return  # an archive with holes: each chip says for itself what it lacks
    for band in bands:
        if known and band not in known:
            raise UnknownName(
                f"bands={band}: none of {len(hrefs)} items looked at has such an asset; they have {listing(sorted(known))}."
                f"{did_you_mean(band, known)}"
            )


def _nothing(run: Run, chip: Chip, collection: str, found: int) -> Failure:
    if found:
        message = (
            f"Chip {chip.id}: none of its {found} candidates was chosen; `reason` in {SELECTION} says why for each. Loosen the strategy's limits."
        )
    else:
        message = (
            f"Chip {chip.id}: no item of {collection} covers {run.min_coverage:.0%} of it. Look whether the archive holds "
            "its imagery, lower min_coverage, or leave the chip out with chips=[...]."
        )
    return Failure(chip.id, "candidates" if not found else "selection", NoCandidates.__name__, message)


def _saved_plan(run: Run, output: OutputFolder, labels: LabelSet, shape: Shape) -> Plan | None:
    """The plan to run as it is: the one asked for, or that of the run which is being continued."""
    if run.plan is not None:
        plan = load_plan(Path(run.plan), shape)
        log.info("plan       as saved in %s: %d periods, %d chips", run.plan, plan.n_periods, len(plan.chip_ids))
        return plan
    path = output.path / SELECTION
    if not output.resumed or not path.exists():
        return None
    plan = load_plan(path, shape)
    # A label that could not be read the last time may be there now: then the plan is made again.
    return plan if {chip.id for chip in labels.chips} <= set(plan.chip_ids) else None


@dataclass
class _Outcome:
    receipts: dict[str, Receipt]
    failures: list[Failure]
    seconds: dict[str, float]
    stopped: str = ""


def _materialise(prepared: Prepared, output: OutputFolder, pool: Pool, done: Mapping[str, Receipt]) -> _Outcome:
    """Make every sample that is not there yet; each one is remembered as soon as it is written."""
    waiting = [task for task in prepared.tasks if task.chip.id not in done]
    if done:
        log.info("resume     %d of %d chips are there already, %d to do", len(done), len(prepared.tasks), len(waiting))
    result = _Outcome({}, [], {})
    if not waiting:
        return result
    outcomes = pool.map(_recipe(prepared, output), waiting)
    with progress(len(waiting)) as advance:
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
    close = getattr(outcomes, "close", None)
    if close is not None:
        close()
    return result


def _value(outcome: Outcome[Receipt | Failure], waiting: list[Task]) -> Receipt | Failure | OutputFull:
    if isinstance(outcome.error, OutputFull):
        return outcome.error
    if outcome.value is None:
        error = outcome.error
        return Failure(waiting[outcome.index].chip.id, "backend", type(error).__name__, str(error) or "the worker was lost")
    return outcome.value


def _finish(prepared: Prepared, output: OutputFolder, config: Mapping[str, Any], done: Mapping[str, Receipt], outcome: _Outcome) -> Report:
    """The finished data set, in the order of the label collection, and what is said of it."""
    every = {**done, **outcome.receipts}
    receipts = [every[task.chip.id] for task in prepared.tasks if task.chip.id in every]
    failures = _in_order(prepared, (*prepared.failures, *outcome.failures))
    run, stopped = prepared.run, outcome.stopped
    hints: tuple[str, ...] = ()
    try:
        write_failures(output.path, failures)
        if not stopped and (receipts or not failures):
            with guarded(output.path, "finish the data set"):
                receipts = run.exporter.finish(receipts, output.path)
            counts = {
                "chips": len(receipts),
                "failed": len(failures),
                "dropped": len(prepared.dropped),
                "missing_frames": sum(
                    frame["item_id"] is None for receipt in receipts for frames in receipt.facts["frames"].values() for frame in frames
                ),
            }
            about = {"name": prepared.source, "collection": prepared.collection, "bands": _bands(receipts, prepared)}
            manifest = write_manifest(output.path, config, prepared.labels, about, receipts, counts, prepared.plan.n_periods)
            hints = _hints(manifest, run)
            output.forget_state()
    except OutputFull as error:
        stopped = stopped or str(error)
    return Report(
        output=output.path,
        made=len(outcome.receipts),
        kept=len(done),
        dropped=len(prepared.dropped),
        failures=failures,
        shapes=tuple(sorted({tuple(shape) for receipt in receipts for shape in receipt.shapes.values()})),
        seconds={},
        stopped=stopped,
        hints=hints,
    )


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


def _keep(output: OutputFolder, notes: Mapping[str, str] | None) -> None:
    for name, text in (notes or {}).items():
        with guarded(output.path, "write the configuration"), whole_file(output.path / name) as file:
            file.write(text.encode())


def _describe(run: Run, registry: Registry) -> dict[str, Any]:
    return describe_run(run, {f"{plugin.cls.__module__}.{plugin.cls.__qualname__}": plugin.name for plugin in registry})


def _with_data(run: Run) -> Run:
    """The run with its data set's root known (the demo is made here), also to the plugins that look for it."""
    from lcnkit.data_root import ensure_root

    root = ensure_root(run.dataset)
    catalog: Any = run.source.catalog
    if getattr(catalog, "root", "no such option") is None:
        catalog = replace(catalog, root=root)
    return replace(run, dataset=replace(run.dataset, root=root), sources=(replace(run.source, catalog=catalog),))


def _root(run: Run) -> str:
    assert run.dataset.root is not None  # `_with_data` has seen to it
    return run.dataset.root

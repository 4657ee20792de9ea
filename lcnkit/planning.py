"""Planning: labels, candidates, selection. What is to be read for every chip, decided before the first pixel is."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import starmap
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lcnkit.answers import items_of
from lcnkit.candidates import by_chip
from lcnkit.choosing import choices, on_servers
from lcnkit.contracts import Catalog, chooses_by_period, frames_wanted
from lcnkit.data_root import ensure_root
from lcnkit.errors import BadLabel, ChipError, PlanError, UnknownName, did_you_mean, listing
from lcnkit.journal import OutputFolder
from lcnkit.labels import LabelInfo, LabelSet, read_labels
from lcnkit.make import Task
from lcnkit.model import Chip, Failure, Packed
from lcnkit.options import describe
from lcnkit.output import SELECTION
from lcnkit.plan import Plan, PlanWriter, SavedPlan
from lcnkit.plugins import Registry
from lcnkit.selection import Shape
from lcnkit.settings import Run, source_name
from lcnkit.sharing import Sharing, key_of
from lcnkit.tasks import TaskList
from lcnkit.terminal import counted

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Prepared:
    """A run whose plan is made: chips with their frames, and chips that cannot be made."""

    run: Run
    source: str
    collection: str
    bands: tuple[str, ...]
    labels: LabelInfo
    plan: Plan
    tasks: Packed[Task]
    chip_ids: tuple[str, ...]
    """Of the tasks, in their order."""
    crs: tuple[str, ...]
    """Of the tasks, each once."""
    dropped: tuple[str, ...]
    failures: tuple[Failure, ...]
    remote: bool = False
    """Whether imagery is read from a server."""


def make_plan(run: Run, output: OutputFolder, registry: Registry, sharing: Sharing, *, pixels: bool = True) -> Prepared:
    """Choose for every chip, and write the plan.

    Args:
        pixels: They will be read next: workers may be started while the plan is made.
    """
    pool = sharing.pool(run.backend) if pixels and not output.resumed else None
    run = _as_planned(_with_data(run))
    labels = sharing.once(
        ("labels", key_of(run.dataset, run.chips, run.interval)), lambda: read_labels(_root(run), run.dataset, run.chips, run.interval)
    )
    if pool is not None:
        pool.expect()
    collection = run.source.catalog.find_collection(run.source.collection or run.dataset.source)
    name = source_name(run.dataset, collection)
    bands = run.dataset.bands_of(name, run.source.bands)
    plan, chosen = _plan(run, labels, collection, output, registry, sharing)
    chosen.refuse_gaps()
    remote = _look_at_items(run.source.catalog, collection, chosen.tasks, bands, sharing)
    found = counted(chosen.candidates, "candidate")
    log.info("plan       %s, %d chosen for %s: %s", found, chosen.chosen, counted(len(chosen.tasks), "chip"), SELECTION)
    failures = (*labels.failures, *chosen.failures)
    # What labels say of themselves goes on; the chips, which are many, are in the tasks now.
    return Prepared(
        run=run,
        source=name,
        collection=collection,
        bands=bands,
        labels=labels.info.as_shown(run.label),
        plan=plan,
        tasks=chosen.tasks,
        chip_ids=tuple(chosen.chip_ids),
        crs=tuple(sorted(chosen.crs)),
        dropped=tuple(chosen.dropped),
        failures=failures,
        remote=remote,
    )


def _plan(run: Run, labels: LabelSet, collection: str, output: OutputFolder, registry: Registry, sharing: Sharing) -> tuple[Plan, TaskList]:
    """The plan that was asked for, that of the run which is being continued, or a new one; and what is to be made of it."""
    shape = Shape(chooses_by_period(run.source.strategy), frames_wanted(run.source.strategy, run.n_periods))
    path = output.path / SELECTION

    def tables_of(part: Sequence[Chip], table: pd.DataFrame) -> tuple[Sequence[Chip], list[pd.DataFrame]]:
        return part, [table]

    def choose_for(chips: Packed[Chip]) -> Iterator[tuple[Sequence[Chip], list[pd.DataFrame]]]:
        return starmap(tables_of, choices(run, chips, labels, collection, registry, sharing, by_period=shape.by_period))

    if run.plan is not None:
        saved = SavedPlan(Path(run.plan), shape)
        plan = saved.plan
        log.info("plan       as saved in %s: %s, %s", run.plan, counted(plan.n_periods, "period"), counted(len(plan.chip_ids), "chip"))
        if not set(labels.chip_ids) & set(plan.chip_ids):
            raise PlanError(
                f"The plan {run.plan} has none of the run's chips: it has {listing(plan.chip_ids, 4)}, the labels are "
                f"{listing(labels.chip_ids, 4)}. Give the archive it was made for with dataset.root=PATH."
            )
        made, tasks = _written(run, collection, replace(plan, path=path), [(labels.chips, saved.parts())])
        if run.chips is None:
            unknown = [chip_id for chip_id in dict.fromkeys([*plan.chip_ids, *saved.chips_with_rows]) if chip_id not in labels.all_ids]
            tasks.failures += [_unlabelled(chip_id, run.plan, labels.info.collection) for chip_id in unknown]
        return made, tasks
    if not (output.resumed and path.exists()):
        strategy = {"name": registry.name_of(run.source.strategy), **describe(run.source.strategy)}
        return _written(run, collection, Plan(path, labels.chip_ids, run.n_periods, shape, strategy), choose_for(labels.chips))
    try:
        saved = SavedPlan(path, shape)
        # Labels or imagery that were not there the last time may be there now; what was planned stays as it is.
        known = set(saved.chips_with_rows)
        late = labels.chips.at(place for place, chip_id in enumerate(labels.chip_ids) if chip_id not in known)
        if not len(late):
            tasks = TaskList(run, saved.plan, collection)
            tasks.add(labels.chips, saved.parts())
            return saved.plan, tasks
        table = saved.table
    except PlanError as error:
        raise PlanError(f"{error} Remove the file to choose anew; samples that show what is chosen then are kept.") from error
    table = _joined(table, [found for _, (found,) in choose_for(late)], labels.chip_ids)
    return _written(run, collection, replace(saved.plan, chip_ids=labels.chip_ids), [(labels.chips, [table])])


def _unlabelled(chip_id: str, plan: str, collection: str) -> Failure:
    message = (
        f"Chip {chip_id}: the plan {plan} has it, and the label collection {collection} does not. Give the archive that the plan was made for "
        "with dataset.root=PATH, or take the chip's rows out of the plan."
    )
    return Failure(chip_id, "label", BadLabel.__name__, message)


def _written(run: Run, collection: str, plan: Plan, chosen: Iterable[tuple[Iterable[Chip], Iterable[pd.DataFrame]]]) -> tuple[Plan, TaskList]:
    """The plan as a file, and the tasks of its chips: both are made of one part of the candidates after the other."""
    tasks = TaskList(run, plan, collection)
    with PlanWriter(plan) as file:
        for chips, tables in chosen:
            tasks.add(chips, file.each(tables))
            del chips, tables  # gone before the next are there
    return plan, tasks


def _joined(planned: pd.DataFrame, found: Sequence[pd.DataFrame], chip_ids: Sequence[str]) -> pd.DataFrame:
    """All of them in the order of the labels."""
    import pandas as pd

    tables = [table for table in (planned, *found) if len(table)] or [planned]
    return by_chip(pd.concat(tables, ignore_index=True), chip_ids)


# So many items are looked at before a band counts as unknown; the failures of single chips are theirs alone.
_SAMPLED_ITEMS = 5


def _look_at_items(catalog: Catalog, collection: str, tasks: Sequence[Task], bands: tuple[str, ...], sharing: Sharing) -> bool:
    """Stop at once where a band is misspelt, instead of failing chip after chip; gives whether imagery is on a server.

    Raises:
        UnknownName: Items from all over the run lack the band.
    """
    seen = sharing.once(("items", key_of(catalog), collection), lambda: _sampled(catalog, tasks))
    if not seen.assets.issuperset(bands):  # another run of a sweep may have looked at other items
        seen = _sampled(catalog, tasks)
    for band in bands:
        if seen.assets and band not in seen.assets:
            raise UnknownName(
                f"bands={band}: none of {seen.count} items looked at has such an asset; they have {listing(sorted(seen.assets))}."
                f"{did_you_mean(band, seen.assets)}"
            )
    return seen.remote


@dataclass(frozen=True)
class _Seen:
    """What some items of a run have."""

    count: int
    assets: frozenset[str] = frozenset()
    remote: bool = False


def _sampled(catalog: Catalog, tasks: Sequence[Task]) -> _Seen:
    sampled = [tasks[place] for place in range(0, len(tasks), max(1, len(tasks) // _SAMPLED_ITEMS))][:_SAMPLED_ITEMS]
    frames = [next(frame for frame in task.frames if not frame.missing) for task in sampled]
    try:
        items = items_of(catalog, frames)
    except ChipError:
        return _Seen(len(frames))  # an archive with holes: each chip says for itself what it lacks
    return _Seen(len(frames), frozenset(key for item in items for key in item.assets), any(on_servers(item) for item in items))


def _with_data(run: Run) -> Run:
    """The run with its data set's root known (the demo is made here), also to the plugins that look for it."""
    root = ensure_root(run.dataset)
    catalog: Any = run.source.catalog
    if getattr(catalog, "root", "no such option") is None:
        catalog = replace(catalog, root=root)
        if getattr(catalog, "endpoint", "no such option") is None:
            catalog = replace(catalog, endpoint=run.dataset.endpoint)
    return replace(run, dataset=replace(run.dataset, root=root), sources=(replace(run.source, catalog=catalog),))


def _as_planned(run: Run) -> Run:
    """The run with the interval of its saved plan, which its periods are parts of and its missing frames are dated by."""
    if run.plan is None:
        return run
    interval = SavedPlan(Path(run.plan), Shape(by_period=True, n_frames=None)).interval
    return run if interval is None else replace(run, interval=interval)


def _root(run: Run) -> str:
    assert run.dataset.root is not None  # `_with_data` has seen to it
    return run.dataset.root

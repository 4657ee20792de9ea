"""Planning: labels, candidates, selection. What is to be read for every chip, decided before the first pixel is."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lcnkit.candidates import complete, cut
from lcnkit.cloud import MaskRecipe, measure
from lcnkit.contracts import Catalog, Query, chooses_by_period, frames_wanted
from lcnkit.data_root import ensure_root
from lcnkit.errors import ChipError, NoCandidates, PlanError, UnknownName, did_you_mean, listing
from lcnkit.journal import OutputFolder
from lcnkit.labels import LabelSet, read_labels, without_links
from lcnkit.make import Task
from lcnkit.model import Chip, Failure, Item
from lcnkit.model.href import is_url
from lcnkit.options import describe
from lcnkit.output import SELECTION, guarded
from lcnkit.plan import Plan, load_plan, save_plan
from lcnkit.plugins import Registry
from lcnkit.selection import Shape, choose, fill_nearest, frames_by_chip, refuse_gaps, sorted_out
from lcnkit.settings import Run, source_name
from lcnkit.sharing import Sharing
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
    labels: LabelSet
    plan: Plan
    """Without its rows where pixels are read next."""
    tasks: tuple[Task, ...]
    dropped: tuple[str, ...]
    failures: tuple[Failure, ...]
    remote: bool = False
    """Whether imagery is read from a server."""


# Chips that a worker has under way at once where it mostly waits for a server.
_OVERLAP = 8


def overlap_for(*, remote: bool) -> int:
    """How many chips a worker makes at once: from a disk it is busy with one."""
    return _OVERLAP if remote else 1


def make_plan(run: Run, output: OutputFolder, registry: Registry, sharing: Sharing, *, pixels: bool = True) -> Prepared:
    """Choose for every chip, and write the plan.

    Args:
        pixels: They will be read next: workers may be started while the plan is made.
    """
    pool = sharing.pool(run.backend) if pixels and not output.resumed else None
    run = _with_data(run)
    labels = sharing.once(
        ("labels", _key(run.dataset, run.chips, run.interval)), lambda: read_labels(_root(run), run.dataset, run.chips, run.interval)
    )
    if pool is not None:
        pool.expect()
    collection = run.source.catalog.find_collection(run.source.collection or run.dataset.source)
    name = source_name(run.dataset, collection)
    bands = run.dataset.bands_of(name, run.source.bands)
    plan = _plan(run, labels, collection, output, registry, sharing)
    tasks, dropped, failures = _tasks(run, labels, plan, collection)
    remote = _look_at_items(run.source.catalog, tasks, bands)
    found, chosen = counted(len(plan.table), "candidate"), plan.table["selected"].sum()
    log.info("plan       %s, %d chosen for %s: %s", found, chosen, counted(len(tasks), "chip"), SELECTION)
    kept = plan.without_rows() if pixels else plan
    return Prepared(run, name, collection, bands, labels, kept, tasks, dropped, (*labels.failures, *failures), remote)


def _plan(run: Run, labels: LabelSet, collection: str, output: OutputFolder, registry: Registry, sharing: Sharing) -> Plan:
    """The plan that was asked for, that of the run which is being continued, or a new one."""
    shape = Shape(chooses_by_period(run.source.strategy), frames_wanted(run.source.strategy, run.n_periods))
    path = output.path / SELECTION
    if run.plan is not None:
        plan = load_plan(Path(run.plan), shape)
        log.info("plan       as saved in %s: %s, %s", run.plan, counted(plan.n_periods, "period"), counted(len(plan.chip_ids), "chip"))
        if not {chip.id for chip in labels.chips} & set(plan.chip_ids):
            raise PlanError(
                f"The plan {run.plan} has none of the run's chips: it has {listing(plan.chip_ids, 4)}, the labels are "
                f"{listing((chip.id for chip in labels.chips), 4)}. Give the archive it was made for with dataset.root=PATH."
            )
    elif output.resumed and path.exists():
        try:
            plan = load_plan(path, shape)
        except PlanError as error:
            raise PlanError(f"{error} Remove the file to choose anew; samples that show what is chosen then are kept.") from error
        known = set(plan.table["chip_id"])
        # Labels or imagery that were not there the last time may be there now; what was planned stays as it is.
        late = [chip for chip in labels.chips if chip.id not in known]
        if not late:
            return plan
        found = _choose(run, late, labels, collection, registry, shape, sharing)
        plan = replace(plan, table=_joined(plan.table, found, labels.chips), chip_ids=tuple(chip.id for chip in labels.chips))
    else:
        table = _choose(run, labels.chips, labels, collection, registry, shape, sharing)
        plan = Plan(table, tuple(chip.id for chip in labels.chips), run.n_periods, shape)
    with guarded(output.path, "write the plan"):
        save_plan(plan, path)
    return plan


def _choose(run: Run, chips: Sequence[Chip], labels: LabelSet, collection: str, registry: Registry, shape: Shape, sharing: Sharing) -> pd.DataFrame:
    """Candidates of some chips with the choice made."""
    candidates = _candidates(run, chips, labels, collection, sharing)
    table = choose(run.source.strategy, cut(candidates, run.n_periods), registry.name_of(run.source.strategy))
    return fill_nearest(table) if run.when_empty == "nearest" and shape.by_period else table


def _candidates(run: Run, chips: Sequence[Chip], labels: LabelSet, collection: str, sharing: Sharing) -> pd.DataFrame:
    """Search once for all chips, and make cloud cover known as far as it can be; the interval is one period yet."""
    source = run.source
    name = source_name(run.dataset, collection)
    mask = None if run.cloud == "metadata" else run.dataset.cloud_assets.get(name)
    ids = tuple(chip.id for chip in chips)
    found = sharing.once(
        ("search", _key(run.dataset, source.catalog, run.interval, run.min_coverage), collection, ids),
        lambda: complete(
            source.catalog.search(chips, Query(collection, labels.interval, run.min_coverage, labels.all_ids, labels.links)),
            name,
            {chip.id: chip.interval for chip in chips},
            n_periods=1,
        ),
    )
    if mask is None:
        return found
    classes = tuple(run.dataset.cloud_classes.get(name, ()))
    return sharing.once(
        ("clouds", _key(run.dataset, source.catalog, source.reader, run.interval, run.min_coverage, run.cloud, run.cloud_threshold), collection, ids),
        lambda: measure(
            found,
            {chip.id: chip for chip in chips},
            MaskRecipe(source.catalog, source.reader, mask, run.cloud_threshold, classes, overlap_for(remote=_is_remote(source.catalog, found))),
            sharing.pool(run.backend),
            force=run.cloud == "mask",
        ),
    )


def _key(*parts: Any) -> str:
    """What decides a result, as text: objects that are set up alike have the same."""
    return json.dumps([[type(part).__qualname__, describe(part)] for part in parts], sort_keys=True, default=str)


def _is_remote(catalog: Catalog, table: pd.DataFrame) -> bool:
    """Whether the items of a table have their assets on a server."""
    try:
        return bool(len(table)) and any(_on_servers(item) for item in catalog.items([table["item_href"].iloc[0]]))
    except ChipError:
        return False


def _on_servers(item: Item) -> bool:
    return any(is_url(item.asset(key).href) for key in item.assets if "href" in item.assets[key])


def _joined(planned: pd.DataFrame, found: pd.DataFrame, chips: Sequence[Chip]) -> pd.DataFrame:
    """Both tables in the order of the labels."""
    import pandas as pd

    if not len(found):
        return planned
    place = {chip.id: number for number, chip in enumerate(chips)}
    table = pd.concat([planned, found], ignore_index=True) if len(planned) else found
    order = table["chip_id"].map(place).fillna(len(place)).argsort(kind="stable")
    return table.iloc[order].reset_index(drop=True)


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


def _look_at_items(catalog: Catalog, tasks: tuple[Task, ...], bands: tuple[str, ...]) -> bool:
    """Stop at once where a band is misspelt, instead of failing chip after chip; gives whether imagery is on a server.

    Raises:
        UnknownName: Items from all over the run lack the band.
    """
    sampled = tasks[:: max(1, len(tasks) // _SAMPLED_ITEMS)][:_SAMPLED_ITEMS]
    hrefs = [next(frame.item_href for frame in task.frames if not frame.missing) for task in sampled]
    try:
        items = catalog.items(hrefs)
    except ChipError:
        return False  # an archive with holes: each chip says for itself what it lacks
    known = {key for item in items for key in item.assets}
    for band in bands:
        if known and band not in known:
            raise UnknownName(
                f"bands={band}: none of {len(hrefs)} items looked at has such an asset; they have {listing(sorted(known))}."
                f"{did_you_mean(band, known)}"
            )
    return any(_on_servers(item) for item in items)


def _nothing(run: Run, chip: Chip, collection: str, found: int) -> Failure:
    if found:
        message = (
            f"Chip {chip.id}: none of its {counted(found, 'candidate')} was chosen; `reason` in {SELECTION} says why for each. "
            "Loosen the strategy's limits."
        )
    else:
        message = (
            f"Chip {chip.id}: no item of {collection} covers {run.min_coverage:.0%} of it. Look whether the archive holds "
            "its imagery, lower min_coverage, or leave the chip out with chips=[...]."
        )
    return Failure(chip.id, "candidates" if not found else "selection", NoCandidates.__name__, message)


def _with_data(run: Run) -> Run:
    """The run with its data set's root known (the demo is made here), also to the plugins that look for it."""
    root = ensure_root(run.dataset)
    catalog: Any = run.source.catalog
    if getattr(catalog, "root", "no such option") is None:
        catalog = replace(catalog, root=root)
        if getattr(catalog, "endpoint", "no such option") is None:
            catalog = replace(catalog, endpoint=run.dataset.endpoint)
    return replace(run, dataset=replace(run.dataset, root=root), sources=(replace(run.source, catalog=catalog),))


def _root(run: Run) -> str:
    assert run.dataset.root is not None  # `_with_data` has seen to it
    return run.dataset.root

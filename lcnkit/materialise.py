"""Materialising: every planned sample made and written, or its failure recorded."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import count

from lcnkit.answers import Outcomes
from lcnkit.contracts import Exporter, Outcome, Pool
from lcnkit.errors import BackendError, OutputFull, PluginError
from lcnkit.interrupt import Halt, interruptible
from lcnkit.journal import OutputFolder
from lcnkit.make import Gathered, Model, Recipe, Task, overlap_for
from lcnkit.model import Failure, Frame, PackedDict, Receipt
from lcnkit.model.crs import remember
from lcnkit.model.href import is_url
from lcnkit.output import guarded
from lcnkit.planning import Prepared
from lcnkit.raster.plane_cache import PlaneCache
from lcnkit.retries import is_passing, pause
from lcnkit.sharing import Sharing, key_of
from lcnkit.terminal import Advance, counted, progress

log = logging.getLogger(__name__)


@dataclass
class Made:
    """What became of the samples of a run."""

    receipts: PackedDict[Receipt]
    """By chip: of all samples that are there."""
    kept: int
    """How many of them an earlier run made; they are still what the plan says."""
    failures: list[Failure] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    """Work time by step, summed over workers."""
    stopped: str = ""
    """Why not every sample was tried, if so."""
    signal: int = 0
    """The signal that ended the run, if one did."""
    shared: bool = True
    """Whether workers see the output folder."""

    @property
    def new(self) -> int:
        """How many samples this run made."""
        return len(self.receipts) - self.kept


def materialise(prepared: Prepared, output: OutputFolder, sharing: Sharing) -> Made:
    """Make every sample that is not there yet; each one is remembered as soon as it is written.

    Failures for a passing reason get another round when all others had their turn, ``retries`` times.
    """
    verified = " (checksums verified)" if output.unfinished else ""
    before = _finished_before(output, prepared)
    result = Made(before, len(before))
    waiting = prepared.tasks.at(place for place, chip_id in enumerate(prepared.chip_ids) if chip_id not in before)
    if result.kept:
        chips, are = counted(len(prepared.tasks), "chip"), "is" if result.kept == 1 else "are"
        log.info("resume     %d of %s %s there already%s, %d to do", result.kept, chips, are, verified, len(waiting))
    if prepared.run.on_error == "raise" and prepared.failures:
        result.stopped = _first_failure(prepared.failures[0])
        return result
    if not waiting:
        return result
    pool = sharing.pool(prepared.run.backend)
    prepared.run.exporter.begin()
    result.shared = prepared.run.exporter.elsewhere or pool.shares(output.path.absolute())
    recipe = _recipe(prepared, output, _planes(prepared, sharing))
    if not result.kept:
        _reserve(recipe, prepared.crs, waiting, output, pool, sharing)
    with progress(len(waiting)) as advance, interruptible() as halt:
        work = _Work(recipe, output, pool, halt, advance, result, prepared.run.retries, stop_at_failure=prepared.run.on_error == "raise")
        try:
            work.rounds(waiting)
        except BackendError as error:  # the workers are gone, and no others can be had
            if not result.new:
                raise
            halt.stop(str(error))
        there, total = len(result.receipts), len(prepared.tasks)
        result.signal = halt.signal
        if halt and there < total:
            result.stopped = f"{halt.reason}: {there} of {counted(total, 'chip')} are there." if halt.signal else halt.reason
    return result


@dataclass
class _Work:
    """Rounds of tasks, until all are done or the run is to end."""

    recipe: Recipe
    output: OutputFolder
    pool: Pool
    halt: Halt
    advance: Advance
    result: Made
    retries: int
    stop_at_failure: bool

    def rounds(self, tasks: Sequence[Task]) -> None:
        """Every task once; then those that failed for a passing reason again, after a while."""
        for attempt in count(1):
            passing = self._round(tasks, attempt)
            if passing and not self.halt:
                seconds = pause(attempt)
                log.info("retry      %s that failed for a passing reason, in %.0f s", counted(len(passing), "chip"), seconds)
                self.halt.wait(seconds)
            if self.halt or not passing:
                self.result.failures += passing.values()
                return
            tasks = [task for task in tasks if task.chip.id in passing]

    def _round(self, tasks: Sequence[Task], attempt: int) -> dict[str, Failure]:
        """Every task once; gives the failures, by chip, that are worth another round."""
        passing: dict[str, Failure] = {}
        answers = Outcomes(len(tasks))
        make: Callable[[Task], Receipt | Gathered | Failure] = self.recipe if self.result.shared else self.recipe.gather
        with closing(self.pool.map(make, self.halt.until(tasks))) as outcomes:
            for outcome in outcomes:
                answers.check(outcome)
                self.halt.under_way -= 1
                made = self._kept(outcome, tasks)
                if isinstance(made, Failure):
                    made = replace(made, attempts=attempt)
                    if made.transient and attempt <= self.retries:
                        log.debug("failed     %s at %s, to be tried again: %s", made.chip_id, made.step, made.message)
                        passing[made.chip_id] = made
                        continue
                    self._failed(made)
                if made is not None:
                    self.advance(isinstance(made, Failure))
        for index in () if self.halt else answers.missing:
            self._failed(Failure(tasks[index].chip.id, "backend", PluginError.__name__, "the backend gave no outcome for the chip", attempts=attempt))
            self.advance(True)
        return passing

    def _kept(self, outcome: Outcome[Receipt | Gathered | Failure], tasks: Sequence[Task]) -> Receipt | Failure | None:
        """The receipt, written into the journal, or the failure; ``None`` where the disk is full, which ends the run."""
        try:
            if isinstance(outcome.error, OutputFull):
                raise outcome.error
            made = _lost(outcome, tasks) if outcome.value is None else outcome.value
            if isinstance(made, Gathered):
                made = self.recipe.write(made)
            if isinstance(made, Receipt):
                self.output.record(made)
                self.result.receipts[made.chip_id] = replace(made, seconds={})
                for step, seconds in made.seconds.items():
                    self.result.seconds[step] = self.result.seconds.get(step, 0.0) + seconds
            return made
        except OutputFull as error:
            self.halt.stop(str(error))
            return None

    def _failed(self, failure: Failure) -> None:
        attempts = f" ({failure.attempts} attempts)" if failure.attempts > 1 else ""
        self.result.failures.append(failure)
        if self.stop_at_failure and not self.halt:  # then it is said when the run has ended
            self.halt.stop(_first_failure(failure))
        else:
            log.warning("failed     %s at %s%s: %s", failure.chip_id, failure.step, attempts, failure.message)


def _first_failure(failure: Failure) -> str:
    return f"Stopped at the first chip that failed (on_error=raise): {failure.chip_id} at {failure.step}: {failure.message}"


# So many chips are tried for a model of the others; where none can be made, samples find their place at the end.
_TRIED_AS_MODEL = 3


def _reserve(recipe: Recipe, crs: Sequence[str], tasks: Sequence[Task], output: OutputFolder, pool: Pool, sharing: Sharing) -> None:
    """Let the exporter lay out the data set, and say early that it will not fit on the disk."""
    if type(recipe.exporter).reserve is Exporter.reserve:  # a format with a file for each sample has nothing to lay out
        return
    alike = ("model", recipe.source, recipe.bands, tuple(crs), key_of(recipe.catalog, recipe.reader, *recipe.transforms))
    try:
        model = sharing.once(alike, lambda: _model(recipe, crs, tasks, pool))
    except LookupError:
        return
    remember(model.spatial_refs)
    known = (task for task in tasks if task.chip.grid.crs in model.spatial_refs)
    with guarded(output.path, "lay out the data set"):
        free = shutil.disk_usage(output.path).free
        needed = recipe.exporter.reserve(recipe.outlines(model.image, known), output.path.absolute())
    if needed > free:
        log.warning("The data set will need %.4g GB, and %.4g GB are free in %s", needed / 1e9, free / 1e9, output.path)


def _model(recipe: Recipe, crs: Sequence[str], tasks: Sequence[Task], pool: Pool) -> Model:
    """See `Recipe.model`.

    Raises:
        LookupError: None of the first chips can be made; they fail again, and are recorded, when they are made for good.
    """
    outcomes = (next(iter(pool.map(partial(recipe.model, crs=crs), [task]))).value for task in tasks[:_TRIED_AS_MODEL])
    found = next((model for model in outcomes if model is not None), None)
    if found is None:
        raise LookupError("no model")
    return found


def _lost(outcome: Outcome[Receipt | Gathered | Failure], tasks: Sequence[Task]) -> Failure:
    """The failure of a task that did not come back from its worker."""
    error = outcome.error
    message = str(error or "") or "the worker was lost"
    return Failure(tasks[outcome.index].chip.id, "backend", type(error).__name__, message, transient=error is None or is_passing(error))


# GB of pixels that runs of a sweep keep for each other where sources are remote: 60,000 chips' bands of 256 x 256.
_PIXEL_CACHE = 8.0


def _planes(prepared: Prepared, sharing: Sharing) -> PlaneCache | None:
    """Where the planes of this run are kept for the next; reading a local file again costs no more than keeping it."""
    wanted = prepared.run.pixel_cache
    size = (_PIXEL_CACHE if prepared.remote else 0.0) if wanted is None else wanted
    return sharing.planes(int(size * 1e9)) if sharing.several and size else None


def _recipe(prepared: Prepared, output: OutputFolder, planes: PlaneCache | None) -> Recipe:
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
        overlap=overlap_for(remote=prepared.remote),
        planes=planes,
    )


def _finished_before(output: OutputFolder, prepared: Prepared) -> PackedDict[Receipt]:
    """Samples of an earlier run that show what the plan says now."""
    place = {chip_id: number for number, chip_id in enumerate(prepared.chip_ids)}
    kept: PackedDict[Receipt] = PackedDict()
    for chip_id, receipt in output.receipts().items():
        if chip_id not in place:
            continue
        shown = [(frame["period"], frame["item_id"]) for frame in receipt.facts.get("frames", {}).get(prepared.source, [])]
        planned = _shown(prepared.tasks[place[chip_id]].frames)
        if planned == shown and (not is_url(receipt.file) or prepared.run.exporter.is_there(receipt)):
            kept[chip_id] = replace(receipt, seconds={})
    return kept


def _shown(frames: tuple[Frame, ...]) -> list[tuple[int, str | None]]:
    return [(frame.period, frame.item_id or None) for frame in frames]

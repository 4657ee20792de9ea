"""Make one sample: read, transform, write. This part runs on a worker."""

from __future__ import annotations

import dataclasses
import logging
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from lcnkit.answers import image_read, image_transformed, items_of, receipt_of
from lcnkit.contracts import Catalog, Exporter, Reader, Transform
from lcnkit.errors import LcnkitError, OutputFull, in_one_line
from lcnkit.label_classes import read_classes
from lcnkit.model import Chip, Failure, Frame, Image, Receipt, Sample
from lcnkit.model.crs import spatial_ref
from lcnkit.model.sample import valid_of
from lcnkit.output import guarded
from lcnkit.raster.gdal import gdal
from lcnkit.raster.plane_cache import PlaneCache, keeping
from lcnkit.raster.planes import fill_of
from lcnkit.retries import is_passing
from lcnkit.secrets import scrub
from lcnkit.settings import LabelOptions

if TYPE_CHECKING:
    from numpy.typing import NDArray

M = TypeVar("M")

log = logging.getLogger(__name__)

_WRITING = threading.Lock()


@dataclass(frozen=True)
class Task:
    """One chip and its frames."""

    chip: Chip
    frames: tuple[Frame, ...]


@dataclass
class Steps:
    """Which step is under way, and how long each took."""

    current: str = "start"
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Time a step, and remember its name for an error inside it."""
        self.current, started = name, time.perf_counter()
        yield
        self.seconds[name] = time.perf_counter() - started


# Chips that a worker has under way at once where it mostly waits for a server.
_OVERLAP = 8


def overlap_for(*, remote: bool) -> int:
    """How many chips a worker makes at once: from a disk it is busy with one."""
    return _OVERLAP if remote else 1


@dataclass(frozen=True)
class Gathered:
    """A sample on its way to the client."""

    sample: Sample
    steps: Steps


@dataclass(frozen=True)
class Model:
    """What the samples of a run have in common, seen in one of them."""

    image: Image
    """Cut down to its first pixel: bands, types, nodata."""
    spatial_refs: dict[str, dict[str, Any]]
    """Of every CRS of the run that GDAL knows, see `lcnkit.model.crs.spatial_ref`."""


@dataclass(frozen=True)
class Recipe:
    """Everything that the samples of a run have in common."""

    source: str
    catalog: Catalog
    reader: Reader
    bands: tuple[str, ...]
    transforms: tuple[Transform, ...]
    label: LabelOptions
    label_attrs: dict[str, Any]
    exporter: Exporter
    folder: Path
    overlap: int = 1
    """Chips that a worker may have under way at once (`lcnkit.contracts.overlap_of`)."""
    planes: PlaneCache | None = None
    """Where planes are kept for the other runs of a sweep."""

    def __call__(self, task: Task) -> Receipt | Failure:
        """Make and write one sample; a bad chip becomes a `Failure`.

        Raises:
            OutputFull: Nothing more can be written, so the other chips need not be tried.
        """
        steps = Steps()
        return _recorded(task.chip.id, steps, lambda: self._write(self.sample(task, steps), steps))

    def gather(self, task: Task) -> Gathered | Failure:
        """Make one sample for the client to write, where workers and client share no folder."""
        steps = Steps()
        return _recorded(task.chip.id, steps, lambda: Gathered(self.sample(task, steps), steps))

    def write(self, gathered: Gathered) -> Receipt | Failure:
        """Write what a worker has gathered; runs on the client.

        Raises:
            OutputFull: As for a worker that writes itself.
        """
        sample, steps = gathered.sample, gathered.steps
        return _recorded(sample.chip_id, steps, lambda: self._write(sample, steps))

    def _write(self, sample: Sample, steps: Steps) -> Receipt:
        # Exporters are made for many processes, and need not stand many threads.
        with steps.step("export"), _WRITING, guarded(self.folder, "write the samples"):
            receipt = receipt_of(self.exporter.write(sample, self.folder), sample, self.exporter, self.folder)
        return dataclasses.replace(receipt, seconds=steps.seconds)

    def sample(self, task: Task, steps: Steps) -> Sample:
        """Read and transform one chip."""
        with keeping(self.planes):
            with steps.step("label"):
                classes = read_classes(task.chip, self.label)
            with steps.step("read"):
                image = self._read(task)
        with steps.step("transform"):
            image = self._transformed(image)
        return self._sample(task, image, classes)

    def _transformed(self, image: Image) -> Image:
        for transform in self.transforms:
            image = image_transformed(transform.apply(image), image, transform)
        return image

    def _sample(self, task: Task, image: Image, classes: NDArray[np.int64]) -> Sample:
        return Sample(
            chip_id=task.chip.id,
            label_item_id=task.chip.item_id,
            grid=task.chip.grid,
            images={self.source: image},
            frames={self.source: task.frames},
            classes=classes,
            attrs=self.label_attrs,
        )

    def model(self, task: Task, crs: Sequence[str]) -> Model:
        """What reading and transforming make of a chip, without its pixels, and what these CRS mean.

        All workers wait for it, so that one acquisition has to do, unless a transform wants to see more.
        """
        one = dataclasses.replace(task, frames=tuple(islice((frame for frame in task.frames if not frame.missing), 1)))
        with keeping(self.planes):
            try:
                image = self._transformed(self._read(one))
            except Exception:  # somebody else's transform may stumble in its own way
                image = self._transformed(self._read(task))
        corner = np.s_[:, :, :1, :1]
        image = dataclasses.replace(image, values=image.values[corner].copy(), valid=image.valid[corner].copy())
        return Model(image, _spatial_refs(crs))

    def outlines(self, model: Image, tasks: Iterable[Task]) -> Iterator[Sample]:
        """The samples of the tasks with zeros for pixels: all that an exporter needs to know how large they will be."""
        return (self._sample(task, *_zeros(model, task)) for task in tasks)

    def _read(self, task: Task) -> Image:
        """The chosen items, with a frame that holds nothing where a period is empty."""
        present = [position for position, frame in enumerate(task.frames) if not frame.missing]
        items = items_of(self.catalog, [task.frames[position] for position in present])
        shape = (len(items), len(self.bands), *task.chip.grid.shape)
        image = image_read(self.reader.read(task.chip, items, self.bands), self.reader, shape, self.bands)
        return image if len(present) == len(task.frames) else spread(image, present, len(task.frames))


def _spatial_refs(crs: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Without those that a label item made up: its chip fails by itself, and costs no other."""
    from rasterio.errors import CRSError

    found: dict[str, dict[str, Any]] = {}
    with gdal():
        for name in crs:
            with suppress(CRSError):
                found[name] = spatial_ref(name)
    return found


def _recorded(chip_id: str, steps: Steps, make: Callable[[], M]) -> M | Failure:
    """What is made, or why it cannot be: an error costs its chip only."""
    try:
        return make()
    except OutputFull:
        raise
    except LcnkitError as error:
        return Failure(chip_id, steps.current, type(error).__name__, scrub(str(error)), transient=is_passing(error))
    except (Exception, SystemExit) as error:  # a plugin's mistake, or ours: it is recorded in full
        log.debug("chip %s: %s", chip_id, scrub(traceback.format_exc()))
        message = f"{scrub(in_one_line(error))} ({_place(error)})"
        return Failure(chip_id, steps.current, type(error).__name__, message, transient=is_passing(error))


def _zeros(model: Image, task: Task) -> tuple[Image, NDArray[np.int64]]:
    shape = (len(task.frames), len(model.bands), *task.chip.grid.shape)
    values = _blank(shape, model.values.dtype.str)
    floats = np.issubdtype(values.dtype, np.floating)  # there, a mask takes no room of its own: values say it with NaN
    missing = () if floats else tuple(frame.missing for frame in task.frames)
    valid = _blank_valid(shape, model.values.dtype.str, model.nodata, missing)
    return dataclasses.replace(model, values=values, valid=valid), _blank(shape[2:], "int64")


@lru_cache(maxsize=8)
def _blank_valid(shape: tuple[int, ...], dtype: str, nodata: float | None, missing: tuple[bool, ...]) -> NDArray[np.bool_]:
    """The mask of zeros; samples differ in it by their missing frames only."""
    return valid_of(_blank(shape, dtype), nodata, np.array(missing, dtype=bool) if missing else np.zeros(shape[0], dtype=bool))


@lru_cache(maxsize=8)
def _blank(shape: tuple[int, ...], dtype: str) -> NDArray[Any]:
    """Zeros that nobody writes to; one array serves all samples of a shape."""
    return np.zeros(shape, dtype=dtype)


def spread(image: Image, positions: list[int], n_frames: int) -> Image:
    """The image with its frames at ``positions`` of ``n_frames``; the others hold no valid data (nodata, or NaN)."""
    shape = (n_frames, *image.values.shape[1:])
    values, valid = np.full(shape, _empty(image), dtype=image.values.dtype), np.zeros(shape, dtype=bool)
    values[positions], valid[positions] = image.values, image.valid
    scaling: dict[str, Any] = {}
    for name, default in (("scale", 1.0), ("offset", 0.0)):
        published = getattr(image, name)
        if published is not None:
            scaling[name] = np.full(shape[:2], default)
            scaling[name][positions] = published
    return dataclasses.replace(image, values=values, valid=valid, **scaling)


def _empty(image: Image) -> float:
    """The value of a frame that holds nothing: NaN, the nodata value, or 0 where the dtype cannot hold it."""
    if np.issubdtype(image.values.dtype, np.floating):
        return float("nan")
    return float(fill_of(image.values.dtype, image.nodata))


def _place(error: BaseException) -> str:
    """File and line of the error, for a report without a traceback."""
    last = traceback.extract_tb(error.__traceback__)[-1:]
    return f"{Path(last[0].filename).name}, line {last[0].lineno}" if last else "no trace"

"""What contenders make, and whether it is the same.

A product is a file of pickles, one after the other: ``(chip id, image, classes)``, the image float32 ``(time, band, y, x)`` in 0 to 1
with NaN for nodata, the classes int64 ``(y, x)``. It has as many bytes as lcnkit's.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np

from benchmarks.harness import Check, WrongProduct

#: The tutorial divides stored values by this and clips to 0..1, as lcnkit does by default.
SCALE = 4000.0
# float64 arithmetic of stackstac against float32.
_TOLERANCE = 1e-6

Sample = tuple[str, "np.ndarray[Any, Any]", "np.ndarray[Any, Any]"]


def scaled(stored: np.ndarray[Any, Any], valid: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Stored values as a model is to see them."""
    image = stored.astype("float32")
    image /= np.float32(SCALE)
    np.clip(image, np.float32(0), np.float32(1), out=image)
    image[~valid] = np.nan
    return image


@contextmanager
def product(output: str, part: int = 0) -> Iterator[IO[bytes]]:
    """The file that a process writes its samples to."""
    with (Path(output) / f"product-{part}.pkl").open("wb") as file:
        yield file


def write(file: IO[bytes], sample: Sample) -> None:
    """Add a sample."""
    pickle.dump(sample, file, protocol=5)


def samples_in(output: Path) -> Iterator[Sample]:
    """The samples of a contender, whoever it was: lcnkit's data set, or the parts that processes wrote."""
    if (output / "run" / "manifest.json").exists():
        from lcnkit import open_dataset

        for sample in open_dataset(output / "run"):
            yield sample.chip_id, sample.images[sample.source].values, sample.classes
        return
    for path in sorted(output.glob("product-*.pkl")):
        with path.open("rb") as file:
            while file.peek(1):
                yield pickle.load(file)


def same_as(reference: Mapping[str, Sequence[Any]], chips: Sequence[str]) -> Check:
    """A check that a contender made just these chips, with the pixels of the reference.

    Args:
        reference: Image and classes by chip; chips that it lacks are only counted.
        chips: Ids of the chips it was to make.
    """

    def check(_: Mapping[str, Any], output: Path) -> None:
        found = []
        for chip, image, classes in samples_in(output):
            found.append(chip)
            if chip in reference:
                _compare(chip, image, classes, *reference[chip])
        if sorted(found) != sorted(chips):
            raise WrongProduct(f"{len(chips)} chips were to be made, {len(set(found))} of them were: {sorted(set(chips) ^ set(found))[:4]} differ")

    return check


def _compare(chip: str, image: Any, classes: Any, wanted: Any, wanted_classes: Any) -> None:
    if image.shape != wanted.shape or image.dtype != wanted.dtype:
        raise WrongProduct(f"chip {chip}: the image is {image.dtype} {image.shape}, it must be {wanted.dtype} {wanted.shape}")
    if not np.allclose(image, wanted, rtol=0, atol=_TOLERANCE, equal_nan=True):
        off = int((~np.isclose(image, wanted, rtol=0, atol=_TOLERANCE, equal_nan=True)).sum())
        raise WrongProduct(f"chip {chip}: {off} of {wanted.size} pixels of the image differ")
    if not np.array_equal(classes, wanted_classes):
        raise WrongProduct(f"chip {chip}: the classes differ")

"""What a receipt says of a sample, the same whichever exporter wrote it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lcnkit.model import Frame, Image, Sample

if TYPE_CHECKING:
    from numpy.typing import NDArray


def shapes_of(sample: Sample) -> dict[str, tuple[int, ...]]:
    """``(time, band, y, x)`` by source."""
    return {name: image.values.shape for name, image in sample.images.items()}


def facts_of(sample: Sample) -> dict[str, Any]:
    """Plain JSON values for the manifest."""
    return {
        "label_item_id": sample.label_item_id,
        "grid": sample.grid.as_dict(),
        "bands": {name: list(image.bands) for name, image in sample.images.items()},
        "dtypes": {name: str(image.values.dtype) for name, image in sample.images.items()},
        "frames": {name: [_frame(frame) for frame in frames] for name, frames in sample.frames.items()},
        "valid": {name: _valid(image) for name, image in sample.images.items()},
        "pixels": {str(value): count for value, count in _counts(sample.classes)},
    }


def _valid(image: Image) -> list[float]:
    """The share of each frame's values that are good data, to four digits: 0 only where none is."""
    shares = (np.count_nonzero(frame) / max(frame.size, 1) for frame in image.valid)
    return [float(f"{share:.4g}") for share in shares]


def _counts(classes: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Pixels per class, by class."""
    if classes.size and classes.min() >= 0 and classes.max() < 1 << 16:
        counts = np.bincount(classes.ravel())  # many times quicker than sorting
        return [(int(value), int(counts[value])) for value in np.flatnonzero(counts)]
    values, numbers = np.unique(classes, return_counts=True)
    return [(int(value), int(number)) for value, number in zip(values, numbers, strict=True)]


def _frame(frame: Frame) -> dict[str, Any]:
    known = not np.isnan(frame.cloud_cover)
    return {
        "period": frame.period,
        "time": str(frame.time.astype("datetime64[s]")) + "Z",
        "item_id": frame.item_id or None,
        "cloud_cover": round(frame.cloud_cover, 4) if known else None,
    }

"""What a receipt says of a sample, the same whichever exporter wrote it."""

from __future__ import annotations

from typing import Any

import numpy as np

from lcnkit.model import Frame, Sample


def shapes_of(sample: Sample) -> dict[str, tuple[int, ...]]:
    """``(time, band, y, x)`` by source."""
    return {name: image.values.shape for name, image in sample.images.items()}


def facts_of(sample: Sample) -> dict[str, Any]:
    """Plain JSON values for the manifest."""
    classes, pixels = np.unique(sample.classes, return_counts=True)
    return {
        "label_item_id": sample.label_item_id,
        "grid": sample.grid.as_dict(),
        "bands": {name: list(image.bands) for name, image in sample.images.items()},
        "dtypes": {name: str(image.values.dtype) for name, image in sample.images.items()},
        "frames": {name: [_frame(frame) for frame in frames] for name, frames in sample.frames.items()},
        "pixels": {str(value): int(count) for value, count in zip(classes, pixels, strict=True)},
    }


def _frame(frame: Frame) -> dict[str, Any]:
    known = not np.isnan(frame.cloud_cover)
    return {
        "period": frame.period,
        "time": str(frame.time.astype("datetime64[s]")) + "Z",
        "item_id": frame.item_id or None,
        "cloud_cover": round(frame.cloud_cover, 4) if known else None,
    }

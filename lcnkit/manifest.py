"""The manifest: what a finished data set is. The same data set gives the same manifest, wherever it was made."""

from __future__ import annotations

import csv
import importlib.metadata
import io
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from lcnkit.labels import LabelInfo
from lcnkit.model import Failure, Receipt
from lcnkit.output import FAILURES, guarded, whole_file
from lcnkit.periods import edges
from lcnkit.secrets import scrub

#: Libraries whose version can change pixels or files.
LIBRARIES = ("lcnkit", "numpy", "rasterio", "pandas", "xarray", "stackstac")


def manifest_of(
    config: Mapping[str, Any],
    labels: LabelInfo,
    source: Mapping[str, Any],
    receipts: Sequence[Receipt],
    counts: Mapping[str, int],
    n_periods: int,
    packages: Mapping[str, str],
) -> dict[str, Any]:
    """What ``manifest.json`` says of a data set but for its samples (`samples_of`): plain JSON values, nothing of when and where it was made.

    Args:
        packages: Versions of the packages whose plugins the run used.
    """
    import xxhash

    pixels: Counter[str] = Counter()
    grids: Counter[tuple[Any, ...]] = Counter()
    shapes: set[str] = set()
    missing = empty = 0
    checksum = xxhash.xxh3_128()  # of the samples' checksums, in order, one a line
    for receipt in receipts:  # each is unpacked once
        checksum.update(f"{receipt.chip_id} {receipt.checksum}\n".encode())
        shapes.update(str(list(shape)) for shape in receipt.shapes.values())
        pixels.update(receipt.facts.get("pixels", {}))
        for name, frames in receipt.facts["frames"].items():
            lacking = [frame["item_id"] is None for frame in frames]
            missing += sum(lacking)
            valid = receipt.facts.get("valid", {}).get(name, ())
            empty += sum(not share and not is_missing for share, is_missing in zip(valid, lacking, strict=False))
        if "grid" in receipt.facts:
            grid = receipt.facts["grid"]
            grids[grid["crs"], abs(grid["transform"][0]), tuple(grid["shape"])] += 1
    return {
        "lcnkit": 1,
        "config": dict(config),
        "labels": {"collection": labels.collection, **labels.about},
        "sources": {source["name"]: {key: value for key, value in source.items() if key != "name"}},
        "interval": [str(labels.interval.first), str(labels.interval.last)],
        "periods": _periods(labels, n_periods),
        "classes": [
            {"value": value, "name": labels.class_names.get(value), "pixels": pixels[str(value)]}
            for value in sorted({int(value) for value in pixels} | set(labels.class_names))
        ],
        "counts": {**counts, "missing_frames": missing, "empty_frames": empty},
        "grids": [{"crs": crs, "resolution": size, "shape": list(shape), "chips": count} for (crs, size, shape), count in sorted(grids.items())],
        "shapes": sorted(shapes),
        "checksum": f"xxh3_128:{checksum.hexdigest()}",
        "versions": {**dict(_versions()), **packages},
    }


def samples_of(receipts: Sequence[Receipt]) -> Iterator[dict[str, Any]]:
    """What it says of each sample."""
    return ({key: value for key, value in receipt.as_dict().items() if key != "seconds"} for receipt in receipts)


def write_failures(folder: Path, failures: Sequence[Failure]) -> None:
    """Write ``failures.csv``, one row a chip, in their order; remove an earlier one where nothing failed."""
    path = folder / FAILURES
    with guarded(folder, "write the failures"):
        if not failures:
            path.unlink(missing_ok=True)
            return
        text = io.StringIO()
        table = csv.writer(text)
        table.writerow(["chip_id", "step", "error", "attempts", "transient", "message"])
        for failure in failures:
            # Third-party errors run over several lines and may name URLs with a key in them.
            message = scrub(" ".join(failure.message.split()))
            table.writerow([failure.chip_id, failure.step, failure.error, failure.attempts, str(failure.transient).lower(), message])
        with whole_file(path) as file:
            file.write(text.getvalue().encode())


@cache
def _versions() -> tuple[tuple[str, str], ...]:
    return tuple((name, importlib.metadata.version(name)) for name in LIBRARIES)


def _periods(labels: LabelInfo, n_periods: int) -> list[dict[str, Any]]:
    cuts = [str(cut.astype("datetime64[s]")) + "Z" for cut in edges(labels.interval.start, labels.interval.end, n_periods)]
    return [{"period": number + 1, "start": cuts[number], "end": cuts[number + 1]} for number in range(n_periods)]

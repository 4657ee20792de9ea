"""Write the demo archive into a folder, laid out like an unpacked LandCoverNet region."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from lcnkit.demo import stac
from lcnkit.demo.layout import TILES, DemoChip, chips, dates
from lcnkit.demo.options import DemoOptions
from lcnkit.errors import OutputError
from lcnkit.model.landcover import LANDCOVERNET_CLASSES

#: Told how many chips are done, and of how many.
Progress = Callable[[int, int], None]


def write_archive(options: DemoOptions, folder: Path, progress: Progress | None = None) -> None:
    """Write the whole archive into ``folder``, which must not exist yet.

    Raises:
        OutputError: ``folder`` exists.
        OSError: It cannot be written.
    """
    if folder.exists():
        raise OutputError(f"The demo archive needs a new folder, and {folder} exists; choose another.")
    folder.mkdir(parents=True)
    every = chips(options)
    moments = {tile.name: dates(tile, options) for tile in TILES}
    rings = []
    for done, chip in enumerate(every, start=1):
        ring = stac.outline(chip.grid)
        _write_chip(options, folder, chip, ring, moments[chip.tile.name])
        rings.append(ring)
        if progress:
            progress(done, len(every))
    box = stac.bbox(point for ring in rings for point in ring)
    labels = sorted(_label_id(chip) for chip in every)
    sources = sorted(_source_id(chip, moment) for chip in every for moment in moments[chip.tile.name])
    _write_json(folder / stac.LABELS / "collection.json", stac.collection(stac.LABELS, "lcnkit demo labels", labels, box))
    _write_json(folder / stac.SOURCE / "collection.json", stac.collection(stac.SOURCE, "lcnkit demo Sentinel-2", sources, box))
    _write_json(folder / "catalog.json", stac.catalog())


def _write_chip(options: DemoOptions, folder: Path, chip: DemoChip, ring: stac.Ring, moments: list[datetime]) -> None:
    from lcnkit.demo.chip_pixels import ChipPixels
    from lcnkit.demo.rasters import image_tiff, label_tiff

    pixels = ChipPixels(chip, options.seed)
    classes, score = pixels.label()
    counts = [int((classes == code).sum()) for code in range(len(LANDCOVERNET_CLASSES))]
    sources = [_source_id(chip, moment) for moment in moments]
    home = _new_folder(folder / stac.LABELS / _label_id(chip))
    (home / "labels.tif").write_bytes(label_tiff(classes, score, chip.grid))
    _write_json(home / "stac.json", stac.label_item(home.name, ring, counts, sources))
    for source, moment in zip(sources, moments, strict=True):
        home = _new_folder(folder / stac.SOURCE / source)
        seen = pixels.acquisition(moment.timetuple().tm_yday)
        for key, layer, nodata in seen.layers():
            (home / f"{key}.tif").write_bytes(image_tiff(layer, chip.grid, nodata, options.compress))
        cover = seen.cloud_cover if chip.has_cloud_metadata else None
        _write_json(home / "stac.json", stac.source_item(source, ring, f"{moment:%Y-%m-%dT%H:%M:%SZ}", cover))


def _label_id(chip: DemoChip) -> str:
    return f"{stac.LABELS}_{chip.name}"


def _source_id(chip: DemoChip, moment: datetime) -> str:
    return f"{stac.SOURCE}_{chip.name}_{moment:%Y%m%d}"


def _new_folder(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8", newline="\n")

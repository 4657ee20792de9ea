"""Archives as they lie elsewhere: LandCoverNet's host layout, made from a tiny STAC archive with the same pixels."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lcnkit.archive.archive import _opened
from lcnkit.testing.archives import TinyArchive

SENSORS = {"sentinel_2": "S2", "sentinel_1": "S1", "landsat_8": "L8"}


@pytest.fixture(autouse=True)
def _nothing_remembered() -> None:
    """What a test before found at the same address."""
    _opened.cache_clear()


@pytest.fixture
def stac(tmp_path: Path) -> Path:
    """Three chips of two tiles with four acquisitions each, as a STAC archive of the first global release."""
    archive = TinyArchive(tmp_path / "stac", prefix="ref_landcovernet_v1")
    pixel = np.arange(64).reshape(8, 8)
    for number, name in enumerate(("28QDE_00", "28QDE_11", "33TVL_02")):
        archive.chip(name, classes=(pixel + number) % 4, consensus=80)
        for month in (1, 4, 7, 10):
            archive.item(
                name, f"2018-{month:02}-1{number}T00:00:00Z", cloud=None, cld=(pixel * month) % 100, B04=1000 * number + month + pixel, B08=40
            )
        archive.item(name, "2018-05-01T00:00:00Z", cloud=None, collection="source_sentinel_1", VV=7, VH=8)
    return archive.write()


@pytest.fixture
def two(tmp_path: Path) -> TinyArchive:
    """Two chips with an acquisition each."""
    archive = TinyArchive(tmp_path / "archive", size=4)
    for name in ("28QDE_00", "28QDE_01"):
        archive.chip(name)
        archive.item(name, "2018-03-01")
    archive.write()
    return archive


@pytest.fixture
def to_host() -> Callable[[Path, Path], Path]:
    """Copy a STAC archive into the host layout: ``to_host(stac, folder)`` gives ``folder``."""

    def copy(stac: Path, root: Path) -> Path:
        year = root / "data" / "v1.0" / "2018"
        for raster in stac.glob("*_labels/*/labels.tif"):
            tile, chip = raster.parent.name.split("_")[-2:]
            (year / tile / chip).mkdir(parents=True, exist_ok=True)
            shutil.copy(raster, year / tile / chip / f"{tile}_{chip}_2018_LC_10m.tif")
        for raster in stac.glob("*_source_*/*/*.tif"):
            tile, chip, day = raster.parent.name.split("_")[-3:]
            sensor = next(short for name, short in SENSORS.items() if raster.parent.parent.name.endswith(name))
            stem = f"{tile}_{chip}_{day[:8]}"
            (year / tile / chip / sensor / stem).mkdir(parents=True, exist_ok=True)
            shutil.copy(raster, year / tile / chip / sensor / stem / f"{stem}_{raster.stem}_10m.tif")
        return root

    return copy


@pytest.fixture
def host(stac: Path, tmp_path: Path, to_host: Callable[[Path, Path], Path]) -> Path:
    """The same chips and acquisitions in the host layout."""
    return to_host(stac, tmp_path / "host")


@pytest.fixture
def samples() -> Callable[[Path], list[dict]]:
    """What a run wrote: all samples of its items.pkl."""
    import pickle

    def load(folder: Path) -> list[dict]:
        found = []
        with (folder / "items.pkl").open("rb") as file:
            while True:
                try:
                    found.append(pickle.load(file))
                except EOFError:
                    return found[0] if len(found) == 1 and isinstance(found[0], list) else found

    return load

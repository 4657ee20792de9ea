"""Rasters behind a server that misbehaves: every chip is made all the same, and its pixels are the right ones."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from servers.files import serving_files
from servers.loopback import free_port
from servers.proxy import AWAY, BROKEN, CUT, DROPPED, TRUNCATED, Fault, Proxy, busy, dripping, slow

from lcnkit.catalog.static import Static
from lcnkit.contracts import Reader
from lcnkit.dataset import open_dataset
from lcnkit.errors import BadLabel, UnreachableAsset, UnreadableAsset
from lcnkit.label_classes import read_classes
from lcnkit.labels import read_labels
from lcnkit.model import Chip, Grid, Item
from lcnkit.pipeline import prepare
from lcnkit.raster.gdal import _HTTP
from lcnkit.reader.auto import Auto
from lcnkit.reader.rasterio import Rasterio
from lcnkit.reader.stackstac import Stackstac
from lcnkit.settings import Dataset, LabelOptions
from lcnkit.testing.archives import TinyArchive, write_raster


@pytest.fixture
def archive(tmp_path: Path) -> TinyArchive:
    made = TinyArchive(tmp_path / "archive", size=64)
    for number in range(3):
        made.chip(f"C{number}", classes=number + 1)
        for month in (2, 8):
            made.item(f"C{number}", f"2018-{month:02d}-01", B04=1000 * number + np.arange(64 * 64).reshape(64, 64) % 997 + month)
    made.write()
    return made


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(BROKEN, id="500", marks=pytest.mark.slow),
        pytest.param(AWAY, id="503", marks=pytest.mark.slow),
        pytest.param(busy(0), id="429 with Retry-After", marks=pytest.mark.slow),
        pytest.param(DROPPED, id="connection dropped", marks=pytest.mark.slow),
        pytest.param(CUT, id="less than was announced"),
        pytest.param(slow(0.2), id="slow"),
    ],
)
def test_every_chip_is_made(archive: TinyArchive, make_run: Callable[..., Any], fault: Fault, tmp_path: Path, monkeypatch: Any) -> None:
    whole = prepare(make_run(archive.root, n_periods=2, output_dir=str(tmp_path / "whole")))
    expected = [sample.image.values for sample in open_dataset(whole.output)]
    with serving_files(archive.root) as url, Proxy(url, faults=lambda number: fault if number % 3 == 2 else None).running() as proxy:
        report = prepare(make_run(proxy.url, n_periods=2, catalog=Static(), output_dir=str(tmp_path / "out")))
    assert report.failures == ()
    for sample, values in zip(open_dataset(report.output), expected, strict=True):
        np.testing.assert_array_equal(sample.image.values, values)


GRID = Grid("EPSG:32633", (10.0, 0.0, 465_000.0, 0.0, -10.0, 5_080_000.0), (64, 64))
PASSING = {
    "500": BROKEN,
    "502": Fault(status=502),
    "503": AWAY,
    "408": Fault(status=408),
    "429": busy(0),
    "dropped": DROPPED,
    "less than was announced": CUT,
}
FINAL = {"401": Fault(status=401), "403": Fault(status=403), "404": Fault(status=404), "410": Fault(status=410), "damaged": TRUNCATED}
READERS = [Auto(), Rasterio(), Stackstac()]


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """GDAL asks once, and what is fetched after it is not waited for."""
    monkeypatch.setitem(_HTTP, "GDAL_HTTP_MAX_RETRY", "0")
    monkeypatch.setattr("lcnkit.raster.http._FIRST_WAIT_S", 0.01)


@pytest.fixture
def files(tmp_path: Path) -> Iterator[str]:
    write_raster(tmp_path / "files" / "B04.tif", np.arange(64 * 64, dtype="uint16").reshape(64, 64), GRID)
    (tmp_path / "files" / "text.tif").write_text("no raster" * 1000)
    (tmp_path / "files" / "empty.tif").write_bytes(b"")
    with serving_files(tmp_path / "files") as url:
        yield url


def failure(reader: Reader, chip: Chip, item: Item) -> UnreadableAsset:
    with pytest.raises(UnreadableAsset, match=r"'B04'.*B04\.tif") as raised:
        reader.read(chip, [item], ["B04"])
    return raised.value


def part_of_a_scene(item: Item) -> Item:
    """The item with a box of degrees: its files are not fetched whole."""
    return replace(item, document={**item.document, "bbox": [14.0, 45.0, 16.0, 47.0]})


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("healthy", [0, 1], ids=["from the start", "after the file was opened"])
@pytest.mark.parametrize("reader", READERS[:2], ids=["auto", "rasterio"])
@pytest.mark.parametrize("name", [*PASSING, *FINAL])
def test_what_may_pass_is_told_from_what_is_final(
    name: str, reader: Reader, healthy: int, files: str, chip_on: Callable[..., Chip], item_of: Callable[..., Item], monkeypatch: Any
) -> None:
    # The header of the file alone comes with the first request, so that its pixels take another.
    monkeypatch.setitem(_HTTP, "GDAL_INGESTED_BYTES_AT_OPEN", "1024")
    monkeypatch.setenv("CPL_VSIL_CURL_CHUNK_SIZE", "1024")
    fault = {**PASSING, **FINAL}[name]
    with Proxy(files, faults=lambda number: fault if number > healthy else None).running() as proxy:
        item = item_of(GRID, B04=f"{proxy.url}/B04.tif")
        error = failure(reader, chip_on(GRID), part_of_a_scene(item) if healthy else item)
    assert isinstance(error, UnreachableAsset) == (name in PASSING), str(error)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("name", [*PASSING, *FINAL])
def test_scenes_too(name: str, files: str, chip_on: Callable[..., Chip], item_of: Callable[..., Item]) -> None:
    fault = {**PASSING, **FINAL}[name]
    with Proxy(files, faults=lambda number: fault).running() as proxy:
        error = failure(Auto(), chip_on(GRID), part_of_a_scene(item_of(GRID, B04=f"{proxy.url}/B04.tif")))
    assert isinstance(error, UnreachableAsset) == (name in PASSING), str(error)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("name", ["503", "dropped", "404"])
def test_stackstac_tells_them_apart_too(name: str, files: str, chip_on: Callable[..., Chip], item_of: Callable[..., Item]) -> None:
    fault = {**PASSING, **FINAL}[name]
    with Proxy(files, faults=lambda number: fault).running() as proxy:
        error = failure(Stackstac(), chip_on(GRID), item_of(GRID, B04=f"{proxy.url}/B04.tif"))
    assert isinstance(error, UnreachableAsset) == (name in PASSING), str(error)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("reader", READERS, ids=["auto", "rasterio", "stackstac"])
def test_a_server_that_is_not_there(reader: Reader, chip_on: Callable[..., Chip], item_of: Callable[..., Item]) -> None:
    error = failure(reader, chip_on(GRID), item_of(GRID, B04=f"http://127.0.0.1:{free_port()}/B04.tif"))
    assert isinstance(error, UnreachableAsset)
    assert "run again" in str(error)


@pytest.mark.parametrize("reader", READERS, ids=["auto", "rasterio", "stackstac"])
def test_files_on_a_disk_are_there_or_not(reader: Reader, tmp_path: Path, chip_on: Callable[..., Chip], item_of: Callable[..., Item]) -> None:
    assert not isinstance(failure(reader, chip_on(GRID), item_of(GRID, B04=tmp_path / "B04.tif")), UnreachableAsset)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("reader", READERS[:2], ids=["auto", "rasterio"])
@pytest.mark.parametrize("name", ["text.tif", "empty.tif"])
def test_what_is_no_raster_stays_none(name: str, reader: Reader, files: str, chip_on: Callable[..., Chip], item_of: Callable[..., Item]) -> None:
    with pytest.raises(UnreadableAsset, match=name) as raised:
        reader.read(chip_on(GRID), [item_of(GRID, B04=f"{files}/{name}")], ["B04"])
    assert not isinstance(raised.value, UnreachableAsset)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("when_dripping", ["from the start", "after the file was opened"])
def test_a_server_that_drips_is_given_up(
    when_dripping: str, files: str, chip_on: Callable[..., Chip], item_of: Callable[..., Item], monkeypatch: Any
) -> None:
    """Byte after byte, so that it is never silent."""
    monkeypatch.setitem(_HTTP, "GDAL_HTTP_LOW_SPEED_TIME", "1")
    monkeypatch.setitem(_HTTP, "GDAL_INGESTED_BYTES_AT_OPEN", "1024")
    monkeypatch.setenv("CPL_VSIL_CURL_CHUNK_SIZE", "1024")
    monkeypatch.setattr("lcnkit.raster.http._TOTAL_S", 1.0)
    healthy = 0 if when_dripping == "from the start" else 1
    with Proxy(files, faults=lambda number: dripping(0.02) if number > healthy else None).running() as proxy:
        started = time.monotonic()
        item = item_of(GRID, B04=f"{proxy.url}/B04.tif")
        error = failure(Auto(), chip_on(GRID), part_of_a_scene(item) if healthy else item)
        assert time.monotonic() - started < 12
    assert isinstance(error, UnreachableAsset), str(error)
    assert "too slow" in str(error)


@pytest.mark.usefixtures("impatient")
def test_label_rasters_too(archive: TinyArchive) -> None:
    (chip, *_) = read_labels(str(archive.root), Dataset(), None, None).chips
    with serving_files(archive.root) as url:
        for fault, kind in ((AWAY, UnreachableAsset), (Fault(status=404), BadLabel)):
            with Proxy(url, faults=lambda number, fault=fault: fault).running() as proxy:
                far = replace(chip, label_href=f"{proxy.url}/{Path(chip.label_href).relative_to(archive.root)}")
                with pytest.raises(kind):
                    read_classes(far, LabelOptions())


@pytest.mark.usefixtures("impatient")
def test_items_of_an_archive_too(archive: TinyArchive, monkeypatch: Any) -> None:
    monkeypatch.setattr("lcnkit.archive.http._FIRST_WAIT_S", 0.01)
    path = next(archive.root.glob("*_source_*/*/stac.json")).relative_to(archive.root)
    with serving_files(archive.root) as url:
        for fault, passes in ((AWAY, True), (DROPPED, True), (Fault(status=404), False), (Fault(status=403), False)):
            with Proxy(url, faults=lambda number, fault=fault: fault).running() as proxy, pytest.raises(UnreadableAsset) as raised:
                Static(root=proxy.url).items([str(path)])
            assert isinstance(raised.value, UnreachableAsset) == passes, str(raised.value)

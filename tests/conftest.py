"""What tests share: a tiny archive, real data where they are there, and runs built in plain Python."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import settings

from lcnkit.backend.serial import Serial
from lcnkit.cache_dir import CACHE_VARIABLE
from lcnkit.catalog.static import Static
from lcnkit.exporter.pickle import Pickle
from lcnkit.model import Chip, Grid, Interval, Item
from lcnkit.reader.auto import Auto
from lcnkit.settings import Dataset, Run, Source
from lcnkit.strategy.season_min_cc import SeasonMinCC
from lcnkit.testing.archives import TinyArchive, outline
from lcnkit.transform.reflectance import Reflectance

MakeRun = Callable[..., Run]

# A shell lets what it starts in the background ignore Ctrl-C, and that is handed on to the processes of the tests.
signal.signal(signal.SIGINT, signal.default_int_handler)

# No test times anything: beside other load an example takes longer than hypothesis's 200 ms.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


@pytest.fixture(scope="session", autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test looks into, or fills, the cache of whoever runs it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(CACHE_VARIABLE, str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def shared_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Real data beside the repository, or where ``LCNKIT_SHARED_DATA`` says; never copied into it."""
    folder = Path(os.environ.get("LCNKIT_SHARED_DATA") or Path(__file__).parents[2] / "shared" / "data")
    if not folder.is_dir():
        pytest.skip("../shared/data is not there")
    # Linked, file by file at the top of each data set: a run keeps its index beside the archive, and that is not ours.
    mirror = tmp_path_factory.mktemp("shared_data")
    for entry in (entry for data_set in folder.iterdir() if data_set.is_dir() for entry in data_set.iterdir()):
        (mirror / entry.parent.name).mkdir(exist_ok=True)
        (mirror / entry.parent.name / entry.name).symlink_to(entry)
    return mirror


@pytest.fixture
def tiny(tmp_path: Path) -> TinyArchive:
    """Three touching chips of 8 x 8 pixels with 4, 3 and 2 acquisitions; pixel (row, column) of B04 holds 1000 * chip + 8 * row + column."""
    archive = TinyArchive(tmp_path / "archive")
    pixel = np.arange(64).reshape(8, 8)
    for number, (name, days) in enumerate(
        (("A", ("01-15", "04-15", "07-15", "10-15")), ("B", ("02-01", "06-01", "11-01")), ("C", ("05-05", "12-31")))
    ):
        archive.chip(name, classes=pixel % 4)
        for day in days:
            archive.item(name, f"2018-{day}", cloud=10 * number, cld=number, B04=1000 * (number + 1) + pixel, B08=4000)
    archive.write()
    return archive


@pytest.fixture
def make_run(tmp_path: Path) -> MakeRun:
    """A run of an archive, as `lcnkit.compose` would build it: ``make_run(root, bands=("B04",), n_periods=2)``.

    Keys of `lcnkit.settings.Source` go to the source, the others to the run.
    """

    def build(root: Path, **keys: Any) -> Run:
        source = Source(catalog=Static(), strategy=SeasonMinCC(), reader=Auto(), transforms=(Reflectance(),), bands=("B04",))
        of_source = {name: keys.pop(name) for name in list(keys) if name in Source.__dataclass_fields__}
        dataset = Dataset(root=str(root), cloud_assets={"sentinel_2": "CLD"})
        run = Run(dataset=dataset, sources=(replace(source, **of_source),), backend=Serial(), exporter=Pickle(), output_dir=str(tmp_path / "out"))
        return replace(run, **keys)

    return build


@pytest.fixture
def chip_on() -> Callable[[Grid], Chip]:
    """A chip on a grid, for whatever needs no label."""
    import shapely

    def build(grid: Grid) -> Chip:
        return Chip("C", "labels_C", "no such label", grid, Interval(date(2018, 1, 1), date(2018, 12, 31)), shapely.Polygon(outline(grid)))

    return build


@pytest.fixture
def item_of() -> Callable[..., Item]:
    """An item whose assets are files: ``item_of(grid, B04=path)``; ``fields`` go to every asset."""

    def build(grid: Grid, item_id: str = "item", fields: Any = None, **files: Path | str) -> Item:
        ring = outline(grid)
        document = {
            "type": "Feature",
            "stac_version": "1.0.0",
            "id": item_id,
            "geometry": {"type": "Polygon", "coordinates": [ring]},
            "bbox": [min(x for x, _ in ring), min(y for _, y in ring), max(x for x, _ in ring), max(y for _, y in ring)],
            "properties": {"datetime": "2018-03-01T10:00:00Z"},
            "assets": {key: {"href": str(path), **(fields or {})} for key, path in files.items()},
            "links": [],
        }
        return Item("/nowhere/item.json", document)

    return build

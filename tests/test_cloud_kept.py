"""Measured cloud covers are kept: the same values without reading a mask, and none that no longer holds."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lcnkit import cloud
from lcnkit.cache_dir import CACHE_VARIABLE
from lcnkit.catalog.geoparquet import Geoparquet
from lcnkit.cli import main
from lcnkit.model import Interval
from lcnkit.pipeline import plan_only
from lcnkit.reader.auto import Auto
from lcnkit.reader.rasterio import Rasterio
from lcnkit.testing.archives import TinyArchive

Plan = Callable[..., "pd.Series[float]"]


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The items whose mask was read; emptied by each `plan`."""
    seen: list[str] = []
    covers = cloud.MaskRecipe._covers

    def watched(self: Any, chip: Any, hrefs: Any) -> Any:
        seen.extend(Path(str(href)).parent.name[-8:] if "#" not in href else href[-8:] for href in hrefs)
        return covers(self, chip, hrefs)

    monkeypatch.setattr(cloud.MaskRecipe, "_covers", watched)
    return seen


@pytest.fixture
def archive(tmp_path: Path) -> TinyArchive:
    made = TinyArchive(tmp_path / "archive", size=4)
    made.chip("A")
    made.chip("B", column=1)
    for name in ("A", "B"):
        made.item(name, "2018-03-01", cloud=None, cld=[[0, 1, 2, 255]] * 4)
        made.item(name, "2018-04-01", cloud=None, cld=[[7, 11, 13, 17]] * 4)
    made.write()
    return made


@pytest.fixture
def plan(make_run: Any, read: list[str], archive: TinyArchive) -> Plan:
    def planned(**options: Any) -> pd.Series[float]:
        read.clear()
        run = make_run(archive.root, **{"cloud": "mask", "overwrite": True, **options})
        return plan_only(run)[0].plan.table.set_index(["chip_id", "item_id"])["cloud_cover"]

    return planned


def test_the_second_run_reads_no_mask_and_has_the_very_same_values(plan: Plan, read: list[str]) -> None:
    first = plan()
    assert len(read) == 4
    second = plan()
    assert read == []
    assert first.to_numpy().tobytes() == second.to_numpy().tobytes()
    assert first.iloc[0] == 1.0


def test_a_mask_that_changed_is_read_again_and_no_other(plan: Plan, read: list[str], archive: TinyArchive) -> None:
    before = plan()
    folder = next(archive.root.rglob("*A_20180401"))
    donor = next(archive.root.rglob("*A_20180301")) / "CLD.tif"
    shutil.copyfile(donor, folder / "CLD.tif")
    after = plan()
    assert read == ["20180401"]
    assert after.iloc[1] == before.iloc[0] == 1.0
    np.testing.assert_array_equal(after.iloc[2:], before.iloc[2:])
    assert plan().equals(after)
    assert read == []


def test_an_item_that_names_another_mask_is_read_again(plan: Plan, read: list[str], archive: TinyArchive) -> None:
    plan()
    path = next(archive.root.rglob("*B_20180401")) / "stac.json"
    item = json.loads(path.read_text())
    item["assets"]["CLD"]["href"] = "../" + next(archive.root.rglob("*B_20180301")).name + "/CLD.tif"
    path.write_text(json.dumps(item))
    assert plan().iloc[3] == 1.0
    assert read == ["20180401"]


def test_a_mask_that_is_gone_has_no_cover_anymore(plan: Plan, archive: TinyArchive) -> None:
    plan()
    (next(archive.root.rglob("*A_20180301")) / "CLD.tif").unlink()
    assert plan().isna().tolist() == [True, False, False, False]


@pytest.mark.parametrize(
    "other", [{"cloud_threshold": 10}, {"reader": Rasterio()}, {"reader": Auto(resampling="bilinear")}], ids=["threshold", "reader", "resampling"]
)
def test_what_is_measured_in_another_way_is_another_value(plan: Plan, read: list[str], other: dict[str, Any]) -> None:
    plan()
    there = plan(**other)
    assert len(read) == 4
    assert plan(**other).equals(there)
    assert read == []


def test_a_plugins_reader_is_never_taken_at_its_word(plan: Plan, read: list[str]) -> None:
    class Mine(Auto):
        pass

    plan(reader=Mine())
    plan(reader=Mine())
    assert len(read) == 4


def test_more_chips_read_only_theirs(plan: Plan, read: list[str]) -> None:
    plan(chips=("A",))
    assert len(read) == 2
    plan()
    assert len(read) == 2
    plan()
    assert read == []


def test_from_an_index_file_too(plan: Plan, read: list[str], archive: TinyArchive, tmp_path: Path) -> None:
    index = tmp_path / "items.parquet"
    assert main(["index", str(archive.root), "--output", str(index)]) == 0
    catalog = Geoparquet(path=str(index))
    first = plan(catalog=catalog)
    assert len(read) == 4
    assert plan(catalog=catalog).equals(first)
    assert read == []
    index.touch()  # what it says may be something else now
    plan(catalog=catalog)
    assert len(read) == 4


def test_a_damaged_file_is_as_good_as_none(plan: Plan, read: list[str], own_cache: Path) -> None:
    first = plan()
    (kept,) = (own_cache / "clouds").iterdir()
    kept.write_bytes(b"no database at all" * 100)
    assert plan().equals(first)
    assert len(read) == 4
    assert plan().equals(first)
    assert read == []


def test_covers_outside_the_interval_of_a_run_stay_known(plan: Plan, read: list[str]) -> None:
    plan(interval=Interval(date(2018, 1, 1), date(2018, 3, 15)))
    assert read == ["20180301", "20180301"]
    plan(interval=Interval(date(2018, 3, 16), date(2018, 12, 31)))
    assert read == ["20180401", "20180401"]
    plan()
    assert read == []

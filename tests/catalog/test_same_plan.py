"""The plan is the same whichever catalog it came from, row by row; only where an item is found again differs."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from servers.items import items_of
from servers.rustac import serving_items

from lcnkit.catalog.api import Api
from lcnkit.catalog.geoparquet import Geoparquet
from lcnkit.catalog.links import Links
from lcnkit.catalog.static import Static
from lcnkit.cli import main
from lcnkit.contracts import Catalog
from lcnkit.demo import DemoOptions
from lcnkit.demo.archive import write_archive
from lcnkit.index.kept import kept_crawl
from lcnkit.pipeline import plan_only
from lcnkit.settings import Run


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("demo") / "archive"
    write_archive(DemoOptions(chips=4, acquisitions=6, size=16), root)
    return root


@pytest.fixture
def slovenia(shared_data: Path, tmp_path: Path) -> Path:
    """The real archive, its folders linked into one that may be written."""
    if not (shared_data / "slovenia2017").is_dir():
        pytest.skip("../shared/data/slovenia2017 is not there")
    root = tmp_path / "slovenia2017"
    root.mkdir()
    for entry in os.scandir(shared_data / "slovenia2017"):
        if not entry.name.startswith("."):
            (root / entry.name).symlink_to(entry.path, target_is_directory=entry.is_dir())
    return root


def planned(run: Run, catalog: Catalog, output: Path) -> pd.DataFrame:
    one = replace(run.source, catalog=catalog)
    prepared, folder = plan_only(replace(run, sources=(one,), output_dir=str(output)))
    assert not prepared.failures
    return pd.read_parquet(folder / "selection.parquet")


def plans(run: Run, root: Path, folder: Path) -> dict[str, pd.DataFrame]:
    file = folder / "items.parquet"
    assert main(["index", str(root), "--output", str(file)]) == 0
    cold = planned(run, Static(), folder / "cold")
    (collection,) = cold["collection"].unique()
    assert kept_crawl(str(root), collection) is not None
    with serving_items(items_of(root), folder) as url:
        asked = planned(replace(run, dataset=replace(run.dataset, source=collection)), Api(url=url), folder / "api")
    return {
        "api": asked,
        "crawled": cold,
        "from the index": planned(run, Static(), folder / "index"),
        "geoparquet": planned(run, Geoparquet(path=str(file)), folder / "geoparquet"),
        "links": planned(run, Links(), folder / "links"),
    }


def assert_same(found: dict[str, pd.DataFrame]) -> None:
    pd.testing.assert_frame_equal(found["from the index"], found["crawled"])
    pd.testing.assert_frame_equal(found["links"], found["crawled"])
    expected = found["crawled"].drop(columns="item_href")
    for name in ("geoparquet", "api"):
        pd.testing.assert_frame_equal(found[name].drop(columns="item_href"), expected)
    assert expected["selected"].any()


def test_the_demo(demo, make_run, tmp_path):
    found = plans(make_run(demo, n_periods=3), demo, tmp_path)
    assert_same(found)
    assert len(found["crawled"]) == 24


@pytest.mark.parametrize("n_periods", [5, 12])
def test_a_year_over_slovenia(slovenia, make_run, tmp_path, n_periods):
    found = plans(make_run(slovenia, bands=("NDVI",), n_periods=n_periods), slovenia, tmp_path)
    assert_same(found)
    assert len(found["crawled"]) == 324


def test_the_pixels_are_the_same_too(demo, make_run, tmp_path):
    """Items found again lead to the same files."""
    from lcnkit.pipeline import prepare

    file = tmp_path / "items.parquet"
    assert main(["index", str(demo), "--output", str(file)]) == 0
    made = {}
    for name, catalog in {"static": Static(), "geoparquet": Geoparquet(path=str(file)), "links": Links()}.items():
        run = make_run(demo, n_periods=3, catalog=catalog, output_dir=str(tmp_path / name))
        assert prepare(run).status == 0
        made[name] = (tmp_path / name / "items.pkl").read_bytes()
    assert made["static"] == made["geoparquet"] == made["links"]

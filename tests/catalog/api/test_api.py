"""The catalog api against a real STAC API: the contract, the same plans as from files, few requests."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from servers.items import items_of
from servers.proxy import Proxy
from servers.rustac import serving_items
from servers.scenes import YEAR, chips_in_tiles, scenes

from lcnkit.cache_dir import cache_folder
from lcnkit.catalog.api import Api
from lcnkit.contracts import Query
from lcnkit.demo import DemoOptions, demo_root
from lcnkit.errors import ConfigError, DataError
from lcnkit.model import Interval
from lcnkit.testing.catalog import CatalogContract


class TestApi(CatalogContract):
    @pytest.fixture(scope="class")
    @classmethod
    def url(cls, archive_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
        with serving_items(items_of(archive_root), tmp_path_factory.mktemp("rustac")) as url:
            yield url

    @pytest.fixture
    def catalog(self, url: str) -> Api:
        return Api(url=url)


@pytest.mark.parametrize("keys", [{}, {"cloud": "mask"}, {"when_empty": "nearest", "n_periods": 24}], ids=["default", "mask", "nearest"])
def test_slovenia_gives_the_same_plan_as_its_files(keys: Any, slovenia: Path, slovenia_api: str, plans: Any) -> None:
    asked, crawled = plans(slovenia, Api(url=slovenia_api, page_size=100), bands=("NDVI",), **keys)
    assert asked["item_id"].nunique() == 324
    pd.testing.assert_frame_equal(asked, crawled)


def test_the_demo_gives_the_same_plan_as_its_files(tmp_path: Path, plans: Any) -> None:
    root = Path(demo_root(DemoOptions(chips=4, acquisitions=8, size=16)))
    (tmp_path / "api").mkdir()
    with serving_items(items_of(root), tmp_path / "api") as url:
        asked, crawled = plans(root, Api(url=url))
    assert len(asked) == 32
    pd.testing.assert_frame_equal(asked, crawled)


def test_touching_neighbours_are_no_candidates(slovenia: Path, slovenia_api: str, make_run: Any) -> None:
    """Without ownership by id too: by geometry alone, each chip of the lattice has its own 36 items only."""
    from lcnkit.labels import read_labels
    from lcnkit.settings import Dataset

    labels = read_labels(str(slovenia), Dataset(), None, None)
    api = Api(url=slovenia_api)
    found = api.search(labels.chips, Query(api.find_collection(None), labels.interval, 0.0))
    own = [chip in item for chip, item in zip(found["chip_id"], found["item_id"], strict=True)]
    assert all(own)
    assert len(found) == 324


def test_a_hundred_chips_in_four_tiles_take_few_requests(behind_proxy: Any, caplog: pytest.LogCaptureFixture) -> None:
    with behind_proxy(Proxy(), scenes()) as proxy:
        api = Api(url=proxy.url)
        chips = chips_in_tiles(25)
        with caplog.at_level(logging.INFO):
            table = api.search(chips, Query(api.find_collection("sentinel-2-l2a"), YEAR, 0.5, frozenset(chip.id for chip in chips)))
        print(f"{len(proxy.seen)} requests for {len(chips)} chips in 4 tiles")  # noqa: T201
        assert len(table) == 100 * 73
        assert table["cloud_cover"].isna().sum() == 100
        # The landing page, the collection, and one search for each tile.
        assert len(proxy.seen) == 6
        assert "requests   6 to the API for 100 chips in 4 areas" in caplog.messages
        small = Api(url=proxy.url, page_size=40)
        again = small.search(chips, Query("sentinel-2-l2a", YEAR))
        assert len(proxy.seen) == 6  # what was asked is known, whatever the page size
        pd.testing.assert_frame_equal(table, again)
        fresh = Api(url=proxy.url, page_size=40, refresh=True).search(chips, Query("sentinel-2-l2a", YEAR))
        assert len(proxy.seen) == 6 + 1 + 4 * 2
        pd.testing.assert_frame_equal(table, fresh)


def test_what_was_asked_is_not_asked_again(behind_proxy: Any, plans: Any, slovenia: Path) -> None:
    with behind_proxy(Proxy()) as proxy:
        first, _ = plans(slovenia, Api(url=proxy.url), bands=("NDVI",))
        made = len(proxy.seen)
        assert made >= 3
        second, _ = plans(slovenia, Api(url=proxy.url), bands=("NDVI",))
        assert len(proxy.seen) == made
        pd.testing.assert_frame_equal(first, second)
        plans(slovenia, Api(url=proxy.url), bands=("NDVI",), interval=Interval(date(2017, 1, 1), date(2017, 6, 30)))
        assert len(proxy.seen) > made  # another interval is another question
        made = len(proxy.seen)
        plans(slovenia, Api(url=proxy.url, refresh=True), bands=("NDVI",))
        assert len(proxy.seen) >= made + 3


def test_an_interval_that_is_not_over_is_asked_anew(behind_proxy: Any, slovenia: Path) -> None:
    today = pd.Timestamp.now("UTC").date()
    with behind_proxy(Proxy()) as proxy:
        api = Api(url=proxy.url)
        for _ in range(2):
            api.search(chips_in_tiles(1), Query(api.find_collection("sentinel_2"), Interval(date(2017, 1, 1), today)))
        assert [path for _, path, _ in proxy.seen].count("/search") == 8


def test_items_come_from_what_was_found(behind_proxy: Any, slovenia: Path) -> None:
    """A worker asks the API only for what nobody has seen."""
    from lcnkit.labels import read_labels
    from lcnkit.settings import Dataset

    labels = read_labels(str(slovenia), Dataset(), 2, None)
    with behind_proxy(Proxy()) as proxy:
        api = Api(url=proxy.url)
        hrefs = list(api.search(labels.chips, Query(api.find_collection("sentinel_2"), labels.interval))["item_href"])
        before = len(proxy.seen)
        assert len(api.items(hrefs)) == 72
        assert len(proxy.seen) == before
        (cache_folder() / "search" / "items-1.sqlite").unlink()
        (item,) = api.items(hrefs[:1])
        assert item.asset("NDVI").href.endswith("NDVI.tif")
        assert len(proxy.seen) == before + 1


def test_a_collection_by_the_end_of_its_name(slovenia_api: str) -> None:
    api = Api(url=slovenia_api)
    whole = "ref_landcovernet_sl_v1_source_sentinel_2"
    assert [api.find_collection(name) for name in (whole, "sentinel_2", None)] == [whole] * 3
    with pytest.raises(DataError, match=r"no collection 'sentinel_3'; it has ref_landcovernet_sl_v1_source_sentinel_2"):
        api.find_collection("sentinel_3")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"url": "earth-search.example"}, "https://HOST/PATH"),
        ({"url": "https://me:hunter22@api.example/stac"}, "neither a user name nor a query"),
        ({"url": "https://api.example/stac?key=hunter22"}, "neither a user name nor a query"),
        ({"auth": "query", "secret": "hunter22"}, "must not hold a secret"),
        ({"auth": "bearer"}, "set both"),
        ({"secret": "env:KEY"}, "set both"),
        ({"sign": "planetry_computer"}, "Did you mean 'planetary_computer'"),
        ({"page_size": 0}, "at least 1"),
    ],
)
def test_options_that_cannot_be_meant(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said) as raised:
        Api(**{"url": "https://api.example/stac", **options})
    assert "hunter22" not in str(raised.value)

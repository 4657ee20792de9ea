"""The catalog api against stac-fastapi-pgstac on PostgreSQL with PostGIS, as large providers run it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from servers import proxy as faulty
from servers.files import serving_files
from servers.items import items_of
from servers.pgstac import serving_pgstac
from servers.proxy import Proxy

from lcnkit.catalog.api import Api
from lcnkit.demo import DemoOptions, demo_root
from lcnkit.pipeline import prepare
from lcnkit.testing.catalog import CatalogContract, write_archive

pytestmark = pytest.mark.slow


@pytest.fixture(scope="session")
def contract_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_archive(tmp_path_factory.mktemp("contract"))


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LCNKIT_CACHE_DIR", str(tmp_path_factory.mktemp("demo")))
        return Path(demo_root(DemoOptions(chips=4, acquisitions=8, size=16)))


@pytest.fixture(scope="session")
def pgstac(slovenia: Path, contract_root: Path, demo: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One server for all; Slovenia's assets are on a file server."""
    with serving_files(slovenia) as files:
        items = [*items_of(slovenia, files), *items_of(contract_root), *items_of(demo)]
        with serving_pgstac(items, tmp_path_factory.mktemp("pgstac")) as url:
            yield url


class TestApiOnPgstac(CatalogContract):
    @pytest.fixture(scope="class")
    @classmethod
    def archive_root(cls, contract_root: Path) -> Path:
        return contract_root

    @pytest.fixture
    def catalog(self, pgstac: str) -> Api:
        return Api(url=pgstac)


SLOVENIA = "ref_landcovernet_sl_v1_source_sentinel_2"


@pytest.mark.parametrize("page_size", [7, 100, 1000])
@pytest.mark.parametrize("keys", [{}, {"cloud": "mask"}], ids=["default", "mask"])
def test_slovenia_gives_the_same_plan_as_its_files(page_size: int, keys: Any, slovenia: Path, pgstac: str, plans: Any, of_source: Any) -> None:
    asked, crawled = plans(slovenia, Api(url=pgstac, page_size=page_size), dataset=of_source(slovenia, SLOVENIA), bands=("NDVI",), **keys)
    assert len(asked) == 324
    pd.testing.assert_frame_equal(asked, crawled)


def test_the_demo_gives_the_same_plan_as_its_files(demo: Path, pgstac: str, plans: Any, of_source: Any) -> None:
    collection = items_of(demo)[0]["collection"]
    asked, crawled = plans(demo, Api(url=pgstac), dataset=of_source(demo, collection))
    assert len(asked) == 32
    pd.testing.assert_frame_equal(asked, crawled)


@pytest.fixture
def of_source(make_run: Any) -> Any:
    from dataclasses import replace

    return lambda root, collection: replace(make_run(root).dataset, source=collection)


def test_only_get(slovenia: Path, pgstac: str, plans: Any, of_source: Any) -> None:
    """An API that offers no POST; the parameters of the search are in its address then."""
    proxy = Proxy(target=pgstac, rewrite=lambda body: body.replace(b'"method":"POST"', b'"method":"GET"'))
    with proxy.running():
        asked, crawled = plans(slovenia, Api(url=proxy.url, page_size=100), dataset=of_source(slovenia, SLOVENIA), bands=("NDVI",))
    assert {method for method, _, _ in proxy.seen} == {"GET"}
    pd.testing.assert_frame_equal(asked, crawled)


def test_a_server_that_misbehaves(slovenia: Path, pgstac: str, plans: Any, of_source: Any) -> None:
    """Every kind of fault in turn, between the plan and a full server."""
    kinds = [
        faulty.busy(0),
        faulty.BROKEN,
        faulty.AWAY,
        faulty.DROPPED,
        faulty.CUT,
        faulty.TRUNCATED,
        faulty.TOO_LONG,
        faulty.TOO_SHORT,
        faulty.slow(1),
    ]
    proxy = Proxy(target=pgstac, faults=lambda number: kinds[number // 2 % len(kinds)] if number % 2 else None)
    with proxy.running():
        catalog = Api(url=proxy.url, page_size=20, timeout_s=0.7)
        asked, crawled = plans(slovenia, catalog, dataset=of_source(slovenia, SLOVENIA), bands=("NDVI",))
    assert len(proxy.seen) >= 2 * (324 // 20)
    pd.testing.assert_frame_equal(asked, crawled)


def test_pixels_over_http_are_those_of_the_files(slovenia: Path, pgstac: str, make_run: Any, of_source: Any, tmp_path: Path) -> None:
    keys = {"dataset": of_source(slovenia, SLOVENIA), "bands": ("NDVI",), "cloud": "mask", "chips": 3}
    made = {}
    for name, options in (("api", {"catalog": Api(url=pgstac)}), ("files", {})):
        report = prepare(make_run(slovenia, **keys, **options, output_dir=str(tmp_path / name)))
        assert report.status == 0, report.failures
        made[name] = hashlib.sha256((tmp_path / name / "items.pkl").read_bytes()).hexdigest()
    assert made["api"] == made["files"]

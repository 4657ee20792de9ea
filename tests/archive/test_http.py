"""STAC archives on a web server."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from servers.files import serving_files
from servers.loopback import Quiet, free_port, serving

from lcnkit.archive import Archive, folder_of
from lcnkit.archive import http as archive_http
from lcnkit.archive.http import Http
from lcnkit.catalog.static import Static
from lcnkit.contracts import Query
from lcnkit.demo import DemoOptions, demo_root
from lcnkit.errors import DataError, UnreadableAsset
from lcnkit.labels import read_labels
from lcnkit.pipeline import prepare
from lcnkit.settings import Dataset

LABELS, S2 = "ref_landcovernet_v1_labels", "ref_landcovernet_v1_source_sentinel_2"


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch):
    monkeypatch.setattr(archive_http, "_FIRST_WAIT_S", 0.01)


@pytest.fixture
def seen() -> list:
    return []


@pytest.fixture
def url(stac, seen):
    with serving_files(stac, seen) as address:
        yield address


def search(root: str):
    labels = read_labels(root, Dataset(), None, None)
    return Static(root=root).search(labels.chips, Query(S2, labels.interval, 0.5, labels.all_ids))


def make_absolute(stac: Path, url: str) -> None:
    """Hrefs with the server's name, as published catalogs have them."""
    for path in stac.rglob("*.json"):
        document = json.loads(path.read_text())
        base = f"{url}/{path.relative_to(stac).parent.as_posix()}".removesuffix("/.")
        for entry in [*document["links"], *document.get("assets", {}).values()]:
            entry["href"] = f"{base}/{entry['href'].removeprefix('./')}"
        path.write_text(json.dumps(document))


class TestCrawl:
    @pytest.mark.parametrize("tail", ["", "/", "/catalog.json"])
    def test_root(self, url, tail):
        archive = Archive.open(url + tail)
        assert (archive.root, folder_of(url + tail)) == (url, url)
        assert (archive.labels().id, archive.source().id) == (LABELS, S2)

    def test_collection_without_a_catalog(self, url, stac):
        (stac / "catalog.json").unlink()
        assert Archive.open(f"{url}/{S2}").source().id == S2
        assert Archive.open(f"{url}/{S2}/collection.json").source().id == S2

    def test_same_candidates_as_on_disk(self, url, stac):
        pd.testing.assert_frame_equal(search(url), search(str(stac)))

    def test_absolute_hrefs(self, url, stac):
        before = search(str(stac))
        make_absolute(stac, url)
        pd.testing.assert_frame_equal(search(url), before)

    def test_catalog_on_disk_with_its_items_elsewhere(self, url, stac):
        before = search(str(stac))
        make_absolute(stac, url)
        found = search(str(stac))
        assert [href.removeprefix(f"{url}/") for href in found["item_href"]] == before["item_href"].tolist()
        (item,) = Static(root=str(stac)).items(list(found["item_href"][:1]))
        assert item.asset("B04").href.startswith(url)

    def test_query_of_a_root_is_no_folder(self, url):
        assert folder_of(f"{url}/catalog.json?token=a/b") == url
        assert Archive.open(f"{url}/catalog.json?token=a/b").root == url

    def test_asked_once_by_a_run(self, url, seen):
        search(url)
        asked = [path for path, _ in seen]
        assert [asked.count(path) for path in ("/catalog.json", f"/{LABELS}/collection.json", f"/{S2}/collection.json")] == [1, 1, 1]

    def test_dangling_and_broken_items_are_left_out_and_named(self, url, stac, caplog):
        first, second = sorted((stac / S2).glob("*_28QDE_00_*/stac.json"))[:2]
        first.unlink()
        second.write_text("{")
        assert len(search(url)) == 10
        assert f"2 items of {S2} cannot be used and are left out: {url}/{S2}/{first.parent.name}/stac.json is missing" in caplog.text

    def test_only_the_wanted_chips_are_read(self, url, seen):
        labels = read_labels(url, Dataset(), ("*_11",), None)
        assert labels.all_ids == {"28QDE_00", "28QDE_11", "33TVL_02"}
        found = Static(root=url).search(labels.chips, Query(S2, labels.interval, 0.5, labels.all_ids))
        assert (len(found), set(found["chip_id"])) == (4, {"28QDE_11"})
        items = {path for path, _ in seen if path.endswith("stac.json")}
        assert len(items) == 6, "those of the chip, and one that tells whether the others are chips too"
        assert sum("28QDE_11" in path for path in items) == 5

    def test_ids_that_paths_do_not_tell(self, url, stac):
        """Then every label item is read."""
        collection = stac / LABELS / "collection.json"
        for number, folder in enumerate(sorted((stac / LABELS).glob("*_labels_*"))):
            folder.rename(folder.with_name(f"item{number}"))
        links = [{"rel": "item", "href": f"item{number}/stac.json"} for number in range(3)]
        collection.write_text(json.dumps({**json.loads(collection.read_text()), "links": links}))
        assert [chip.id for chip in read_labels(url, Dataset(), ("28QDE_11",), None).chips] == ["28QDE_11"]
        assert [chip.id for chip in read_labels(url, Dataset(), 1, None).chips] == ["28QDE_00"]


class TestTrouble:
    def test_nothing_there(self, url):
        with pytest.raises(DataError, match=rf"root {url}/none holds no STAC collection: neither catalog.json nor .* dataset.root=s3://BUCKET"):
            Archive.open(f"{url}/none/")

    def test_server_is_down(self):
        address = f"http://127.0.0.1:{free_port()}/archive"
        with pytest.raises(DataError, match=rf"{address} cannot be read: Connection refused \(4 attempts\)\. Look whether .*dataset\.root=PATH"):
            Archive.open(address)

    def test_server_that_is_down_is_not_waited_for_again_and_again(self, monkeypatch):
        monkeypatch.setattr(archive_http, "_FIRST_WAIT_S", 0.02)
        store, address = Http(), f"http://127.0.0.1:{free_port()}"
        started = time.perf_counter()
        answers = list(store.map(store.exists, [f"{address}/{number}" for number in range(400)]))
        assert not any(answers)
        assert time.perf_counter() - started < 3

    @pytest.mark.parametrize(("status", "why"), [(403, "holds no STAC"), (500, r"HTTP 500 Internal Server Error \(4 attempts\)"), (418, "HTTP 418")])
    def test_server_refuses(self, status, why):
        class Refusing(Quiet):
            def do_GET(self):
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

        with serving(Refusing) as url, pytest.raises(DataError, match=why):
            Archive.open(url)

    def test_what_passes_is_asked_again(self, stac):
        """Every file first answers 503, then is cut short, then comes whole."""
        asked: dict[str, int] = {}

        class Moody(Quiet):
            def do_GET(self):
                asked[self.path] = asked.get(self.path, 0) + 1
                path = stac / self.path.lstrip("/")
                content = path.read_bytes() if path.is_file() else b""
                status = {1: 503, 2: 200}.get(asked[self.path], 200 if content else 404)
                self.send_response(status)
                self.send_header("Retry-After", "0")
                self.send_header("Connection", "close")  # else a reused connection may break, and count as an attempt
                self.send_header("Content-Length", str(len(content) + (9 if asked[self.path] == 2 else 0)))
                self.end_headers()
                self.wfile.write(content)
                self.close_connection = True

        with serving(Moody) as url:
            items = list(Archive.open(url).source().items())
        assert len(items) == 12
        assert not [item for _, item in items if isinstance(item, str)]
        assert set(asked.values()) == {3} or max(asked.values()) >= 3

    @pytest.mark.parametrize("status", [429, 520])
    def test_a_time_is_waited_for_that_the_server_names_as_a_date(self, stac, status, monkeypatch):
        """By the server's own clock. 520 and the like are those of content delivery networks."""
        asked, waited = [], []
        monkeypatch.setattr(archive_http.time, "sleep", waited.append)

        class Busy(Quiet):
            def do_GET(self):
                asked.append(self.path)
                content = (stac / "catalog.json").read_bytes() if len(asked) > 1 else b""
                self.send_response_only(200 if content else status)
                self.send_header("Date", "Mon, 30 Nov 2026 04:00:00 GMT")
                self.send_header("Retry-After", "Mon, 30 Nov 2026 04:00:07 GMT")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

        with serving(Busy) as url:
            assert Http().read(f"{url}/catalog.json") == (stac / "catalog.json").read_bytes()
        assert waited == [7.0]

    def test_item_that_vanished_since_the_plan(self, url, stac):
        found = search(url)
        (stac / found["item_href"][0]).unlink()
        with pytest.raises(UnreadableAsset, match=rf"{url}/.* is missing.*plan anew"):
            Static(root=url).items(list(found["item_href"][:1]))

    def test_label_that_is_not_there(self, url, stac):
        next((stac / LABELS).glob("*_28QDE_11/labels.tif")).unlink()
        labels = read_labels(url, Dataset(), None, None)
        assert [chip.id for chip in labels.chips] == ["28QDE_00", "33TVL_02"]
        (failure,) = labels.failures
        assert (failure.chip_id, failure.error) == ("28QDE_11", "BadLabel")
        assert f"{url}/{LABELS}/{LABELS}_28QDE_11/labels.tif" in failure.message
        assert "404" in failure.message

    def test_band_that_is_not_there(self, url, stac, make_run):
        for raster in stac.glob(f"{S2}/*_33TVL_02_*/B04.tif"):
            raster.unlink()
        report = prepare(make_run(url))
        assert report.status == 3
        (failure,) = report.failures
        assert (failure.chip_id, failure.error) == ("33TVL_02", "UnreadableAsset")
        assert f"{url}/{S2}/" in failure.message


class TestRuns:
    def check(self, root: Path, url: str, make_run, samples, tmp_path, **keys) -> None:
        here, there = tmp_path / "here", tmp_path / "there"
        assert prepare(make_run(root, output_dir=str(here), **keys)).status == 0
        assert prepare(make_run(url, output_dir=str(there), **keys)).status == 0
        pd.testing.assert_frame_equal(pd.read_parquet(here / "selection.parquet"), pd.read_parquet(there / "selection.parquet"))
        mine, yours = samples(here), samples(there)
        assert len(mine) == len(yours) > 1
        for one, other in zip(mine, yours, strict=True):
            for left, right in zip(one, other, strict=True):
                np.testing.assert_array_equal(np.asarray(left), np.asarray(right))

    def test_tiny_archive(self, stac, url, make_run, samples, tmp_path):
        self.check(stac, url, make_run, samples, tmp_path, bands=("B08", "B04"), n_periods=3)

    def test_demo(self, make_run, samples, tmp_path):
        root = Path(demo_root(DemoOptions(chips=2, acquisitions=5, size=32)))
        with serving_files(root) as url:
            self.check(root, url, make_run, samples, tmp_path, bands=("B04", "B03"), n_periods=2)

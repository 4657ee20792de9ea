"""static keeps a crawl: the same answer with and without the index, and none that is out of date."""

from __future__ import annotations

import io
import json
import logging
import os
import shutil
import threading
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from servers.files import serving_files

from lcnkit.cache_dir import cache_folder
from lcnkit.catalog.static import Static
from lcnkit.contracts import Query
from lcnkit.index.crawl import Crawl
from lcnkit.index.kept import kept_crawl, places
from lcnkit.labels import read_labels
from lcnkit.model import Interval
from lcnkit.settings import Dataset
from lcnkit.testing.archives import TinyArchive

YEAR = Interval(date(2018, 1, 1), date(2018, 12, 31))
SOURCE = "ref_landcovernet_xx_v1_source_sentinel_2"


def searched(root: Path, **options: object) -> pd.DataFrame:
    labels = read_labels(str(root), Dataset(), None, YEAR)
    return Static(root=str(root), **options).search(labels.chips, Query(SOURCE, YEAR, 0.5, labels.all_ids))


def kept(root: Path) -> Crawl | None:
    return kept_crawl(str(root), SOURCE)


def rewrite(folder: Path, document: dict[str, object] | None = None, **properties: object) -> None:
    path = folder / "stac.json"
    item = {**json.loads(path.read_text()), **(document or {})}
    item["properties"] = {**item["properties"], **properties}
    path.write_text(json.dumps(item))


def folder_of(archive: TinyArchive, name: str) -> Path:
    return next((archive.root / SOURCE).glob(f"*_{name}*"))


def test_the_first_run_keeps_it_beside_the_archive(tiny):
    searched(tiny.root)
    assert [path.name for path in (tiny.root / ".lcnkit").iterdir()] == [f"{SOURCE}.parquet"]
    assert len(kept(tiny.root).table) == 9


def test_the_answer_is_the_same_with_it(tiny):
    pd.testing.assert_frame_equal(searched(tiny.root), searched(tiny.root))


def test_it_is_the_same_for_whatever_items_may_hold(tiny, caplog):
    """Mixed types, unknown cloud cover, odd footprints and times; problems too."""
    items = sorted(path.parent for path in (tiny.root / SOURCE).glob("*/stac.json"))
    rewrite(items[0], {"bbox": [0, 0]}, **{"eo:cloud_cover": None, "mixed": 1, "extra": {"deep": [1, "two"]}})
    rewrite(items[1], {"geometry": {"type": "Polygon", "coordinates": [[[0, 0], [1, 1]]]}}, mixed="text", **{"eo:cloud_cover": "12"})
    rewrite(items[2], {"assets": {}}, mixed=[1], datetime=None, start_datetime="2018-03-01T10:00:00.123456789Z", end_datetime="2018-04-01")
    rewrite(items[3], {"collection": None, "links": None}, datetime="2018-03-01T00:30:00+02:00", created="not a time", id="id of another")
    rewrite(items[4], datetime="yesterday")
    rewrite(items[5], {"geometry": None, "bbox": None})
    (items[6] / "stac.json").write_text("{")
    shutil.rmtree(items[7])
    without = searched(tiny.root)
    assert len(without) == 5
    said = [record.getMessage() for record in caplog.records]
    caplog.clear()
    assert kept(tiny.root) is not None
    pd.testing.assert_frame_equal(searched(tiny.root), without)
    assert [record.getMessage() for record in caplog.records] == said
    assert "4 items of" in said[0]


def test_an_index_is_stac_geoparquet(tiny):
    rustac = pytest.importorskip("rustac")
    searched(tiny.root)
    assert len(rustac.read_sync(str(places(str(tiny.root), SOURCE)[0]))["features"]) == 9


class TestChanges:
    """Each is noticed by the next run."""

    @pytest.fixture(autouse=True)
    def _first_run(self, tiny):
        searched(tiny.root)

    def test_none(self, tiny):
        assert kept(tiny.root) is not None

    def test_an_item_added(self, tiny):
        tiny.item("A", "2018-12-24")
        tiny.write()
        assert len(searched(tiny.root)) == 10

    def test_an_item_edited(self, tiny):
        rewrite(folder_of(tiny, "A_20180115"), **{"eo:cloud_cover": 77})
        found = searched(tiny.root)
        assert found.loc[found["item_id"].str.contains("_A_20180115"), "cloud_cover"].tolist() == [77.0]

    def test_an_item_edited_to_the_same_size(self, tiny):
        path = folder_of(tiny, "A_20180115") / "stac.json"
        before = path.stat()
        path.write_text(path.read_text().replace('"eo:cloud_cover": 0', '"eo:cloud_cover": 9'))
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1_000_000))
        found = searched(tiny.root)
        assert 9.0 in found["cloud_cover"].tolist()

    def test_an_item_removed(self, tiny):
        shutil.rmtree(folder_of(tiny, "A_20180115"))
        assert len(searched(tiny.root)) == 8

    def test_a_dangling_item_that_comes_back(self, tiny, tmp_path):
        folder = folder_of(tiny, "A_20180115")
        shutil.move(folder, tmp_path / "aside")
        assert len(searched(tiny.root)) == 8
        shutil.move(tmp_path / "aside", folder)
        assert len(searched(tiny.root)) == 9

    def test_a_collection_without_links_that_grows(self, tiny):
        path = tiny.root / SOURCE / "collection.json"
        document = json.loads(path.read_text())
        path.write_text(json.dumps({**document, "links": []}))
        assert len(searched(tiny.root)) == 9
        assert kept(tiny.root) is not None
        tiny.item("A", "2018-12-24")
        assert len(searched(tiny.root)) == 10

    def test_an_archive_that_was_moved(self, tiny, tmp_path):
        tiny.root.rename(tmp_path / "moved")
        assert kept(tmp_path / "moved") is None
        assert len(searched(tmp_path / "moved")) == 9

    def test_what_the_clock_hides_takes_refresh(self, tiny):
        path = folder_of(tiny, "A_20180115") / "stac.json"
        before = path.stat()
        path.write_text(path.read_text().replace('"eo:cloud_cover": 0', '"eo:cloud_cover": 9'))
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        assert 9.0 not in searched(tiny.root)["cloud_cover"].tolist()
        assert 9.0 in searched(tiny.root, refresh=True)["cloud_cover"].tolist()
        assert 9.0 in searched(tiny.root)["cloud_cover"].tolist()


def flipped(content: bytes) -> bytes:
    """One bit of the column of ids is another."""
    group = pq.ParquetFile(io.BytesIO(content)).metadata.row_group(0)
    ids = next(group.column(number) for number in range(group.num_columns) if group.column(number).path_in_schema == "id")
    place = ids.dictionary_page_offset + ids.total_compressed_size - 3
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


@pytest.mark.parametrize(
    "damage",
    [lambda content: b"", lambda content: content[: len(content) // 2], lambda content: b"text", flipped],
    ids=["empty", "cut", "text", "flipped"],
)
def test_a_damaged_index_is_made_anew(tiny, damage, caplog):
    expected = searched(tiny.root)
    path = places(str(tiny.root), SOURCE)[0]
    path.write_bytes(damage(path.read_bytes()))
    caplog.set_level(logging.INFO)
    pd.testing.assert_frame_equal(searched(tiny.root), expected)
    assert "cannot be used and is made anew" in caplog.text
    assert "damaged" in caplog.text
    assert kept(tiny.root) is not None


def test_the_index_of_another_tool_or_version_is_made_anew(tiny):
    searched(tiny.root)
    path = places(str(tiny.root), SOURCE)[0]
    table = pq.read_table(path)
    pq.write_table(table.replace_schema_metadata(None), path)
    assert kept(tiny.root) is None
    assert len(searched(tiny.root)) == 9


def test_an_archive_that_cannot_be_written_has_it_in_the_cache(tiny, tmp_path, monkeypatch):
    monkeypatch.setenv("LCNKIT_CACHE_DIR", str(tmp_path / "cache"))
    (tiny.root / ".lcnkit").write_text("a file where the folder should be")
    assert len(searched(tiny.root)) == 9
    assert list((cache_folder() / "index").glob("*/*.parquet"))
    assert kept(tiny.root) is not None


def test_where_nothing_can_be_written_the_run_goes_on(tiny, tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("LCNKIT_CACHE_DIR", str(tmp_path / "file" / "cache"))
    (tmp_path / "file").write_text("")
    (tiny.root / ".lcnkit").write_text("")
    caplog.set_level(logging.INFO)
    assert len(searched(tiny.root)) == 9
    assert "none is kept" in caplog.text


def test_items_that_no_column_can_hold_do_not_stop_the_run(tiny, caplog):
    rewrite(folder_of(tiny, "A_20180115"), {"stac_version": "\ud800"}, odd="\ud800", big=1 << 70)
    assert len(searched(tiny.root)) == 9
    assert "cannot be kept as an index" in caplog.text
    assert not list((tiny.root / ".lcnkit").iterdir())


def test_two_runs_at_once(tiny):
    answers: list[pd.DataFrame] = []
    threads = [threading.Thread(target=lambda: answers.append(searched(tiny.root))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 4
    assert [path.name for path in (tiny.root / ".lcnkit").iterdir()] == [f"{SOURCE}.parquet"]
    assert kept(tiny.root) is not None


def test_what_is_the_same_in_all_items_is_written_for_each(tiny):
    """Assets and links that items share, those of an item of its own, and none."""
    items = sorted(path.parent for path in (tiny.root / SOURCE).glob("*/stac.json"))
    rewrite(
        items[2],
        {"assets": {"B04": {"href": "./B04.tif", "gsd": 10}}, "links": [{"rel": "self", "href": "wrong"}, {"rel": "via", "href": "x", "title": "X"}]},
    )
    rewrite(items[4], {"assets": None, "links": None})
    rewrite(items[5], {"assets": {"B04": {"href": "./B04.tif", "gsd": 10.0}}})
    rewrite(items[6], {"assets": {}})
    searched(tiny.root)
    from lcnkit.index.reader import ItemFile

    file = ItemFile(str(places(str(tiny.root), SOURCE)[0]))
    documents = {document["id"]: document for document in file.documents(range(len(file)))}
    for folder in items:
        published = json.loads((folder / "stac.json").read_text())
        found = documents[published["id"]]
        assert (found.get("assets") or {}) == (published["assets"] or {})
        others = [link for link in published["links"] or () if link["rel"] != "self"]
        assert found["links"] == [{"rel": "self", "href": str(folder / "stac.json"), "type": "application/geo+json"}, *others]


@pytest.mark.parametrize("content", ["[" * 100_000, '{"a": ' * 50_000, "\ufeff{", "nan"], ids=["deep", "deep objects", "mark", "nan"])
def test_items_that_are_no_json_are_named(tiny, content, caplog):
    (folder_of(tiny, "A_20180115") / "stac.json").write_text(content)
    assert len(searched(tiny.root)) == 8
    assert "1 item of" in caplog.text
    assert "cannot be used and is left out" in caplog.text
    assert "is no JSON" in caplog.text


def test_json_that_is_not_by_the_letter_is_read(tiny):
    """NaN, half a surrogate pair, a number of 30 digits, UTF-16: as the standard library reads them."""
    path = folder_of(tiny, "A_20180115") / "stac.json"
    text = path.read_text().replace('"eo:cloud_cover": 0', '"eo:cloud_cover": NaN, "odd": 123456789012345678901234567890')
    path.write_bytes(text.encode("utf-16"))
    found = searched(tiny.root)
    assert len(found) == 9
    assert found["cloud_cover"].isna().sum() == 1


def test_columns_that_come_late_are_added(tiny, monkeypatch):
    """Batches differ in their properties, assets and types."""
    monkeypatch.setattr("lcnkit.index.crawl._BATCH", 2)
    items = [path.parent for path in sorted((tiny.root / SOURCE).glob("*/stac.json"))]
    rewrite(items[3], {"assets": {"B99": {"href": "./x.tif", "gsd": 10}}}, number=1)
    rewrite(items[5], {"assets": {"B99": {"href": "./y.tif", "gsd": 2.5, "new": {"a": [1]}}}}, number=1.5, other="text")
    rewrite(items[7], number="text", other={"an": "object"})
    expected = searched(tiny.root)
    pd.testing.assert_frame_equal(searched(tiny.root), expected)
    from lcnkit.index.reader import ItemFile

    file = ItemFile(str(places(str(tiny.root), SOURCE)[0]))
    documents = {document["id"]: document for document in file.documents(range(len(file)))}
    assert len(documents) == 9
    for folder in items:
        published = json.loads((folder / "stac.json").read_text())
        found = documents[published["id"]]
        assert found["assets"] == published["assets"]
        assert found["properties"] == published["properties"]
        np.testing.assert_array_equal(found["bbox"], published["bbox"])


class TestFarAway:
    """An archive on a web server is kept in the cache folder; items are not asked for again."""

    @pytest.fixture(autouse=True)
    def _own_cache(self, tmp_path, monkeypatch):
        monkeypatch.setenv("LCNKIT_CACHE_DIR", str(tmp_path / "cache"))

    def found(self, url: str, root: Path, **options: object) -> pd.DataFrame:
        labels = read_labels(str(root), Dataset(), None, YEAR)
        return Static(root=url, **options).search(labels.chips, Query(SOURCE, YEAR, 0.5, labels.all_ids))

    def test_the_second_run_reads_no_item(self, tiny):
        seen: list[tuple[str, dict[str, str]]] = []
        with serving_files(tiny.root, seen) as url:
            first = self.found(url, tiny.root)
            assert sum(SOURCE in path and path.endswith("stac.json") for path, _ in seen) >= 9
            seen.clear()
            pd.testing.assert_frame_equal(self.found(url, tiny.root), first)
            asked = [path for path, _ in seen if path.endswith("stac.json")]
            assert not [path for path in asked if SOURCE in path]
            self.found(url, tiny.root, refresh=True)
            assert len([path for path, _ in seen if SOURCE in path and path.endswith("stac.json")]) >= 9
        assert len(first) == 9
        assert set(first["item_href"].str.split("/").str[0]) == {SOURCE}

    def test_an_item_more_is_noticed(self, tiny):
        with serving_files(tiny.root) as url:
            assert len(self.found(url, tiny.root)) == 9
            tiny.item("A", "2018-12-24")
            tiny.write()
            # Another spelling: within a process, the collections of one root are remembered for half a minute.
            assert len(self.found(f"{url}/catalog.json", tiny.root)) == 10

    def test_what_a_server_refuses_today_is_asked_for_again(self, tiny):
        refused = "_A_20180115"
        with serving_files(tiny.root, allows=lambda path: refused not in path) as url:
            assert len(self.found(url, tiny.root)) == 8
            refused = "none"
            assert len(self.found(url, tiny.root)) == 9

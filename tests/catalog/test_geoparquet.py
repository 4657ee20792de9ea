"""geoparquet: the contract, files that others wrote, and folders."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely
from indexed import TINY, same_but_hrefs, searched, written

from lcnkit.catalog.geoparquet import Geoparquet
from lcnkit.errors import DataError, UnreadableAsset
from lcnkit.testing.catalog import COLLECTION, CatalogContract


class TestGeoparquet(CatalogContract):
    @pytest.fixture(scope="class")
    @classmethod
    def file(cls, archive_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
        return written(archive_root, tmp_path_factory.mktemp("index") / "items.parquet")

    @pytest.fixture
    def catalog(self, file: Path) -> Geoparquet:
        return Geoparquet(path=str(file))


def test_an_item_that_only_looks_like_the_one_that_was_planned(tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows are found by numbers that stand for ids; what is read there says whose it is."""
    catalog = Geoparquet(path=str(written(tiny.root, tmp_path / "items.parquet")))
    monkeypatch.setattr("lcnkit.index.reader._key", lambda collection, item_id: 0)
    with pytest.raises(UnreadableAsset, match="no longer holds the item #c/some%20item"):
        catalog.items(["#c/some%20item"])


class TestWrittenByRustac(CatalogContract):
    """The same items, written by another tool."""

    @pytest.fixture(scope="class")
    @classmethod
    def file(cls, archive_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
        rustac = pytest.importorskip("rustac")
        paths = sorted((archive_root / COLLECTION).glob("*/stac.json"))
        items = [json.loads(path.read_text()) for path in paths]
        for path, item in zip(paths, items, strict=True):
            item["links"] = [{"rel": "self", "href": str(path)}]
        file = tmp_path_factory.mktemp("rustac") / "items.parquet"
        rustac.write_sync(str(file), items)
        return file

    @pytest.fixture
    def catalog(self, file: Path) -> Geoparquet:
        return Geoparquet(path=str(file))


def rewritten(file: Path, change) -> Path:
    """The file after ``change`` of its table; its metadata stay."""
    with pq.ParquetFile(file) as opened:
        table, kept = opened.read(), opened.metadata.metadata
    changed = change(table)
    pq.write_table(changed.replace_schema_metadata({**(changed.schema.metadata or {}), b"geo": kept[b"geo"]}), file)
    return file


class TestFilesOfOthers:
    def test_rustac_reads_what_we_write(self, tiny, file):
        rustac = pytest.importorskip("rustac")
        found = {item["id"]: item for item in rustac.read_sync(str(file))["features"]}
        for path in (tiny.root / TINY).glob("*/stac.json"):
            published = json.loads(path.read_text())
            item = found.pop(published["id"])
            assert item["properties"] == published["properties"]
            assert item["assets"] == published["assets"]
            assert shapely.equals(shapely.geometry.shape(item["geometry"]), shapely.geometry.shape(published["geometry"]))
            assert next(link["href"] for link in item["links"] if link["rel"] == "self") == str(path)
        assert not found

    def test_it_is_valid_geoparquet(self, file):
        with pq.ParquetFile(file) as opened:
            geo = json.loads(opened.metadata.metadata[b"geo"])
            stac = json.loads(opened.metadata.metadata[b"stac-geoparquet"])
            assert {"id", "collection", "datetime", "geometry", "bbox", "assets", "links", "stac_version"} <= set(opened.schema_arrow.names)
        column = geo["columns"][geo["primary_column"]]
        assert (geo["version"], column["encoding"], column["geometry_types"]) == ("1.1.0", "WKB", ["Polygon"])
        assert len(column["bbox"]) == 4
        assert list(stac["collections"]) == [TINY]
        assert not [link for link in stac["collections"][TINY]["links"] if link["rel"] == "item"]

    def test_assets_links_and_bbox_may_be_json_texts(self, tiny, file):
        def as_texts(table):
            for name in ("assets", "links", "bbox"):
                texts = [json.dumps(value) for value in table[name].to_pylist()]
                table = table.set_column(table.schema.get_field_index(name), name, pa.array(texts))
            return table

        expected = searched(Geoparquet(path=str(file)), tiny.root)
        catalog = Geoparquet(path=str(rewritten(file, as_texts)))
        pd.testing.assert_frame_equal(searched(catalog, tiny.root), expected)
        item = catalog.items([expected["item_href"].iloc[0]])[0]
        assert Path(item.asset("B04").href).exists()
        assert len(item.document["bbox"]) == 4

    def test_times_may_be_texts_and_need_no_zone(self, tiny, file):
        expected = searched(Geoparquet(path=str(file)), tiny.root)
        naive = lambda table: table.set_column(  # noqa: E731
            table.schema.get_field_index("datetime"), "datetime", table["datetime"].cast(pa.timestamp("ms"), safe=False)
        )
        pd.testing.assert_frame_equal(searched(Geoparquet(path=str(rewritten(file, naive))), tiny.root), expected)
        texts = lambda table: table.set_column(  # noqa: E731
            table.schema.get_field_index("datetime"), "datetime", pa.array([value.isoformat() for value in table["datetime"].to_pylist()])
        )
        pd.testing.assert_frame_equal(searched(Geoparquet(path=str(rewritten(file, texts))), tiny.root), expected)

    def test_items_may_name_no_collection(self, tiny, file):
        expected = searched(Geoparquet(path=str(file)), tiny.root)
        catalog = Geoparquet(path=str(rewritten(file, lambda table: table.drop_columns(["collection"]))))
        assert catalog.find_collection("anything") == "anything"
        found = searched(catalog, tiny.root)
        same_but_hrefs(found, expected)
        assert [item.id for item in catalog.items(found["item_href"])] == found["item_id"].tolist()

    def test_unusable_rows_are_counted_and_left_out(self, tiny, file, caplog):
        def damaged(table):
            geometry, when = table["geometry"].to_pylist(), table["datetime"].to_pylist()
            geometry[0], when[1] = None, None
            table = table.set_column(table.schema.get_field_index("geometry"), "geometry", pa.array(geometry, pa.binary()))
            return table.set_column(table.schema.get_field_index("datetime"), "datetime", pa.array(when, table.schema.field("datetime").type))

        expected = searched(Geoparquet(path=str(file)), tiny.root)
        assert len(searched(Geoparquet(path=str(rewritten(file, damaged))), tiny.root)) == len(expected) - 2
        assert "2 items" in caplog.text

    @pytest.mark.parametrize("zone", ["UTC", None])
    def test_a_time_beyond_what_nanoseconds_hold_is_none(self, tiny, file, caplog, zone):
        def late(table):
            when = [datetime(9999, 12, 31, tzinfo=UTC), *table["datetime"].to_pylist()[1:]]
            return table.set_column(table.schema.get_field_index("datetime"), "datetime", pa.array(when, pa.timestamp("us", zone)))

        expected = searched(Geoparquet(path=str(file)), tiny.root)
        found = searched(Geoparquet(path=str(rewritten(file, late))), tiny.root)
        assert len(found) == len(expected) - 1
        assert set(found["datetime"]) < set(expected["datetime"])
        assert "1 item" in caplog.text

    @pytest.mark.parametrize("content", [b"", b"PAR1 and no more", b'{"type": "FeatureCollection"}'])
    def test_what_is_no_parquet_is_named(self, tmp_path, content):
        (tmp_path / "x.parquet").write_bytes(content)
        with pytest.raises(DataError, match=r"x\.parquet"):
            Geoparquet(path=str(tmp_path / "x.parquet")).find_collection(None)

    def test_a_file_that_is_damaged_inside_is_named(self, tiny, file):
        content = bytearray(file.read_bytes())
        content[100:300] = b"x" * 200
        file.write_bytes(bytes(content))
        with pytest.raises(DataError, match=r"items\.parquet is no Parquet file, or is damaged"):
            searched(Geoparquet(path=str(file)), tiny.root)

    def test_parquet_without_items_is_named(self, tmp_path):
        pq.write_table(pa.table({"a": [1]}), tmp_path / "x.parquet")
        with pytest.raises(DataError, match="lacks the columns id, geometry; it has a"):
            Geoparquet(path=str(tmp_path / "x.parquet")).find_collection(None)

    def test_footprints_in_another_crs_are_refused(self, tmp_path):
        """As geopandas writes a table that was brought to UTM: nothing would lie where the chips are."""
        file = tmp_path / "items.parquet"
        about = {"encoding": "WKB", "geometry_types": ["Polygon"], "crs": {"type": "ProjectedCRS", "name": "WGS 84 / UTM zone 33N"}}
        geo = {"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": about}}
        table = pa.table({"id": ["a"], "geometry": [shapely.to_wkb(shapely.box(500_000, 5_000_000, 510_000, 5_010_000))]})
        pq.write_table(table.replace_schema_metadata({"geo": json.dumps(geo)}), file)
        with pytest.raises(DataError, match="holds footprints in 'WGS 84 / UTM zone 33N'; stac-geoparquet has them in longitude and latitude"):
            Geoparquet(path=str(file)).find_collection("sentinel_2")


class TestFolders:
    def test_a_folder_is_searched_as_one(self, tiny, file, parts):
        catalog = Geoparquet(path=str(parts))
        found = searched(catalog, tiny.root)
        same_but_hrefs(found, searched(Geoparquet(path=str(file)), tiny.root))
        assert [item.id for item in catalog.items(found["item_href"][::-1])] == found["item_id"][::-1].tolist()

    @pytest.mark.parametrize(("pattern", "count"), [("*/part.parquet", 9), ("day=0/*.parquet", 4), ("day=?/*", 9), ("*.parquet", 0)])
    def test_a_star_chooses_among_files(self, tiny, parts, pattern, count):
        catalog = Geoparquet(path=f"{parts}/{pattern}")
        if not count:
            with pytest.raises(DataError, match=r"No \.parquet file fits catalog\.path="):
                catalog.find_collection(None)
            return
        found = searched(catalog, tiny.root)
        assert len(found) == count
        assert [item.id for item in catalog.items(found["item_href"])] == found["item_id"].tolist()

    def test_an_empty_folder_and_a_path_that_is_not_there(self, tmp_path):
        with pytest.raises(DataError, match="no .parquet file"):
            Geoparquet(path=str(tmp_path)).find_collection(None)
        with pytest.raises(DataError, match="does not exist"):
            Geoparquet(path=str(tmp_path / "gone.parquet")).find_collection(None)
        with pytest.raises(UnreadableAsset, match="does not exist"):
            Geoparquet(path=str(tmp_path / "gone.parquet")).items(["#a/b"])
        with pytest.raises(DataError, match=r"catalog\.path"):
            Geoparquet().find_collection(None)


def test_the_collection_is_found_by_its_end_or_named_with_near_misses(file):
    catalog = Geoparquet(path=str(file))
    assert catalog.find_collection(None) == catalog.find_collection("sentinel_2") == TINY
    with pytest.raises(DataError, match="Did you mean"):
        catalog.find_collection("ref_landcovernet_xx_v1_source_sentinel_1")


def test_a_file_that_is_written_anew_is_read_anew(tiny, file):
    before = searched(Geoparquet(path=str(file)), tiny.root)
    tiny.item("A", "2018-08-08", cloud=1)
    tiny.write()
    written(tiny.root, file)
    assert len(searched(Geoparquet(path=str(file)), tiny.root)) == len(before) + 1

"""Archives in a bucket, without an account, at an endpoint of their own; the server is moto's."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from servers.loopback import free_port
from servers.s3 import Bucket, serving_bucket

from lcnkit.archive import Archive, folder_of
from lcnkit.archive.s3 import S3
from lcnkit.catalog.static import Static
from lcnkit.contracts import Query
from lcnkit.errors import DataError
from lcnkit.labels import read_labels
from lcnkit.pipeline import prepare
from lcnkit.settings import Dataset

S2 = "ref_landcovernet_v1_source_sentinel_2"


class TestAddresses:
    def test_by_path_at_an_endpoint(self):
        store = S3.of("s3://radiantearth/landcovernet", "https://data.source.coop/")
        assert store.readable("s3://radiantearth/landcovernet/a b.tif") == "https://data.source.coop/radiantearth/landcovernet/a%20b.tif"
        assert folder_of("s3://radiantearth/landcovernet/", "https://data.source.coop") == "https://data.source.coop/radiantearth/landcovernet"

    def test_by_host_name_at_amazon(self):
        assert S3.of("s3://bucket/a", None).readable("s3://other/b") == "https://other.s3.amazonaws.com/b"

    @pytest.mark.parametrize(("root", "endpoint", "why"), [("s3://", None, "names no bucket"), ("s3://a/b", "data.source.coop", "is no URL")])
    def test_wrong(self, root, endpoint, why):
        with pytest.raises(DataError, match=why):
            Archive.open(root, endpoint)

    def test_unknown_scheme(self):
        with pytest.raises(DataError, match=r"gs://a/b: no such place can be read; give a path, https://\.\.\. or s3://"):
            Archive.open("gs://a/b")

    def test_without_obstore(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "obstore", None)
        monkeypatch.setitem(sys.modules, "obstore.store", None)
        with pytest.raises(DataError, match=r'pip install "lcnkit\[remote\]"'):
            S3.of("s3://some-bucket/a", "http://127.0.0.1:9").entries("http://127.0.0.1:9/some-bucket/a")


@pytest.fixture(scope="module")
def bucket():
    with serving_bucket("radiantearth") as found:
        yield found


@pytest.mark.slow
class TestBucket:
    def test_host_layout(self, host, bucket: Bucket):
        root = bucket.upload(host, "host")
        archive = Archive.open(root, bucket.endpoint)
        assert archive.root == f"{bucket.endpoint}/radiantearth/host"
        assert [collection.id for collection in archive.collections] == [
            "ref_landcovernet_v1_labels",
            S2,
            "ref_landcovernet_v1_source_sentinel_1",
        ]
        path, item = next(archive.source().items())
        assert path == f"{bucket.endpoint}/radiantearth/host/data/v1.0/2018/28QDE/00/S2/28QDE_00_20180110"
        assert item.asset("B04").href == f"{path}/28QDE_00_20180110_B04_10m.tif"

    def test_regions_of_the_host(self, host, bucket: Bucket):
        """``s3://radiantearth/landcovernet`` holds ``landcovernet_af/data/v1.0/2018/TILE`` and so on."""
        bucket.upload(host / "data/v1.0/2018/28QDE", "landcovernet/landcovernet_af/data/v1.0/2018/28QDE")
        bucket.upload(host / "data/v1.0/2018/33TVL", "landcovernet/landcovernet_eu/data/v1.0/2018/33TVL")
        root = "s3://radiantearth/landcovernet"
        assert [chip.id for chip in read_labels(root, Dataset(endpoint=bucket.endpoint), 1, None).chips] == ["28QDE_00"]
        labels = read_labels(root, Dataset(endpoint=bucket.endpoint), ("33TVL_02", "28QDE_11"), None)
        found = Static(root=root, endpoint=bucket.endpoint).search(labels.chips, Query(S2, labels.interval, 0.5, labels.all_ids))
        assert sorted(found["chip_id"].value_counts().items()) == [("28QDE_11", 4), ("33TVL_02", 4)]

    def test_only_the_wanted_chips_are_listed(self, host, bucket: Bucket, monkeypatch):
        root = bucket.upload(host, "host")
        listed = []
        monkeypatch.setattr(S3, "entries", lambda self, folder, real=S3.entries: listed.append(folder) or real(self, folder))
        labels = read_labels(root, Dataset(endpoint=bucket.endpoint), ("28QDE_11",), None)
        assert labels.all_ids == {"28QDE_00", "28QDE_11"}
        listed.clear()
        found = Static(root=root, endpoint=bucket.endpoint).search(labels.chips, Query(S2, labels.interval, 0.5, labels.all_ids))
        assert set(found["chip_id"]) == {"28QDE_11"}
        assert [folder.removeprefix(f"{bucket.endpoint}/radiantearth/host/data/v1.0/2018/") for folder in listed if folder.endswith("S2")] == [
            "28QDE/11/S2"
        ]

    @pytest.mark.parametrize(("wanted", "ids"), [(1, ["28QDE_00"]), (("33*",), ["33TVL_02"]), (("*_02",), ["33TVL_02"]), (None, None)])
    def test_chips(self, host, bucket: Bucket, wanted, ids):
        labels = read_labels(bucket.upload(host, "host"), Dataset(endpoint=bucket.endpoint), wanted, None)
        assert [chip.id for chip in labels.chips] == (ids or ["28QDE_00", "28QDE_11", "33TVL_02"])

    @pytest.mark.parametrize("links", ["catalog", "collections", "s3"])
    def test_stac(self, stac, bucket: Bucket, links):
        """With a catalog, without one (then folders are listed), and with hrefs ``s3://...``."""
        root = f"s3://radiantearth/stac-{links}"
        if links == "collections":
            (stac / "catalog.json").unlink()
        if links == "s3":
            for path in stac.rglob("*.json"):
                document = json.loads(path.read_text())
                for entry in [*document["links"], *document.get("assets", {}).values()]:
                    entry["href"] = f"{root}/{path.relative_to(stac).parent.as_posix()}/{entry['href'].removeprefix('./')}".replace("/./", "/")
                path.write_text(json.dumps(document))
        assert bucket.upload(stac, f"stac-{links}") == root
        collection = Archive.open(root, bucket.endpoint).source()
        items = [item for _, item in collection.items()]
        assert len(items) == 12
        assert all(item.asset("B04").href.startswith(f"{bucket.endpoint}/radiantearth/stac-{links}/{S2}/") for item in items)

    @pytest.mark.parametrize("layout", ["stac", "host"])
    def test_run(self, stac, host, bucket: Bucket, layout, make_run, samples, tmp_path):
        folder = {"stac": stac, "host": host}[layout]
        here, there = tmp_path / "here", tmp_path / "there"
        keys = {"bands": ("B04", "B08"), "n_periods": 2}
        run = make_run(bucket.upload(folder, f"run-{layout}"), output_dir=str(there), **keys)
        run = replace(run, dataset=replace(run.dataset, root=f"s3://radiantearth/run-{layout}", endpoint=bucket.endpoint))
        assert prepare(make_run(folder, output_dir=str(here), **keys)).status == 0
        assert prepare(run).status == 0
        pd.testing.assert_frame_equal(pd.read_parquet(here / "selection.parquet"), pd.read_parquet(there / "selection.parquet"))
        mine, yours = samples(here), samples(there)
        assert len(mine) == len(yours) == 3
        for one, other in zip(mine, yours, strict=True):
            for left, right in zip(one, other, strict=True):
                np.testing.assert_array_equal(np.asarray(left), np.asarray(right))

    def test_label_and_acquisition_that_are_not_there(self, host, bucket: Bucket, tmp_path: Path):
        next(host.rglob("28QDE_11_2018_LC_10m.tif")).unlink()
        labels = read_labels(bucket.upload(host, "holes"), Dataset(endpoint=bucket.endpoint), None, None)
        assert [chip.id for chip in labels.chips] == ["28QDE_00", "33TVL_02"]
        assert f"{bucket.endpoint}/radiantearth/holes/data/v1.0/2018/28QDE/11/28QDE_11_2018_LC_10m.tif" in labels.failures[0].message

    def test_nothing_there(self, bucket: Bucket):
        with pytest.raises(DataError, match="holds no STAC collection: neither .*, and no folders YEAR/TILE/CHIP"):
            Archive.open("s3://radiantearth/none", bucket.endpoint)

    def test_no_such_bucket(self, bucket: Bucket):
        with pytest.raises(DataError, match="the bucket nobodys cannot be listed"):
            Archive.open("s3://nobodys/none", bucket.endpoint)

    def test_service_is_down(self):
        with pytest.raises(DataError, match="cannot be read: Connection refused"):
            Archive.open("s3://radiantearth/landcovernet", f"http://127.0.0.1:{free_port()}")

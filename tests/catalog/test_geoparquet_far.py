"""geoparquet: files on a web server and in a bucket."""

from __future__ import annotations

import pandas as pd
import pytest
from indexed import same_but_hrefs, searched, written
from servers.files import serving_files
from servers.loopback import free_port
from servers.proxy import AWAY, CUT, DROPPED, Fault, Proxy
from servers.s3 import Bucket, serving_bucket

from lcnkit.catalog.geoparquet import Geoparquet
from lcnkit.catalog.static import Static
from lcnkit.errors import DataError


@pytest.fixture
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lcnkit.index.remote._FIRST_WAIT_S", 0.01)


@pytest.mark.usefixtures("_no_waiting")
def test_a_file_over_http_is_copied(tiny, file):
    expected = searched(Static(root=str(tiny.root)), tiny.root)
    with serving_files(file.parent) as url:
        catalog = Geoparquet(path=f"{url}/{file.name}")
        found = searched(catalog, tiny.root)
        same_but_hrefs(found, expected)
        tiny.item("A", "2018-08-08", cloud=1)
        tiny.write()
        written(tiny.root, file)
        assert len(searched(catalog, tiny.root)) == len(expected) + 1
        with pytest.raises(DataError, match="404"):
            searched(Geoparquet(path=f"{url}/gone.parquet"), tiny.root)
    # A worker needs no server: the copy is there.
    assert [item.id for item in catalog.items(found["item_href"])] == found["item_id"].tolist()
    with pytest.raises(DataError, match="cannot be fetched"):
        searched(catalog, tiny.root)


@pytest.mark.usefixtures("_no_waiting")
class TestTrouble:
    """A server that misbehaves, in front of one that does not."""

    @pytest.fixture
    def proxy(self, file):
        with serving_files(file.parent) as url, Proxy(target=url).running() as running:
            yield running

    @pytest.mark.parametrize("fault", [AWAY, DROPPED, CUT], ids=["503", "dropped", "cut"])
    def test_what_may_pass_is_asked_again(self, tiny, file, proxy, fault):
        proxy.faults = lambda number: fault if number < 3 else None
        same_but_hrefs(searched(Geoparquet(path=f"{proxy.url}/{file.name}"), tiny.root), searched(Geoparquet(path=str(file)), tiny.root))
        assert len(proxy.seen) == 3

    @pytest.mark.parametrize(
        ("status", "why", "asked"),
        [(403, "not be read by everybody", 1), (401, "wants an account", 1), (404, "no such file", 1), (500, r"HTTP 500 \(4 attempts\)", 4)],
    )
    def test_what_does_not_pass_is_said(self, file, proxy, status, why, asked):
        proxy.faults = lambda number: Fault(status=status)
        with pytest.raises(DataError, match=rf"catalog\.path={proxy.url}/items\.parquet cannot be fetched: .*{why}"):
            Geoparquet(path=f"{proxy.url}/{file.name}").find_collection(None)
        assert len(proxy.seen) == asked


@pytest.mark.slow
@pytest.mark.usefixtures("_no_waiting")
class TestBucket:
    """Files in a bucket, read without an account; the server is moto's."""

    @pytest.fixture(scope="class")
    @classmethod
    def bucket(cls):
        with serving_bucket("indexes") as found:
            yield found

    def catalog(self, bucket: Bucket, path: str) -> Geoparquet:
        return Geoparquet(path=path, endpoint=bucket.endpoint)

    def test_a_file(self, tiny, file, bucket: Bucket):
        root = bucket.upload_file(file, "one file/items.parquet")
        catalog = self.catalog(bucket, root)
        found = searched(catalog, tiny.root)
        pd.testing.assert_frame_equal(found, searched(Geoparquet(path=str(file)), tiny.root))
        assert [item.id for item in catalog.items(found["item_href"])] == found["item_id"].tolist()

    def test_a_file_that_changes(self, tiny, file, bucket: Bucket):
        catalog = self.catalog(bucket, bucket.upload_file(file, "changing.parquet"))
        before = searched(catalog, tiny.root)
        tiny.item("A", "2018-08-08", cloud=1)
        tiny.write()
        bucket.upload_file(written(tiny.root, file), "changing.parquet")
        assert len(searched(catalog, tiny.root)) == len(before) + 1

    @pytest.mark.parametrize(("tail", "count"), [("", 9), ("/", 9), ("/*/*.parquet", 9), ("/day=1/*.parquet", 5), ("/day=0", 4)])
    def test_a_folder(self, tiny, parts, bucket: Bucket, tail, count):
        root = bucket.upload(parts, "parts")
        catalog = self.catalog(bucket, f"{root}{tail}")
        found = searched(catalog, tiny.root)
        assert len(found) == count
        if not tail.startswith("/day"):
            pd.testing.assert_frame_equal(found, searched(Geoparquet(path=str(parts)), tiny.root))
        assert [item.id for item in catalog.items(found["item_href"][::-1])] == found["item_id"][::-1].tolist()

    def test_a_folder_that_is_called_like_a_file(self, tiny, parts, bucket: Bucket):
        """As Spark writes them."""
        assert len(searched(self.catalog(bucket, bucket.upload(parts, "table.parquet")), tiny.root)) == 9

    def test_a_worker_lists_nothing(self, tiny, parts, bucket: Bucket, monkeypatch):
        catalog = self.catalog(bucket, bucket.upload(parts, "listed once"))
        found = searched(catalog, tiny.root)
        monkeypatch.setattr("lcnkit.archive.s3.S3.entries", lambda self, folder: pytest.fail("listed again"))
        assert len(catalog.items(found["item_href"])) == 9

    @pytest.mark.parametrize(
        ("path", "why"),
        [
            ("s3://indexes/gone.parquet", "there is no such file"),
            ("s3://indexes/empty/folder", "it holds no .parquet file"),
            ("s3://indexes/nothing/*.parquet", "it holds no .parquet file"),
            ("s3://nobodys/items.parquet", "there is no such bucket"),
            ("s3://nobodys/folder", "the bucket nobodys cannot be listed"),
            ("s3://", "catalog.path=s3:// names no bucket"),
        ],
    )
    def test_what_is_not_there_is_named(self, bucket: Bucket, path, why):
        with pytest.raises(DataError, match=why) as raised:
            self.catalog(bucket, path).find_collection(None)
        assert f"catalog.path={path.split('*')[0].rstrip('/')[:12]}" in str(raised.value)

    @pytest.mark.parametrize("path", ["s3://indexes/items.parquet", "s3://indexes/folder"])
    def test_a_service_that_is_down(self, path):
        with pytest.raises(DataError, match=r"catalog\.path=.*(Connection refused|cannot be listed)"):
            Geoparquet(path=path, endpoint=f"http://127.0.0.1:{free_port()}").find_collection(None)

"""Samples in a bucket: written whole by the workers, found again on resume, and read from there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from servers.s3 import Bucket, serving_bucket

from lcnkit.backend.local import Local
from lcnkit.dataset import open_dataset
from lcnkit.errors import ConfigError, OutputError
from lcnkit.exporter.npz import Npz
from lcnkit.pipeline import prepare
from lcnkit.testing.archives import TinyArchive


@pytest.fixture
def alone(tiny: TinyArchive, make_run: Callable[..., Any], tmp_path: Path) -> Path:
    """The same data set in its output folder."""
    return prepare(make_run(tiny.root, exporter=Npz(), output_dir=str(tmp_path / "alone"))).output


def same(one: Path, other: Path) -> None:
    assert len(open_dataset(one)) == len(open_dataset(other)) > 1
    for mine, theirs in zip(open_dataset(one), open_dataset(other), strict=True):
        np.testing.assert_array_equal(mine.image.values, theirs.image.values)
        np.testing.assert_array_equal(mine.label.values, theirs.label.values)


class TestFolder:
    """``file://``: the simplest of fsspec's places."""

    @pytest.fixture
    def exporter(self, tmp_path: Path) -> Npz:
        return Npz(url=f"file://{tmp_path}/shared/set")

    def test_the_bytes_are_those_of_a_local_run(self, tiny: Any, make_run: Any, exporter: Npz, alone: Path, tmp_path: Path) -> None:
        report = prepare(make_run(tiny.root, exporter=exporter, output_dir=str(tmp_path / "out")))
        assert report.status == 0
        assert not (report.output / "items").exists()
        written = {path.name: path.read_bytes() for path in (tmp_path / "shared" / "set" / "items").iterdir()}
        assert written == {path.name: path.read_bytes() for path in (alone / "items").iterdir()}
        same(report.output, alone)

    def test_a_file_that_is_gone_or_cut_is_made_again(self, tiny: Any, make_run: Any, exporter: Npz, alone: Path, tmp_path: Path) -> None:
        run = make_run(tiny.root, exporter=exporter, output_dir=str(tmp_path / "out"))
        prepare(run)
        first, second, *_ = sorted((tmp_path / "shared" / "set" / "items").iterdir())
        first.unlink()
        second.write_bytes(second.read_bytes()[:100])
        report = prepare(run)
        assert (report.made, report.status) == (2, 0)
        same(report.output, alone)

    def test_a_place_that_cannot_be_written_stops_the_run(self, tiny: Any, make_run: Any, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("no folder")
        run = make_run(tiny.root, exporter=Npz(url=f"file://{tmp_path}/file/set"), output_dir=str(tmp_path / "out"))
        with pytest.raises(OutputError, match=r"exporter\.url=file://.* cannot be written"):
            prepare(run)


def test_a_path_is_no_url() -> None:
    with pytest.raises(ConfigError, match="output_dir=PATH"):
        Npz(url="/data/set")


def test_a_store_that_nobody_knows(tiny: Any, make_run: Any, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nosuch"):
        prepare(make_run(tiny.root, exporter=Npz(url="nosuch://bucket/set"), output_dir=str(tmp_path / "out")))


@pytest.mark.slow
class TestBucket:
    @pytest.fixture
    def bucket(self, monkeypatch: Any) -> Iterator[Bucket]:
        pytest.importorskip("obstore", reason="obstore is not installed: pip install -e '.[remote]'")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "planted-secret")
        with serving_bucket("sets") as made:
            yield made

    def options(self, bucket: Bucket) -> dict[str, Any]:
        return {"endpoint": bucket.endpoint, "region": "us-east-1", "client_options": {"allow_http": True}}

    def test_workers_write_into_a_bucket(self, bucket: Bucket, tiny: Any, make_run: Any, alone: Path, tmp_path: Path) -> None:
        exporter = Npz(url="s3://sets/first", store_options=self.options(bucket))
        run = make_run(tiny.root, exporter=exporter, backend=Local(workers=2, dashboard=None), output_dir=str(tmp_path / "out"))
        report = prepare(run)
        assert report.status == 0, report.failures
        keys = [entry["Key"] for entry in bucket.client.list_objects_v2(Bucket="sets")["Contents"]]
        assert sorted(keys) == sorted(f"first/items/{path.name}" for path in (alone / "items").iterdir())
        same(report.output, alone)
        bucket.client.delete_object(Bucket="sets", Key=keys[0])
        again = prepare(run)
        assert (again.made, again.kept) == (1, len(keys) - 1)
        for path in report.output.rglob("*"):
            assert path.is_dir() or b"planted-secret" not in path.read_bytes()

    def test_no_such_bucket(self, bucket: Bucket, tiny: Any, make_run: Any, tmp_path: Path) -> None:
        exporter = Npz(url="s3://nobodys/first", store_options=self.options(bucket))
        with pytest.raises(OutputError, match=r"exporter\.url=s3://nobodys/first cannot be written"):
            prepare(make_run(tiny.root, exporter=exporter, output_dir=str(tmp_path / "out")))

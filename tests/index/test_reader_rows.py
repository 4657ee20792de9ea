"""Finding items again in a stac-geoparquet file: by collection and id, whatever the order of the rows and the statistics."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lcnkit.index.reader import ItemFile

Rows = list[tuple[str, str]]


def written(path: Path, rows: Rows, *, statistics: bool, group: int) -> ItemFile:
    columns = {
        "collection": pa.array([collection for collection, _ in rows], pa.string()),
        "id": pa.array([item_id for _, item_id in rows], pa.string()),
        "geometry": pa.array([shapely.to_wkb(shapely.box(0, 0, 1, 1))] * len(rows), pa.binary()),
    }
    pq.write_table(pa.table(columns), path, row_group_size=group, write_statistics=statistics)
    return ItemFile(str(path))


names = st.text(alphabet="ab_é\U0001f6f0", max_size=3)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(st.tuples(st.sampled_from(["", "one", "other"]), names), min_size=1, max_size=12), statistics=st.booleans(), group=st.integers(1, 5)
)
def test_the_first_row_of_an_item(rows: Rows, statistics: bool, group: int, tmp_path: Path) -> None:
    file = written(tmp_path / "items.parquet", rows, statistics=statistics, group=group)
    for collection, item_id in rows:
        assert file.row_of(collection, item_id) == rows.index((collection, item_id))
    assert file.row_of("none of them", rows[0][1]) is None
    assert file.row_of(rows[0][0], "no such id") is None


def test_rows_without_any_order(tmp_path: Path) -> None:
    """Nearly every row group may hold an id: then all are put in one order, and of several rows it is still the first."""
    ids = [f"{number * 37 % 101:03d}" for number in range(101)]
    rows = [("c", item_id) for item_id in [*ids, *reversed(ids)]]
    file = written(tmp_path / "items.parquet", rows, statistics=True, group=10)
    assert [file.row_of("c", item_id) for item_id in ids] == list(range(101))
    assert (file.row_of("other", "050"), file.row_of("c", "101")) == (None, None)


def test_only_groups_that_may_hold_the_id_are_looked_into(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = written(tmp_path / "items.parquet", [("c", f"{number:03d}") for number in range(100)], statistics=True, group=10)
    looked: list[int] = []
    places = ItemFile._places
    monkeypatch.setattr(ItemFile, "_places", lambda self, group: (looked.append(group), places(self, group))[1])
    assert [file.row_of("c", wanted) for wanted in ("042", "099", "500")] == [42, 99, None]
    assert looked == [4, 9]


def test_keys_that_floats_cannot_tell_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """numpy compares a number of Python's with keys of 64 bits as floats, of which every 512th can be one."""
    monkeypatch.setattr("lcnkit.index.reader._key", lambda collection, item_id: 2**62 + int(item_id))
    file = written(tmp_path / "items.parquet", [("c", f"{number:04d}") for number in range(3000)], statistics=True, group=3000)
    assert [file.row_of("c", f"{number:04d}") for number in (0, 1, 17, 2047, 2048, 2999)] == [0, 1, 17, 2047, 2048, 2999]
    assert file.row_of("c", "3000") is None


def test_maps_become_objects(tmp_path: Path) -> None:
    """Other tools write objects of any keys as Arrow's maps, also inside structs."""
    texts = pa.map_(pa.string(), pa.string())
    columns = {
        "id": pa.array(["a", "b"], pa.string()),
        "geometry": pa.array([shapely.to_wkb(shapely.box(0, 0, 1, 1))] * 2, pa.binary()),
        "about": pa.array([[("by", "one"), ("of", "two")], None], texts),
        "inside": pa.array([{"more": [("k", "v")]}, {"more": []}], pa.struct([("more", texts)])),
    }
    pq.write_table(pa.table(columns), tmp_path / "items.parquet")
    one, other = (document["properties"] for document in ItemFile(str(tmp_path / "items.parquet")).documents([0, 1]))
    assert (one["about"], one["inside"]) == ({"by": "one", "of": "two"}, {"more": {"k": "v"}})
    assert (other.get("about"), other["inside"]) == (None, {"more": {}})


_THREADS = """
import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from lcnkit.index.reader import ItemFile

for attempt in range(200):
    file, together = ItemFile(sys.argv[1]), Barrier(8)
    apart = 100 if attempt % 2 else 1  # each thread in a row group of its own, or all in one

    def look(number):
        together.wait()
        row = file.row_of("c", f"{number * apart:03d}")
        return row, file.documents([row])[0]["id"], len(file.collections)

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(look, range(8))) == [(number * apart, f"{number * apart:03d}", 1) for number in range(8)]
"""


def test_threads_may_look_at_once(tmp_path: Path) -> None:
    """In a process of its own: Arrow's reader, used by two threads at once, crashes or waits for ever."""
    written(tmp_path / "items.parquet", [("c", f"{number:03d}") for number in range(800)], statistics=True, group=100)
    done = subprocess.run([sys.executable, "-c", _THREADS, str(tmp_path / "items.parquet")], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


def times_file(path: Path, kind: pa.DataType, value: int) -> ItemFile:
    columns = {
        "id": pa.array(["a", "b"], pa.string()),
        "geometry": pa.array([shapely.to_wkb(shapely.box(0, 0, 1, 1))] * 2, pa.binary()),
        "datetime": pa.array([value, None], pa.int64()).cast(kind),
    }
    pq.write_table(pa.table(columns), path)
    return ItemFile(str(path))


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        (pa.timestamp("ns", "UTC"), 1_514_764_800_000_000_000, "2018-01-01T00:00:00Z"),
        (pa.timestamp("ns", "UTC"), 1_514_764_800_000_001_000, "2018-01-01T00:00:00.000001Z"),
        (pa.timestamp("ns", "UTC"), 1_514_764_800_000_000_001, "2018-01-01T00:00:00.000000001Z"),
        (pa.timestamp("us"), 1_514_764_800_500_000, "2018-01-01T00:00:00.500000Z"),
        (pa.timestamp("s", "+02:00"), 1_514_764_800, "2018-01-01T02:00:00+02:00"),
    ],
)
def test_times_are_as_they_were_written(kind: pa.DataType, value: int, text: str, tmp_path: Path) -> None:
    one, other = times_file(tmp_path / "items.parquet", kind, value).documents([0, 1])
    assert (one["properties"]["datetime"], other["properties"]["datetime"]) == (text, None)


def test_items_are_had_without_pandas(tmp_path: Path) -> None:
    """It takes a worker longer to load than its first chip takes to make."""
    times_file(tmp_path / "items.parquet", pa.timestamp("ns", "UTC"), 1_514_764_800_000_000_000)
    look = "import sys; from lcnkit.index.reader import ItemFile; print(ItemFile(sys.argv[1]).documents([1, 0])[1]['id'], 'pandas' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", look, str(tmp_path / "items.parquet")], capture_output=True, text=True, timeout=60)
    assert (done.stdout.split(), done.stderr) == (["a", "False"], "")

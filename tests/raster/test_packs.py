"""What one process keeps, all find; what is cut short, nobody does."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lcnkit.raster.packs import Packs, packs_of

MANY = 1 << 30


def key(number: int) -> bytes:
    return number.to_bytes(32, "little")


def value(number: int) -> bytes:
    return bytes([number % 256]) * (number % 7 + 1)


def test_others_find_what_was_added_since_they_looked(tmp_path: Path) -> None:
    one, other = Packs(tmp_path), Packs(tmp_path)
    for number in range(10):
        assert other.get(key(number)) is None
        (one if number % 2 else other).add(key(number), value(number), MANY)
        assert one.get(key(number)) == other.get(key(number)) == value(number)
    assert Packs(tmp_path).get(key(3)) == value(3)
    assert len(list(tmp_path.iterdir())) == 4


def test_a_value_that_is_cut_short_is_not_found(tmp_path: Path) -> None:
    Packs(tmp_path).add(key(1), b"whole", MANY)
    (pack,) = tmp_path.glob("*.pack")
    (index,) = tmp_path.glob("*.index")
    for length in range(5):
        pack.write_bytes(b"whole"[:length])
        assert Packs(tmp_path).get(key(1)) is None
    pack.write_bytes(b"whole")
    entry = index.read_bytes()
    for length in range(len(entry)):
        index.write_bytes(entry[:length])
        late = Packs(tmp_path)
        assert late.get(key(1)) is None
        index.write_bytes(entry)
        assert late.get(key(1)) == b"whole", "an entry that was on its way is there now"


def test_the_limit_is_that_of_all(tmp_path: Path) -> None:
    one, other = Packs(tmp_path), Packs(tmp_path)
    for number in range(20):
        (one if number % 2 else other).add(key(number), b"x" * 100, 1000)
    assert sum(file.stat().st_size for file in tmp_path.iterdir()) <= 1000
    assert [number for number in range(20) if one.get(key(number))] == list(range(6)), "148 bytes each"


def test_a_folder_that_is_gone_stays_so(tmp_path: Path) -> None:
    packs = Packs(tmp_path / "gone")
    packs.add(key(1), b"late", MANY)
    assert packs.get(key(1)) is None
    assert not (tmp_path / "gone").exists()


def _fill(folder: Path, first: int) -> None:
    packs = packs_of(folder)
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda number: packs.add(key(number), value(number), MANY), range(first, first + 200)))


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_threads_of_several_processes_add_at_once(tmp_path: Path, start: str) -> None:
    packs = packs_of(tmp_path)  # which a forked process must not take for its own
    packs.add(key(999), value(999), MANY)
    context = multiprocessing.get_context(start)
    writers = [context.Process(target=_fill, args=(tmp_path, first)) for first in (0, 200, 400)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0, 0, 0]
    assert all(packs.get(key(number)) == value(number) for number in (*range(600), 999))

"""What one process keeps, all find; what is cut short, nobody does."""

from __future__ import annotations

import multiprocessing
import os
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
        assert other.get([key(number)]) == [None]
        (one if number % 2 else other).add({key(number): value(number)}, MANY)
        assert one.get([key(number)]) == other.get([key(number)]) == [value(number)]
    some = (3, 4, 11, 0)  # of both, and one that nobody has added
    assert Packs(tmp_path).get(list(map(key, some))) == [value(3), value(4), None, value(0)]
    assert Packs(tmp_path).get([]) == []
    assert len(list(tmp_path.iterdir())) == 4


def test_a_value_that_is_cut_short_is_not_found(tmp_path: Path) -> None:
    Packs(tmp_path).add({key(1): b"whole"}, MANY)
    (pack,) = tmp_path.glob("*.pack")
    (index,) = tmp_path.glob("*.index")
    for length in range(5):
        pack.write_bytes(b"whole"[:length])
        assert Packs(tmp_path).get([key(1)]) == [None]
    pack.write_bytes(b"whole")
    entry = index.read_bytes()
    for length in range(len(entry)):
        index.write_bytes(entry[:length])
        late = Packs(tmp_path)
        assert late.get([key(1)]) == [None]
        index.write_bytes(entry)
        assert late.get([key(1)]) == [b"whole"], "an entry that was on its way is there now"


def test_the_limit_is_that_of_all(tmp_path: Path) -> None:
    one, other = Packs(tmp_path), Packs(tmp_path)
    for number in range(20):
        (one if number % 2 else other).add({key(number): b"x" * 100}, 1000)
    assert sum(file.stat().st_size for file in tmp_path.iterdir()) <= 1000
    assert [number for number in range(20) if one.get([key(number)]) != [None]] == list(range(6)), "148 bytes each"


def test_a_folder_that_is_gone_stays_so(tmp_path: Path) -> None:
    packs = Packs(tmp_path / "gone")
    packs.add({key(1): b"late"}, MANY)
    assert packs.get([key(1)]) == [None]
    assert not (tmp_path / "gone").exists()


def _fill(folder: Path, first: int) -> None:
    packs = packs_of(folder)
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda number: packs.add({key(number): value(number), key(number + 1000): b"too"}, MANY), range(first, first + 200)))


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_threads_of_several_processes_add_at_once(tmp_path: Path, start: str) -> None:
    packs = packs_of(tmp_path)  # which a forked process must not take for its own
    packs.add({key(999): value(999)}, MANY)
    context = multiprocessing.get_context(start)
    writers = [context.Process(target=_fill, args=(tmp_path, first)) for first in (0, 200, 400)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0, 0, 0]
    every = [*range(600), 999]
    assert packs.get(list(map(key, every))) == list(map(value, every))
    assert packs.get([key(number + 1000) for number in range(600)]) == [b"too"] * 600


def test_thousands_that_come_together(tmp_path: Path) -> None:
    Packs(tmp_path).add({key(number): value(number) for number in range(2500)}, MANY)
    assert Packs(tmp_path).get(list(map(key, range(2500)))) == list(map(value, range(2500)))


def test_values_that_come_together_go_as_far_as_there_is_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packs = Packs(tmp_path)
    packs.add({key(1): b"x" * 100, key(2): b"y" * 500, key(3): b"z" * 50}, 400)
    assert packs.get([key(1), key(2), key(3)]) == [b"x" * 100, None, b"z" * 50], "what is too large does not keep the others out"
    writev = os.writev
    monkeypatch.setattr(os, "writev", lambda file, values: writev(file, [values[0], values[1][:3]]))  # a disk that is full by then
    packs.add({key(4): b"four", key(5): b"five", key(6): b"six"}, MANY)
    monkeypatch.undo()
    packs.add({key(7): b"seven"}, MANY)
    for one in (packs, Packs(tmp_path)):
        assert one.get(list(map(key, (4, 5, 6, 7)))) == [b"four", None, None, b"seven"]

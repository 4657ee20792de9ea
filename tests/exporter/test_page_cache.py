"""Room in the page cache is found ahead only where that pays, and never changes a byte."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lcnkit.exporter import page_cache
from lcnkit.exporter.disk_room import set_aside
from lcnkit.exporter.page_cache import PageCache, find_room

SIZE = 3 << 20


class _Clock:
    """Time passes as it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def perf_counter(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> _Clock:
    made = _Clock()
    monkeypatch.setattr(page_cache, "time", made)
    return made


class _Room:
    """What room was asked for, and how long it takes to find it."""

    def __init__(self) -> None:
        self.parts: list[tuple[int, int]] = []
        self.seconds = 0.02


@pytest.fixture
def room(clock: _Clock, monkeypatch: pytest.MonkeyPatch) -> _Room:
    made = _Room()

    def find(number: int, offset: int, size: int) -> None:
        made.parts.append((offset, size))
        clock.now += made.seconds

    monkeypatch.setattr(page_cache, "find_room", find)
    monkeypatch.setattr(page_cache, "_file_system", lambda device: "ext4")
    return made


def _write(cache: PageCache, number: int, seconds: float, clock: _Clock) -> None:
    with cache.writing(number, 0, SIZE):
        clock.now += seconds


def test_nothing_is_asked_for_while_writing_is_quick(tmp_path: Path, clock: _Clock, room: _Room) -> None:
    cache = PageCache()
    with (tmp_path / "file").open("wb") as file:
        for _ in range(3):
            _write(cache, file.fileno(), 0.0005, clock)
    assert room.parts == []


def test_after_a_slow_write_room_is_found_ahead_for_as_long_as_that_is_slow(tmp_path: Path, clock: _Clock, room: _Room) -> None:
    cache = PageCache()
    with (tmp_path / "file").open("wb") as file:
        _write(cache, file.fileno(), 0.02, clock)
        assert cache.is_slow
        _write(cache, file.fileno(), 0.0005, clock)
        assert len(room.parts) == 1
        assert cache.is_slow, "finding room was slow, though the write was not"
        room.seconds = 0.0005
        _write(cache, file.fileno(), 0.0005, clock)
        assert len(room.parts) == 2
        assert not cache.is_slow
        _write(cache, file.fileno(), 0.0005, clock)
    assert room.parts == [(0, SIZE)] * 2


def test_other_file_systems_are_left_alone(tmp_path: Path, clock: _Clock, room: _Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_cache, "_file_system", lambda device: "nfs4")
    cache = PageCache()
    with (tmp_path / "file").open("wb") as file:
        for _ in range(3):
            _write(cache, file.fileno(), 0.02, clock)
    assert room.parts == []


@pytest.mark.skipif(not hasattr(os, "posix_fadvise"), reason="this system cannot be asked to read ahead")
def test_finding_room_changes_no_byte(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with path.open("w+b", buffering=0) as file:
        file.write(b"head")
        set_aside(file, SIZE)
        before = path.read_bytes()
        find_room(file.fileno(), 1000, SIZE)
        assert path.read_bytes() == before
        file.seek(1000)
        file.write(b"more")
        assert path.read_bytes()[:1004] == before[:1000].ljust(1000, b"\0") + b"more"


def test_a_hint_that_is_refused_costs_nothing(tmp_path: Path) -> None:
    read, write = os.pipe()
    try:
        find_room(write, 0, SIZE)  # a pipe cannot be read ahead
    finally:
        os.close(read)
        os.close(write)


def test_the_file_system_of_a_device_is_told_by_the_system() -> None:
    assert page_cache._file_system(os.makedev(4095, 1)) == ""
    if Path("/proc/self/mountinfo").exists():
        assert page_cache._file_system(os.stat("/proc").st_dev) == "proc"

"""Room is set aside where the file system can do that, and nothing is lost where it cannot."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path

import pytest

from lcnkit.exporter import disk_room
from lcnkit.exporter.disk_room import set_aside


def test_a_file_gets_its_size_and_keeps_its_beginning(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with path.open("wb") as file:
        file.write(b"head")
        there = set_aside(file, 100_000)
        file.write(b"more")
    content = path.read_bytes()
    assert content[:8] == b"headmore"
    assert len(content) == (100_000 if there else 8)
    assert not any(content[8:])


@pytest.mark.parametrize("code", [errno.EOPNOTSUPP, errno.ENOSPC, errno.EDQUOT])
def test_a_file_stays_as_it_is_where_there_is_no_room(code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(number: int, mode: int, start: int, size: int) -> int:
        os.ftruncate(number, 50)  # as far as it came
        return -1

    monkeypatch.setattr(disk_room, "_fallocate", lambda: refuse)
    monkeypatch.setattr(disk_room.ctypes, "get_errno", lambda: code)
    path = tmp_path / "file"
    with path.open("wb") as file:
        file.write(b"head")
        assert not set_aside(file, 100)
    assert path.stat().st_size == (50 if code == errno.EOPNOTSUPP else 4), "room that was found is given back"


def test_other_systems_have_no_such_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    disk_room._fallocate.cache_clear()
    with (tmp_path / "file").open("wb") as file:
        assert not set_aside(file, 100)
    disk_room._fallocate.cache_clear()

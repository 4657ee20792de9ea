"""Files on a web server, read in parts: the bytes are the file's, whatever is asked for in whatever order."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import numpy as np
import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st
from servers.files import serving_files
from servers.proxy import Fault, Proxy

from lcnkit.raster.http import NoAnswerError, RefusedError, fetch, named_wait
from lcnkit.raster.range_file import RemoteFile

CONTENT = np.random.default_rng(3).integers(0, 256, 700_000, dtype="uint8").tobytes()


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("files")
    (folder / "whole.bin").write_bytes(CONTENT)
    (folder / "empty.bin").write_bytes(b"")
    with serving_files(folder) as address:
        yield address


@settings(max_examples=30, deadline=None)
@given(steps=st.lists(st.tuples(st.integers(0, len(CONTENT) + 10), st.integers(0, 300_000)), max_size=12))
def test_any_reads_give_the_bytes_of_the_file(url: str, steps: list[tuple[int, int]]) -> None:
    with requests.Session() as session:
        file = RemoteFile(f"{url}/whole.bin", session)
        for place, count in steps:
            assert file.read(place, count) == CONTENT[place : place + count]
        assert file.size == len(CONTENT)
        assert file.whole() is None
        assert RemoteFile(f"{url}/whole.bin", session, len(CONTENT)).whole() == CONTENT


def test_threads_read_it_at_once(url: str) -> None:
    with requests.Session() as session, ThreadPoolExecutor(8) as threads:
        file = RemoteFile(f"{url}/whole.bin", session)
        places = [number * 7919 % len(CONTENT) for number in range(64)]
        assert list(threads.map(lambda place: file.read(place, 90_000), places)) == [CONTENT[place : place + 90_000] for place in places]


def test_what_cannot_be_had_is_nothing_and_remembered(url: str) -> None:
    with requests.Session() as session:
        for name, said in (("gone.bin", "HTTP 404"), ("empty.bin", "HTTP 416")):
            file = RemoteFile(f"{url}/{name}", session)
            assert file.read(0, 10) == b""
            assert file.size == 0
            assert file.whole() is None
            assert isinstance(file.error, RefusedError)
            assert said in str(file.error)


def test_a_server_without_ranges(tmp_path: Path) -> None:
    (tmp_path / "whole.bin").write_bytes(CONTENT)
    with serving_files(tmp_path) as files, Proxy(files).running() as proxy, requests.Session() as session:
        session.headers["Range"] = ""
        assert fetch(f"{proxy.url}/whole.bin", session).content == CONTENT
        assert RemoteFile(f"{proxy.url}/whole.bin", session).read(0, 20) == CONTENT[:20]


def test_a_wait_that_is_too_long_is_not_waited_for(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lcnkit.raster.http._TOTAL_S", 1.0)
    with Proxy(url, faults=lambda number: Fault(status=429, headers={"Retry-After": "20"})).running() as proxy, requests.Session() as session:
        with pytest.raises(NoAnswerError, match=r"HTTP 429.*\(1 attempt\)") as raised:
            fetch(f"{proxy.url}/whole.bin?key=hidden", session)
        assert raised.value.wait_s == 20
        assert "hidden" not in str(raised.value)
        assert len(proxy.seen) == 1


NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("", None),
        ("0", 0),
        ("17", 17),
        ("1.5", 1.5),
        ("soon", None),
        ("-3", None),
        (format_datetime(NOW + timedelta(seconds=40), usegmt=True), 40),
        (format_datetime(NOW - timedelta(seconds=40), usegmt=True), 0),
        ("Sunday, 01-Mar-26 12:00:25 GMT", 25),
        ("Sun Mar  1 12:00:05 2026", 5),
        ("Sun, 01 Mar 2026 14:00:30 +0200", 30),
        ("Sun, 99 Mar 2026 14:00:30 GMT", None),
    ],
)
def test_when_a_server_says_to_come_again(value: str, seconds: float | None) -> None:
    """By its own clock, which may be wrong."""
    assert named_wait({"Retry-After": value, "Date": format_datetime(NOW, usegmt=True)}) == seconds


def test_a_date_without_the_time_of_the_server() -> None:
    wait = named_wait({"Retry-After": format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)})
    assert wait == pytest.approx(60, abs=5)

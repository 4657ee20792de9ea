"""serial keeps the contract of backends."""

from __future__ import annotations

import os

import pytest

from lcnkit.backend.serial import Serial
from lcnkit.testing.backend import BackendContract


class TestSerial(BackendContract):
    @pytest.fixture
    def backend(self) -> Serial:
        return Serial()


def process_id(_: int) -> int:
    return os.getpid()


def test_runs_in_this_process() -> None:
    with Serial().open() as pool:
        assert [outcome.value for outcome in pool.map(process_id, range(2))] == [os.getpid()] * 2

"""auto keeps the contract of readers."""

from __future__ import annotations

import pytest

from lcnkit.reader.auto import Auto
from lcnkit.testing.reader import ReaderContract


class TestAuto(ReaderContract):
    @pytest.fixture
    def reader(self):
        return Auto()

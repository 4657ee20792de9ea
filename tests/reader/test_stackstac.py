"""stackstac keeps the contract of readers."""

from __future__ import annotations

import pytest

from lcnkit.reader.stackstac import Stackstac
from lcnkit.testing.reader import ReaderContract


class TestStackstac(ReaderContract):
    @pytest.fixture
    def reader(self):
        return Stackstac()

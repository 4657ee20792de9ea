"""rasterio keeps the contract of readers."""

from __future__ import annotations

import pytest

from lcnkit.reader.rasterio import Rasterio
from lcnkit.testing.reader import ReaderContract


class TestRasterio(ReaderContract):
    @pytest.fixture
    def reader(self):
        return Rasterio()

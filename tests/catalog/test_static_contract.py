"""static keeps the contract of catalogs."""

from __future__ import annotations

from pathlib import Path

import pytest

from lcnkit.catalog.static import Static
from lcnkit.testing.catalog import CatalogContract


class TestStatic(CatalogContract):
    @pytest.fixture
    def catalog(self, archive_root: Path) -> Static:
        return Static(root=str(archive_root))

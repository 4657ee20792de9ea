"""npz keeps the contract of exporters."""

from __future__ import annotations

import pytest

from lcnkit.exporter.npz import Npz
from lcnkit.testing.exporter import ExporterContract


class TestNpz(ExporterContract):
    @pytest.fixture
    def exporter(self):
        return Npz()


class TestNpzCompressed(ExporterContract):
    @pytest.fixture
    def exporter(self):
        return Npz(compress=True)

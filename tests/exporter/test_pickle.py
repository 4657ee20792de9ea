"""pickle keeps the contract of exporters."""

from __future__ import annotations

import pytest

from lcnkit.exporter.pickle import Pickle
from lcnkit.testing.exporter import ExporterContract


class TestPickle(ExporterContract):
    @pytest.fixture
    def exporter(self):
        return Pickle()

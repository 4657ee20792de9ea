"""index keeps the contract of transforms."""

from __future__ import annotations

import pytest

from lcnkit.testing.transform import TransformContract
from lcnkit.transform.index import Index


class TestIndex(TransformContract):
    @pytest.fixture
    def transform(self):
        return Index()

"""raw keeps the contract of transforms."""

from __future__ import annotations

import pytest

from lcnkit.testing.transform import TransformContract
from lcnkit.transform.raw import Raw


class TestRaw(TransformContract):
    @pytest.fixture
    def transform(self):
        return Raw()

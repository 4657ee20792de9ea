"""reflectance keeps the contract of transforms."""

from __future__ import annotations

import pytest

from lcnkit.testing.transform import TransformContract
from lcnkit.transform.reflectance import Reflectance


class TestReflectance(TransformContract):
    @pytest.fixture
    def transform(self):
        return Reflectance()

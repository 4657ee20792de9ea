"""A tiny archive, and runs of it."""

from __future__ import annotations

from typing import Any

import pytest
from tiny import ACQUISITIONS, CHIPS, COLUMNS, make_run

from lcnkit import prepare
from lcnkit.pipeline import Report
from lcnkit.testing.archives import TinyArchive


@pytest.fixture
def archive(tmp_path) -> TinyArchive:
    """Three touching chips; pixel values are those of `ACQUISITIONS` plus 100 a chip plus the pixel's number."""
    archive = TinyArchive(tmp_path / "archive", size=4)
    for number, name in enumerate(CHIPS):
        archive.chip(name, classes=[[0, 1, 2, 3]] * 4)
        for month, cloud, value in ACQUISITIONS:
            archive.item(name, f"2018-{month:02d}-10", cloud, B04=value + 100 * number + COLUMNS, B08=4000)
    archive.write()
    return archive


@pytest.fixture
def go(archive, tmp_path):
    """Run with some keys changed; the report."""

    def go(output: str = "out", **keys: Any) -> Report:
        return prepare(make_run(keys.pop("root", archive), tmp_path / output, **keys))

    return go

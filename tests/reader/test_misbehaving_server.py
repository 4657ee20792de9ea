"""Rasters behind a server that misbehaves: every chip is made all the same, and its pixels are the right ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from servers.files import serving_files
from servers.proxy import AWAY, BROKEN, CUT, DROPPED, Fault, Proxy, busy, slow

from lcnkit.catalog.static import Static
from lcnkit.dataset import open_dataset
from lcnkit.pipeline import prepare
from lcnkit.testing.archives import TinyArchive


@pytest.fixture
def archive(tmp_path: Path) -> TinyArchive:
    made = TinyArchive(tmp_path / "archive", size=64)
    for number in range(3):
        made.chip(f"C{number}", classes=number + 1)
        for month in (2, 8):
            made.item(f"C{number}", f"2018-{month:02d}-01", B04=1000 * number + np.arange(64 * 64).reshape(64, 64) % 997 + month)
    made.write()
    return made


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(BROKEN, id="500", marks=pytest.mark.slow),
        pytest.param(AWAY, id="503", marks=pytest.mark.slow),
        pytest.param(busy(0), id="429 with Retry-After", marks=pytest.mark.slow),
        pytest.param(DROPPED, id="connection dropped", marks=pytest.mark.slow),
        pytest.param(CUT, id="less than was announced"),
        pytest.param(slow(0.2), id="slow"),
    ],
)
def test_every_chip_is_made(archive: TinyArchive, make_run: Callable[..., Any], fault: Fault, tmp_path: Path, monkeypatch: Any) -> None:
    whole = prepare(make_run(archive.root, n_periods=2, output_dir=str(tmp_path / "whole")))
    expected = [sample.image.values for sample in open_dataset(whole.output)]
    with serving_files(archive.root) as url, Proxy(url, faults=lambda number: fault if number % 3 == 2 else None).running() as proxy:
        report = prepare(make_run(proxy.url, n_periods=2, catalog=Static(), output_dir=str(tmp_path / "out")))
    assert report.failures == ()
    for sample, values in zip(open_dataset(report.output), expected, strict=True):
        np.testing.assert_array_equal(sample.image.values, values)

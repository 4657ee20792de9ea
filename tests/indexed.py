"""A tiny archive as a stac-geoparquet file, and what a search of it finds."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pandas as pd

from lcnkit.cli import main
from lcnkit.contracts import Query
from lcnkit.labels import read_labels
from lcnkit.model import Interval
from lcnkit.settings import Dataset

YEAR = Interval(date(2018, 1, 1), date(2018, 12, 31))
TINY = "ref_landcovernet_xx_v1_source_sentinel_2"


def written(root: Path, output: Path) -> Path:
    assert main(["index", str(root), "--output", str(output)]) == 0
    return output


def chips_of(root: Path):
    return read_labels(str(root), Dataset(), None, YEAR).chips


def searched(catalog, root: Path, collection: str = TINY) -> pd.DataFrame:
    chips = chips_of(root)
    return catalog.search(chips, Query(collection, YEAR, 0.5, frozenset(chip.id for chip in chips)))


def same_but_hrefs(one: pd.DataFrame, other: pd.DataFrame) -> None:
    columns = [name for name in one.columns if name != "item_href"]
    pd.testing.assert_frame_equal(one[columns], other[columns])

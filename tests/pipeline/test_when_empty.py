"""What becomes of a period without an acquisition."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from tiny import items_of

from lcnkit.errors import PlanError
from lcnkit.strategy.min_cc import MinCC
from lcnkit.transform.reflectance import Reflectance


class TestWhenEmpty:
    """Of six periods, the second is 2 March to 1 May and the fifth 1 September to 31 October: 1, 2 and 5 are there, 3, 4 and 6 are not."""

    keys = {"n_periods": 6}  # noqa: RUF012 - read only

    def test_pad(self, go):
        report = go(**self.keys, transforms=(Reflectance(scale=1, clip=None),))
        image = items_of(report)["A"]
        assert image.shape == (6, 1, 4, 4)
        assert image.missing.values.tolist() == [False, False, True, True, False, True]
        assert np.isnan(image.values[[2, 3, 5]]).all()
        assert image.period.values.tolist() == [1, 2, 3, 4, 5, 6]
        assert image.item_id.values[2] == ""

    def test_pad_without_floats_uses_nodata(self, go):
        assert (items_of(go(**self.keys))["A"].values[[2, 3, 5]] == 0).all()

    def test_drop(self, archive, go):
        archive.item("B", "2018-06-10", 1, B04=7)
        archive.item("B", "2018-08-10", 1, B04=8)
        archive.item("B", "2018-12-10", 1, B04=9)
        archive.write()
        report = go(**self.keys, when_empty="drop")
        assert (report.status, report.made, report.dropped, report.failures) == (0, 1, 2, ())
        assert list(items_of(report)) == ["B"]
        manifest = json.loads((report.output / "manifest.json").read_text())
        assert manifest["counts"] == {"chips": 1, "failed": 0, "dropped": 2, "missing_frames": 0, "empty_frames": 0}

    def test_nearest(self, go):
        report = go(**self.keys, when_empty="nearest")
        image = items_of(report)["A"]
        assert image.values[:, 0, 0, 0].tolist() == [1000, 1400, 1400, 1800, 1800, 1800]
        assert image.period.values.tolist() == [1, 2, 3, 4, 5, 6]
        assert not image.missing.any()
        table = pd.read_parquet(report.output / "selection.parquet")
        assert (table["reason"].str.startswith("nearest in time: period 3 has no candidate, this is of period 2")).sum() == 3

    def test_error(self, go, tmp_path):
        with pytest.raises(PlanError, match=r"9 frames have no acquisition: A \(period 3\), A \(period 4\), A \(period 6\), B \(period 3\)"):
            go(**self.keys, when_empty="error")
        assert not (tmp_path / "out" / "items.pkl").exists()

    def test_too_few_for_a_strategy_without_periods(self, go):
        assert items_of(go(strategy=MinCC(k=4)))["A"].missing.values.tolist() == [False, False, False, True]
        assert go("dropped", strategy=MinCC(k=4), when_empty="drop").dropped == 3

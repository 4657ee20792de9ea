"""A run from end to end: the pixels of the chosen dates, with their labels."""

from __future__ import annotations

import pickle
from datetime import date

import numpy as np
import pandas as pd
import pytest
from tiny import CHIPS, COLUMNS, items_of

from lcnkit import compose, open_dataset, prepare
from lcnkit.exporter.npz import Npz
from lcnkit.exporter.pickle import Pickle
from lcnkit.model import Interval
from lcnkit.settings import LabelOptions
from lcnkit.strategy.all import All
from lcnkit.strategy.min_cc import MinCC
from lcnkit.strategy.season_min_cc import SeasonMinCC


class TestPixels:
    def test_exactly_those_of_the_chosen_dates(self, go):
        report = go()
        assert (report.status, report.made, report.failures) == (0, 3, ())
        for number, (chip_id, image) in enumerate(items_of(report).items()):
            assert chip_id == CHIPS[number]
            assert image.dims == ("time", "band", "y", "x")
            assert image.dtype == "uint16"
            np.testing.assert_array_equal(image[0, 0], 1400 + 100 * number + COLUMNS)
            np.testing.assert_array_equal(image[1, 0], 1800 + 100 * number + COLUMNS)
            assert [str(day)[:10] for day in image.time.values] == ["2018-04-10", "2018-09-10"]
            assert image.cloud_cover.values.tolist() == [5.0, 60.0]
            assert not image.missing.any()

    def test_labels_beside_them(self, go):
        report = go(label=LabelOptions(ignore=(0,), remap={3: 9}))
        for _, label in pickle.loads((report.output / "items.pkl").read_bytes()):
            assert label.dtype == "int64"
            assert label.values.tolist() == [[255, 1, 2, 9]] * 4

    def test_by_compose(self, archive, tmp_path):
        overrides = ["dataset=landcovernet", f"dataset.root={archive.root}", "+strategy=season_min_cc", "n_periods=2", "bands=[B08,B04]"]
        report = prepare(compose([*overrides, "backend=serial", f"output_dir={tmp_path / 'out'}"]))
        image = items_of(report)["B"]
        assert image.band.values.tolist() == ["B08", "B04"]
        np.testing.assert_array_equal(image[0, 1], ((1500 + COLUMNS) / np.float32(4000)).astype("float32"))
        assert (image[:, 0] == 1).all()

    @pytest.mark.parametrize(
        ("strategy", "months"), [(MinCC(k=2), [2, 4]), (MinCC(k=1), [4]), (All(), [2, 4, 9]), (SeasonMinCC(max_cloud=20), [4, None])]
    )
    def test_other_strategies(self, go, strategy, months):
        image = items_of(go(strategy=strategy))["A"]
        shown = [None if missing else int(str(day)[5:7]) for day, missing in zip(image.time.values, image.missing.values, strict=True)]
        assert shown == months

    def test_chips_and_interval(self, go):
        report = go(chips=("C", "A"), interval=Interval(date(2018, 1, 1), date(2018, 3, 31)))
        assert list(items_of(report)) == ["A", "C"]
        assert items_of(report)["C"].values[0].max() == 1200 + 15
        table = pd.read_parquet(report.output / "selection.parquet")
        assert (table["reason"][table["period"] == 0] == "outside the interval").all()

    def test_open_dataset_gives_the_same(self, go):
        for exporter in (Pickle(), Npz()):
            report = go(exporter.__class__.__name__, exporter=exporter)
            samples = open_dataset(report.output)
            assert samples.chip_ids == CHIPS
            np.testing.assert_array_equal(samples["B"].image.values[0, 0], 1500 + COLUMNS)

"""Runs of a plan that is there, and of an archive that has moved."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from datetime import date
from pathlib import Path

import pandas as pd
import pytest
from tiny import CHIPS, files_of, items_of, make_run

from lcnkit import open_dataset, prepare
from lcnkit.catalog.static import Static
from lcnkit.errors import DataError, PlanError
from lcnkit.exporter.npz import Npz
from lcnkit.exporter.pickle import Pickle
from lcnkit.model import Interval
from lcnkit.strategy.midpoint import Midpoint
from lcnkit.testing.archives import TinyArchive


class TestPlan:
    def test_plan_of_an_earlier_run(self, archive, go):
        first = go()
        for month in (1, 7):  # clearer ones that the plan does not know
            for name in CHIPS:
                archive.item(name, f"2018-{month:02d}-10", 0, B04=1)
        archive.write()
        again = go("again", plan=str(first.output / "selection.parquet"))
        assert (again.output / "items.pkl").read_bytes() == (first.output / "items.pkl").read_bytes()
        assert (again.output / "selection.parquet").read_bytes() == (first.output / "selection.parquet").read_bytes()
        assert items_of(go("anew"))["A"].values.max() == 1

    def test_an_edited_plan(self, archive, go, tmp_path):
        table = pd.read_parquet(go().output / "selection.parquet")
        table["selected"] = (table["cloud_cover"] == 30) & (table["chip_id"] != "B")
        table[table["chip_id"] != "B"].to_parquet(tmp_path / "mine.parquet")
        again = go("again", plan=str(tmp_path / "mine.parquet"))
        assert (again.status, again.made) == (0, 2)
        image = items_of(again)["C"]
        assert image.values[0, 0, 0, 0] == 1200
        assert image.missing.values.tolist() == [False, True]

    @pytest.mark.parametrize("interval", [None, Interval(date(2018, 1, 1), date(2018, 2, 28))], ids=["none", "another"])
    def test_a_plan_of_other_days(self, go, interval):
        """As with the number of periods, those of the plan count: missing frames are dated by them, and the manifest tells of them."""
        first = go(interval=Interval(date(2018, 3, 1), date(2018, 9, 30)), n_periods=3)
        again = go("again", plan=str(first.output / "selection.parquet"), interval=interval)
        assert items_of(first)["A"].missing.values.tolist() == [False, True, False]
        assert (again.output / "items.pkl").read_bytes() == (first.output / "items.pkl").read_bytes()
        told = [{key: open_dataset(report.output).manifest[key] for key in ("interval", "periods")} for report in (first, again)]
        assert told[0] == told[1]

    @pytest.mark.parametrize("exporter", [Pickle(), Npz()], ids=["pickle", "npz"])
    def test_a_plan_that_lost_a_chip_since(self, go, tmp_path, exporter):
        """What is left is what a run of that plan alone leaves, also for who reads the folder without its manifest."""
        plan = tmp_path / "mine.parquet"
        table = pd.read_parquet(go("first").output / "selection.parquet")
        table.to_parquet(plan)
        go("out", plan=str(plan), exporter=exporter)
        table[table["chip_id"] != "B"].to_parquet(plan)
        again = go("out", plan=str(plan), exporter=exporter)
        assert (again.status, again.made, again.kept) == (0, 0, 2)
        assert files_of(again.output) == files_of(go("alone", plan=str(plan), exporter=exporter).output)

    def test_a_plan_of_another_archive(self, go, tmp_path):
        other = TinyArchive(tmp_path / "other", size=4)
        other.chip("Z")
        other.item("Z", "2018-01-01")
        other.write()
        first = prepare(make_run(other, tmp_path / "first"))
        with pytest.raises((PlanError, DataError)):
            go("again", plan=str(first.output / "selection.parquet"))

    def test_a_copy_of_the_archive_gives_the_same_bytes(self, archive, go, tmp_path):
        shutil.copytree(archive.root, tmp_path / "somewhere" / "else")
        first, copy = go(), go("copy", root=tmp_path / "somewhere" / "else")
        for name in ("items.pkl", "selection.parquet"):
            assert (first.output / name).read_bytes() == (copy.output / name).read_bytes()
        on_the_copy = go("planned", root=tmp_path / "somewhere" / "else", plan=str(first.output))
        assert (on_the_copy.output / "items.pkl").read_bytes() == (first.output / "items.pkl").read_bytes()

    @pytest.mark.parametrize("form", ["catalog.json", "relative", "home"])
    def test_root_in_other_forms_is_read_on_workers_too(self, archive, go, monkeypatch, form):
        monkeypatch.chdir(archive.root.parent)
        monkeypatch.setenv("HOME", str(archive.root.parent))
        root = {"catalog.json": archive.root / "catalog.json", "relative": Path("archive"), "home": Path("~/archive")}[form]
        assert go(root=root).status == 0


def test_the_catalog_may_lie_elsewhere(archive, tmp_path):
    """Labels in one folder, imagery in another: `catalog.root`."""
    labels = tmp_path / "labels"
    shutil.copytree(archive.labels, labels / archive.labels.name)
    run = make_run(labels, tmp_path / "out", catalog=Static(root=str(archive.root)))
    assert prepare(run).status == 0
    with pytest.raises(DataError, match="holds no source collection"):
        prepare(replace(make_run(labels, tmp_path / "out2")))


class TestChosenElsewhere:
    """What a plan has beyond the run that makes it."""

    @pytest.mark.parametrize("lost", ["label", "edited"])
    def test_a_chip_of_the_plan_without_a_label_is_accounted_for(self, lost, archive, go, tmp_path):
        table = pd.read_parquet(go().output / "selection.parquet")
        if lost == "edited":
            table.loc[table["chip_id"] == "B", "chip_id"] = "b"
        table.to_parquet(tmp_path / "mine.parquet")
        if lost == "label":
            shutil.rmtree(next(path for path in archive.root.glob("*labels*/*") if path.name.endswith("_B")))
            collection = next(archive.root.glob("*labels*/collection.json"))
            links = json.loads(collection.read_text())
            links["links"] = [link for link in links["links"] if "_B/" not in link["href"]]
            collection.write_text(json.dumps(links))
        again = go("again", plan=str(tmp_path / "mine.parquet"))
        assert (again.status, again.made) == (3, 2)
        found = {failure.chip_id: failure for failure in again.failures}
        missing = found["B" if lost == "label" else "b"]
        assert (missing.step, missing.error) == ("label", "BadLabel")
        assert "the plan" in missing.message
        assert "take the chip's rows out of the plan" in missing.message
        assert len(found) == 1, "a plan that was edited leaves out the chips that have no row"

    def test_chips_that_a_run_leaves_out_are_no_failure(self, go):
        first = go()
        again = go("again", plan=str(first.output), chips=("A",))
        assert (again.status, again.made) == (0, 1)

    @pytest.mark.parametrize("period", [0, 3, -1])
    def test_a_choice_in_no_period(self, period, go, tmp_path):
        table = pd.read_parquet(go().output / "selection.parquet")
        row = table.index[table["selected"]][0]
        table.loc[row, "period"] = period
        table.to_parquet(tmp_path / "mine.parquet")
        with pytest.raises(PlanError, match=rf"selects {table.item_id[row]} of chip A in period {period}; there are the periods 1 to 2\."):
            go("again", plan=str(tmp_path / "mine.parquet"))

    def test_gaps_that_nearest_does_not_fill(self, go, tmp_path, caplog):
        table = pd.read_parquet(go().output / "selection.parquet")
        table["selected"] &= table["period"] == 1
        table.to_parquet(tmp_path / "mine.parquet")
        again = go("again", plan=str(tmp_path / "mine.parquet"), when_empty="nearest")
        assert items_of(again)["A"].missing.values.tolist() == [False, True]
        assert "3 frames are missing in the saved plan and stay so: when_empty=nearest fills a plan that is made anew" in caplog.text

    def test_the_data_set_names_the_rule_that_chose(self, go, tmp_path):
        """Not the one that the second run was configured with, and which chose nothing."""
        first = go(strategy=Midpoint(), n_periods=1)
        again = go("again", plan=str(first.output))
        for report in (first, again):
            (source,) = json.loads((report.output / "manifest.json").read_text())["sources"].values()
            assert source["strategy"] == {"name": "midpoint", "max_cloud": 20.0}
            assert "midpoint, 1 period" in repr(open_dataset(report.output))
        table = pd.read_parquet(first.output / "selection.parquet")
        table.attrs = {}
        table.to_parquet(tmp_path / "bare.parquet")
        assert "a saved plan, 1 period" in repr(open_dataset(go("bare", plan=str(tmp_path / "bare.parquet")).output))

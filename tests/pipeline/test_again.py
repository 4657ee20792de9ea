"""A second run in the same folder."""

from __future__ import annotations

import shutil

import pytest
from tiny import files_of, item_folder, items_of

from lcnkit.errors import OutputError


class TestAgain:
    def test_a_second_run_changes_nothing(self, archive, go):
        report = go()
        before = files_of(report.output)
        again = go()
        assert (again.status, again.made, again.kept) == (0, 0, 3)
        assert files_of(report.output) == before

    def test_after_failures_only_what_is_missing_is_done(self, archive, go, tmp_path):
        path = item_folder(archive, "B", 4) / "B04.tif"
        whole = path.read_bytes()
        path.write_bytes(whole[:150])
        assert go().status == 3
        path.write_bytes(whole)
        for name in "AC":  # those are there already: nobody looks at them again
            shutil.move(item_folder(archive, name, 4) / "B04.tif", tmp_path / name)
        again = go()
        assert (again.status, again.made, again.kept) == (0, 1, 2)
        for name in "AC":
            shutil.move(tmp_path / name, item_folder(archive, name, 4) / "B04.tif")
        assert files_of(again.output) == files_of(go("undisturbed").output)
        assert "failures.csv" not in files_of(again.output)

    @pytest.mark.parametrize(("last", "made"), [("write_json_with", 0), ("OutputFolder.after_moving", 2)])
    def test_a_run_that_adds_a_chip_is_killed_before_its_manifest(self, archive, go, monkeypatch, last, made):
        """Samples lie elsewhere in `items.pkl` by then than the manifest of the first run says."""
        path = item_folder(archive, "A", 4) / "B04.tif"
        whole = path.read_bytes()
        path.write_bytes(whole[:150])
        assert go().status == 3
        path.write_bytes(whole)

        def killed(*_, **__):
            raise SystemExit

        with monkeypatch.context() as patch:
            patch.setattr(f"lcnkit.finish.{last}", killed)
            with pytest.raises(SystemExit):
                go()
        again = go()
        assert (again.status, again.made, again.kept) == (0, made, 3 - made)
        assert files_of(again.output) == files_of(go("undisturbed").output)

    def test_an_interrupted_run_goes_on(self, archive, go, monkeypatch, tmp_path):
        from lcnkit.exporter.pickle import Pickle as Writer

        write, done = Writer.write, []

        def stop_at_the_second(self, sample, folder):
            if done:
                raise KeyboardInterrupt
            done.append(sample.chip_id)
            return write(self, sample, folder)

        with monkeypatch.context() as patch:
            patch.setattr(Writer, "write", stop_at_the_second)
            with pytest.raises(KeyboardInterrupt):
                go()
        assert not (tmp_path / "out" / "items.pkl").exists()
        again = go()
        assert (again.made, again.kept) == (2, 1)
        assert files_of(again.output) == files_of(go("undisturbed").output)

    def test_overwrite_makes_everything_anew(self, archive, go):
        first = go()
        assert go(n_periods=2).kept == 3
        with pytest.raises(OutputError, match="n_periods is 2 there and 1 now"):
            go(n_periods=1)
        again = go(n_periods=1, overwrite=True)
        assert (again.made, again.kept) == (3, 0)
        assert items_of(again)["A"].shape == (1, 1, 4, 4)
        assert files_of(first.output) == files_of(go("fresh", n_periods=1).output)

    def test_a_label_that_comes_back(self, archive, go, tmp_path):
        folder = archive.labels / f"{archive.labels.name}_B"
        shutil.move(folder, tmp_path / "label")
        assert go().status == 3
        shutil.move(tmp_path / "label", folder)
        again = go()
        assert (again.status, again.made, again.kept) == (0, 1, 2)
        assert files_of(again.output) == files_of(go("undisturbed").output)

    def test_all_labels_come_back(self, archive, go, tmp_path):
        """The plan of a run without a label that can be read is empty, and no mistake."""
        shutil.copytree(archive.labels, tmp_path / "aside")
        for path in archive.labels.glob("*/labels.tif"):
            path.unlink()
        report = go()
        assert (report.made, len(report.failures), report.status) == (0, 3, 1)
        shutil.rmtree(archive.labels)
        shutil.move(tmp_path / "aside", archive.labels)
        report = go()
        assert (report.made, report.failures, report.status) == (3, (), 0)

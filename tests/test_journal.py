"""The journal, damaged in every way that a crash can: what is not surely there is made again, and the data set is the same."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

from lcnkit import Run, prepare
from lcnkit.exporter.npz import Npz
from lcnkit.exporter.pickle import Pickle
from lcnkit.journal import OutputFolder
from lcnkit.model import Receipt
from lcnkit.output import STATE
from lcnkit.pipeline import Report
from lcnkit.testing.archives import TinyArchive

JOURNAL = f"{STATE}/journal.jsonl"
CHIPS = tuple("ABCDE")


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


class Scene:
    """A run that was killed after three of five chips, to be put back as often as a test likes; and what an undisturbed one leaves."""

    def __init__(self, run: Run, folder: Path) -> None:
        self.run, self.folder, self._killed = run, folder / "out", folder / "killed"
        self.expected = tree(prepare(replace(run, output_dir=str(folder / "undisturbed"))).output)
        record, left = OutputFolder.record, [1, 1, 1]

        def killed_after_three(output: OutputFolder, receipt: Receipt) -> None:
            if not left:
                raise SystemExit
            left.pop()
            record(output, receipt)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(OutputFolder, "record", killed_after_three)
            with pytest.raises(SystemExit):
                prepare(replace(run, output_dir=str(self._killed)))

    def put_back(self) -> Path:
        shutil.rmtree(self.folder, ignore_errors=True)
        shutil.copytree(self._killed, self.folder)
        return self.folder

    def go_on(self) -> Report:
        return prepare(replace(self.run, output_dir=str(self.folder)))


@pytest.fixture(scope="module", params=[Pickle(), Npz()], ids=["pickle", "npz"])
def scene(request: Any, tmp_path_factory: pytest.TempPathFactory) -> Scene:
    from lcnkit.backend.serial import Serial
    from lcnkit.catalog.static import Static
    from lcnkit.reader.auto import Auto
    from lcnkit.settings import Dataset, Source
    from lcnkit.strategy.season_min_cc import SeasonMinCC
    from lcnkit.transform.raw import Raw

    folder = tmp_path_factory.mktemp("scene")
    archive = TinyArchive(folder / "archive", size=4)
    for number, name in enumerate(CHIPS):
        archive.chip(name, classes=number % 3)
        archive.item(name, "2018-03-01", 10, B04=100 + number)
    archive.write()
    source = Source(catalog=Static(), strategy=SeasonMinCC(), reader=Auto(), transforms=(Raw(),), bands=("B04",))
    return Scene(Run(dataset=Dataset(root=str(archive.root)), sources=(source,), n_periods=1, backend=Serial(), exporter=request.param), folder)


def test_what_is_there_is_verified_and_not_made_again(scene: Scene, caplog):
    scene.put_back()
    caplog.set_level("INFO", "lcnkit")
    report = scene.go_on()
    assert (report.status, report.kept, report.made) == (0, 3, 2)
    assert "resume     3 of 5 chips are there already (checksums verified), 2 to do" in caplog.text
    assert tree(report.output) == scene.expected
    caplog.clear()
    assert scene.go_on().kept == 5
    assert "resume     5 of 5 chips are there already, 0 to do" in caplog.text


class TestCut:
    """A file that ends anywhere, with whatever behind it."""

    def heals(self, scene: Scene, name: str, damage: Callable[[bytes], bytes]) -> Report:
        path = scene.put_back() / name
        path.write_bytes(damage(path.read_bytes() if path.exists() else b""))
        report = scene.go_on()
        assert report.status == 0
        assert tree(report.output) == scene.expected
        return report

    @pytest.mark.slow
    @settings(max_examples=40, deadline=None)
    @given(st.data())
    def test_journal(self, scene: Scene, data: st.DataObject):
        length = (scene.put_back() / JOURNAL).stat().st_size
        cut = data.draw(st.integers(0, length), label="cut")
        tail = data.draw(st.one_of(st.just(b""), st.binary(max_size=40), st.just(bytes(4096)), st.just(b'{"chip_id": "D"'), st.just(b"[" * 5000)))
        self.heals(scene, JOURNAL, lambda whole: whole[:cut] + tail)

    @pytest.mark.slow
    @settings(max_examples=25, deadline=None)
    @given(st.data())
    def test_journal_with_a_hole(self, scene: Scene, data: st.DataObject):
        length = (scene.put_back() / JOURNAL).stat().st_size
        start = data.draw(st.integers(0, length - 1), label="start")
        size = data.draw(st.integers(1, 600), label="size")
        filler = data.draw(st.sampled_from([b"\0", b"1", b" ", b"\n", b"}"]), label="filler")
        self.heals(scene, JOURNAL, lambda whole: whole[:start] + filler * min(size, len(whole) - start) + whole[start + size :])

    @pytest.mark.slow
    @settings(max_examples=25, deadline=None)
    @given(name=st.sampled_from([f"{STATE}/run.json", f"{STATE}/slots.json"]), share=st.floats(0, 0.999), tail=st.binary(max_size=20))
    def test_records_beside_it(self, scene: Scene, name: str, share: float, tail: bytes):
        if (scene.put_back() / name).exists():
            self.heals(scene, name, lambda whole: whole[: int(share * len(whole))] + tail)

    @pytest.mark.parametrize(
        "name",
        [
            *("failures.csv", ".selection.parquet.77.partial", ".manifest.json.77.partial", "items/.D.npz.77.partial"),
            *(f"{STATE}/.run.json.77.partial", f"{STATE}/parts/.D.part.77.partial", f"{STATE}/owner.json"),
        ],
    )
    @pytest.mark.parametrize("content", [b"", b"\0" * 100, b"chip_id,st"])
    def test_files_that_a_run_replaces(self, scene: Scene, name: str, content: bytes):
        (scene.put_back() / name).parent.mkdir(exist_ok=True)
        (scene.folder / name).write_bytes(content)
        report = scene.go_on()
        assert (report.status, report.kept) == (0, 3)
        assert {file: data for file, data in tree(report.output).items() if file != "items"} == scene.expected

    def test_every_byte_of_the_last_line(self, scene: Scene):
        """One by one, by reading alone: only whole lines count."""
        folder = scene.put_back()
        whole = (folder / JOURNAL).read_bytes()
        last = whole[:-1].rfind(b"\n") + 1
        for cut in range(last, len(whole) + 1):
            (folder / JOURNAL).write_bytes(whole[:cut])
            assert list(OutputFolder(folder, resumed=True).receipts()) == ["A", "B"] + ["C"] * (cut >= len(whole) - 1)


class TestLostData:
    """The machine went down: the journal names samples whose bytes never reached the disk."""

    @pytest.mark.slow
    @settings(max_examples=40, deadline=None)
    @given(data=st.data())
    def test_zeros_anywhere(self, scene: Scene, data: st.DataObject):
        folder = scene.put_back()
        files = [path for path in (folder / STATE / "items.partial", *(folder / "items").glob("*.npz")) if path.exists()]
        path = data.draw(st.sampled_from(files), label="file")
        content = bytearray(path.read_bytes())
        start = data.draw(st.integers(0, len(content) - 1), label="start")
        size = data.draw(st.sampled_from([1, 2, 16, 512, 4096]), label="size")
        content[start : start + size] = bytes(len(content[start : start + size]))
        path.write_bytes(content)
        report = scene.go_on()
        assert report.status == 0
        assert tree(report.output) == scene.expected

    def test_it_is_said(self, scene: Scene, caplog):
        folder = scene.put_back()
        for path in (folder / STATE / "items.partial", *(folder / "items").glob("B.npz")):
            if path.exists():
                content = path.read_bytes()
                half = len(content.rstrip(b"\0")) // 2  # of what was written: room may have been set aside for more
                path.write_bytes(content[:half] + bytes(len(content) - half))
        scene.go_on()
        (said,) = [record.getMessage() for record in caplog.records if "made again" in record.getMessage()]
        many, few = "2 samples are lost or damaged since, and made again: B, C", "1 sample is lost or damaged since, and made again: B"
        assert said == f"resume     {many if isinstance(scene.run.exporter, Pickle) else few}"

    def test_files_that_are_gone(self, scene: Scene):
        folder = scene.put_back()
        for path in (folder / STATE / "items.partial", *(folder / "items").glob("*.npz")):
            path.unlink(missing_ok=True)
        report = scene.go_on()
        assert (report.kept, report.made) == (0, 5)
        assert tree(report.output) == scene.expected

    def test_a_folder_counts_as_it_is(self, tmp_path):
        """What a sample's bytes are is the exporter's affair there."""
        (tmp_path / STATE).mkdir()
        (tmp_path / "A.zarr").mkdir()
        output, receipt = OutputFolder(tmp_path, resumed=True), Receipt("A", "A.zarr", 10, "xxh3_128:00")
        output.record(receipt)
        (tmp_path / "B.bin").write_bytes(b"b")
        other = Receipt("B", "B.bin", 1, "sha256:0")
        output.record(other)
        assert output.receipts() == {"A": receipt, "B": other}, "and so does a checksum of another kind"


def test_a_sample_that_the_journal_has_wrong_is_taken_from_the_finished_data_set(tmp_path):
    """A retry was killed: the finished data set is still whole."""
    (tmp_path / STATE).mkdir()
    (tmp_path / "A.bin").write_bytes(b"a")
    finished, lost = Receipt("A", "A.bin", 1, f"xxh3_128:{xxhash.xxh3_128_hexdigest(b'a')}"), Receipt("A", "A.bin", 1, "xxh3_128:2")
    (tmp_path / "manifest.json").write_text(json.dumps({"samples": [finished.as_dict()]}))
    output = OutputFolder(tmp_path, resumed=True)
    output.record(lost)
    assert output.receipts() == {"A": finished}


@pytest.mark.parametrize("failed", [False, True], ids=["in place", "strung together"])
def test_a_kill_before_the_manifest_costs_no_sample(failed: bool, tmp_path: Path, make_run: Any, monkeypatch: Any) -> None:
    """The data set has its name by then; the journal must still find its samples."""
    archive = TinyArchive(tmp_path / "archive")
    for number in range(4):
        archive.chip(f"C{number}", classes=number)
        archive.item(f"C{number}", "2018-02-01", B04=number)
    archive.write()
    lost = next(archive.root.rglob("*C1_20180201/B04.tif"))
    aside = lost.rename(tmp_path / "aside.tif") if failed else None

    def make(output: str) -> Report:
        return prepare(make_run(archive.root, output_dir=str(tmp_path / output)))

    undisturbed = make("undisturbed")
    with monkeypatch.context() as patch:
        patch.setattr("lcnkit.finish.write_json_with", interrupt)
        with pytest.raises(KeyboardInterrupt):
            make("killed")
    again = make("killed")
    assert (again.made, again.kept) == (0, 3 if failed else 4)
    assert not (again.output / ".lcnkit").exists()
    assert (again.output / "items.pkl").read_bytes() == (undisturbed.output / "items.pkl").read_bytes()
    if aside is not None:
        aside.rename(lost)
        whole = make("killed")
        assert (whole.made, whole.kept, whole.status) == (1, 3, 0)
        assert (whole.output / "items.pkl").read_bytes() == make("whole").output.joinpath("items.pkl").read_bytes()


def interrupt(*_: Any) -> None:
    raise KeyboardInterrupt

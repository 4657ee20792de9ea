"""The output folder: whole files, one run at a time, nothing lost and nothing done twice."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import xxhash

from lcnkit.claim import claim, differences
from lcnkit.errors import OutputError, OutputFull, PlanError
from lcnkit.journal import OutputFolder
from lcnkit.log_file import LogFile
from lcnkit.model import Receipt
from lcnkit.output import STATE, guarded, read_manifest, whole_file, write_json

CONFIG = {"n_periods": 5, "strategy": {"name": "season_min_cc", "max_cloud": 60.0}, "transform": [{"name": "raw"}], "plan": None}


def receipt(folder: Path, chip_id: str, size: int = 10, offset: int = 0, file: str | None = None) -> Receipt:
    """A receipt whose file is there in full length."""
    path = folder / (file or f"{chip_id}.bin")
    path.write_bytes(bytes(offset + size))
    checksum = f"xxh3_128:{xxhash.xxh3_128_hexdigest(bytes(size))}"
    return Receipt(chip_id, path.name, size, checksum, offset, {"s2": (1, 2, 3, 4)}, {"pixels": {"1": 5}})


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


class TestWholeFile:
    def test_appears_at_the_end(self, tmp_path):
        path = tmp_path / "deep" / "file.bin"
        with whole_file(path) as file:
            file.write(b"half")
            file.flush()
            assert not path.exists()
            file.write(b" and half")
        assert path.read_bytes() == b"half and half"
        assert list(path.parent.iterdir()) == [path]

    @pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, OSError])
    def test_an_error_leaves_what_was_there(self, tmp_path, error):
        path = tmp_path / "file.bin"
        path.write_bytes(b"earlier")

        def half() -> None:
            with whole_file(path) as file:
                file.write(b"half")
                raise error

        with pytest.raises(error):
            half()
        assert tree(tmp_path) == {"file.bin": b"earlier"}

    def test_json_is_stable_and_strict(self, tmp_path):
        write_json(tmp_path / "a.json", {"b": [1, 2.5], "a": "Šmarje"})
        write_json(tmp_path / "b.json", json.loads((tmp_path / "a.json").read_text()))
        assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
        with pytest.raises(ValueError, match="not JSON compliant"):
            write_json(tmp_path / "a.json", {"a": float("nan")})


class TestGuarded:
    @pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
    def test_full_disk(self, tmp_path, number):
        with (
            pytest.raises(OutputFull, match=r"The disk is full: cannot write the samples in .*same output_dir to go on"),
            guarded(tmp_path, "write the samples"),
        ):
            raise OSError(number, "No room")

    @pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.EIO])
    def test_anything_else(self, tmp_path, number):
        with pytest.raises(OutputError, match=r"Cannot write it in .*: Read-only.*output_dir=PATH") as error, guarded(tmp_path, "write it"):
            raise OSError(number, "Read-only file system")
        assert not isinstance(error.value, OutputFull)


class TestClaim:
    def test_a_folder_is_made_and_left_clean(self, tmp_path):
        with claim(tmp_path / "deep" / "out", CONFIG, overwrite=False) as folder:
            assert not folder.resumed
            assert json.loads((folder.path / STATE / "run.json").read_text()) == CONFIG
            folder.forget_state()
        assert list((tmp_path / "deep" / "out").iterdir()) == []

    def test_another_process_is_refused(self, tmp_path):
        code = (
            "import sys; from pathlib import Path; from lcnkit.claim import claim; from lcnkit.errors import OutputError\n"
            "try:\n"
            "    with claim(Path(sys.argv[1]), {}, overwrite=True): print('taken')\n"
            "except OutputError as error: print(error)"
        )

        def second() -> str:
            return subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True).stdout

        with claim(tmp_path, CONFIG, overwrite=False) as folder:
            folder.record(receipt(tmp_path, "A"))
            assert second().startswith(f"Another run is using {tmp_path}: process {os.getpid()} of ")
            assert list(folder.receipts()) == ["A"], "overwrite=true of another process has not touched it"
        assert second() == "taken\n"

    def test_the_same_process_is_refused_too(self, tmp_path):
        with (
            claim(tmp_path, CONFIG, overwrite=False),
            pytest.raises(OutputError, match="Another run is using"),
            claim(tmp_path, CONFIG, overwrite=False),
        ):
            raise AssertionError("claimed twice")

    def test_the_same_configuration_goes_on(self, tmp_path):
        with claim(tmp_path, CONFIG, overwrite=False) as folder:
            folder.record(receipt(tmp_path, "A"))
        with claim(tmp_path, CONFIG, overwrite=False) as folder:
            assert folder.resumed
            assert folder.receipts() == {"A": receipt(tmp_path, "A")}

    def test_another_configuration_is_refused_with_the_difference(self, tmp_path):
        with claim(tmp_path, CONFIG, overwrite=False) as folder:
            folder.record(receipt(tmp_path, "A"))
        other = {**CONFIG, "n_periods": 3, "strategy": {"name": "season_min_cc", "max_cloud": 80.0}}
        before = tree(tmp_path)
        with pytest.raises(OutputError) as error, claim(tmp_path, other, overwrite=False):
            raise AssertionError("claimed")
        assert "n_periods is 5 there and 3 now; strategy.max_cloud is 60.0 there and 80.0 now. Choose another folder" in str(error.value)
        assert tree(tmp_path) == before

    def test_the_manifest_speaks_for_a_finished_data_set(self, tmp_path):
        write_json(tmp_path / "manifest.json", {"config": CONFIG, "samples": [receipt(tmp_path, "A").as_dict()]})
        with claim(tmp_path, CONFIG, overwrite=False) as folder:
            assert folder.resumed
            assert list(folder.receipts()) == ["A"]
        with pytest.raises(OutputError, match="n_periods is 5 there and 9 now"), claim(tmp_path, {**CONFIG, "n_periods": 9}, overwrite=False):
            raise AssertionError("claimed")

    def test_overwrite_replaces_what_a_run_leaves_and_nothing_else(self, tmp_path):
        (tmp_path / "shards").mkdir()
        samples = [receipt(tmp_path, "A").as_dict(), {"file": "shards/0.tar"}, {"file": "../outside.bin"}, {"file": "/etc/passwd"}, "junk", {}]
        write_json(tmp_path / "manifest.json", {"config": {}, "samples": samples})
        (tmp_path.parent / "outside.bin").write_text("keep")
        for name in (
            "items.pkl",
            "selection.parquet",
            "failures.csv",
            "report.html",
            "notes.txt",
            "items/A.npz",
            ".hydra/config.yaml",
            "photos/cat.jpg",
        ):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text("old")
        with claim(tmp_path, CONFIG, overwrite=True) as folder:
            assert not folder.resumed
            assert sorted(tree(tmp_path)) == [".lcnkit/lock", ".lcnkit/owner.json", ".lcnkit/run.json", "notes.txt", "photos/cat.jpg"]
        assert (tmp_path.parent / "outside.bin").read_text() == "keep"

    def test_overwrite_of_an_interrupted_run(self, tmp_path):
        with claim(tmp_path, CONFIG, overwrite=False) as folder:
            (tmp_path / "shards").mkdir()
            folder.record(receipt(tmp_path, "A", file="shards/0.tar"))
            folder.record(Receipt("B", "shards/0.tar", 1, ""))
            part = tmp_path / STATE / "parts" / "A.part"
            part.parent.mkdir()
            part.write_bytes(b"part")
        with claim(tmp_path, {"other": 1}, overwrite=True) as folder:
            assert folder.receipts() == {}
            assert sorted(tree(tmp_path)) == [".lcnkit/lock", ".lcnkit/owner.json", ".lcnkit/run.json", "0.tar"] or not (tmp_path / "shards").exists()

    @pytest.mark.parametrize("name", ["items.pkl", "manifest.json", "selection.parquet", "items/x.npz"])
    def test_somebody_elses_files_are_not_touched(self, tmp_path, name):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("not ours")
        with (
            pytest.raises(OutputError, match=rf"holds {name.split('/')[0]} of which lcnkit has no record.*overwrite=true"),
            claim(tmp_path, CONFIG, overwrite=False),
        ):
            raise AssertionError("claimed")
        assert tree(tmp_path)[name] == b"not ours"

    def test_other_files_do_not_matter(self, tmp_path):
        (tmp_path / "README.txt").write_text("mine")
        with claim(tmp_path, CONFIG, overwrite=False) as folder:
            assert not folder.resumed
        assert (tmp_path / "README.txt").read_text() == "mine"

    @pytest.mark.parametrize("plan", ["selection.parquet", "."])
    def test_overwrite_does_not_remove_the_plan_it_is_to_run(self, tmp_path, plan):
        (tmp_path / "selection.parquet").write_text("plan")
        with (
            pytest.raises(OutputError, match=r"would remove plan=.* before it is read"),
            claim(tmp_path, {"plan": str(tmp_path / plan)}, overwrite=True),
        ):
            raise AssertionError("claimed")
        assert (tmp_path / "selection.parquet").read_text() == "plan"

    def test_a_start_that_failed_leaves_no_record(self, tmp_path):
        """A misspelt chip must not make the corrected command one of another configuration."""

        def fail() -> None:
            with claim(tmp_path, CONFIG, overwrite=False):
                (tmp_path / "selection.parquet").write_text("plan")
                raise PlanError("no")

        with pytest.raises(PlanError):
            fail()
        assert tree(tmp_path) == {}
        with claim(tmp_path, {"other": 1}, overwrite=False) as folder:
            assert not folder.resumed

    @pytest.mark.parametrize("error", [OutputFull, KeyboardInterrupt, RuntimeError])
    def test_a_run_that_was_stopped_can_go_on(self, tmp_path, error):
        with pytest.raises(error), claim(tmp_path, CONFIG, overwrite=False):
            raise error("stop")
        with claim(tmp_path, CONFIG, overwrite=False) as folder:
            assert folder.resumed

    def test_what_a_killed_run_left_half_written_is_removed(self, tmp_path):
        (tmp_path / "items").mkdir()
        for name in (".items.pkl.123.partial", "items/.A.npz.123.partial"):
            (tmp_path / name).write_bytes(b"half")
        with claim(tmp_path, CONFIG, overwrite=True) as folder:
            folder.forget_state()
        assert tree(tmp_path) == {}

    def test_a_file_in_place_of_the_folder(self, tmp_path):
        (tmp_path / "out").write_text("a file")
        for path in (tmp_path / "out", tmp_path / "out" / "deeper"):
            with pytest.raises(OutputError, match=r"Cannot make the output folder in .*output_dir=PATH"), claim(path, CONFIG, overwrite=True):
                raise AssertionError("claimed")

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
    def test_read_only_folder(self, tmp_path):
        tmp_path.chmod(0o500)
        try:
            with pytest.raises(OutputError, match="Permission denied"), claim(tmp_path / "out", CONFIG, overwrite=False):
                raise AssertionError("claimed")
        finally:
            tmp_path.chmod(0o700)

    def test_folder_that_vanishes_meanwhile(self, tmp_path):
        import shutil

        with claim(tmp_path / "out", CONFIG, overwrite=False):
            shutil.rmtree(tmp_path / "out")


class TestJournal:
    @pytest.fixture
    def folder(self, tmp_path) -> OutputFolder:
        (tmp_path / STATE).mkdir()
        return OutputFolder(tmp_path, resumed=True)

    def test_receipts_come_back_as_they_were(self, folder):
        receipts = [receipt(folder.path, name) for name in "ABC"]
        for one in receipts:
            folder.record(one)
        assert folder.receipts() == {one.chip_id: one for one in receipts}

    @pytest.mark.parametrize("torn", [b'{"chip_id": "B", "fi', b"{}", b"12", b"null", b'{"chip_id": "B"}', b"\xff\xfe", b'["B"]'])
    def test_a_torn_last_line_costs_that_chip_only(self, folder, torn):
        first, after = receipt(folder.path, "A"), receipt(folder.path, "C")
        folder.record(first)
        with (folder.path / STATE / "journal.jsonl").open("ab") as journal:
            journal.write(torn)
        assert folder.receipts() == {"A": first}
        folder.record(after)
        assert folder.receipts() == {"A": first, "C": after}

    def test_a_sample_that_is_gone_or_short_is_made_again(self, folder):
        for name, offset in (("A", 0), ("B", 5), ("C", 5), ("D", 0)):
            folder.record(receipt(folder.path, name, offset=offset))
        (folder.path / "A.bin").unlink()
        (folder.path / "B.bin").write_bytes(bytes(14))
        (folder.path / "C.bin").write_bytes(bytes(15))
        assert list(folder.receipts()) == ["C", "D"]

    def test_the_last_word_counts(self, folder):
        folder.record(receipt(folder.path, "A", size=3))
        again = receipt(folder.path, "A", size=7)
        folder.record(again)
        assert folder.receipts() == {"A": again}

    def test_no_journal(self, folder):
        assert folder.receipts() == {}


@pytest.mark.parametrize("text", ["", "{", "[]", '{"samples": 3}', '{"samples": ["a"]}', '{"samples": null}'])
def test_damaged_manifest(tmp_path, text):
    (tmp_path / "manifest.json").write_text(text)
    (tmp_path / STATE).mkdir()
    assert OutputFolder(tmp_path, resumed=True).receipts() == {}


def test_read_manifest(tmp_path):
    with pytest.raises(OutputError, match=r"holds no finished data set: it has no manifest\.json"):
        read_manifest(tmp_path)
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(OutputError, match="cannot be read"):
        read_manifest(tmp_path)


def test_differences_are_named_by_key():
    old = {"bands": ["B04"], "strategy": {"name": "a", "k": 1}, "transform": [{"name": "x"}], "same": 1}
    new = {"bands": "rgb", "strategy": {"name": "a"}, "transform": [{"name": "x"}, {"name": "y"}], "same": 1}
    assert differences(old, new) == [
        'bands is ["B04"] there and "rgb" now',
        "strategy.k is 1 there and absent now",
        'transform[1].name is absent there and "y" now',
    ]
    assert differences({str(number): 1 for number in range(20)}, {})[-1] == "and 12 more"


class TestLogFile:
    def test_a_full_disk_is_not_told_of_at_every_message(self, capsys):
        import logging

        handler = LogFile("/dev/full")
        record = logging.LogRecord("lcnkit", logging.INFO, "", 1, "message", (), None)
        handler.handle(record)
        handler.close()
        assert capsys.readouterr() == ("", "")

    def test_a_folder_that_is_gone(self, tmp_path, capsys):
        import logging

        handler = LogFile(tmp_path / "absent" / "lcnkit.log", delay=True)
        handler.handle(logging.LogRecord("lcnkit", logging.INFO, "", 1, "message", (), None))
        handler.close()
        assert capsys.readouterr() == ("", "")

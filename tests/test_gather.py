"""Workers that do not see the output folder: samples travel to the client, and the data set is the same."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest

from lcnkit import prepare
from lcnkit.backend.local import Local
from lcnkit.backend.serial import Serial, SerialPool
from lcnkit.contracts import Exporter, Pool
from lcnkit.exporter.npz import Npz
from lcnkit.exporter.pickle import Pickle
from lcnkit.model import Receipt, Sample
from lcnkit.pipeline import Report
from lcnkit.testing.archives import TinyArchive


class ApartPool(SerialPool):
    """This process, that says it shares no folder."""

    asked: ClassVar[list[Path]] = []

    def shares(self, folder: Path) -> bool:
        self.asked.append(folder)
        return False


@dataclass(frozen=True, kw_only=True)
class Apart(Serial):
    @contextmanager
    def open(self) -> Iterator[Pool]:
        ApartPool.asked.clear()
        yield ApartPool()


@dataclass(frozen=True, kw_only=True)
class LocalApart(Local):
    """Two worker processes that say they share no folder."""

    workers: int | None = 2
    dashboard: str | None = None

    @contextmanager
    def open(self) -> Iterator[Pool]:
        with super().open() as pool:
            pool.shares = lambda folder: False  # type: ignore[method-assign]
            yield pool


def data_of(report: Report) -> dict[str, bytes]:
    return {str(path.relative_to(report.output)): path.read_bytes() for path in report.output.rglob("*") if path.is_file()}


@pytest.fixture
def go(tiny: TinyArchive, make_run: Any, tmp_path: Path) -> Any:
    def go(output: str, **keys: Any) -> Report:
        return prepare(make_run(tiny.root, n_periods=2, output_dir=str(tmp_path / output), **keys))

    return go


@pytest.mark.parametrize("exporter", [Pickle(), Npz()], ids=["pickle", "npz"])
@pytest.mark.parametrize("backend", [Apart(), pytest.param(LocalApart(), marks=pytest.mark.slow)], ids=["one process", "workers"])
def test_the_same_bytes(go: Any, exporter: Exporter, backend: Serial | Local):
    gathered = go("gathered", exporter=exporter, backend=backend)
    assert (gathered.status, gathered.made) == (0, 3)
    assert data_of(gathered) == data_of(go("written", exporter=exporter))
    assert {"label", "read", "transform", "export"} <= set(gathered.seconds), "the client's writing is timed like a worker's"


@pytest.mark.slow
def test_the_client_writes(go: Any, monkeypatch):
    write, here = Npz.write, []

    def remember(self: Npz, sample: Sample, folder: Path) -> Receipt:
        here.append(sample.chip_id)
        return write(self, sample, folder)

    monkeypatch.setattr(Npz, "write", remember)  # in this process, and not in the workers'
    go("out", exporter=Npz(), backend=LocalApart())
    assert sorted(here) == ["A", "B", "C"]


def test_it_is_asked_once_and_only_where_there_is_something_to_do(go: Any, tmp_path: Path):
    go("out", backend=Apart())
    assert ApartPool.asked == [tmp_path / "out"]
    ApartPool.asked.clear()
    go("out", backend=Apart())
    assert ApartPool.asked == []


def test_a_chip_that_cannot_be_written_costs_itself(go: Any, monkeypatch):
    write = Npz.write

    def refuse(self: Npz, sample: Sample, folder: Path) -> Receipt:
        if sample.chip_id == "B":
            raise PermissionError(13, "Permission denied")
        return write(self, sample, folder)

    with monkeypatch.context() as patch:
        patch.setattr(Npz, "write", refuse)
        report = go("out", exporter=Npz(), backend=Apart())
    assert (report.status, report.made) == (3, 2)
    assert [(failure.chip_id, failure.step, failure.error) for failure in report.failures] == [("B", "export", "OutputError")]
    again = go("out", exporter=Npz(), backend=Apart())
    assert (again.status, again.kept, again.made) == (0, 2, 1)
    assert data_of(again) == data_of(go("undisturbed", exporter=Npz()))


def test_a_full_disk_ends_the_run(go: Any, monkeypatch):
    import errno

    write = Npz.write

    def full(self: Npz, sample: Sample, folder: Path) -> Receipt:
        if sample.chip_id != "A":
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(self, sample, folder)

    with monkeypatch.context() as patch:
        patch.setattr(Npz, "write", full)
        report = go("out", exporter=Npz(), backend=Apart())
    assert (report.status, report.made, report.failures) == (3, 1, ())
    assert report.stopped.startswith("The disk is full: cannot write the samples in")
    assert go("out", exporter=Npz()).kept == 1


class TestArchiveElsewhere:
    """The plan is made by the client, which sees the archive; the workers may not."""

    @pytest.fixture
    def gone(self, tiny: TinyArchive, monkeypatch) -> None:
        """The rasters vanish once the plan is made."""
        from lcnkit.pipeline import make_plan

        def planned(*arguments: Any) -> Any:
            made = make_plan(*arguments)
            for path in tiny.root.rglob("*.tif"):
                path.unlink()
            return made

        monkeypatch.setattr("lcnkit.pipeline.make_plan", planned)

    def test_it_is_suspected(self, go: Any, gone: None, tiny: TinyArchive):
        report = go("out", backend=Apart())
        assert (report.status, report.made, len(report.failures)) == (1, 0, 3)
        (hint,) = report.hints
        assert f"they may not see dataset.root={tiny.root}" in hint

    def test_not_where_workers_share_the_folders(self, go: Any, gone: None):
        assert go("out").hints == ()

    def test_not_where_some_chip_was_made(self, go: Any, tiny: TinyArchive):
        for path in tiny.root.rglob("*_B*/*.tif"):
            path.unlink()
        report = go("out", backend=Apart())
        assert (report.status, report.made) == (3, 2)
        assert not any("see dataset.root" in hint for hint in report.hints)

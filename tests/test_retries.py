"""Failures that pass by themselves get another turn; others do not; and what `on_error` makes of those."""

from __future__ import annotations

import concurrent.futures
import csv
import errno
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import requests

from lcnkit import Run, prepare
from lcnkit.backend.serial import SerialPool
from lcnkit.contracts import Outcome
from lcnkit.errors import BackendError, BadLabel, ChipError, ConfigError, MissingAsset, UnreachableAsset, UnreadableAsset, WorkerLost
from lcnkit.exporter.npz import Npz
from lcnkit.model import Chip, Image, Item
from lcnkit.pipeline import Report
from lcnkit.reader.auto import Auto
from lcnkit.retries import is_passing, pause
from lcnkit.testing.archives import TinyArchive


def caused(error: BaseException, cause: BaseException) -> BaseException:
    error.__cause__ = cause
    return error


def answered(status: int) -> requests.HTTPError:
    response = requests.Response()
    response.status_code = status
    return requests.HTTPError(response=response)


@pytest.mark.parametrize(
    "error",
    [
        UnreachableAsset("503"),
        ConnectionResetError(),
        BrokenPipeError(),
        TimeoutError(),
        OSError(errno.ESTALE, "Stale file handle"),
        OSError(errno.EIO, "Input/output error"),
        OSError(errno.ETIMEDOUT, "timed out"),
        requests.ConnectionError(),
        requests.exceptions.ChunkedEncodingError(),
        requests.Timeout(),
        answered(503),
        answered(429),
        concurrent.futures.BrokenExecutor(),
        caused(BadLabel("cannot read the label raster"), UnreachableAsset("503")),
        caused(UnreadableAsset("gone"), OSError(errno.ESTALE, "Stale file handle")),
    ],
    ids=repr,
)
def test_passes_by_itself(error):
    assert is_passing(error)


@pytest.mark.parametrize(
    "error",
    [
        None,
        MissingAsset("no B12"),
        UnreadableAsset("cut short"),
        ChipError("too dark"),
        FileNotFoundError(errno.ENOENT, "No such file"),
        PermissionError(errno.EACCES, "Permission denied"),
        OSError(errno.ENOSPC, "No space left"),
        answered(404),
        answered(403),
        requests.exceptions.InvalidURL(),
        ZeroDivisionError(),
        RuntimeError("the worker cannot load the task"),
        MemoryError(),
        caused(UnreadableAsset("gone"), FileNotFoundError(errno.ENOENT, "No such file")),
    ],
    ids=repr,
)
def test_stays(error):
    assert not is_passing(error)


def test_a_chain_that_bites_its_tail():
    first, second = ChipError("a"), ChipError("b")
    first.__cause__, second.__cause__ = second, first
    assert not is_passing(first)


def test_pauses_grow_up_to_a_minute_and_a_little_more():
    for attempt, seconds in ((1, 1), (2, 2), (3, 4), (7, 60), (50, 60)):
        assert seconds <= pause(attempt) <= 1.25 * seconds


@dataclass(frozen=True)
class Troubled(Auto):
    """A reader that raises an error for some chips, the first so many times."""

    log: str = ""
    troubles: tuple[tuple[str, int, str], ...] = ()
    """Chip, how often, and the error's class."""

    def read(self, chip: Chip, items: Sequence[Item], bands: Sequence[str]) -> Image:
        with open(self.log, "a") as file:
            file.write(f"{chip.id}\n")
        turns = Path(self.log).read_text().split().count(chip.id)
        for name, times, error in self.troubles:
            if name == chip.id and turns <= times:
                raise {"reset": ConnectionResetError, "missing": MissingAsset, "bug": ZeroDivisionError, "unreachable": UnreachableAsset}[error](
                    "https://user:pass@server/x.tif?key=hush is\nnot to be had"
                )
        return super().read(chip, items, bands)


Go = Callable[..., Report]


@pytest.fixture
def go(tiny: TinyArchive, make_run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Go:
    """A run of chips A, B and C, with one period, in which some chips fail so many times."""
    monkeypatch.setattr("lcnkit.materialise.pause", lambda attempt: 0.0)
    (tmp_path / "turns").touch()

    def go(*troubles: tuple[str, int, str], output: str = "out", **keys: Any) -> Report:
        (tmp_path / "turns").write_text("")
        run: Run = make_run(tiny.root, n_periods=1, exporter=Npz(), output_dir=str(tmp_path / output), **keys)
        # What goes wrong is no option of the run: the same folder is to go on with other troubles.
        reader = Troubled(log=str(tmp_path / "turns"), troubles=troubles)
        monkeypatch.setattr("lcnkit.pipeline.describe_run", lambda run, names: {"n_periods": 1})
        return prepare(replace(run, sources=(replace(run.source, reader=reader),)))

    return go


@pytest.fixture
def turns(tmp_path: Path) -> Callable[[], list[str]]:
    return lambda: (tmp_path / "turns").read_text().split()


def failures(report: Report) -> list[dict[str, str]]:
    with (report.output / "failures.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def data_of(report: Report) -> dict[str, bytes]:
    return {str(path.relative_to(report.output)): path.read_bytes() for path in report.output.rglob("*") if path.is_file()}


class TestRounds:
    def test_a_passing_failure_gets_another_turn_after_all_others(self, go: Go, turns, caplog):
        caplog.set_level("INFO", "lcnkit")
        report = go(("A", 2, "reset"), ("B", 1, "unreachable"))
        assert (report.status, report.made, report.failures) == (0, 3, ())
        assert turns() == ["A", "B", "C", "A", "B", "A"]
        assert data_of(report) == data_of(go(output="undisturbed"))
        said = [record.getMessage() for record in caplog.records if record.getMessage().startswith("retry")]
        assert said == ["retry      2 chips that failed for a passing reason, in 0 s", "retry      1 chip that failed for a passing reason, in 0 s"]

    def test_in_the_end_it_is_recorded_with_its_attempts(self, go: Go, turns):
        report = go(("B", 99, "reset"), retries=3)
        assert (report.status, report.made) == (3, 2)
        (failure,) = failures(report)
        assert list(failure) == ["chip_id", "step", "error", "attempts", "transient", "message"]
        assert [failure[name] for name in ("chip_id", "step", "error", "attempts", "transient")] == ["B", "read", "ConnectionResetError", "4", "true"]
        assert failure["message"].startswith("ConnectionResetError: https://***@server/x.tif?*** is not to be had (")
        assert turns().count("B") == 4

    @pytest.mark.parametrize("error", ["missing", "bug"])
    def test_a_failure_that_stays_is_not_tried_again(self, go: Go, turns, error):
        (failure,) = failures(go(("B", 99, error)))
        assert (failure["attempts"], failure["transient"]) == ("1", "false")
        assert turns().count("B") == 1

    def test_none_are_wanted(self, go: Go, turns):
        assert failures(go(("B", 1, "reset"), retries=0))[0]["attempts"] == "1"
        assert turns().count("B") == 1

    def test_a_later_run_makes_what_failed(self, go: Go, turns):
        assert go(("B", 99, "reset"), ("C", 99, "missing")).status == 3
        again = go()
        assert (again.status, again.made, again.kept) == (0, 2, 1)
        assert turns() == ["B", "C"]
        assert not (again.output / "failures.csv").exists()
        assert data_of(again) == data_of(go(output="undisturbed"))

    def test_waits_before_a_round(self, go: Go, monkeypatch):
        monkeypatch.setattr("lcnkit.materialise.pause", lambda attempt: 0.4)
        started = time.perf_counter()
        go(("A", 99, "reset"), retries=2)
        assert time.perf_counter() - started > 0.8


class TestOnError:
    def test_stops_at_the_first_chip_that_fails(self, go: Go, turns):
        report = go(("B", 99, "missing"), on_error="raise")
        assert (report.status, report.made) == (3, 1)
        assert "C" not in turns(), "nothing more is started"
        assert report.stopped.startswith("Stopped at the first chip that failed (on_error=raise): B at read: https://***@server/x.tif?***")
        assert [failure["chip_id"] for failure in failures(report)] == ["B"]
        assert not (report.output / "manifest.json").exists()
        again = go(on_error="raise")
        assert (again.status, again.kept, again.made) == (0, 1, 2)
        assert data_of(again) == data_of(go(output="undisturbed"))

    def test_nothing_was_made(self, go: Go):
        assert go(("A", 99, "bug"), on_error="raise").status == 1

    def test_a_passing_failure_stops_it_when_its_retries_are_used_up(self, go: Go, turns):
        assert go(("B", 1, "reset"), on_error="raise").status == 0
        report = go(("A", 99, "reset"), on_error="raise", output="other", retries=1)
        assert (report.status, report.made) == (3, 2)
        assert failures(report)[0]["attempts"] == "2"

    def test_a_chip_without_imagery_stops_it_before_a_pixel_is_read(self, tiny: TinyArchive, go: Go, turns):
        import shutil

        for folder in tiny.root.glob("*_source_*/*_B_*"):
            shutil.rmtree(folder)
        report = go(on_error="raise")
        assert (report.status, report.made, turns()) == (1, 0, [])
        assert "B at candidates: Chip B: no item of" in report.stopped


@pytest.mark.parametrize(
    ("keys", "said"), [({"retries": -1}, "retries is -1"), ({"retries": True}, "retries is True"), ({"on_error": "stop"}, "skip, ra")]
)
def test_values_that_cannot_be_meant(tiny: TinyArchive, make_run: Any, keys, said):
    with pytest.raises(ConfigError, match=said):
        make_run(tiny.root, **keys)


class TestBackends:
    """What a pool says of a task that never came back."""

    @pytest.fixture
    def lossy(self, monkeypatch) -> Callable[..., None]:
        """Make the serial pool lose its first tasks, each with an error; ``None`` lets one pass."""

        def lose(*errors: BaseException | None) -> None:
            work, left = SerialPool.map, list(errors)

            def map_lossy(self, function, tasks):
                for outcome in work(self, function, tasks):
                    error = left.pop(0) if left else None
                    if isinstance(error, BackendError):
                        raise error
                    yield outcome if error is None else Outcome(outcome.index, error=error)

            monkeypatch.setattr(SerialPool, "map", map_lossy)

        return lose

    def test_a_lost_worker_is_no_reason_to_give_up(self, go: Go, lossy):
        lossy(ConnectionResetError("the worker is gone"))
        report = go()
        assert (report.status, report.made) == (0, 3)

    def test_a_chip_that_took_every_worker_with_it_is_not_tried_once_more(self, go: Go, lossy):
        lossy(WorkerLost("lost 4 times"))
        (failure,) = failures(go())
        assert [failure[name] for name in ("chip_id", "error", "attempts", "transient")] == ["A", "WorkerLost", "1", "false"]

    def test_what_a_worker_cannot_load_fails_at_once(self, go: Go, lossy):
        lossy(RuntimeError("the worker cannot load the task"))
        (failure,) = failures(go())
        assert [failure[name] for name in ("chip_id", "step", "error", "attempts")] == ["A", "backend", "RuntimeError", "1"]

    def test_workers_that_cannot_be_had_any_more(self, go: Go, lossy):
        lossy(None, BackendError("The scheduler is gone."))
        report = go()
        assert (report.status, report.made, report.stopped) == (3, 1, "The scheduler is gone.")
        again = go()
        assert (again.status, again.kept, again.made) == (0, 1, 2)
        assert data_of(again) == data_of(go(output="undisturbed"))

    def test_workers_that_never_came(self, go: Go, lossy, tmp_path):
        lossy(BackendError("No worker."))
        with pytest.raises(BackendError, match="No worker"):
            go()
        assert not (tmp_path / "out" / ".lcnkit").exists(), "nothing was made: the corrected command may use the folder"

"""Ctrl-C and SIGTERM, sent to real processes: once ends the run cleanly, twice at once; nothing is lost either way."""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lcnkit import prepare
from lcnkit.interrupt import Halt, Terminated, interruptible, terminable
from lcnkit.journal import OutputFolder
from lcnkit.model import Receipt
from lcnkit.testing.archives import TinyArchive

CHIPS = 40
# A run from Python whose chips take as long as the environment says, on workers too.
RUN = """
import logging, os, sys, time
from dataclasses import dataclass
from lcnkit import Run, Source, Dataset, prepare
from lcnkit.backend.local import Local
from lcnkit.backend.serial import Serial
from lcnkit.catalog.static import Static
from lcnkit.contracts import Transform
from lcnkit.exporter.pickle import Pickle
from lcnkit.reader.auto import Auto
from lcnkit.strategy.season_min_cc import SeasonMinCC

@dataclass(frozen=True)
class Slow(Transform):
    def apply(self, image):
        time.sleep(float(os.environ["SECONDS_A_CHIP"]))
        return image

if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    root, output, backend = sys.argv[1:]
    source = Source(catalog=Static(), strategy=SeasonMinCC(), reader=Auto(), transforms=(Slow(),), bands=("B04",))
    workers = Serial() if backend == "serial" else Local(workers=2, dashboard=None)
    try:
        report = prepare(Run(dataset=Dataset(root=root), sources=(source,), n_periods=1, backend=workers, exporter=Pickle(), output_dir=output))
    except KeyboardInterrupt:
        sys.exit(130)
    print(report.made, report.kept, report.stopped, flush=True)
    sys.exit(report.status)
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    archive = TinyArchive(tmp_path_factory.mktemp("data") / "archive", size=4)
    for number in range(CHIPS):
        archive.chip(f"C{number:02d}", classes=number % 3)
        archive.item(f"C{number:02d}", "2018-03-01", 10, B04=100 + number)
    return archive.write()


class Process:
    """A run in a session of its own, as a shell or a batch system starts it."""

    def __init__(self, arguments: list[str], output: Path, seconds: float) -> None:
        self.output = output
        environment = {**os.environ, "SECONDS_A_CHIP": str(seconds)}
        self._process = subprocess.Popen(
            arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True, env=environment
        )

    def wait_for(self, chips: int) -> None:
        journal, end = self.output / ".lcnkit" / "journal.jsonl", time.monotonic() + 60
        while not journal.exists() or journal.read_bytes().count(b"\n") < chips:
            assert self._process.poll() is None, self._process.communicate()
            assert time.monotonic() < end, "no chip was made in a minute"
            time.sleep(0.02)

    def send(self, number: int, *, group: bool = True) -> None:
        (os.killpg if group else os.kill)(self._process.pid, number)

    def end(self) -> tuple[int, str, str]:
        try:
            out, err = self._process.communicate(timeout=60)
        finally:
            if self._process.poll() is None:
                os.killpg(self._process.pid, signal.SIGKILL)
        assert "Traceback" not in err, err
        return self._process.returncode, out, err

    def orphans(self) -> list[str]:
        """Processes of the session that are still there a moment later."""
        for _ in range(50):
            left = [process for process in Path("/proc").glob("[0-9]*") if self._is_of_session(process)]
            if not left:
                return []
            time.sleep(0.1)
        return [(process / "cmdline").read_text() for process in left]

    def _is_of_session(self, process: Path) -> bool:
        try:
            state, _, _, session = (process / "stat").read_text().rpartition(")")[2].split()[:4]
        except (OSError, ValueError):
            return False
        return session == str(self._process.pid) and state != "Z"


Start = Callable[..., Process]


@pytest.fixture
def start(root: Path, tmp_path: Path) -> Start:
    (tmp_path / "run.py").write_text(RUN)

    def start(backend: str, output: str = "out", seconds: float = 0.0) -> Process:
        return Process([sys.executable, str(tmp_path / "run.py"), str(root), str(tmp_path / output), backend], tmp_path / output, seconds)

    return start


def data_of(output: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in output.iterdir() if path.is_file()}


def same_as_undisturbed(start: Start, backend: str) -> int:
    """Go on, and compare with a run that nobody disturbed; gives how many chips were kept."""
    again = start(backend)
    status, out, _ = again.end()
    undisturbed = start("serial", "undisturbed")
    assert (status, undisturbed.end()[0]) == (0, 0)
    assert data_of(again.output) == data_of(undisturbed.output)
    assert not (again.output / ".lcnkit").exists()
    made, kept = (int(word) for word in out.split()[:2])
    assert made + kept == CHIPS
    return kept


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["serial", "local"])
class TestProcess:
    @pytest.mark.parametrize(("number", "group", "status"), [(signal.SIGINT, True, 130), (signal.SIGTERM, False, 143), (signal.SIGTERM, True, 143)])
    def test_once_finishes_what_is_under_way(self, start: Start, backend, number, group, status):
        run = start(backend, seconds=0.2)
        run.wait_for(2)
        time.sleep(0.05)  # a quarter of the next chip: between two of them nothing is under way
        run.send(number, group=group)
        returned, out, err = run.end()
        assert returned == status
        assert not run.orphans()
        made = int(out.split()[0])
        journal = (run.output / ".lcnkit" / "journal.jsonl").read_bytes()
        assert journal.count(b"\n") == made < CHIPS
        word = "Interrupted" if number == signal.SIGINT else "Terminated"
        assert f"{word}: finishing " in err
        assert f"{word}: {made} of 40 chips are there." in out
        assert not (run.output / "items.pkl").exists()
        assert same_as_undisturbed(start, backend) == made, "what was under way is kept, too"

    def test_twice_stops_at_once(self, start: Start, backend):
        run = start(backend, seconds=2.0)
        run.wait_for(1)
        started = time.monotonic()
        run.send(signal.SIGINT)
        time.sleep(0.3)
        run.send(signal.SIGINT)
        assert run.end()[0] == 130
        assert time.monotonic() - started < 15
        assert not run.orphans()
        assert same_as_undisturbed(start, backend) >= 1


@pytest.mark.slow
class TestCommandLine:
    """What a person in a terminal sees."""

    SLOW = (
        "import sys, time\n"
        "from lcnkit.transform.reflectance import Reflectance\n"
        "apply = Reflectance.apply\n"
        "Reflectance.apply = lambda self, image: (time.sleep(0.4), apply(self, image))[1]\n"
        "from lcnkit.cli import main\n"
        "sys.exit(main())"
    )

    def command(self, root: Path, output: Path, *more: str) -> Process:
        overrides = ["dataset=landcovernet", f"dataset.root={root}", "bands=[B04]", "n_periods=1", "backend=serial", f"output_dir={output}", *more]
        return Process([sys.executable, "-c", self.SLOW, *overrides], output, 0)

    def test_once_says_how_to_go_on(self, root: Path, tmp_path: Path):
        run = self.command(root, tmp_path / "out")
        run.wait_for(2)
        run.send(signal.SIGINT)
        status, _, err = run.end()
        assert status == 130
        assert "Interrupted: finishing 1 chip under way. Ctrl-C again stops at once." in err
        assert f"go on      with python -m lcnkit retry {tmp_path / 'out'}" in err
        last = err.splitlines()[-1]
        assert last.startswith("lcnkit: Interrupted: ")
        assert last.endswith(" of 40 chips are there.")
        went_on = subprocess.run(
            [sys.executable, "-m", "lcnkit", "retry", str(tmp_path / "out")], capture_output=True, text=True, check=False, cwd=tmp_path
        )
        assert went_on.returncode == 0, went_on.stderr
        assert "chips are there already (checksums verified)" in went_on.stderr

    def test_twice_ends_without_a_traceback(self, root: Path, tmp_path: Path):
        run = self.command(root, tmp_path / "out")
        run.wait_for(1)
        run.send(signal.SIGINT)
        time.sleep(0.05)
        run.send(signal.SIGINT)
        status, _, err = run.end()
        assert status == 130
        assert err.splitlines()[-1].startswith("lcnkit: Interrupted")

    def test_ends_a_sweep(self, root: Path, tmp_path: Path):
        """The jobs that have not begun are not wanted either."""
        run = Process(
            [
                *(sys.executable, "-c", self.SLOW, "-m", "n_periods=1,2", "dataset=landcovernet", f"dataset.root={root}", "bands=[B04]"),
                *("backend=serial", f"output_dir={tmp_path / 'out'}"),
            ],
            tmp_path / "out" / "bands=[B04],dataset=landcovernet,n_periods=1",
            0,
        )
        run.wait_for(2)
        run.send(signal.SIGINT)
        assert run.end()[0] == 130
        assert [folder.name for folder in (tmp_path / "out").iterdir() if folder.is_dir()] == [run.output.name]


def test_when_all_chips_are_there_the_data_set_is_finished(tiny: TinyArchive, make_run: Any, monkeypatch: pytest.MonkeyPatch):
    """The signal comes while the last chip is made; the next job of a sweep must not begin all the same."""
    record, left = OutputFolder.record, ["A", "B", "C"]

    def signal_at_the_last(output: OutputFolder, receipt: Receipt) -> None:
        record(output, receipt)
        left.remove(receipt.chip_id)
        if not left:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(OutputFolder, "record", signal_at_the_last)
    report = prepare(make_run(tiny.root))
    assert (report.status, report.stopped, report.made) == (130, "", 3)
    assert (report.output / "manifest.json").exists()


class TestHalt:
    @pytest.fixture(autouse=True)
    def _handlers(self) -> Iterator[None]:
        before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
        yield
        assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before, "what was there is put back"

    def test_the_first_signal_ends_the_tasks(self):
        with interruptible() as halt:
            taken = []
            for task in halt.until(range(10)):
                taken.append(task)
                if task == 2:
                    os.kill(os.getpid(), signal.SIGINT)
            assert taken == [0, 1, 2]
            assert (halt.reason, halt.signal, halt.under_way) == ("Interrupted", signal.SIGINT, 3)

    @pytest.mark.parametrize(("second", "error"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, Terminated)])
    def test_the_second_ends_the_block(self, second, error):
        def twice() -> None:
            with interruptible():
                os.kill(os.getpid(), signal.SIGTERM)
                os.kill(os.getpid(), second)
                time.sleep(5)

        with pytest.raises(KeyboardInterrupt) as caught:
            twice()
        assert type(caught.value) is error

    def test_waiting_ends_too(self):
        with interruptible() as halt:
            threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
            started = time.monotonic()
            halt.wait(20)
            assert time.monotonic() - started < 5

    def test_in_another_thread_signals_are_left_alone(self):
        seen = []

        def work() -> None:
            with interruptible() as halt, terminable():
                seen.append((halt.until([1]), signal.getsignal(signal.SIGINT)))

        before = signal.getsignal(signal.SIGINT)
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        assert seen[0][1] is before

    def test_the_first_reason_counts(self):
        halt = Halt()
        halt.stop("the disk is full")
        halt.stop("a chip failed")
        assert halt
        assert halt.reason == "the disk is full"

    def test_terminable(self):
        def end() -> None:
            with terminable():
                os.kill(os.getpid(), signal.SIGTERM)
                time.sleep(5)

        with pytest.raises(Terminated):
            end()

    @pytest.mark.parametrize(("number", "error"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, Terminated)])
    def test_an_import_is_ended_first(self, number: int, error: type[BaseException], tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        """Python may hold a module's lock for ever where one is broken off, and the thread that connects waits for it."""
        (tmp_path / f"met_by_signal_{number:d}.py").write_text(f"import signal\nsignal.raise_signal({int(number)})\nmade = True\n")
        monkeypatch.syspath_prepend(tmp_path)
        made = False
        with pytest.raises(error), terminable():  # noqa: PT012 - it comes a moment later
            made = importlib.import_module(f"met_by_signal_{number:d}").made
            time.sleep(30)
        assert made

    def test_a_program_that_is_imported_itself(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        """Then all of a run is inside of an import, which would never end."""
        (tmp_path / "runs_when_imported.py").write_text(
            "import signal, time\nfrom lcnkit.interrupt import terminable\n"
            "with terminable():\n    signal.raise_signal(signal.SIGTERM)\n    time.sleep(30)\n"
        )
        monkeypatch.syspath_prepend(tmp_path)
        started = time.monotonic()
        with pytest.raises(Terminated):
            importlib.import_module("runs_when_imported")
        assert time.monotonic() - started < 20

    def test_somebody_elses_handler_stays(self):
        before = signal.signal(signal.SIGINT, handler := lambda number, frame: None)
        try:
            with terminable():
                assert signal.getsignal(signal.SIGINT) is handler
        finally:
            signal.signal(signal.SIGINT, before)

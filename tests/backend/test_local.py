"""local keeps the contract of backends, and is a quiet guest."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import types
from pathlib import Path

import dask
import pytest

from lcnkit.backend.local import Local
from lcnkit.errors import ConfigError
from lcnkit.testing.archives import TinyArchive
from lcnkit.testing.backend import BackendContract, fail_on_odd, process_id


class TestLocal(BackendContract):
    @pytest.fixture
    def backend(self) -> Local:
        return Local(workers=2)

    def test_runs_in_other_processes(self, pool) -> None:
        ids = {outcome.value for outcome in pool.map(process_id, range(40))}
        assert None not in ids
        assert os.getpid() not in ids
        assert len(ids) == 2


def test_a_task_that_workers_cannot_load_is_an_outcome_and_no_endless_wait(monkeypatch) -> None:
    ghost = types.ModuleType("only_in_the_client")
    exec("def function(task):\n    return task", ghost.__dict__)
    monkeypatch.setitem(sys.modules, "only_in_the_client", ghost)
    with Local(workers=1).open() as pool:
        outcomes = list(pool.map(ghost.function, range(3)))
    assert [outcome.value for outcome in outcomes] == [None] * 3
    assert all("only_in_the_client" in str(outcome.error) for outcome in outcomes)


@pytest.mark.parametrize(("dashboard", "bokeh", "wanted"), [(":0", True, True), (":0", False, False), (None, True, False)])
def test_workers_are_watched_only_for_somebody(dashboard: str | None, bokeh: bool, wanted: bool, monkeypatch) -> None:
    """Dask's profile takes a tenth of the time of a quick chip, and only its dashboard shows it."""
    monkeypatch.setattr("lcnkit.backend.local._has_bokeh", lambda: bokeh)
    with Local(workers=1, dashboard=dashboard).open() as pool:
        (outcome,) = pool.map(dask.config.get, ["distributed.worker.profile.enabled"])
    assert outcome.value is wanted


# A worker process must import the function: it comes from the library, not from this script.
SCRIPT = """
from lcnkit.backend.local import Local
from lcnkit.testing.archives import TinyArchive
from lcnkit.testing.backend import fail_on_odd

if __name__ == "__main__":
    with Local(workers=2).open() as pool:
        outcomes = list(pool.map(fail_on_odd, range(10)))
    import psutil
    left = [child.cmdline() for child in psutil.Process().children(recursive=True)]
    # What Python keeps for the next worker until this process ends.
    left = [command for command in left if not any(name in " ".join(command) for name in ("resource_tracker", "multiprocessing.forkserver"))]
    raise SystemExit(f"still running: {left}" if left else len(outcomes) != 10)
"""


def test_says_nothing_and_leaves_no_process(tmp_path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


# Loading rasterio takes longer than laying out the data set, and all workers wait for that.
LEAN = """
import sys
from lcnkit import compose, prepare

if __name__ == "__main__":
    report = prepare(compose([f"dataset.root={sys.argv[1]}", "output_dir=run", "backend=local", "backend.workers=1", "bands=[B04]"]))
    raise SystemExit(f"{report.made} made, rasterio: {'rasterio' in sys.modules}")
"""


def test_only_workers_load_rasterio(tmp_path: Path) -> None:
    """They tell what each CRS is called in full, also where a run has several."""
    archive = TinyArchive(tmp_path / "archive")
    for name, archive.crs in (("A", "EPSG:32633"), ("B", "EPSG:32632")):
        archive.chip(name)
        archive.item(name, "2018-03-01", cloud=10, B04=1200)
    archive.write()
    script = tmp_path / "lean.py"
    script.write_text(LEAN)
    done = subprocess.run([sys.executable, str(script), str(archive.root)], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120)
    assert done.stderr.strip().splitlines()[-1] == "2 made, rasterio: False"


def test_a_script_that_workers_cannot_import_is_named() -> None:
    done = subprocess.run([sys.executable, "-"], input=SCRIPT, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 1
    said = done.stderr.strip().splitlines()[-1]
    assert said.startswith("lcnkit.errors.BackendError: The workers of backend=local do not start: <stdin> is no file. ")


def test_without_a_dashboard_no_port_is_asked_for() -> None:
    """Dask would try its usual port, and warn where another cluster has it."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        with contextlib.suppress(OSError):  # taken already: just as well
            listener.bind(("", 8787))
            listener.listen()
        pool = stack.enter_context(Local(workers=1, dashboard=None).open())
        assert [outcome.value for outcome in pool.map(fail_on_odd, [2])] == [2]


@pytest.mark.parametrize("option", ["workers", "threads", "batch"])
def test_options_must_be_positive(option: str) -> None:
    with pytest.raises(ConfigError, match=f"backend.{option} is 0"):
        Local(**{option: 0})


def test_dask_keeps_few_of_the_batches_that_were_sent() -> None:
    """Its log of messages holds them whole, by default 1,000 of up to 1 MB."""
    with Local(workers=1, dashboard=None).open() as pool:
        assert len(list(pool.map(len, ["a" * 1000] * 300))) == 300
        client = pool.client  # type: ignore[attr-defined]
        assert client.scheduler_comm.recent_message_log.maxlen <= 10
        assert {comm.recent_message_log.maxlen for comm in client.cluster.scheduler.stream_comms.values()} <= set(range(11))

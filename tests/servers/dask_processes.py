"""A Dask scheduler and its workers as processes of their own, started by hand as on other machines."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest


@dataclass
class DaskProcesses:
    """A scheduler that runs, and the workers started so far."""

    folder: Path
    address: str
    scheduler: subprocess.Popen[bytes]
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def file(self) -> Path:
        """The scheduler file."""
        return self.folder / "scheduler.json"

    def worker(self, *options: str, python: Path = Path(sys.executable), before: Sequence[str] = (), **environment: str) -> None:
        """Start a worker; it registers some seconds later.

        Args:
            options: Of `dask worker`.
            python: The Python of another environment.
            before: What to put before the command.
            environment: Variables to add.
        """
        command = [*before, str(python), "-m", "distributed.cli.dask_worker", self.address, "--nthreads", "1", "--no-dashboard", *options]
        self.workers.append(_started(command, self.folder, f"worker-{len(self.workers)}.log", environment))


@contextmanager
def dask_processes(folder: Path, workers: int = 0, *options: str) -> Iterator[DaskProcesses]:
    """A scheduler on loopback with so many workers; all processes end with the ``with`` block.

    Args:
        folder: For logs and the scheduler file.
        workers: Workers to start; more can be started later.
        options: Of `dask scheduler`.
    """
    file = folder / "scheduler.json"
    listen = [] if any(option.startswith("--protocol") for option in options) else ["--host", "127.0.0.1"]
    command = [
        sys.executable,
        "-m",
        "distributed.cli.dask_scheduler",
        "--port",
        "0",
        "--no-dashboard",
        "--scheduler-file",
        str(file),
        *listen,
        *options,
    ]
    scheduler = _started(command, folder, "scheduler.log", {})
    found = DaskProcesses(folder, "", scheduler)
    try:
        found.address = _address(file, scheduler, folder / "scheduler.log")
        for _ in range(workers):
            found.worker()
        yield found
    finally:
        for process in [*found.workers, scheduler]:
            _end(process)


def _started(command: Sequence[str], folder: Path, log: str, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    with (folder / log).open("wb") as file:
        return subprocess.Popen(command, cwd=folder, stdout=file, stderr=file, start_new_session=True, env={**os.environ, **environment})


def _address(file: Path, scheduler: subprocess.Popen[bytes], log: Path) -> str:
    for _ in range(600):
        with contextlib.suppress(OSError, ValueError):
            return str(json.loads(file.read_text())["address"])
        if scheduler.poll() is not None:
            break
        time.sleep(0.05)
    pytest.fail(f"the scheduler did not start: {log.read_text(errors='replace')[-2000:]}")


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill a process and all that it started."""
    with contextlib.suppress(psutil.Error):
        for child in psutil.Process(process.pid).children(recursive=True):
            with contextlib.suppress(psutil.Error):
                child.kill()
    process.kill()
    process.wait()

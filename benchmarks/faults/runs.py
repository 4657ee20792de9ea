"""Runs of lcnkit as processes of their own, watched from outside."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

#: Every process of a run carries this in its environment, and so do its children.
MARK = "LCNKIT_FAULT_RUN"
_PATIENCE_S = 300


@dataclass(frozen=True)
class Job:
    """The command whose result is known, and where it is run."""

    archive: Path
    plugins: Path
    options: tuple[str, ...] = ()
    variables: dict[str, str] = field(default_factory=dict)

    def command(self, output: Path, *more: str) -> list[str]:
        """The command line of a run."""
        given = ("dataset=landcovernet", f"dataset.root={self.archive}", "reader=hungry", f"output_dir={output}")
        return [sys.executable, "-m", "lcnkit", *given, *self.options, *more]

    def start(self, output: Path, *more: str, **settings: object) -> subprocess.Popen[str]:
        """Start a run in a process group of its own, as a shell does."""
        return self.start_command(self.command(output, *more), output, **settings)

    def start_command(self, command: Sequence[str], output: Path, **settings: object) -> subprocess.Popen[str]:
        """Start any command with the environment of a run; ``limit`` is the largest file it may write, in bytes."""
        limit, variables = settings.get("limit"), settings.get("variables", {})
        environment = {**os.environ, **self.variables, **variables, MARK: str(output)}  # type: ignore[dict-item]
        environment["PYTHONPATH"] = os.pathsep.join([str(self.plugins), *filter(None, [os.environ.get("PYTHONPATH")])])
        return subprocess.Popen(
            command,
            cwd=self.archive.parent,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            preexec_fn=_limiter(limit) if isinstance(limit, int) else None,
        )

    def run(self, output: Path, *more: str, **settings: object) -> tuple[int, str]:
        """Exit status and output of a run that is left alone."""
        return ended(self.start(output, *more, **settings))

    def retry(self, output: Path, *more: str) -> tuple[int, str]:
        """``python -m lcnkit retry OUTPUT``."""
        return ended(self.start_command([sys.executable, "-m", "lcnkit", "retry", str(output), *more], output))


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Exit status and output of a process, once it has ended."""
    text, _ = process.communicate(timeout=_PATIENCE_S)
    return process.returncode, text


def _limiter(size: int) -> Callable[[], None]:
    def limit() -> None:
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    return limit


def kill_group(process: subprocess.Popen[str], how: int = signal.SIGKILL, *, group: bool = False) -> None:
    """Signal the client alone, or its whole group as a terminal does; nothing where it has ended."""
    with contextlib.suppress(ProcessLookupError):
        if group:
            os.killpg(process.pid, how)
        else:
            process.send_signal(how)


def done_so_far(output: Path) -> int:
    """Chips in the journal."""
    try:
        return (output / ".lcnkit" / "journal.jsonl").read_bytes().count(b"\n")
    except OSError:
        return 0


def wait_for(process: subprocess.Popen[str], output: Path, chips: int) -> bool:
    """Wait until so many chips are made; ``False`` where the run ended before."""
    while done_so_far(output) < chips:
        if process.poll() is not None:
            return False
        time.sleep(0.001)
    return True


def workers_of(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """Worker processes of a run with a cluster of its own."""
    with contextlib.suppress(psutil.Error):
        return [child for child in psutil.Process(process.pid).children(recursive=True) if _is_worker(child)]
    return []


def _is_worker(process: psutil.Process) -> bool:
    """Started by multiprocessing, or forked from what that keeps for it."""
    parent = process.parent()
    return "spawn_main" in _line(process) or (parent is not None and "multiprocessing.forkserver" in _line(parent))


def _line(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def orphans(output: Path, patience_s: float = 10.0) -> list[psutil.Process]:
    """Processes of a run that are still there after a while."""
    until = time.monotonic() + patience_s
    while left := list(_marked(output)):
        if time.monotonic() > until:
            break
        time.sleep(0.05)
    return left


def _marked(output: Path) -> Iterator[psutil.Process]:
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get(MARK) == str(output) and process.status() != psutil.STATUS_ZOMBIE:
                yield process


def digests(output: Path) -> dict[str, str]:
    """SHA-256 of everything that makes the data set, by path."""
    names = [path for path in sorted(output.rglob("*")) if path.is_file() and _counts(path.relative_to(output))]
    return {path.relative_to(output).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in names}


def _counts(path: Path) -> bool:
    """Not the log and the configuration, which differ from run to run; but what was left half done counts."""
    return path.name != "lcnkit.log" and path.parts[0] != ".hydra"


def chips_in(output: Path) -> list[str]:
    """Chips of the finished data set, as often as they are there."""
    manifest = json.loads((output / "manifest.json").read_bytes())
    return [sample["chip_id"] for sample in manifest["samples"]]

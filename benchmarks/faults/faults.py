"""The faults: each does something to a run, goes on as a user would, and leaves a data set to compare."""

from __future__ import annotations

import random
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.faults.runs import Job, ended, kill_group, wait_for, workers_of

#: Exit statuses, as the README has them.
ALL, SOME, INTERRUPTED, TERMINATED = 0, 3, 130, 143


# What an interrupted run says last: how to go on, or that there is nothing left to do.
_HOW_IT_ENDED = ("go on  ", "goes on from here", "the data set is finished")


class Unexpected(Exception):
    """A run did not end as it should have."""


@dataclass(frozen=True)
class Scene:
    """One try of a fault."""

    job: Job
    output: Path
    chips: tuple[str, ...]
    """All chips of the archive."""
    seconds: float
    """How long an undisturbed run takes on this machine."""
    chance: random.Random


def killed(scene: Scene, backend: str) -> None:
    """The client gets SIGKILL at a random moment: every other time between start and end, else after a random chip."""
    process = scene.job.start(scene.output, f"backend={backend}")
    if scene.chance.random() < 0.3:
        time.sleep(scene.chance.uniform(0, scene.seconds))
    else:
        wait_for(process, scene.output, scene.chance.randrange(len(scene.chips)))
        time.sleep(scene.chance.uniform(0, 0.02))
    kill_group(process)
    ended(process)
    _expect(scene.job.run(scene.output, f"backend={backend}"), ALL)


def killed_workers(scene: Scene) -> None:
    """One worker after the other gets SIGKILL while the run goes on."""
    process = scene.job.start(scene.output, "backend=local")
    for share in (0.2, 0.6):
        if wait_for(process, scene.output, int(share * len(scene.chips))) and (workers := workers_of(process)):
            scene.chance.choice(workers).kill()
    _expect(ended(process), ALL)


def out_of_memory(scene: Scene) -> None:
    """One chip needs more memory than a worker may have; the others must be made all the same."""
    hungry = scene.chance.choice(scene.chips)
    limited = ("backend=local", "backend.memory_limit=500MB", "retries=0")
    status, text = _expect(scene.job.run(scene.output, *limited, variables={"LCNKIT_HUNGRY": hungry}), SOME)
    if "failed     1 chip" not in text:
        raise Unexpected(f"more than the hungry chip failed:\n{text}")
    _expect(scene.job.retry(scene.output), ALL)


def full_disk(scene: Scene, backend: str, exporter: str) -> None:
    """No file may grow beyond a random size, as on a full disk; later there is room."""
    options = (f"backend={backend}", f"exporter={exporter}")
    size = 256 * 256 * 4 * 3 * 5
    most = size * len(scene.chips) if exporter == "pickle" else size
    limit = scene.chance.randrange(most // 3, int(most * 0.9))
    status, text = ended(scene.job.start(scene.output, *options, limit=limit))
    if status not in (1, SOME) or "full" not in text:
        raise Unexpected(f"exit status {status}, and nothing was said of a full disk:\n{text}")
    _expect(scene.job.run(scene.output, *options), ALL)


def lost_source(scene: Scene, backend: str) -> None:
    """A source file is deleted while the run goes on; it comes back, and the failed chip is tried again."""
    files = sorted(scene.job.archive.rglob(f"*{scene.chips[-1]}*/B04.tif"))
    if not files:
        raise Unexpected(f"the archive has no B04.tif of chip {scene.chips[-1]}")
    # One chip at a time: the client hears of a chip as soon as it is made, while the last is still to come.
    process = scene.job.start(scene.output, f"backend={backend}", *(["backend.batch=1"] if backend == "local" else []))
    wait_for(process, scene.output, scene.chance.randrange(len(scene.chips) // 2))
    with _away(files):
        status, text = _expect(ended(process), SOME)
    if scene.chips[-1] not in (scene.output / "failures.csv").read_text():
        raise Unexpected(f"failures.csv does not name the chip:\n{text}")
    _expect(scene.job.retry(scene.output, f"backend={backend}"), ALL)


def interrupted(scene: Scene, backend: str, times: int) -> None:
    """Ctrl-C in the terminal, once or twice: the signal goes to all processes of the group."""
    process = scene.job.start(scene.output, f"backend={backend}")
    wait_for(process, scene.output, scene.chance.randrange(1, len(scene.chips) // 2))
    for _ in range(times):
        kill_group(process, signal.SIGINT, group=True)
        time.sleep(0.02)
    status, text = _expect(ended(process), INTERRUPTED)
    if "Traceback" in text or not any(words in text for words in _HOW_IT_ENDED):
        raise Unexpected(f"an interrupted run must say how to go on, and nothing else:\n{text}")
    _expect(scene.job.run(scene.output, f"backend={backend}"), ALL)


def terminated(scene: Scene, backend: str) -> None:
    """SIGTERM to the client, as a batch system sends it when the time is up."""
    process = scene.job.start(scene.output, f"backend={backend}")
    wait_for(process, scene.output, scene.chance.randrange(1, len(scene.chips) // 2))
    kill_group(process, signal.SIGTERM)
    _expect(ended(process), TERMINATED)
    _expect(scene.job.run(scene.output, f"backend={backend}"), ALL)


def torn_journal(scene: Scene) -> None:
    """A kill, and then a power cut: the journal ends at a random byte, and the last megabytes written are zeros."""
    process = scene.job.start(scene.output, "backend=serial")
    wait_for(process, scene.output, scene.chance.randrange(2, len(scene.chips) - 2))
    kill_group(process)
    ended(process)
    journal, whole = scene.output / ".lcnkit" / "journal.jsonl", scene.output / ".lcnkit" / "items.partial"
    if journal.exists() and whole.exists():
        with journal.open("r+b") as file:
            file.truncate(scene.chance.randrange(journal.stat().st_size + 1))
        with whole.open("r+b") as file:
            lost = min(whole.stat().st_size, 3 << 20)
            file.seek(scene.chance.randrange(whole.stat().st_size - lost + 1))
            file.write(bytes(lost))
    _expect(scene.job.run(scene.output, "backend=serial"), ALL)


def _expect(result: tuple[int, str], status: int) -> tuple[int, str]:
    if result[0] != status:
        raise Unexpected(f"exit status {result[0]} instead of {status}:\n{result[1]}")
    return result


@contextmanager
def _away(files: list[Path]) -> Iterator[None]:
    """The files are gone while the block lasts."""
    moved = [(file, file.with_name(f"{file.name}.away")) for file in files]
    for file, aside in moved:
        shutil.move(file, aside)
    try:
        yield
    finally:
        for file, aside in moved:
            shutil.move(aside, file)


#: What is done, by the words of the table.
FAULTS: dict[str, Callable[[Scene], None]] = {
    "SIGKILL of the client, serial": lambda scene: killed(scene, "serial"),
    "SIGKILL of the client, local": lambda scene: killed(scene, "local"),
    "SIGKILL of workers": killed_workers,
    "a worker out of memory": out_of_memory,
    "disk full, pickle, serial": lambda scene: full_disk(scene, "serial", "pickle"),
    "disk full, pickle, local": lambda scene: full_disk(scene, "local", "pickle"),
    "disk full, npz, local": lambda scene: full_disk(scene, "local", "npz"),
    "a source file deleted half way": lambda scene: lost_source(scene, "local"),
    "Ctrl-C once, serial": lambda scene: interrupted(scene, "serial", 1),
    "Ctrl-C once, local": lambda scene: interrupted(scene, "local", 1),
    "Ctrl-C twice, serial": lambda scene: interrupted(scene, "serial", 2),
    "Ctrl-C twice, local": lambda scene: interrupted(scene, "local", 2),
    "SIGTERM, local": lambda scene: terminated(scene, "local"),
    "a torn journal and lost bytes": torn_journal,
}

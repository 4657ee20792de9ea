"""Do every fault so many times, and print (or write) the table."""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.faults.faults import FAULTS, Scene, Unexpected
from benchmarks.faults.hungry import install
from benchmarks.faults.runs import Job, chips_in, digests, orphans

_BEGIN, _END = "<!-- faults: begin -->", "<!-- faults: end -->"
# A kill may come at any moment, so it is tried at many; the others are tried a quarter as often.
_AT_ANY_MOMENT = "SIGKILL of the client"
# Takes half a minute, and leaves little to chance.
_RARELY = {"a worker out of memory": 2}


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    fault: str
    times: int
    expected: int
    found: str
    equal: int
    orphans: int
    problems: tuple[str, ...]

    @property
    def good(self) -> bool:
        """Nothing lost, nothing twice, nothing left."""
        return self.equal == self.times and not self.orphans and not self.problems


def main(arguments: list[str] | None = None) -> int:
    """Try the faults; gives 1 where one of them was not survived."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults", description=__doc__)
    parser.add_argument("--times", type=int, default=20, help="kills of the client at random moments (20); other faults are tried a quarter as often")
    parser.add_argument("--chips", type=int, default=40, help="chips of the data set (40)")
    parser.add_argument("--seed", type=int, default=0, help="of the random moments; another one tries others")
    parser.add_argument("--only", default="", help="faults whose names contain one of these words, comma separated")
    parser.add_argument("--write", help="put the table into this file, between its two marks")
    asked = parser.parse_args(arguments)
    words = [word for word in asked.only.split(",") if word]
    chosen = {name: fault for name, fault in FAULTS.items() if not words or any(word in name for word in words)}
    with tempfile.TemporaryDirectory(prefix="lcnkit-faults-") as folder:
        job = prepare(Path(folder), asked.chips)
        reference = {exporter: undisturbed(job, Path(folder), exporter) for exporter in ("pickle", "npz")}
        rows = []
        for name in chosen:
            rows.append(attempt(name, job, reference, tries(name, asked.times), asked.seed, Path(folder)))
            sys.stdout.write(f"{'ok  ' if rows[-1].good else 'BAD '} {name}: {rows[-1].equal} of {rows[-1].times}\n")
            for problem in rows[-1].problems:
                sys.stdout.write(f"      {problem}\n")
            sys.stdout.flush()
    text = table(rows)
    sys.stdout.write(f"\n{text}")
    if asked.write:
        page = Path(asked.write)
        before, _, rest = page.read_text().partition(_BEGIN)
        page.write_text(f"{before}{_BEGIN}\n{text}{_END}{rest.partition(_END)[2]}")
    return 0 if all(row.good for row in rows) else 1


def tries(name: str, times: int) -> int:
    """How often a fault is tried."""
    return times if name.startswith(_AT_ANY_MOMENT) else max(1, min(times // 4, _RARELY.get(name, times)))


def prepare(folder: Path, chips: int) -> Job:
    """A synthetic archive, and the plugin that some faults need."""
    from lcnkit.demo import DemoOptions, write_archive

    archive = folder / "archive"
    write_archive(DemoOptions(chips=chips, acquisitions=6), archive)
    return Job(archive, install(folder / "plugins"), variables={"LCNKIT_CACHE_DIR": str(folder / "cache")})


@dataclass(frozen=True)
class Reference:
    """What an undisturbed run leaves."""

    digests: dict[str, str]
    chips: tuple[str, ...]
    seconds: float


def undisturbed(job: Job, folder: Path, exporter: str) -> Reference:
    """The run that all others must equal, byte for byte."""
    output = folder / f"undisturbed-{exporter}"
    started = time.perf_counter()
    status, text = job.run(output, "backend=serial", f"exporter={exporter}")
    if status:
        raise SystemExit(f"the undisturbed run ended with {status}:\n{text}")
    return Reference(digests(output), tuple(chips_in(output)), time.perf_counter() - started)


def attempt(name: str, job: Job, references: dict[str, Reference], times: int, seed: int, folder: Path) -> Row:
    """Try one fault so many times."""
    reference = references["npz" if "npz" in name else "pickle"]
    found: set[int] = set()
    problems: list[str] = []
    equal = left = 0
    for number in range(times):
        output = folder / "run"
        scene = Scene(job, output, reference.chips, reference.seconds, random.Random(f"{name} {seed} {number}"))
        try:
            FAULTS[name](scene)
            found.add(len(set(chips_in(output))))
            differing = {path for path, digest in (digests(output).items() ^ reference.digests.items())}
            equal += not differing
            if differing:
                problems.append(f"try {number}: differs in {', '.join(sorted(differing))}")
        except Unexpected as error:
            problems.append(f"try {number}: {error}")
        for process in orphans(output):
            left += 1
            problems.append(f"try {number}: still running: {' '.join(process.cmdline()[:4])}")
            process.kill()
        shutil.rmtree(output, ignore_errors=True)
    counts = " or ".join(str(count) for count in sorted(found)) or "0"
    return Row(name, times, len(reference.chips), counts, equal, left, tuple(problems))


def table(rows: list[Row]) -> str:
    """The rows in Markdown."""
    lines = ["| fault | times tried | chips expected | chips found | bytes equal | processes left |", "| --- | --: | --: | --: | --: | --: |"]
    lines += [f"| {row.fault} | {row.times} | {row.expected} | {row.found} | {row.equal} of {row.times} | {row.orphans} |" for row in rows]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())

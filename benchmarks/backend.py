"""What a backend itself costs: empty tasks through serial, local and gateway, ``python benchmarks/backend.py [--json PATH]``.

The gateway is a real one on this machine, started for the measurement (`pip install -e ".[slow]"`). Time is from the
first task to the last outcome; starting workers is left out, and told apart.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lcnkit.backend.gateway import Gateway
from lcnkit.backend.local import Local
from lcnkit.backend.serial import Serial
from lcnkit.contracts import Backend, Pool
from lcnkit.testing.backend import give_none

GOALS_MS = {"local": 5.0, "gateway": 10.0}


def main() -> None:
    """Measure, print a table, write it down."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--tasks", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--json", type=Path, help="where the figures are written")
    asked = parser.parse_args()
    rows = []
    sys.stdout.write(f"{asked.tasks} empty tasks, {asked.rounds} rounds, {asked.workers} workers, {os.cpu_count()} cores\n\n")
    sys.stdout.write(f"{'backend':10}{'ms a task':>12}{'lowest':>10}{'highest':>10}{'goal':>8}{'start s':>10}\n")
    for name in ("serial", "local", "gateway"):
        with _backend(name, asked.workers) as backend, backend.open() as pool:
            started = time.perf_counter()
            _run(pool, 50)
            start = time.perf_counter() - started
            rounds = [_run(pool, asked.tasks) / asked.tasks * 1000 for _ in range(asked.rounds)]
        row = {"backend": name, "median_ms": statistics.median(rounds), "rounds_ms": rounds, "goal_ms": GOALS_MS.get(name), "start_s": start}
        rows.append(row)
        goal = f"{row['goal_ms']:.0f}" if row["goal_ms"] else ""
        sys.stdout.write(f"{name:10}{row['median_ms']:>12.3f}{min(rounds):>10.3f}{max(rounds):>10.3f}{goal:>8}{start:>10.1f}\n")
        sys.stdout.flush()
    if asked.json:
        asked.json.write_text(json.dumps({"tasks": asked.tasks, "workers": asked.workers, "cores": os.cpu_count(), "rows": rows}, indent=1) + "\n")


def _run(pool: Pool, tasks: int) -> float:
    """Seconds for so many empty tasks."""
    started = time.perf_counter()
    done = sum(outcome.error is None for outcome in pool.map(give_none, range(tasks)))
    assert done == tasks
    return time.perf_counter() - started


@contextmanager
def _backend(name: str, workers: int) -> Iterator[Backend]:
    with contextlib.ExitStack() as stack:
        if name == "gateway":
            yield Gateway(**stack.enter_context(_gateway()), workers=workers)
        else:
            yield Local(workers=workers, dashboard=None) if name == "local" else Serial()


@contextmanager
def _gateway() -> Iterator[dict[str, Any]]:
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
    from servers.gateway import PASSWORD, serving_gateway

    os.environ["GATEWAY_PASSWORD"] = PASSWORD
    with serving_gateway() as server:
        yield server.options()


if __name__ == "__main__":
    main()

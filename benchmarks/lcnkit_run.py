"""lcnkit as a contender: what runs in a process of its own. lcnkit is imported where a user's run imports it."""

from __future__ import annotations

import glob
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lcnkit.model import Item


def run(overrides: list[str], output: str) -> dict[str, Any]:
    """A whole run: plan, pixels, data set."""
    from lcnkit import compose, prepare

    with _peaks() as peaks:
        report = prepare(compose([*overrides, f"output_dir={output}/run"]))
    if report.status:
        raise RuntimeError(f"{len(report.failures)} chips failed: {[failure.message for failure in report.failures[:2]]} {report.stopped}")
    return {"chips": report.made, **report.seconds, **peaks}


def plan(overrides: list[str], output: str, profile: str | None = None) -> dict[str, Any]:
    """The first half of a run, as `python -m lcnkit plan` makes it."""
    from lcnkit import compose
    from lcnkit.pipeline import plan_only

    with _peaks() as peaks, _profiled(profile):
        prepared, _ = plan_only(compose([*overrides, f"output_dir={output}/run"]))
    import pyarrow.parquet as pq

    return {"chips": len(prepared.tasks), "candidates": pq.read_metadata(prepared.plan.path).num_rows, **peaks}


def jobs(overrides: list[str], output: str) -> dict[str, Any]:
    """What a plan chose, for contenders that are told: files of each chip and frame, and masks that planning had to read."""
    from lcnkit import compose
    from lcnkit.pipeline import plan_only

    prepared, _ = plan_only(compose([*overrides, f"output_dir={output}/run"]))
    catalog = prepared.run.source.catalog
    masked = prepared.plan.table[prepared.plan.table["cloud_source"] == "mask"].groupby("chip_id")["item_href"].apply(list).to_dict()
    mask = prepared.run.dataset.cloud_assets.get(prepared.source, "")
    made = []
    for task in prepared.tasks:
        items = catalog.items([frame.item_href for frame in task.frames])
        made.append(
            {
                "chip": task.chip.id,
                "label": task.chip.label_href,
                "crs": task.chip.grid.crs,
                "transform": list(task.chip.grid.transform),
                "shape": list(task.chip.grid.shape),
                "outline": task.chip.footprint.__geo_interface__,
                "items": [_told(item, prepared.bands) for item in items],
                "masks": [item.asset(mask).href for item in catalog.items(masked.get(task.chip.id, []))],
            }
        )
    return {"jobs": made, "bands": list(prepared.bands)}


def _told(item: Item, bands: Sequence[str]) -> dict[str, Any]:
    """An item with absolute hrefs, and the files of its bands."""
    files = {band: item.asset(band).href for band in bands}
    assets = {band: {**item.assets[band], "href": href} for band, href in files.items()}
    return {"document": {**item.document, "assets": assets, "links": []}, "assets": files}


def command(arguments: list[str], output: str) -> dict[str, Any]:
    """``python -m lcnkit`` with these arguments, ``OUTPUT`` in them for the folder."""
    done = subprocess.run(
        [sys.executable, "-m", "lcnkit", *(argument.replace("OUTPUT", output) for argument in arguments)], cwd=output, capture_output=True, text=True
    )
    return {"status": done.returncode, "said": (done.stdout + done.stderr)[-500:]}


def command_peaks(arguments: list[str], output: str) -> dict[str, Any]:
    """``python -m lcnkit`` as in `command`, and the peak memory (MB) of its process and of the largest of those that it starts. Linux only."""
    running = subprocess.Popen(
        [sys.executable, "-m", "lcnkit", *(argument.replace("OUTPUT", output) for argument in arguments)],
        cwd=output,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    largest: dict[int, float] = {}
    while running.poll() is None:
        for process in (running.pid, *_descendants(running.pid)):
            largest[process] = max(largest.get(process, 0.0), _peak(process))
        time.sleep(_EVERY_S)
    client = largest.pop(running.pid, 0.0)
    return {"status": running.returncode, "client_mb": client, "worker_mb": max(largest.values(), default=0.0)}


def first_chip(arguments: list[str], output: str) -> dict[str, Any]:
    """How long after its start a run has made its first chip; the run then goes on to its end."""
    started = time.perf_counter()
    journal = Path(output, "run", ".lcnkit", "journal.jsonl")
    running = subprocess.Popen(
        [sys.executable, "-m", "lcnkit", *arguments, f"output_dir={output}/run"], cwd=output, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    while running.poll() is None and not (journal.exists() and journal.stat().st_size):
        time.sleep(0.005)
    first = time.perf_counter() - started
    ended_first = running.poll() is not None
    if running.wait() or ended_first:
        raise RuntimeError(f"the run ended with {running.returncode} and its first chip was not seen in {journal}")
    return {"first_chip": first}


def union_plan(overrides: list[str], periods: list[int], path: str, output: str) -> dict[str, Any]:
    """A plan of all items that runs with these ``n_periods`` choose; ``+strategy=all plan=PATH`` reads them."""
    import pyarrow.parquet as pq

    from lcnkit import compose
    from lcnkit.pipeline import plan_only

    chosen: set[tuple[str, str]] = set()
    for count in periods:
        table = plan_only(compose([*overrides, "+strategy=season_min_cc", f"n_periods={count}", f"output_dir={output}/{count}"]))[0].plan.table
        selected = table[table["selected"]]
        chosen |= set(zip(selected["chip_id"], selected["item_id"], strict=True))
    plan_only(compose([*overrides, "+strategy=all", f"output_dir={output}/all"]))
    # Not pandas.read_parquet: it gives Arrow's threads a file of Python's, and a process that ends right after may abort
    # (https://github.com/apache/arrow/issues/34314).
    table = pq.read_table(f"{output}/all/selection.parquet").to_pandas()
    table["selected"] = [pair in chosen for pair in zip(table["chip_id"], table["item_id"], strict=True)]
    table.to_parquet(path)
    return {"frames": int(table["selected"].sum())}


@contextmanager
def _profiled(path: str | None) -> Iterator[None]:
    if path is None:
        yield
        return
    import cProfile

    profile = cProfile.Profile()
    profile.enable()
    try:
        yield
    finally:
        profile.disable()
        profile.dump_stats(path)


# A worker's peak is looked at so often; it only grows, so little is missed when the worker ends.
_EVERY_S = 0.05


@contextmanager
def _peaks() -> Iterator[dict[str, float]]:
    """Fills in the peak memory (MB) of this process and of the largest of its children, once the block has ended.

    Linux only: elsewhere nothing is filled in.
    """
    found: dict[str, float] = {}
    if not os.path.exists("/proc/self/task"):
        yield found
        return
    ended = threading.Event()
    largest: dict[int, float] = {}

    def watch() -> None:
        while not ended.wait(_EVERY_S):
            for child in _descendants(os.getpid()):
                largest[child] = max(largest.get(child, 0.0), _peak(child))

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield found
    finally:
        ended.set()
        watcher.join()
        found.update(client_mb=_peak(os.getpid()), worker_mb=max(largest.values(), default=0.0))


def _descendants(process: int) -> list[int]:
    """Ids of the processes that a process has started, and of those that these have."""
    found: list[int] = []
    for path in glob.glob(f"/proc/{process}/task/*/children"):
        try:
            with open(path) as file:
                found += map(int, file.read().split())
        except OSError:  # the thread has ended
            continue
    return [*found, *(further for child in found for further in _descendants(child))]


def _peak(process: int) -> float:
    try:
        with open(f"/proc/{process}/status") as file:
            return next((int(line.split()[1]) / 1024 for line in file if line.startswith("VmHWM")), 0.0)
    except OSError:  # the process has ended
        return 0.0

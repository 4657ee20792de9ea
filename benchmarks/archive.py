"""How many chips a second from an archive on disk, end to end: plan from a warm index, pixels, data set."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks import archives
from benchmarks.harness import Contender, Scale, Series, alternate, call
from benchmarks.products import same_as, samples_in
from benchmarks.server import serving
from benchmarks.tables import Goal, Table, spread_of

WORKERS = 2
# After so long, hosts that take free memory back have done so (a write of 4.4 MB: 1.2 ms at once, 4 after one second, 6 to 10 after four).
_REST_S = 5
# Bytes of a sample: five periods of three bands in float32, one label in int64.
_SAMPLE_BYTES = 256 * 256 * (5 * 3 * 4 + 8)
# lcnkit by the rule of the others.
_ALIKE = "lcnkit local, imports left out"


def measure(scale: Scale) -> list[Table]:
    """One table for uncompressed files, one for deflated ones."""
    return [_measure(scale, compress) for compress in ("none", "deflate")]


def _measure(scale: Scale, compress: str) -> Table:
    base = archives.demo(scale.home, chips=scale.of(24, 2), acquisitions=scale.of(archives.ACQUISITIONS, 12), compress=compress)
    chips = scale.of(600, 16)
    wide = archives.Wide(base, base.with_name(f"{base.name}_x{chips}"), chips).write(items=True)
    overrides = [f"dataset.root={wide.root}", "dataset.source=sentinel_2", "+strategy=season_min_cc"]
    jobs, bands, reference = told(scale, overrides)
    with serving(scale.home, 0.0, f"{wide.root.name}/*_source_sentinel_2/*c0000_*/stac.json") as api:
        contenders = _contenders(scale, overrides, jobs, bands, reference, api, compress == "deflate")
        return _table(scale, compress, chips, alternate(contenders, scale, rest_s=scale.of(_REST_S, 0)))


def told(scale: Scale, overrides: Sequence[str], keep: int = 24) -> tuple[list[dict[str, Any]], list[str], dict[str, Sequence[Any]]]:
    """What contenders are told: jobs and bands. And the pixels of the first chips, as lcnkit's `serial` makes them with rasterio.

    This also warms lcnkit's index, and the page cache.
    """
    output = scale.home / "told"
    shutil.rmtree(output, ignore_errors=True)
    answer, _ = call("benchmarks.lcnkit_run:jobs", {"overrides": [*overrides, "backend=serial"], "output": str(output / "jobs")})
    first = [job["chip"] for job in answer["jobs"][:keep]]
    call(
        "benchmarks.lcnkit_run:run",
        {"overrides": [*overrides, "backend=serial", "reader=rasterio", f"chips=[{','.join(first)}]"], "output": str(output)},
    )
    reference = {chip: (image, classes) for chip, image, classes in samples_in(output)}
    shutil.rmtree(output)
    return answer["jobs"], answer["bands"], reference


def _contenders(
    scale: Scale, overrides: Sequence[str], jobs: Sequence[dict[str, Any]], bands: Sequence[str], reference: Any, api: str, deflate: bool
) -> list[Contender]:
    told = {"jobs": jobs, "bands": bands}
    some = jobs[: scale.of(96, 8)]
    few = jobs[: scale.of(24, 2)]  # the chips that the API knows

    def contender(name: str, call: str, part: Sequence[dict[str, Any]], arguments: dict[str, Any], checked: bool = True) -> Contender:
        check = same_as(reference, [job["chip"] for job in part]) if checked else None
        return Contender(name, f"benchmarks.{call}", {**arguments, **({"jobs": part} if "jobs" in arguments else {})}, len(part), check)

    serial, local = ["backend=serial"], ["backend=local", f"backend.workers={WORKERS}"]
    made = [
        contender(name, f"{module}:run", jobs, {"overrides": [*overrides, *options]})
        for name, module, options in (
            ("lcnkit serial", "lcnkit_run", serial),
            ("lcnkit local", "lcnkit_run", local),
            (_ALIKE, "lcnkit_imported", local),
        )
    ]
    made += [
        contender("tutorial, with its searches", "tutorial:tutorial", few, {**told, "workers": WORKERS, "api": api}),
        contender("tutorial, told the items", "tutorial:tutorial", few, {**told, "workers": WORKERS, "api": None}),
    ]
    made += [contender(f"odc.stac.load, {_processes(count)}", "odc_load:odc_load", some, {**told, "processes": count}) for count in (1, WORKERS)]
    made += [contender(f"rasterio loop, {_processes(count)}", "loop:rasterio_loop", jobs, {**told, "processes": count}) for count in (1, WORKERS)]
    name = "floor: read, inflate, write" if deflate else "floor: read, write"
    for count in (1, WORKERS):
        arguments = {"jobs": jobs, "sample_bytes": _SAMPLE_BYTES, "processes": count, "inflate": deflate}
        made.append(contender(f"{name}, {_processes(count)}", "loop:floor", jobs, arguments, checked=False))
    # A quick run shows that all of them run and agree: once each is enough.
    left_out = (_processes(1), *(("serial", "searches", "items", "left out", "odc.stac.load, 2 processes") if deflate else ()))
    return [found for found in made if not (scale.quick and found.name.endswith(left_out))]


def _processes(count: int) -> str:
    return "1 process" if count == 1 else f"{count} processes"


def _table(scale: Scale, compress: str, chips: int, measured: Sequence[Series]) -> Table:
    ours = next(series for series in measured if series.contender.name == "lcnkit local")
    rows = [
        [
            series.contender.name,
            str(series.contender.units),
            spread_of(series, 1000 / series.contender.units),
            f"{1 / series.per_unit:.1f}",
            f"{series.median('whole'):.2f}",
            f"{series.per_unit / ours.per_unit:.2f}x",
        ]
        for series in measured
    ]
    times = {series.contender.name: series.per_unit for series in measured}
    goals = [] if scale.quick else _goals(compress, {name: time / ours.per_unit for name, time in times.items()})
    alike = [] if scale.quick else _goals(compress, {name: time / times[_ALIKE] for name, time in times.items()})
    said = "; ".join(f"{goal.found:.3g} {goal.text}" for goal in alike)
    start = ours.median() - ours.median("make") - ours.median("plan")
    steps = ", ".join(f"{step} {ours.median(step) * 1000 / chips:.1f}" for step in ("label", "read", "transform", "export"))
    notes = [
        f"{chips} chips of 256 x 256, {scale.of(archives.ACQUISITIONS, 12)} acquisitions each, RGB, 5 periods, "
        f"{'deflated' if compress == 'deflate' else 'uncompressed'} strips; the index and the page cache are warm.",
        "ms per chip: a contender's own time, imports of its libraries left out; lcnkit's includes all it imports, its plan and the start of "
        "its cluster. Only lcnkit plans (it also reads the cloud masks of one chip in eight); the others are told their items.",
        *([f"By the rule of the others, lcnkit's imports left out too: {said}."] if said else []),
        f"lcnkit local: {ours.median('plan'):.2f} s plan, {ours.median('make'):.2f} s for pixels and data set, {start:.2f} s before both. "
        f"Work of a chip in ms, summed over workers: {steps}.",
    ]
    columns = ["", "chips", "ms per chip (median, range)", "chips per s", "whole process, s", "time of lcnkit local"]
    return Table(f"Archive on disk, {compress}: end to end", columns, rows, goals, notes, list(measured))


def _goals(compress: str, times: Mapping[str, float]) -> list[Goal]:
    """Args: times are those of the contenders over that of lcnkit `local`."""
    floor = next(ratio for name, ratio in times.items() if name.startswith("floor") and name.endswith(_processes(WORKERS)))
    return [
        Goal("times as fast as the tutorial with its searches", 40, times["tutorial, with its searches"], True),
        Goal("times as fast as odc.stac.load in one process", 8, times["odc.stac.load, 1 process"], True),
        Goal("times as fast as a rasterio loop in two processes", 1.8, times[f"rasterio loop, {_processes(WORKERS)}"], True),
        Goal("of the floor's speed in two processes", 0.5 if compress == "deflate" else 0.6, floor, True),
    ]

"""What the runs of a sweep share: 12 runs beside one run of all that they read."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from benchmarks import archives
from benchmarks.harness import Check, Contender, Scale, WrongProduct, alternate, call
from benchmarks.server import serving
from benchmarks.tables import Goal, Table, spread_of

_DELAY_S = 0.03
#: All bands that the sweep reads.
_UNION = "rgbn"


def measure(scale: Scale) -> list[Table]:
    """One table for an archive on disk, one for the same behind a web server."""
    base = archives.demo(scale.home, chips=scale.of(24, 2), acquisitions=scale.of(archives.ACQUISITIONS, 12))
    chips = scale.of(48, 2)
    wide = archives.Wide(base, base.with_name(f"{base.name}_sweep-{chips}"), chips, cloud_known=True).write(items=True)
    tables = [] if scale.quick else [_measure(scale, "on disk", chips, [f"dataset.root={wide.root}"], 5.0)]
    with serving(scale.home, _DELAY_S) as url:
        index = wide.index(scale.home / "sweep.parquet", f"{url}/{wide.root.name}")
        overrides = [f"dataset.root={url}/{wide.root.name}", "catalog=geoparquet", f"catalog.path={index}"]
        tables.append(_measure(scale, f"behind a web server of {_DELAY_S * 1000:.0f} ms", chips, overrides, 1.5))
    return tables


def _measure(scale: Scale, where: str, chips: int, overrides: Sequence[str], goal: float) -> Table:
    periods, bands = ([3, 5], ["rgb"]) if scale.quick else ([3, 4, 5, 6], ["rgb", "rgbn", "[B08]"])
    work = scale.home / "sweep"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    alone = _alone(work, [*overrides, "+strategy=season_min_cc", "backend=serial"], periods, bands)
    plan = str(work / "union.parquet")
    frames = call(
        "benchmarks.lcnkit_run:union_plan",
        {"overrides": [*overrides, "backend=serial"], "periods": periods, "path": plan, "output": str(work / "plans")},
    )[0]["frames"]
    local = [*overrides, "backend=local", "backend.workers=2"]
    swept = [
        *local,
        "+strategy=season_min_cc",
        f"n_periods={','.join(map(str, periods))}",
        f"bands={','.join(bands)}",
        "hydra.sweep.dir=OUTPUT/sweep",
    ]
    runs = len(periods) * len(bands)
    single = [*local, "+strategy=season_min_cc", "output_dir=OUTPUT/run"]
    measured = alternate(
        [
            Contender(f"a sweep of {runs} runs", "benchmarks.lcnkit_run:command", {"arguments": ["-m", *swept]}, runs, _same_runs(alone)),
            Contender(
                "one run of all they read",
                "benchmarks.lcnkit_run:command",
                {"arguments": [*local, "+strategy=all", f"plan={plan}", f"bands={_UNION}", "output_dir=OUTPUT/run"]},
                1,
                _ended_well,
            ),
            Contender("one run, 5 periods, rgb", "benchmarks.lcnkit_run:command", {"arguments": single}, 1, _ended_well),
        ],
        scale,
    )
    shutil.rmtree(work)
    union, one = measured[1].median(), measured[2].median()
    rows = [[series.contender.name, spread_of(series), f"{series.median() / union:.2f}x", f"{series.median() / one:.2f}x"] for series in measured]
    reference, text = (one, "sweep over one run") if where == "on disk" else (union, "sweep over one run of all they read")
    goals = [Goal(text, goal, measured[0].median() / reference, False)]
    notes = [
        f"{chips} chips of 256 x 256, n_periods={','.join(map(str, periods))} bands={','.join(bands)}, backend=local with two workers, whole "
        f"processes; the union has {frames} frames of {_UNION}. Each run's data set is compared with that of a run alone."
    ]
    return Table(f"Sweep {where}", ["", "s (median, range)", "of all they read", "of one run"], rows, [] if scale.quick else goals, notes, measured)


def _alone(work: Path, overrides: Sequence[str], periods: Sequence[int], bands: Sequence[str]) -> dict[tuple[int, str], str]:
    """Checksums of the data sets that single runs make, by periods and bands."""
    found = {}
    for count in periods:
        for band in bands:
            output = work / "alone"
            call("benchmarks.lcnkit_run:run", {"overrides": [*overrides, f"n_periods={count}", f"bands={band}"], "output": str(output)})
            found.update(_checksums(output))
            shutil.rmtree(output)
    return found


def _checksums(folder: Path) -> dict[tuple[int, str], str]:
    read = [json.loads(path.read_bytes()) for path in folder.rglob("manifest.json")]
    return {(say["config"]["n_periods"], str(say["config"]["bands"])): say["checksum"] for say in read}


def _same_runs(alone: dict[tuple[int, str], str]) -> Check:
    def check(answer: object, output: Path) -> None:
        found = _checksums(output / "sweep")
        if found != alone:
            raise WrongProduct(f"runs of the sweep differ from runs alone: {sorted(set(found.items()) ^ set(alone.items()))[:4]}; {answer}")

    return check


def _ended_well(answer: object, output: Path) -> None:
    if not (output / "run" / "manifest.json").exists():
        raise WrongProduct(f"the run left no data set: {answer}")

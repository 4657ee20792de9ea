"""How long planning takes, and how much memory: from an index, no pixels read."""

from __future__ import annotations

import pstats
import shutil
from pathlib import Path

from benchmarks import archives
from benchmarks.harness import REPOSITORY, Contender, Scale, WrongProduct, alternate, call
from benchmarks.tables import Goal, Table, spread_of

_PROFILED = 12


def measure(scale: Scale) -> list[Table]:
    """One table."""
    base = archives.demo(scale.home, chips=4, size=64)
    sizes = [scale.of(2000, 50), scale.of(9000, 200)]
    contenders = [_contender(scale, base, chips) for chips in sizes]
    measured = alternate(contenders, scale)
    rows = [
        [
            series.contender.name,
            f"{series.median('candidates'):.0f}",
            spread_of(series),
            f"{series.per_unit * 1000:.2f}",
            spread_of(series, value="client_mb"),
        ]
        for series in measured
    ]
    large = measured[1]
    goals = [
        Goal(f"seconds for {sizes[1]} chips", 10, large.median(), False),
        Goal(f"GB of memory for {sizes[1]} chips", 1.5, large.median("client_mb") / 1024, False),
        Goal(f"cost of a chip among {sizes[1]} over that among {sizes[0]}", 1.1, large.per_unit / measured[0].per_unit, False),
    ]
    notes = [
        f"{archives.ACQUISITIONS} acquisitions a chip, catalog=geoparquet, label rasters that are there (their headers are read); "
        "seconds include the imports that planning needs."
    ]
    notes += [] if scale.quick else _profile(scale, contenders[1])
    columns = ["", "candidates", "s (median, range)", "ms per chip", "peak memory, MB"]
    return [Table("Plan from an index", columns, rows, [] if scale.quick else goals, notes, measured)]


def _contender(scale: Scale, base: Path, chips: int) -> Contender:
    wide = archives.Wide(base, base.with_name(f"{base.name}_labels-{chips}"), chips, apart=True, cloud_known=True).write(items=False)
    index = wide.root.with_suffix(".parquet")
    if not index.exists():
        wide.index(index)
    overrides = [f"dataset.root={wide.root}", "catalog=geoparquet", f"catalog.path={index}", "backend=serial"]

    def check(answer: object, output: Path) -> None:
        import pyarrow.parquet as pq

        chosen = pq.read_table(output / "run" / "selection.parquet", columns=["chip_id", "selected"]).to_pandas()
        frames = chosen[chosen["selected"]].groupby("chip_id").size()
        if len(chosen) != chips * archives.ACQUISITIONS or len(frames) != chips or (frames != 5).any():
            raise WrongProduct(f"the plan of {chips} chips has {len(chosen)} candidates, {len(frames)} chips with frames")

    return Contender(f"{chips} chips", "benchmarks.lcnkit_run:plan", {"overrides": overrides}, chips, check)


def _profile(scale: Scale, contender: Contender) -> list[str]:
    """Where the time goes: lcnkit's own functions by what they and all they call take."""
    output = scale.home / "profiled"
    shutil.rmtree(output, ignore_errors=True)
    path = scale.home / "plan.prof"
    call(contender.call, {**contender.arguments, "profile": str(path), "output": str(output)})
    shutil.rmtree(output)
    found = pstats.Stats(str(path)).stats  # type: ignore[attr-defined]
    ours = [(times[3], name, file) for (file, _, name), times in found.items() if file.startswith(str(REPOSITORY / "lcnkit"))]
    listed = [f"{Path(file).name}:{name} {seconds:.1f}" for seconds, name, file in sorted(ours, reverse=True)[:_PROFILED]]
    return [f"{contender.name} under cProfile, s with all they call: {', '.join(listed)}."]

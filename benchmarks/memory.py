"""Whether memory depends on the number of chips: peaks of the client and of the largest worker."""

from __future__ import annotations

from pathlib import Path

from benchmarks import archives
from benchmarks.harness import Contender, Scale, WrongProduct, alternate
from benchmarks.tables import Goal, Table, spread_of

#: On disk as JSON, 8,000 chips of 72 acquisitions would take gigabytes and minutes: there a chip has 12.
_FEW_ACQUISITIONS = 12


def measure(scale: Scale) -> list[Table]:
    """One table for an archive of JSON files, one for an index of 72 acquisitions a chip."""
    sizes = [10, 20] if scale.quick else [500, 2000, 8000]
    kinds = {"static": _FEW_ACQUISITIONS} if scale.quick else {"static": _FEW_ACQUISITIONS, "geoparquet": archives.ACQUISITIONS}
    return [_measure(scale, sizes, catalog, acquisitions) for catalog, acquisitions in kinds.items()]


def _measure(scale: Scale, sizes: list[int], catalog: str, acquisitions: int) -> Table:
    base = archives.demo(scale.home, chips=4, size=64, acquisitions=acquisitions)
    measured = alternate([_contender(base, chips, catalog) for chips in sizes], scale)
    rows = [
        [series.contender.name, spread_of(series, value="client_mb"), spread_of(series, value="worker_mb"), spread_of(series)] for series in measured
    ]
    goals = []
    for part in ("client", "worker"):
        peaks = [series.median(f"{part}_mb") for series in measured]
        goals.append(Goal(f"largest over smallest peak of the {part}", 1.1, max(peaks) / min(peaks), False))
    notes = [
        f"`python -m lcnkit` on chips of 64 x 64 pixels, {acquisitions} acquisitions each, 5 periods, RGB, one pickle, backend=local with two "
        "workers: small chips, so that 8,000 of them (2.2 GB) can be written often."
    ]
    columns = ["", "peak of the client, MB", "peak of the largest worker, MB", "s"]
    return Table(f"Memory, catalog={catalog}", columns, rows, [] if scale.quick else goals, notes, measured)


def _contender(base: Path, chips: int, catalog: str) -> Contender:
    on_disk = catalog == "static"
    wide = archives.Wide(base, base.with_name(f"{base.name}_{catalog}-{chips}"), chips, apart=True, cloud_known=True).write(items=on_disk)
    arguments = [f"dataset.root={wide.root}", "backend=local", "backend.workers=2", "output_dir=OUTPUT/run"]
    if not on_disk:
        index = wide.root.with_suffix(".parquet")
        if not index.exists():
            wide.index(index)
        arguments += ["catalog=geoparquet", f"catalog.path={index}"]

    def check(_: object, output: Path) -> None:
        import lcnkit

        samples = lcnkit.open_dataset(output / "run")
        if len(samples) != chips or samples[-1].images["sentinel_2"].values.shape != (5, 3, 64, 64):
            raise WrongProduct(f"{chips} chips were to be made, {len(samples)} were")

    return Contender(f"{chips} chips", "benchmarks.lcnkit_run:command_peaks", {"arguments": arguments}, chips, check)

"""Reading from afar: chips a second, requests and bytes, behind a web server that takes its time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from benchmarks import archives, scenes
from benchmarks.archive import WORKERS, told
from benchmarks.harness import Contender, Scale, alternate
from benchmarks.products import same_as
from benchmarks.server import serving
from benchmarks.tables import Goal, Table, spread_of

_DELAYS_S = (0.03, 0.1)


def measure(scale: Scale) -> list[Table]:
    """For chips and for full scenes, one table for each delay."""
    delays = _DELAYS_S[:1] if scale.quick else _DELAYS_S
    return [*(_chips(scale, delay) for delay in delays), *(_scenes(scale, delay) for delay in delays)]


def _chips(scale: Scale, delay: float) -> Table:
    base = archives.demo(scale.home, chips=scale.of(24, 2), acquisitions=scale.of(archives.ACQUISITIONS, 12))
    wide = archives.Wide(base, base.with_name(f"{base.name}_remote"), scale.of(24, 2), cloud_known=True).write(items=False)
    with serving(scale.home, delay) as url:
        index = wide.index(scale.home / "remote.parquet", f"{url}/{wide.root.name}")
        return _measure(scale, "chips, uncompressed strips", delay, url, wide.root, index)


def _scenes(scale: Scale, delay: float) -> Table:
    root = scenes.scenes(scale.home, scale.of(30, 3), scale.of(5490, 1536))
    with serving(scale.home, delay) as url:
        index = _index(scale.home / "remote.parquet", *scenes.items(root, f"{url}/{root.name}"))
        return _measure(scale, f"{'full scenes' if not scale.quick else 'scenes'}, cloud-optimised", delay, url, root, index)


def _index(path: Path, documents: list[dict[str, Any]], selves: list[str]) -> Path:
    import shapely

    from lcnkit.index.writer import Writer

    with Writer(path) as writer:
        writer.add(documents, selves, shapely.polygons([document["geometry"]["coordinates"][0] for document in documents]), [])
        writer.finish()
    return path


def _measure(scale: Scale, what: str, delay: float, url: str, root: Path, index: Path) -> Table:
    overrides = [f"dataset.root={url}/{root.name}", "catalog=geoparquet", f"catalog.path={index}", "dataset.source=sentinel_2", "cloud=metadata"]
    jobs, bands, reference = told(scale, overrides)
    needed, files = _needed(jobs, url, scale.home)
    check = same_as(reference, [job["chip"] for job in jobs])

    def contender(name: str, function: str, arguments: dict[str, Any]) -> Contender:
        wrapped = {"url": url, "function": f"benchmarks.{function}", "arguments": arguments}
        return Contender(name, "benchmarks.server:counted", wrapped, len(jobs), check)

    measured = alternate(
        [
            contender("lcnkit local", "lcnkit_run:run", {"overrides": [*overrides, "backend=local", f"backend.workers={WORKERS}"]}),
            contender("stackstac (tutorial, told the items)", "tutorial:tutorial", {"jobs": jobs, "bands": bands, "workers": WORKERS, "api": None}),
            contender("odc.stac.load, 2 processes", "odc_load:odc_load", {"jobs": jobs, "bands": bands, "processes": WORKERS}),
        ],
        scale,
    )
    rows = [
        [
            series.contender.name,
            str(series.contender.units),
            spread_of(series),
            f"{1 / series.per_unit:.2f}",
            f"{series.median('requests') / len(jobs):.1f}",
            f"{series.median('bytes') / 1e6:.1f}",
            f"{series.median('bytes') / needed:.2f}x",
        ]
        for series in measured
    ]
    ours, *others = measured
    goals = [Goal("bytes over what is needed", 1.3, ours.median("bytes") / needed, False)]
    if delay == _DELAYS_S[-1]:
        goals.insert(0, Goal("times as fast as the better of the two", 5, min(series.per_unit for series in others) / ours.per_unit, True))
    notes = [
        f"{len(jobs)} chips, 5 periods, RGB, {files} files; {delay * 1000:.0f} ms are added to each request. Needed: {needed / 1e6:.1f} MB, "
        "the tiles (of a chip's own file: all of it) that the chips touch, each once, with one header a file, and the labels.",
        "lcnkit plans and reads its label items, which are requests too; the others are told their items.",
    ]
    columns = ["", "chips", "s (median, range)", "chips per s", "requests per chip", "MB", "MB over needed"]
    return Table(f"Remote, {delay * 1000:.0f} ms: {what}", columns, rows, [] if scale.quick else goals, notes, measured)


def _needed(jobs: Sequence[dict[str, Any]], url: str, home: Path) -> tuple[int, int]:
    """Bytes that hold the pixels and headers wanted, and in how many files."""
    wanted: dict[Path, list[dict[str, Any]]] = {}
    total = 0
    for job in jobs:
        total += _local(job["label"], home).stat().st_size
        for item in job["items"]:
            for href in item["assets"].values():
                wanted.setdefault(_local(href, home), []).append(job)
    return total + sum(_needed_of(path, users) for path, users in wanted.items()), len(wanted)


def _local(href: str, home: Path) -> Path:
    return (home / unquote(urlsplit(href).path).lstrip("/")).resolve()


def _needed_of(path: Path, jobs: Iterable[dict[str, Any]]) -> int:
    """Of one file: all before its first pixels, and the tiles that the chips touch."""
    import tifffile

    with tifffile.TiffFile(path) as tiff:
        page: Any = tiff.pages[0]
        if not page.is_tiled:
            return path.stat().st_size
        left, top = page.tags[33922].value[3:5]
        step = page.tags[33550].value[0]
        across = -(-page.imagewidth // page.tilewidth)
        touched: set[int] = set()
        for job in jobs:
            column, row = round((job["transform"][2] - left) / step), round((top - job["transform"][5]) / step)
            height, width = job["shape"]
            for down in range(row // page.tilelength, (row + height - 1) // page.tilelength + 1):
                touched.update(down * across + right for right in range(column // page.tilewidth, (column + width - 1) // page.tilewidth + 1))
        first = min(offset for other in tiff.pages for offset in other.dataoffsets if offset)
        return int(first) + sum(page.databytecounts[tile] for tile in touched)

"""How long a crawl of an archive takes, and the same from its index: ``python benchmarks/crawl.py [--items 150000]``.

Makes an archive of so many item files (14 assets each, 80 acquisitions a chip) in a temporary folder, and reads it in a
process of its own for every row: wall time and processor time with imports, and the peak of that process's memory.
Where other work shares the machine, processor time is what can be compared.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

COLLECTION = "ref_landcovernet_xx_v1_source_sentinel_2"
BANDS = ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B11", "B12", "CLD", "SCL")
PER_CHIP = 80

CRAWL = """
from lcnkit.archive import Archive
from lcnkit.index.kept import new_crawl
archive = Archive.open({root!r})
found = new_crawl(archive.root, archive.source())
rows = len(found.table)
"""
KEPT = """
from lcnkit.index.kept import kept_crawl
found = kept_crawl({root!r}, {collection!r})
rows = len(found.table)
"""
COMMAND = """
from lcnkit.cli import main
assert main(["index", {root!r}, "--output", {file!r}]) == 0
import pyarrow.parquet as pq
rows = pq.read_metadata({file!r}).num_rows
"""
SEARCH = """
import shapely
from datetime import date
from lcnkit.catalog.geoparquet import Geoparquet
from lcnkit.contracts import Query
from lcnkit.model import Chip, Grid, Interval
days = Interval(date(2018, 1, 1), date(2018, 12, 31))
grid = Grid("EPSG:4326", (1.0, 0.0, 0.0, 0.0, -1.0, 0.0), (1, 1))
chips = [Chip(f"33T{{n:05d}}", "", "", grid, days, shapely.box(*place)) for n, place in enumerate({places!r})]
catalog = Geoparquet(path={file!r})
rows = len(catalog.search(chips, Query({collection!r}, days, 0.5, frozenset(chip.id for chip in chips))))
"""
MEASURED = """
import json, resource
used = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps([rows, used.ru_utime + used.ru_stime, used.ru_maxrss]))
"""


def main() -> None:
    """Make the archive, measure, print a table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--items", type=int, default=150_000)
    parser.add_argument("--folder", help="where the archive is made (a temporary folder)")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=asked.folder) as folder:
        root = Path(folder) / "archive"
        started = time.perf_counter()
        write_archive(root, asked.items)
        sys.stdout.write(f"{asked.items} items written in {time.perf_counter() - started:.0f} s; {os.cpu_count()} cores\n\n")
        file = str(Path(folder) / "items.parquet")
        chips = [place for place, _ in zip(places(), range(-(-asked.items // PER_CHIP)), strict=False)]
        values: dict[str, Any] = {"root": str(root), "collection": COLLECTION, "file": file, "places": chips}
        rows = {
            "crawl, and keep the index": CRAWL,
            "from the index": KEPT,
            "python -m lcnkit index": COMMAND,
            "catalog=geoparquet, all chips": SEARCH,
        }
        sys.stdout.write(f"{'':32}{'rows':>10}{'seconds':>10}{'processor s':>13}{'peak MB':>10}\n")
        for name, script in rows.items():
            count, seconds, busy, peak = measured(script.format(**values))
            sys.stdout.write(f"{name:32}{count:>10}{seconds:>10.2f}{busy:>13.2f}{peak:>10.0f}\n")
            sys.stdout.flush()
        index = next((root / ".lcnkit").glob("*.parquet"))
        sys.stdout.write(f"\nthe index takes {index.stat().st_size / 1e6:.1f} MB\n")


def measured(script: str) -> tuple[int, float, float, float]:
    """Rows, seconds, seconds of the processor, and MB of a program in a process of its own."""
    started = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", script + MEASURED], check=True, capture_output=True, text=True)
    seconds = time.perf_counter() - started
    rows, busy, peak = json.loads(done.stdout.splitlines()[-1])
    return rows, seconds, busy, peak / 1024


def places() -> Iterator[tuple[float, float, float, float]]:
    """West, south, east, north of one chip after the other."""
    number = 0
    while True:
        row, column = divmod(number, 200)
        west, south = round(10 + column * 0.03, 4), round(10 + row * 0.03, 4)
        yield west, south, round(west + 0.0233, 4), round(south + 0.0233, 4)
        number += 1


def write_archive(root: Path, items: int) -> None:
    """An archive in LandCoverNet's layout, without rasters."""
    home = root / COLLECTION
    home.mkdir(parents=True)
    links: list[dict[str, str]] = []
    chips = places()
    for number in range(items):
        chip, turn = divmod(number, PER_CHIP)
        if turn == 0:
            west, south, east, north = next(chips)
        month, day = 1 + turn // 7, 1 + turn % 7 * 4
        name = f"{COLLECTION}_33T{chip:05d}_2018{month:02d}{day:02d}"
        ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
        document = {
            "type": "Feature",
            "stac_version": "1.0.0",
            "stac_extensions": ["https://stac-extensions.github.io/eo/v1.1.0/schema.json"],
            "id": name,
            "collection": COLLECTION,
            "bbox": [west, south, east, north],
            "geometry": {"type": "Polygon", "coordinates": [ring]},
            "properties": {"datetime": f"2018-{month:02d}-{day:02d}T10:00:00Z", "eo:cloud_cover": number * 7 % 101},
            "links": [{"rel": rel, "href": "../collection.json", "type": "application/json"} for rel in ("root", "parent", "collection")],
            "assets": {
                band: {"href": f"./{band}.tif", "type": "image/tiff; application=geotiff", "title": band, "roles": ["data"]} for band in BANDS
            },
        }
        (home / name).mkdir()
        (home / name / "stac.json").write_text(json.dumps(document))
        links.append({"rel": "item", "href": f"./{name}/stac.json", "type": "application/json"})
    collection = {
        "type": "Collection",
        "id": COLLECTION,
        "stac_version": "1.0.0",
        "description": "made up",
        "license": "CC0-1.0",
        "extent": {"spatial": {"bbox": [[10, 10, 20, 20]]}, "temporal": {"interval": [["2018-01-01T00:00:00Z", "2018-12-31T00:00:00Z"]]}},
        "links": links,
    }
    (home / "collection.json").write_text(json.dumps(collection))


if __name__ == "__main__":
    main()

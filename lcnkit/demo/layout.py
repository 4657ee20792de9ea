"""Where and when: the tiles of the demo, the places of their chips, the dates of their acquisitions."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from lcnkit.demo.noise import Use, Window, seeded
from lcnkit.demo.options import DemoOptions
from lcnkit.model.grid import Grid

RESOLUTION_M = 10
YEAR_START = datetime(2018, 1, 1, tzinfo=UTC)

#: Sentinel-2 passes over a place every five days: 73 dates in 2018.
REVISIT_DAYS, PASSES = 5, 73


@dataclass(frozen=True)
class Tile:
    """A Sentinel-2 tile."""

    number: int
    name: str
    epsg: int
    origin: tuple[float, float]
    """x and y of the upper left corner of its first chip, in metres."""
    first_pass: timedelta
    """From the start of the year to its first acquisition."""


#: Two tiles of LandCoverNet Africa. Passes over the first end on 2018-12-31, after midnight of the collection's
#: last day, as on 460 chips of the real data set.
TILES = (
    Tile(0, "28QDE", 32628, (407760.0, 1985740.0), timedelta(days=4, hours=11, minutes=23, seconds=51)),
    Tile(1, "33PWQ", 32633, (503050.0, 1455340.0), timedelta(days=2, hours=9, minutes=23, seconds=21)),
)


@dataclass(frozen=True)
class DemoChip:
    """A chip of the demo."""

    number: int
    """Among all chips, from 0."""
    tile: Tile
    place: int
    """Among the chips of its tile, from 0."""
    row: int
    """In the tile's array of chips, southwards; ``col`` eastwards."""
    col: int
    size: int

    @property
    def name(self) -> str:
        """Tile and number, as in ``28QDE_00``."""
        return f"{self.tile.name}_{self.place:02d}"

    @property
    def window(self) -> Window:
        """Its pixels in the plane of the tile."""
        return Window(self.row * self.size, self.col * self.size, self.size, self.size)

    @property
    def grid(self) -> Grid:
        """Its pixels on the ground."""
        left, top = self.tile.origin
        step = self.size * RESOLUTION_M
        transform = (RESOLUTION_M, 0.0, left + self.col * step, 0.0, -RESOLUTION_M, top - self.row * step)
        return Grid(f"EPSG:{self.tile.epsg}", transform, (self.size, self.size))

    @property
    def has_cloud_metadata(self) -> bool:
        """Whether its items say their cloud cover; one chip in eight has none, as in real archives."""
        return self.number % 8 != 5


def chips(options: DemoOptions) -> list[DemoChip]:
    """All chips, the tiles by turns. A chip has its place whatever the number of chips."""
    made = []
    for number in range(options.chips):
        place, tile = divmod(number, len(TILES))
        row, col = _square_place(place)
        made.append(DemoChip(number, TILES[tile], place, row, col, options.size))
    return made


def dates(tile: Tile, options: DemoOptions) -> list[datetime]:
    """When the tile was acquired: passes spread unevenly over the year, the last pass always among them."""
    count = options.acquisitions
    draws = seeded(Use.DATES, options.seed, tile.number).generate_state(count)
    starts = [index * PASSES // count for index in range(count + 1)]
    parts = zip(starts[:-1], starts[1:], draws, strict=True)
    passes = [start + int(draw) % (end - start) for start, end, draw in parts]
    passes[-1] = PASSES - 1
    return [YEAR_START + tile.first_pass + timedelta(days=REVISIT_DAYS * number) for number in passes]


def _square_place(place: int) -> tuple[int, int]:
    """Row and column of the ``place``-th chip: shell by shell around the corner, so any number of chips is compact."""
    shell = math.isqrt(place)
    rest = place - shell * shell
    return (rest, shell) if rest <= shell else (shell, rest - shell - 1)

"""The cut-up countryside: irregular blocks of land, and rotated rectangular parcels inside each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lcnkit.demo.noise import Field, Whole, Window, smooth_noise, uniform


@dataclass(frozen=True)
class Blocks:
    """Cells of a Voronoi diagram around jittered points. Arrays of shape ``(height, width)``."""

    row: Whole
    """With ``col``, the number of the block a pixel belongs to."""
    col: Whole
    south: Field
    """Pixels from the block's centre southwards; ``east`` eastwards."""
    east: Field
    border: Field
    """Pixels to the nearest border with another block, roughly."""

    def draw(self, salt: int) -> Field:
        """One value from 0 to 1 per block, spread over its pixels."""
        return uniform(self.row, self.col, salt)

    @property
    def distance(self) -> Field:
        """Pixels to the block's centre."""
        return np.sqrt(self.south * self.south + self.east * self.east)


def blocks(window: Window, spacing: int, salt: int, bend: float = 0.0) -> Blocks:
    """Blocks about ``spacing`` pixels across, their borders bent by about ``bend`` pixels."""
    y, x = _bent(window, spacing // 2, salt + 2, bend)
    home_row, home_col = (np.floor(axis / np.float32(spacing)).astype("int64") for axis in (y, x))
    shape = (window.height, window.width)
    nearest, second = np.full(shape, np.inf, "float32"), np.full(shape, np.inf, "float32")
    row, col = np.zeros(shape, "int64"), np.zeros(shape, "int64")
    south, east = np.zeros(shape, "float32"), np.zeros(shape, "float32")
    for step_y, step_x in np.ndindex(3, 3):
        r, c = home_row + (step_y - 1), home_col + (step_x - 1)
        dy = y - _point(r, uniform(r, c, salt), spacing)
        dx = x - _point(c, uniform(r, c, salt + 1), spacing)
        squared = dy * dy + dx * dx
        second = np.minimum(second, np.maximum(nearest, squared))
        closer = squared < nearest
        nearest = np.minimum(nearest, squared)
        for kept, new in ((row, r), (col, c), (south, dy), (east, dx)):
            np.copyto(kept, new, where=closer)
    return Blocks(row, col, south, east, (np.sqrt(second) - np.sqrt(nearest)) / 2)


@dataclass(frozen=True)
class Parcels:
    """Rectangular parcels of each block. Arrays of shape ``(height, width)``."""

    key_y: Whole
    """With ``key_x``, whole numbers that name a pixel's parcel."""
    key_x: Whole
    margin: Field
    """Pixels to the parcel's edge."""

    def draw(self, salt: int) -> Field:
        """One value from 0 to 1 per parcel, spread over its pixels."""
        return uniform(self.key_y, self.key_x, salt)


def parcels(land: Blocks, salt: int, width: tuple[float, float], length: tuple[float, float]) -> Parcels:
    """Cut every block into parcels along a direction of its own, ``(least, most)`` pixels wide and long."""
    along, across = _rotated(land, salt)
    row_width = width[0] + (width[1] - width[0]) * land.draw(salt + 2)
    row, to_row_edge = _cut(across, row_width)
    key_y = land.row * 977 + row
    in_row = uniform(key_y, land.col, salt + 3)
    row_length = length[0] + (length[1] - length[0]) * in_row
    place, to_end = _cut(along + 131 * in_row, row_length)
    return Parcels(key_y, land.col * 977 + place, np.minimum(to_row_edge, to_end))


def _bent(window: Window, wavelength: int, salt: int, bend: float) -> tuple[Field, Field]:
    y = window.rows + np.float32(bend) * smooth_noise(window, wavelength, salt)
    x = window.cols + np.float32(bend) * smooth_noise(window, wavelength, salt + 1)
    return y.astype("float32"), x.astype("float32")


def _point(cell: Whole, draw: Field, spacing: int) -> Field:
    """Where the point of a cell lies; kept off the cell's rim, so that no block is a sliver."""
    return (cell.astype("float32") + np.float32(0.15) + np.float32(0.7) * draw) * np.float32(spacing)


def _rotated(land: Blocks, salt: int) -> tuple[Field, Field]:
    """Place within the block along and across its own direction, which is drawn without sine or cosine."""
    dy, dx = land.draw(salt) * 2 - 1, land.draw(salt + 1) + np.float32(0.05)
    norm = np.sqrt(dy * dy + dx * dx)
    dy, dx = dy / norm, dx / norm
    return land.east * dx + land.south * dy, land.south * dx - land.east * dy


def _cut(place: Field, step: Field) -> tuple[Whole, Field]:
    """Number of the piece of length ``step`` that ``place`` falls into, and the distance to its nearer end."""
    pieces = np.floor(place / step)
    rest = place - pieces * step
    return pieces.astype("int64"), np.minimum(rest, step - rest)

"""Random fields over an endless plane of pixels, the same bits on every machine.

Every value is a function of its pixel's place and a salt, so chips that touch fit together and none
depends on which others are made. Only ``+ - * /``, square roots and whole-number hashing are used:
IEEE 754 fixes their results to the bit, while sines and exponentials differ between processors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float32]
Whole = NDArray[np.int64]

#: Standard deviation of a cubic B-spline over uniform values in -1..1: ``151/315`` is the mean of the
#: sum of its squared weights along one axis, ``1/3`` the variance of the values.
_SPLINE_STD = np.float32(151 / 315 / 3**0.5)


class Use(IntEnum):
    """What random numbers are for: no two uses share theirs."""

    GROUND = 27  # chosen among the first hundred: with the default seed, every class occurs in both tiles
    DATES = 2
    WEATHER = 3
    SENSOR = 4


def seeded(use: Use, *key: int) -> np.random.SeedSequence:
    """Random bits for one use, named by whole numbers of 0 or above (seed, tile, day, ...)."""
    return np.random.SeedSequence((use, *key))


@dataclass(frozen=True)
class Window:
    """A rectangle of pixels of the plane."""

    row: int
    """First row, counted southwards."""
    col: int
    """First column, counted eastwards."""
    height: int
    width: int

    def grown(self, margin: int) -> Window:
        """The window with ``margin`` pixels more on all four sides."""
        return Window(self.row - margin, self.col - margin, self.height + 2 * margin, self.width + 2 * margin)

    @property
    def rows(self) -> Whole:
        """Row numbers, shape ``(height, 1)``."""
        return np.arange(self.row, self.row + self.height, dtype="int64")[:, None]

    @property
    def cols(self) -> Whole:
        """Column numbers, shape ``(1, width)``."""
        return np.arange(self.col, self.col + self.width, dtype="int64")[None, :]


def uniform(y: Whole, x: Whole, salt: int) -> Field:
    """Independent values from 0 to 1 (never 1), one per pair of whole numbers; ``y`` and ``x`` broadcast."""
    bits = _mixed(y.astype("uint32") * np.uint32(0x85EBCA77) + np.uint32(salt & 0xFFFFFFFF))
    bits = _mixed(bits ^ (x.astype("uint32") * np.uint32(0x9E3779B1)))
    return (bits >> np.uint32(8)).astype("float32") * np.float32(2**-24)


def smooth_noise(window: Window, wavelength: int, salt: int) -> Field:
    """A smooth field of mean 0 and standard deviation 1, shape ``(height, width)``.

    Uniform values on a lattice of ``wavelength`` pixels, joined by cubic B-splines.
    """
    first_y, cell_y, weights_y = _spline(window.row, window.height, wavelength)
    first_x, cell_x, weights_x = _spline(window.col, window.width, wavelength)
    lattice_y = np.arange(first_y, first_y + cell_y[-1] + 4, dtype="int64")
    lattice_x = np.arange(first_x, first_x + cell_x[-1] + 4, dtype="int64")
    lattice = (uniform(lattice_y[:, None], lattice_x[None, :], salt) * 2 - 1) / _SPLINE_STD
    columns = _weighted([lattice[cell_y + k] for k in range(4)], [weight[:, None] for weight in weights_y])
    return _weighted([columns[:, cell_x + k] for k in range(4)], list(weights_x))


def fractal_noise(window: Window, wavelengths: Sequence[int], salt: int, gain: float = 0.5) -> Field:
    """Smooth noise of several wavelengths; each next one weighs ``gain`` of the one before. Standard deviation 1."""
    weights = [gain**octave for octave in range(len(wavelengths))]
    norm = sum(weight * weight for weight in weights) ** -0.5
    octaves = [smooth_noise(window, length, salt + octave) for octave, length in enumerate(wavelengths)]
    return _weighted(octaves, [np.float32(weight * norm) for weight in weights])


def smoothstep(values: Field, start: float, end: float) -> Field:
    """0 up to ``start``, 1 from ``end`` on, and a smooth rise between."""
    t = np.clip((values - np.float32(start)) / np.float32(end - start), 0, 1)
    return np.asarray(t * t * (3 - 2 * t), "float32")


def _mixed(bits: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """The finaliser of MurmurHash3: every bit in changes every bit out."""
    bits = (bits ^ (bits >> np.uint32(16))) * np.uint32(0x85EBCA6B)
    bits = (bits ^ (bits >> np.uint32(13))) * np.uint32(0xC2B2AE35)
    return bits ^ (bits >> np.uint32(16))


def _spline(start: int, count: int, wavelength: int) -> tuple[int, Whole, Field]:
    """First lattice point, place of each pixel on the lattice, and its four weights, shape ``(4, count)``."""
    pixels = np.arange(start, start + count, dtype="int64")
    cells = pixels // wavelength
    t = (pixels % wavelength).astype("float32") / np.float32(wavelength)
    s = 1 - t
    first, last = s * s * s, t * t * t
    weights = np.stack([first, 4 - 6 * t * t + 3 * last, 4 - 6 * s * s + 3 * first, last]) / np.float32(6)
    return int(cells[0]) - 1, cells - cells[0], weights.astype("float32")


def _weighted(parts: Sequence[Field], weights: Sequence[Field | np.float32]) -> Field:
    total = parts[0] * weights[0]
    for part, weight in zip(parts[1:], weights[1:], strict=True):
        total += part * weight
    return total

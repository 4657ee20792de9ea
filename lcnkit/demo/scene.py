"""The synthetic landscape: what grows where, and how it looks on any day of the year.

A winding river every few kilometres, lakes, gallery woods, a patchwork of fields with crops of their
own calendar, savanna, sand, villages and roads. Numbers are Sentinel-2 digital numbers (reflectance
times 10000).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lcnkit.demo.noise import Field, Window, fractal_noise, smooth_noise, smoothstep, uniform
from lcnkit.demo.patchwork import Parcels, blocks, parcels

#: Reflectance bands of the demo, in the order of every ``band`` axis here.
BANDS = ("B02", "B03", "B04", "B08")

#: Classes of LandCoverNet.
NO_DATA, WATER, ARTIFICIAL, BARE, SNOW, WOODY, CULTIVATED, NATURAL = range(8)

#: Digital numbers by class and band: dry (soil, sand, dead grass, roofs), in full leaf, and after harvest.
DRY = {
    WATER: (1010, 990, 680, 330),
    ARTIFICIAL: (1650, 1800, 1980, 2400),
    BARE: (1480, 1990, 2430, 2950),
    WOODY: (640, 930, 830, 1900),
    CULTIVATED: (980, 1290, 1600, 2050),
    NATURAL: (930, 1290, 1520, 2250),
}
GREEN = {
    WATER: (880, 1060, 700, 380),
    ARTIFICIAL: (850, 1200, 950, 2600),
    BARE: (950, 1400, 1350, 2800),
    WOODY: (460, 790, 470, 3000),
    CULTIVATED: (640, 1400, 680, 4200),
    NATURAL: (720, 1250, 830, 3200),
}
STRAW = (1250, 1800, 2150, 3000)

#: Dryness, in standard deviations, above which nothing grows.
BARE_ABOVE = 1.15

#: Share of green cover by class, ``(in the dry season, at the peak)``.
COVER = {
    WATER: (0.0, 0.35),
    ARTIFICIAL: (0.05, 0.25),
    BARE: (0.0, 0.15),
    WOODY: (0.55, 1.0),
    CULTIVATED: (0.02, 0.95),
    NATURAL: (0.1, 0.9),
}

#: Variation of brightness by class, as a share: ``(from pixel to pixel, over some hundred metres)``.
TEXTURE = {
    WATER: (0.02, 0.05),
    ARTIFICIAL: (0.16, 0.05),
    BARE: (0.025, 0.05),
    WOODY: (0.1, 0.06),
    CULTIVATED: (0.02, 0.035),
    NATURAL: (0.06, 0.08),
}

#: Day of the year when rain-fed vegetation is greenest (early September in the Sahel), and half the season's length.
PEAK, HALF_SEASON = 248, 115


@dataclass(frozen=True)
class Landscape:
    """The ground of a window. Arrays end in ``(height, width)``."""

    classes: NDArray[np.uint8]
    """LandCoverNet class, 1 to 7."""
    dry: Field
    """Digital numbers without any green, shape ``(band, height, width)``; likewise ``green``."""
    green: Field
    straw: Field
    """0 to 1: how much of a parcel's stubble shows after its harvest."""
    cover: tuple[Field, Field]
    """Share of green cover out of season and at the peak."""
    peak: Field
    """Day of the year when a pixel is greenest."""
    half_season: Field
    """Days from there to the end of its season."""

    def greenness(self, day: int) -> Field:
        """Share of green cover on a day of the year, 0 to 1."""
        least, most = self.cover
        return least + (most - least) * _season(day, self.peak, self.half_season)

    def surface(self, day: int) -> Field:
        """Digital numbers on a day of the year without any cloud, shape ``(band, height, width)``."""
        green = self.greenness(day)
        stubble = self.straw * _season(day, self.peak + self.half_season, self.half_season)
        straw = np.asarray(STRAW, "float32")[:, None, None]
        ground = self.dry + (straw - self.dry) * stubble
        return np.asarray(ground + (self.green - ground) * green, "float32")


def landscape(window: Window, salt: int) -> Landscape:
    """The ground of ``window``; ``salt`` names the tile's landscape."""
    land = blocks(window, 110, salt + 100, bend=5.0)
    fields = parcels(land, salt + 110, width=(7, 15), length=(16, 44))
    river, lakes = _water(window, salt)
    village_radius = 9 + 17 * land.draw(salt + 122) + 7 * smooth_noise(window, 14, salt + 121)
    villages = (land.draw(salt + 120) < 0.16) & (land.distance < village_radius)
    roads = blocks(window, 330, salt + 130, bend=16.0).border < 0.9
    dryness = fractal_noise(window, (300, 120, 45, 17, 6), salt + 140, gain=0.55)
    woods = fractal_noise(window, (160, 60, 22, 8), salt + 150, gain=0.62) - smoothstep(river, 6, 60)
    farmed = (land.draw(salt + 160) < 0.72) & (dryness < 0.9) & (fields.draw(salt + 161) < 0.9) & (fields.margin > 0.55)

    classes = np.full((window.height, window.width), NATURAL, "uint8")
    classes[dryness > BARE_ABOVE] = BARE
    classes[woods > 0.75] = WOODY
    classes[farmed & (land.border > 1.2) & (woods < 1.0)] = CULTIVATED
    classes[woods > 1.35] = WOODY
    classes[(river < 5) & (woods > -0.5)] = WOODY
    classes[roads | villages] = ARTIFICIAL
    classes[(river < 0) | (lakes > 2.05)] = WATER
    return _painted(window, salt, classes, fields, dryness)


def _water(window: Window, salt: int) -> tuple[Field, Field]:
    """Pixels to the river's bank (below 0 in the water), and a field that is highest in lakes."""
    wide = window.grown(1)
    across = (wide.rows * np.float32(0.8) - wide.cols * np.float32(0.6)).astype("float32")
    bends = 62 * smooth_noise(wide, 210, salt + 1) + 24 * smooth_noise(wide, 74, salt + 2) + 5 * smooth_noise(wide, 26, salt + 3)
    valley = across + bends + 480
    offset = (valley - np.floor(valley / 960) * 960 - 480)[1:-1, 1:-1]
    # Divided by the slope, the level set keeps its width where the bends squeeze it; the floor lets pools form.
    south, east = (valley[2:, 1:-1] - valley[:-2, 1:-1]) / 2, (valley[1:-1, 2:] - valley[1:-1, :-2]) / 2
    slope = np.maximum(np.sqrt(south * south + east * east), np.float32(0.45))
    width = 5 + 1.3 * smooth_noise(window, 60, salt + 4)
    return np.abs(offset) / slope - width, fractal_noise(window, (130, 50, 20), salt + 5, gain=0.35)


def _painted(window: Window, salt: int, classes: NDArray[np.uint8], fields: Parcels, dryness: Field) -> Landscape:
    dry, green, (least, most) = (_by_class(table, classes) for table in (DRY, GREEN, COVER))
    crop, tint = fields.draw(salt + 170), fields.draw(salt + 171)
    cropped = classes == CULTIVATED
    irrigated = cropped & (crop > 0.75)
    texture = _texture(window, salt, classes)
    relief = _relief(window, salt)
    warm = np.where(cropped, 0.74 + 0.5 * tint, 1 + 0.05 * dryness).astype("float32")
    # Grass thins out towards the sand, so that bare ground does not begin like a carpet.
    thin = np.where(classes == NATURAL, smoothstep(dryness, 0.1, BARE_ABOVE), 0).astype("float32")
    dry += (np.asarray(DRY[BARE], "float32")[:, None, None] - dry) * (0.85 * thin)
    vivid = np.where(cropped, 0.8 + 0.45 * fields.draw(salt + 172), 1.0).astype("float32")
    lateness = np.where(cropped, 70 * (crop - 0.5), 12 * smooth_noise(window, 90, salt + 180)).astype("float32")
    peak = np.where(irrigated, 45 + 90 * tint, PEAK + lateness).astype("float32")
    half_season = np.where(cropped, 62 + 30 * tint, np.where(classes == WOODY, 150, HALF_SEASON)).astype("float32")
    most = np.where(cropped, most * (0.7 + 0.3 * fields.draw(salt + 173)), most * (1 - 0.7 * thin)).astype("float32")
    return Landscape(
        classes=classes,
        dry=dry * (texture * relief * warm),
        green=green * (texture * relief * vivid),
        straw=np.where(cropped, 0.25 + 0.7 * tint, 0).astype("float32"),
        cover=(least, most),
        peak=peak,
        half_season=half_season,
    )


def _texture(window: Window, salt: int, classes: NDArray[np.uint8]) -> Field:
    """Brightness about 1: smooth in water and fields, rough in crowns and roofs."""
    fine = smooth_noise(window, 2, salt + 190)
    broad = fractal_noise(window, (24, 9, 4), salt + 191, gain=0.8)
    crown = uniform(window.rows, window.cols, salt + 195) - np.float32(0.5)
    rough, mottled = _by_class(TEXTURE, classes)
    return np.asarray(np.clip(1 + rough * (fine + crown) + mottled * broad, 0.4, 1.9), "float32")


def _relief(window: Window, salt: int) -> Field:
    """Light on gentle slopes, the morning sun in the south-east."""
    height = fractal_noise(window.grown(1), (140, 60, 26, 11), salt + 200, gain=0.5)
    slope = (height[2:, 2:] - height[:-2, :-2]) / 2
    return np.clip(1 - 0.9 * slope, 0.8, 1.2)


def _season(day: int, peak: Field, half: Field) -> Field:
    """1 on the peak day, 0 from ``half`` days away on, whole years apart the same."""
    apart = np.abs(day - peak) % np.float32(365)
    t = np.clip(np.minimum(apart, 365 - apart) / half, 0, 1)
    bell = 1 - t * t
    return np.asarray(bell * bell, "float32")


def _by_class(table: Mapping[int, tuple[float, ...]], classes: NDArray[np.uint8]) -> Field:
    """Look up each pixel's class, shape ``(values of an entry, height, width)``."""
    columns = np.zeros((len(table[WATER]), NATURAL + 1), "float32")
    for code, entry in table.items():
        columns[:, code] = entry
    return columns[:, classes]

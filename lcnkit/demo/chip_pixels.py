"""The pixels of one chip: its label, and what a satellite saw of it on each date."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lcnkit.demo.layout import DemoChip
from lcnkit.demo.noise import Field, Use, seeded, smooth_noise, uniform
from lcnkit.demo.scene import BANDS, NO_DATA, Landscape, landscape
from lcnkit.demo.sky import Weather, sky

#: Scores below full consensus, as published: 33 to 81.
LEAST_SCORE, MOST_SCORE = 33, 81


@dataclass(frozen=True)
class Acquisition:
    """What was seen of a chip on one date."""

    bands: NDArray[np.uint16]
    """Digital numbers, shape ``(band, height, width)``, never 0 (nodata)."""
    cloud_probability: NDArray[np.uint8]
    """Percent, 0 to 100."""
    scene_classes: NDArray[np.uint8]

    def layers(self) -> Iterator[tuple[str, NDArray[Any], int]]:
        """Asset key, pixels and nodata value of every raster of the item."""
        yield from ((key, band, 0) for key, band in zip(BANDS, self.bands, strict=True))
        yield "CLD", self.cloud_probability, 255
        yield "SCL", self.scene_classes, 0

    @property
    def cloud_cover(self) -> int:
        """Mean cloud probability in whole percent; whole-number sums, as float sums differ between machines."""
        total, count = int(self.cloud_probability.sum(dtype="int64")), self.cloud_probability.size
        return round(total / count)


@dataclass(frozen=True)
class ChipPixels:
    """Makes the pixels of ``chip``; each depends on the seed, the tile and its place there, nothing else."""

    chip: DemoChip
    seed: int

    @cached_property
    def _salt(self) -> int:
        return int(seeded(Use.GROUND, self.seed, self.chip.tile.number).generate_state(1)[0])

    @cached_property
    def _ground(self) -> Landscape:
        return landscape(self.chip.window, self._salt)

    def label(self) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Class (0 where the annotators found none) and consensus score, lower near the edges of things."""
        window = self.chip.window
        wide = landscape(window.grown(1), self._salt).classes
        around = [wide[1 + dy : wide.shape[0] - 1 + dy, 1 + dx : wide.shape[1] - 1 + dx] for dy, dx in _NEIGHBOURS]
        classes = self._ground.classes.copy()
        agreeing = sum((near == classes).astype("float32") for near in around) / np.float32(len(around))
        doubt = uniform(window.rows, window.cols, self._salt + 300)
        partial = LEAST_SCORE + (MOST_SCORE - LEAST_SCORE) * agreeing * (1 - doubt * doubt)
        score = np.where((agreeing == 1) & (doubt < 0.9), 100, np.rint(partial)).astype("uint8")
        lost = (agreeing < 1) & (smooth_noise(window, 6, self._salt + 301) > 2.3) | (doubt > 0.9997)
        classes[lost], score[lost] = NO_DATA, 0
        return classes, score

    def acquisition(self, day: int) -> Acquisition:
        """What was seen on a day of the year, 1 to 365."""
        ground = self._ground
        overhead = sky(self.chip.window, Weather.draw(self.seed, self.chip.tile.number, day))
        return Acquisition(
            bands=self._sensed(overhead.over(ground.surface(day)), day),
            cloud_probability=np.rint(100 * overhead.probability).astype("uint8"),
            scene_classes=overhead.scene_classes(ground.classes, ground.greenness(day)),
        )

    def _sensed(self, light: Field, day: int) -> NDArray[np.uint16]:
        """Digital numbers with the sensor's noise of up to 16 either way; never 0, which is nodata."""
        stream = np.random.PCG64(seeded(Use.SENSOR, self.seed, self.chip.tile.number, day, self.chip.place))
        words = np.asarray(stream.random_raw(-(-light.size // 8)), "<u8")
        noise = words.view("u1")[: light.size].reshape(light.shape).astype("float32") / 8 - 16
        return np.clip(np.rint(light + noise), 1, 10_000).astype("uint16")


_NEIGHBOURS = [(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1) if (dy, dx) != (0, 0)]

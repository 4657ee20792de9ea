"""The synthetic sky: clouds of one date over a tile, and the shadows they throw."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lcnkit.demo.noise import Field, Use, Window, fractal_noise, seeded, smoothstep
from lcnkit.demo.scene import WATER

#: How far a shadow lies from its cloud, in pixels towards the north and the west (morning sun).
SHADOW_NORTH, SHADOW_WEST = 9, 13

#: Scene classes of Sentinel-2's SCL.
SCL_SHADOW, SCL_VEGETATION, SCL_BARE, SCL_WATER, SCL_CLOUD_MEDIUM, SCL_CLOUD_HIGH = 3, 4, 5, 6, 8, 9


@dataclass(frozen=True)
class Weather:
    """The sky of one date over a tile."""

    salt: int
    """Names the cloud field."""
    amount: float
    """Share of the sky in cloud, 0 to 1; exactly 0 on a clear date."""
    softness: float
    """0 for crisp cumulus to 1 for veils."""

    @classmethod
    def draw(cls, seed: int, tile: int, day: int) -> Weather:
        """The weather of a day; it does not depend on which other days are in the archive."""
        # The bits of a seed sequence are fixed by NumPy for good; the streams of a Generator may change.
        bits = seeded(Use.WEATHER, seed, tile, day).generate_state(4)
        kind, amount, softness = (int(word) / 2**32 for word in bits[:3])
        if kind < 0.4:
            amount = 0.0
        elif kind < 0.8:
            amount = 0.04 + 0.5 * amount
        else:
            amount = 0.7 + 0.3 * amount
        return cls(int(bits[3]), amount, softness)


@dataclass(frozen=True)
class Sky:
    """What hides the ground of a window. Arrays of shape ``(height, width)``, 0 to 1."""

    opacity: Field
    shadow: Field
    probability: Field
    """Cloud probability, as a detector would give it."""
    brightness: Field

    def over(self, surface: Field) -> Field:
        """What a satellite sees of ``surface``, shape ``(band, height, width)``."""
        lit = surface * (1 - np.float32(0.52) * self.shadow)
        # Thick cloud is a little bluer than white and, in B08, not brighter than in the visible bands.
        tint = np.asarray((1.03, 1.0, 0.99, 0.97), "float32")[:, None, None]
        return np.asarray(lit + (tint * self.brightness - lit) * self.opacity, "float32")

    def scene_classes(self, classes: NDArray[np.uint8], greenness: Field) -> NDArray[np.uint8]:
        """Sentinel-2's scene classification of the window."""
        scl = np.where(greenness > 0.3, SCL_VEGETATION, SCL_BARE).astype("uint8")
        scl[classes == WATER] = SCL_WATER
        scl[self.shadow > 0.45] = SCL_SHADOW
        scl[self.opacity > 0.3] = SCL_CLOUD_MEDIUM
        scl[self.opacity > 0.65] = SCL_CLOUD_HIGH
        return scl


def sky(window: Window, weather: Weather) -> Sky:
    """The sky over ``window``."""
    if weather.amount == 0:
        clear = np.zeros((window.height, window.width), "float32")
        return Sky(clear, clear, clear, clear)
    gain = 0.62 - 0.14 * weather.softness
    lifted = Window(window.row, window.col, window.height + SHADOW_NORTH, window.width + SHADOW_WEST)
    field = fractal_noise(lifted, (230, 96, 40, 17, 7), weather.salt, gain)
    # The share of a field of standard deviation 1 that lies above the threshold is about the amount.
    depth = field - np.float32(1.9 - 4.3 * weather.amount)
    opacity = smoothstep(depth, 0, 0.35 + 0.75 * weather.softness)
    here = depth[: window.height, : window.width]
    cloud = opacity[: window.height, : window.width]
    return Sky(
        opacity=cloud * np.float32(0.97),
        shadow=opacity[SHADOW_NORTH:, SHADOW_WEST:] * (1 - cloud),
        probability=smoothstep(here, -0.25, 0.3),
        brightness=(2550 + 950 * smoothstep(here, 0, 1.3) + 210 * field[: window.height, : window.width]).astype("float32"),
    )

"""Parts of scenes on a web server: the header once for all chips, then the blocks that a chip touches, each fetched once.

For cloud-optimised GeoTIFFs as providers write them: one tiled band or more, as they are or deflated, on the chip's pixels.
Everything that could make the pixels differ is checked; other files are left to GDAL.
"""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import count
from typing import TYPE_CHECKING, Any

import numpy as np

from lcnkit.model import Asset, Grid
from lcnkit.raster.gdal import unreadable
from lcnkit.raster.kept import Kept
from lcnkit.raster.plain_tiff import Described, scene_of
from lcnkit.raster.planes import Plane, plane_of
from lcnkit.raster.tiff_pixels import Damaged, Layout, block_pixels
from lcnkit.raster.whole_file import is_plain_url

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lcnkit.model.item import OpenedFile, Opener

# Holds the header of a scene of 10980 x 10980 pixels with its overviews.
_FIRST_BYTES = 1 << 15
# Blocks that lie closer are fetched in one request: the gap costs less than another one.
_GAP = 1 << 14
# What a process keeps: headers of scenes, and bytes of blocks, since chips of a scene share some.
_SCENES, _BLOCK_BYTES = 1024, 128 << 20
_THREADS = 64


_NUMBERS = count()


@dataclass(frozen=True)
class _Scene:
    about: Described
    file: OpenedFile
    number: int = field(default_factory=_NUMBERS.__next__)

    def read(self, start: int, stop: int) -> bytes:
        content = self.file.read(start, stop - start, keep=False)
        if self.file.error is not None:
            raise self.file.error
        if len(content) != stop - start:
            raise Damaged(f"the file ends before {stop} bytes")
        return content


def read_scene(asset: Asset, grid: Grid) -> Plane | None:
    """The first band of an asset on the grid; ``None`` where GDAL is to read it: it is no plain scene, or none that holds the whole grid.

    Raises:
        UnreachableAsset: The server did not answer, or not well.
    """
    from lcnkit.raster.http import ChangedError, CutShortError

    if asset.opener is None and not is_plain_url(asset.href):
        return None
    scenes = _known(os.getpid())
    try:
        scene = scenes.get(asset)
        corner = scene.about.grid.corner_of(grid) if scene else None
        if scene is None or corner is None or not _holds(scene.about.grid.shape, corner, grid.shape):
            return None
        values = _window(scene.about.layout, corner, grid.shape, lambda numbers: scenes.blocks(scene, numbers))
    except (Damaged, CutShortError, ChangedError):  # GDAL says what is wrong, or has another way
        scenes.forget(asset)
        return None
    except OSError as error:
        scenes.forget(asset)
        raise unreadable(asset, error) from error
    return plane_of(values, scene.about.nodata)


def _holds(whole: tuple[int, int], corner: tuple[int, int], part: tuple[int, int]) -> bool:
    return all(first >= 0 and first + length <= size for first, length, size in zip(corner, part, whole, strict=True))


def _window(
    layout: Layout, corner: tuple[int, int], shape: tuple[int, int], fetch: Callable[[Sequence[int]], Sequence[bytes]]
) -> NDArray[np.generic]:
    """The first band of a part, shape ``shape``."""
    (top, left), (height, width), (down, across) = corner, shape, layout.block
    per_row = -(-layout.shape[1] // across)
    places = [
        (row, column)
        for row in range(top // down, (top + height - 1) // down + 1)
        for column in range(left // across, (left + width - 1) // across + 1)
    ]
    values: NDArray[Any] = np.empty(shape, dtype=layout.dtype.newbyteorder("="))
    stored = fetch([row * per_row + column for row, column in places])
    for (row, column), raw in zip(places, stored, strict=True):
        y, x = row * down - top, column * across - left
        rows, columns = slice(max(0, -y), min(down, height - y)), slice(max(0, -x), min(across, width - x))
        values[y + rows.start : y + rows.stop, x + columns.start : x + columns.stop] = block_pixels(raw, layout, (rows, columns))[:, :, 0]
    return values


class _Scenes:
    """What a process knows of scenes, and the blocks it fetched last."""

    def __init__(self) -> None:
        self._scenes: Kept[tuple[str, Opener | None], _Scene | None] = Kept(_SCENES)
        self._blocks: Kept[tuple[int, int], bytes] = Kept(_BLOCK_BYTES, len)
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="lcnkit-blocks")

    def get(self, asset: Asset) -> _Scene | None:
        """The scene; ``None`` where it is not plain, or the server refuses.

        Raises:
            OSError: The server did not answer, or not well.
        """
        return self._scenes.get([(asset.href, asset.opener)], lambda keys: [_opened(asset)])[0]

    def forget(self, asset: Asset) -> None:
        """Look at the header anew."""
        self._scenes.forget((asset.href, asset.opener))

    def blocks(self, scene: _Scene, numbers: Sequence[int]) -> list[bytes]:
        """Blocks as they are stored.

        Raises:
            OSError: The server does not give them.
            Damaged: The file ends before.
        """
        return self._blocks.get([(scene.number, number) for number in numbers], lambda keys: self._fetched(scene, [number for _, number in keys]))

    def _fetched(self, scene: _Scene, numbers: Sequence[int]) -> list[bytes]:
        offsets, counts = scene.about.layout.offsets, scene.about.layout.counts
        spans = _spans((offsets[number], offsets[number] + counts[number]) for number in numbers)
        first, *others = spans
        waiting = [self._threads.submit(scene.read, *span) for span in others]
        contents = [scene.read(*first), *(future.result() for future in waiting)]
        by_start = dict(zip((start for start, _ in spans), contents, strict=True))
        starts = sorted(by_start)
        found = []
        for number in numbers:
            start = starts[bisect_right(starts, offsets[number]) - 1]
            found.append(by_start[start][offsets[number] - start : offsets[number] - start + counts[number]])
        return found


def _spans(parts: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """First and last place of what is fetched in one request."""
    spans: list[tuple[int, int]] = []
    for start, stop in sorted(parts):
        if spans and start - spans[-1][1] <= _GAP:
            spans[-1] = (spans[-1][0], max(stop, spans[-1][1]))
        else:
            spans.append((start, stop))
    return spans


def _opened(asset: Asset) -> _Scene | None:
    from lcnkit.raster.http import NoAnswerError

    file = asset.opener.open(asset.href) if asset.opener is not None else _plain_file(asset.href)
    about = scene_of(file.read)
    if isinstance(file.error, NoAnswerError):
        raise file.error
    return _Scene(about, file) if about is not None and file.error is None else None


def _plain_file(href: str) -> OpenedFile:
    from lcnkit.raster.http_pool import pool
    from lcnkit.raster.range_file import RemoteFile

    return RemoteFile(href, pool(), _FIRST_BYTES)


@lru_cache(maxsize=1)
def _known(process: int) -> _Scenes:
    """Threads and connections do not outlive a fork."""
    return _Scenes()

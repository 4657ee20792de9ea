"""Reader: a lean path for plain chips on the grid and for plain scenes on a web server, rasterio for everything else."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from lcnkit.contracts import Reader
from lcnkit.hookspecs import hookimpl
from lcnkit.model import Asset, Chip, Image, Item
from lcnkit.model.href import is_url
from lcnkit.raster.gdal import Resampling, gdal, read_plane
from lcnkit.raster.many import read_rows
from lcnkit.raster.plain_tiff import plain_of, read_plain
from lcnkit.raster.planes import Plane, image_of, plane_of
from lcnkit.raster.scene import read_scene
from lcnkit.raster.whole_file import content_of, small_items


@dataclass(frozen=True, kw_only=True)
class Auto(Reader):
    """Read plain chips on the chip's grid, and their part of plain scenes, directly; all else with rasterio. The same pixels either way."""

    resampling: Resampling = "nearest"
    """How pixels that lie elsewhere come onto the chip's grid; nearest keeps stored values."""

    def read(self, chip: Chip, items: Sequence[Item], bands: Sequence[str]) -> Image:
        """See `lcnkit.contracts.Reader.read`."""
        assets = [[item.asset(band) for band in bands] for item in items]
        small = small_items(items, chip)

        def far(asset: Asset) -> Plane:
            content = content_of(asset, chip.grid) if asset.item_id in small else None
            if content is None:
                plane = read_scene(asset, chip.grid)
            else:
                lean = plain_of(content, chip.grid)
                plane = None if lean is None else plane_of(lean.values[0], lean.nodata)
            if plane is not None:
                return plane
            with gdal():
                return read_plane(asset, chip.grid, self.resampling, content)

        with ExitStack() as stack:
            entered: list[bool] = []

            def plane(asset: Asset) -> Plane:
                if is_url(asset.href):
                    return far(asset)
                lean = read_plain(asset.href, chip.grid)
                if lean is not None:
                    return plane_of(lean.values[0], lean.nodata)
                if not entered:  # GDAL is set up once, and only where it is needed
                    stack.enter_context(gdal())
                    entered.append(True)
                return read_plane(asset, chip.grid, self.resampling)

            planes = read_rows(plane, assets, chip.grid, self.resampling)
        return image_of(planes, bands, [[asset.raster_band for asset in row] for row in assets], chip.grid)


@hookimpl
def lcnkit_reader() -> dict[str, type[Auto]]:
    """Offer the reader."""
    return {"auto": Auto}

"""Reader: GDAL through rasterio; reads any raster, and warps only what does not lie on the grid already."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lcnkit.contracts import Reader
from lcnkit.hookspecs import hookimpl
from lcnkit.model import Asset, Chip, Image, Item
from lcnkit.model.href import is_url
from lcnkit.raster.gdal import Resampling, gdal, read_plane
from lcnkit.raster.many import read_rows
from lcnkit.raster.planes import Plane, image_of
from lcnkit.raster.whole_file import content_of, small_items


@dataclass(frozen=True, kw_only=True)
class Rasterio(Reader):
    """Read with rasterio: the file as it is where it lies on the chip's grid, else one windowed, resampled read."""

    resampling: Resampling = "nearest"
    """How pixels that lie elsewhere come onto the chip's grid; nearest keeps stored values."""

    def read(self, chip: Chip, items: Sequence[Item], bands: Sequence[str]) -> Image:
        """See `lcnkit.contracts.Reader.read`."""
        assets = [[item.asset(band) for band in bands] for item in items]
        small = small_items(items, chip)

        def plane(asset: Asset) -> Plane:
            content = content_of(asset, chip.grid) if asset.item_id in small and is_url(asset.href) else None
            with gdal():  # its settings are those of a thread
                return read_plane(asset, chip.grid, self.resampling, content)

        planes = read_rows(plane, assets, chip.grid, self.resampling)
        return image_of(planes, bands, [[asset.raster_band for asset in row] for row in assets], chip.grid)


@hookimpl
def lcnkit_reader() -> dict[str, type[Rasterio]]:
    """Offer the reader."""
    return {"rasterio": Rasterio}

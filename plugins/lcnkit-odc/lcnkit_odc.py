"""Reader: odc-stac, on the chip's grid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

import lcnkit
from lcnkit.contracts import Reader
from lcnkit.errors import GridMismatch, UnreadableAsset, listing
from lcnkit.model import Asset, Chip, Image, Item
from lcnkit.raster.gdal import Resampling, gdal, unreadable
from lcnkit.raster.planes import Plane, image_of

if TYPE_CHECKING:
    import pystac
    from numpy.typing import NDArray
    from odc.geo.geobox import GeoBox


@dataclass(frozen=True, kw_only=True)
class Odc(Reader):
    """Read with odc-stac, on the chip's grid; nodata comes from the files."""

    resampling: Resampling = "nearest"
    """How pixels that lie elsewhere come onto the chip's grid; nearest keeps stored values."""
    use_overviews: bool = True
    """Read a file's overviews where the chip's pixels are coarser than the file's."""

    def read(self, chip: Chip, items: Sequence[Item], bands: Sequence[str]) -> Image:
        """See `lcnkit.contracts.Reader.read`."""
        assets = [[item.asset(band) for band in bands] for item in items]
        with gdal():
            stored = [[_stored(asset) for asset in row] for row in assets]
            loaded = self._load(chip, items, assets)
        planes = [[_plane(loaded[time, band], *stored[time][band]) for band in range(len(bands))] for time in range(len(items))]
        return image_of(planes, bands, [[asset.raster_band for asset in row] for row in assets], chip.grid)

    def _load(self, chip: Chip, items: Sequence[Item], assets: Sequence[Sequence[Asset]]) -> NDArray[np.float64]:
        """Values of all assets, NaN where there are none; shape ``(time, band, y, x)``.

        float64 holds every stored integer up to 32 bits, and NaN beside it: a file without nodata keeps its zeros.
        """
        import odc.stac
        from affine import Affine
        from odc.geo.geobox import GeoBox
        from rasterio.errors import RasterioError

        box = GeoBox(chip.grid.shape, Affine(*chip.grid.transform), chip.grid.crs)
        try:
            loaded = odc.stac.load(
                [_plain(item, row, box, number) for number, (item, row) in enumerate(zip(items, assets, strict=True))],
                bands=[_name(number) for number in range(len(assets[0]))],
                geobox=box,
                groupby="lcnkit:position",  # one frame per item, in the order given, whatever their times
                resampling=self.resampling,
                use_overviews=self.use_overviews,
                dtype="float64",
                nodata=float("nan"),
                fail_on_error=True,
            )
        except RasterioError as error:
            files = listing((asset.href for row in assets for asset in row), 5)
            raise UnreadableAsset(
                f"Items {listing((item.id for item in items), 5)}: odc-stac cannot read one of {files}: "
                f"{' '.join(str(error.__cause__ or error).split())} Fetch it again, or leave the item out with the strategy."
            ) from error
        return np.stack([loaded[_name(number)].to_numpy() for number in range(len(assets[0]))], axis=1)


def _name(number: int) -> str:
    """What a band is called on its way through odc-stac: asset keys may be odd, and common names ambiguous."""
    return f"b{number}"


def _plain(item: Item, assets: Sequence[Asset], box: GeoBox, position: int) -> pystac.Item:
    """An item with the wanted files alone, whose hrefs are absolute and which lies where the chip is.

    odc-stac leaves out items whose footprint misses the chip, and believes what they declare of their rasters. Here
    the files decide: published footprints are rounded, and published projections are not always right.
    """
    import pystac

    files = {_name(number): {"href": asset.href, "type": "image/tiff; application=geotiff", "roles": ["data"]} for number, asset in enumerate(assets)}
    outline = box.geographic_extent
    left, bottom, right, top = outline.boundingbox.bbox
    document: dict[str, Any] = {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": item.id,
        "collection": "lcnkit",
        "geometry": outline.json,
        "bbox": [left, bottom, right, top],
        "properties": {"datetime": item.properties.get("datetime") or item.properties.get("start_datetime"), "lcnkit:position": position},
        "assets": files,
        "links": [],
    }
    return pystac.Item.from_dict(document)


def _stored(asset: Asset) -> tuple[np.dtype[Any], float | None]:
    """How the file stores its values, dtype and nodata: odc-stac takes both from the item, which may not say."""
    import rasterio

    try:
        with rasterio.open(asset.href) as dataset:
            if dataset.crs is None:
                raise GridMismatch(
                    f"Item {asset.item_id!r}, asset {asset.key!r}: {asset.href} has no CRS, so it cannot be brought onto the "
                    "chip's grid. Assign one with `gdal_edit.py -a_srs EPSG:CODE FILE`."
                )
            return np.dtype(dataset.dtypes[0]), dataset.nodata
    except rasterio.errors.RasterioError as error:
        raise unreadable(asset, error) from error


def _plane(values: NDArray[np.float64], dtype: np.dtype[Any], nodata: float | None) -> Plane:
    valid = ~np.isnan(values)
    fill = 0 if nodata is None or np.isnan(nodata) else nodata
    return Plane(np.where(valid, values, fill).astype(dtype), valid, nodata)


@lcnkit.hookimpl
def lcnkit_reader() -> dict[str, type[Odc]]:
    """Offer the reader."""
    return {"odc": Odc}

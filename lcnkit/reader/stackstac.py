"""Reader: stackstac, for comparison with what the tutorial read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lcnkit.contracts import Reader
from lcnkit.errors import GridMismatch, UnreadableAsset, listing
from lcnkit.hookspecs import hookimpl
from lcnkit.model import Asset, Chip, Grid, Image, Item
from lcnkit.raster.gdal import Resampling, gdal, refuse_openers, unreadable
from lcnkit.raster.planes import Plane, fill_of, image_of


@dataclass(frozen=True, kw_only=True)
class Stackstac(Reader):
    """Read with stackstac, on the chip's exact bounds; needs a CRS with an EPSG code and square, unrotated pixels or not."""

    resampling: Resampling = "nearest"
    """How pixels that lie elsewhere come onto the chip's grid; nearest keeps stored values."""

    def read(self, chip: Chip, items: Sequence[Item], bands: Sequence[str]) -> Image:
        """See `lcnkit.contracts.Reader.read`."""
        import dask
        import stackstac
        from rasterio.enums import Resampling as Methods

        assets = [[item.asset(band) for band in bands] for item in items]
        refuse_openers((asset for row in assets for asset in row), "stackstac")
        stored = [[_stored(asset) for asset in row] for row in assets]
        epsg = _epsg(chip.grid)
        try:
            with dask.config.set(scheduler="synchronous"), gdal():
                stack = stackstac.stack(
                    [_plain(item, chip.grid, bands) for item in items],
                    assets=list(bands),
                    epsg=epsg,
                    bounds=chip.grid.bounds,
                    resolution=chip.grid.resolution,
                    resampling=Methods[self.resampling],
                    # Values as stored: nodata becomes NaN here and its own value again below.
                    dtype=np.dtype("float64"),
                    fill_value=np.float64("nan"),
                    rescale=False,
                    snap_bounds=False,
                    sortby_date=False,
                    xy_coords="center",
                    properties=False,
                    band_coords=False,
                    errors_as_nodata=(),
                ).to_numpy()
        except AssertionError as error:
            if "Empty reader_table" not in str(error):  # what stackstac says where no item touches the bounds
                raise
            stack = np.full((len(items), len(bands), *chip.grid.shape), np.nan)
        except Exception as error:  # stackstac wraps what went wrong in bare RuntimeErrors, which name the file
            for asset in (asset for row in assets for asset in row):
                if repr(asset.href) in str(error):
                    raise unreadable(asset, error) from error
            raise UnreadableAsset(
                f"Items {', '.join(item.id for item in items)}: stackstac cannot read one of "
                f"{listing((asset.href for row in assets for asset in row), 5)}: "
                f"{' '.join(str(error.__cause__ or error).split())} Try reader=auto, which names the file."
            ) from error
        if stack.shape[2:] != chip.grid.shape:
            raise GridMismatch(f"Chip {chip.id}: stackstac gives {stack.shape[2:]} pixels where the grid has {chip.grid.shape}; use reader=auto.")
        planes = [[_plane(stack[time, band], *stored[time][band]) for band in range(len(bands))] for time in range(len(items))]
        return image_of(planes, bands, [[asset.raster_band for asset in row] for row in assets], chip.grid)


def _epsg(grid: Grid) -> int:
    if not grid.crs.startswith("EPSG:") or not grid.is_rectilinear or grid.transform[4] > 0:
        raise GridMismatch(f"stackstac needs an EPSG code and a north-up grid; this one is {grid.crs[:60]}, {grid.transform}. Use reader=auto.")
    return int(grid.crs.removeprefix("EPSG:"))


def _plain(item: Item, grid: Grid, bands: Sequence[str]) -> dict[str, Any]:
    """The item without projection fields: newer ones confuse stackstac, and the bounds are given anyway."""
    document = item.absolute()
    properties = {name: value for name, value in item.properties.items() if not name.startswith("proj:")}
    properties["datetime"] = properties.get("datetime") or properties.get("start_datetime")
    assets = {key: {name: value for name, value in document["assets"][key].items() if not name.startswith(("proj:", "raster:"))} for key in bands}
    return {**document, "properties": {**properties, "proj:epsg": _epsg(grid)}, "assets": assets}


def _stored(asset: Asset) -> tuple[np.dtype[Any], float | None]:
    """Data type and nodata of the file, which stackstac does not pass on."""
    import rasterio

    try:
        with gdal(), rasterio.open(asset.href) as dataset:
            if dataset.crs is None:
                raise GridMismatch(f"Item {asset.item_id!r}, asset {asset.key!r}: {asset.href} has no CRS.")
            return np.dtype(dataset.dtypes[0]), dataset.nodata
    except rasterio.errors.RasterioError as error:
        raise unreadable(asset, error) from error


def _plane(values: Any, dtype: np.dtype[Any], nodata: float | None) -> Plane:
    valid = ~np.isnan(values)
    return Plane(np.where(valid, values, fill_of(dtype, nodata)).astype(dtype), valid, nodata)


@hookimpl
def lcnkit_reader() -> dict[str, type[Stackstac]]:
    """Offer the reader."""
    return {"stackstac": Stackstac}

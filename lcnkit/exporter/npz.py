"""Exporter: one npz file a chip, read with numpy alone."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lcnkit.contracts import Exporter
from lcnkit.errors import ConfigError
from lcnkit.exporter.object_files import get, put, size, try_out
from lcnkit.exporter.receipts import facts_of, shapes_of
from lcnkit.hookspecs import hookimpl
from lcnkit.model import Frame, Grid, Image, Receipt, Sample
from lcnkit.model.href import is_url
from lcnkit.model.sample import valid_of
from lcnkit.output import file_name, whole_file

if TYPE_CHECKING:
    from numpy.typing import NDArray

FOLDER = "items"
# The first date that a zip entry can have: the same sample gives the same bytes whenever it is written.
_DATE = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True, kw_only=True)
class Npz(Exporter):
    """Write ``items/CHIP.npz``: image, label, valid, time, band, x, y, crs and ids; loads with ``allow_pickle=False``."""

    compress: bool = False
    """Deflate the arrays: about half the size, and ten times as long to write."""
    url: str | None = None
    """Where the files go instead of the output folder: any fsspec URL that workers and you can write (s3://BUCKET/PREFIX)."""
    store_options: dict[str, Any] = field(default_factory=dict)
    """Options of that store (s3: endpoint, region, ...). Credentials belong into the environment, where the store finds them."""

    def __post_init__(self) -> None:
        if self.url is not None and not is_url(self.url):
            raise ConfigError(f"exporter.url is {self.url!r}; it must be a URL, e.g. s3://BUCKET/PREFIX (a folder: output_dir=PATH)")

    @property
    def elsewhere(self) -> bool:
        """See `lcnkit.contracts.Exporter.elsewhere`."""
        return self.url is not None

    def begin(self) -> None:
        """See `lcnkit.contracts.Exporter.begin`."""
        if self.url is not None:
            try_out(self.url, self.store_options)

    def is_there(self, receipt: Receipt) -> bool:
        """See `lcnkit.contracts.Exporter.is_there`."""
        return size(receipt.file, self.store_options) == receipt.size

    def write(self, sample: Sample, folder: Path) -> Receipt:
        """See `lcnkit.contracts.Exporter.write`."""
        import xxhash

        name = f"{FOLDER}/{file_name(sample.chip_id)}.npz"
        compression = zipfile.ZIP_DEFLATED if self.compress else zipfile.ZIP_STORED
        if self.url is None:
            with whole_file(folder / name) as file:
                _write_zip(arrays_of(sample), file, compression)
            content = (folder / name).read_bytes()
        else:
            buffer = io.BytesIO()
            _write_zip(arrays_of(sample), buffer, compression)
            content, name = buffer.getvalue(), f"{self.url.rstrip('/')}/{name}"
            put(name, content, self.store_options)
        return Receipt(
            chip_id=sample.chip_id,
            file=name,
            size=len(content),
            checksum=f"xxh3_128:{xxhash.xxh3_128_hexdigest(content)}",
            shapes=shapes_of(sample),
            facts=facts_of(sample),
        )

    def finish(self, receipts: Sequence[Receipt], folder: Path) -> Sequence[Receipt]:
        """See `lcnkit.contracts.Exporter.finish`."""
        # What an earlier run made of chips that are no longer planned: who reads the folder with numpy alone would take it for a sample.
        files = {receipt.file for receipt in receipts}
        for path in (folder / FOLDER).rglob("*.npz"):
            if path.relative_to(folder).as_posix() not in files:
                path.unlink()
        return receipts

    def read(self, receipt: Receipt, folder: Path) -> Sample:
        """See `lcnkit.contracts.Exporter.read`."""
        file = io.BytesIO(get(receipt.file, self.store_options)) if is_url(receipt.file) else folder / receipt.file
        with np.load(file, allow_pickle=False) as arrays:
            return sample_of(arrays, Grid.from_dict(receipt.facts["grid"]))


def arrays_of(sample: Sample) -> dict[str, NDArray[Any]]:
    """The arrays of a file, by name.

    ``image`` (time, band, y, x); ``valid`` (time, y, x), ``True`` where all bands hold data; ``label`` (y, x) int64;
    ``time`` datetime64[ns] UTC; ``x`` and ``y`` pixel centres; ``missing`` marks frames of empty periods.
    """
    source = sample.source
    image, frames = sample.images[source], sample.frames[source]
    return {
        "image": image.values,
        "label": sample.classes,
        "valid": np.asarray(image.valid.all(axis=1)),
        "time": np.array([frame.time for frame in frames], dtype="datetime64[ns]"),
        "band": np.array(image.bands, dtype=str),
        "x": sample.grid.x,
        "y": sample.grid.y,
        "crs": np.array(sample.grid.crs),
        "transform": np.array(sample.grid.transform),
        "period": np.array([frame.period for frame in frames], dtype="int64"),
        "item_id": np.array([frame.item_id for frame in frames], dtype=str),
        "cloud_cover": np.array([frame.cloud_cover for frame in frames], dtype="float64"),
        "missing": np.array([frame.missing for frame in frames], dtype=bool),
        "nodata": np.array(np.nan if image.nodata is None else image.nodata, dtype="float64"),
        "chip_id": np.array(sample.chip_id),
        "label_item_id": np.array(sample.label_item_id),
        "source": np.array(source),
        "attrs": np.array(json.dumps({"image": dict(image.attrs), "label": dict(sample.attrs)}, sort_keys=True)),
    }


def _write_zip(arrays: Mapping[str, NDArray[Any]], file: Any, compression: int) -> None:
    with zipfile.ZipFile(file, "w") as archive:
        for name, array in arrays.items():
            entry = zipfile.ZipInfo(f"{name}.npy", _DATE)
            entry.compress_type = compression
            with archive.open(entry, "w", force_zip64=True) as member:
                plain = np.asarray(array, order="C")
                header = io.BytesIO()
                np.lib.format.write_array_header_1_0(header, np.lib.format.header_data_from_array_1_0(plain))
                member.write(header.getvalue())
                # One write of the whole buffer: numpy's own loop copies it in small pieces.
                member.write(plain.data if plain.ndim and plain.dtype.kind not in "MU" else plain.tobytes())


def sample_of(arrays: Mapping[str, NDArray[Any]], grid: Grid) -> Sample:
    """The sample that `arrays_of` took apart."""
    attrs = json.loads(str(arrays["attrs"]))
    values, source = arrays["image"], str(arrays["source"])
    stored = float(arrays["nodata"])
    nodata = stored if np.issubdtype(values.dtype, np.floating) or not np.isnan(stored) else None
    # The file keeps one mask for all bands; which of them lacks data is told by the values, where they agree with it.
    valid = valid_of(values, nodata, arrays["missing"])
    if not np.array_equal(valid.all(axis=1), arrays["valid"]):
        valid = np.broadcast_to(arrays["valid"][:, None], values.shape)
    frames = tuple(
        Frame(int(period), time, str(item), cloud_cover=float(cloud))
        for period, time, item, cloud in zip(arrays["period"], arrays["time"], arrays["item_id"], arrays["cloud_cover"], strict=True)
    )
    return Sample(
        chip_id=str(arrays["chip_id"]),
        label_item_id=str(arrays["label_item_id"]),
        grid=grid,
        images={source: Image(values, valid, tuple(str(band) for band in arrays["band"]), nodata, attrs["image"])},
        frames={source: frames},
        classes=arrays["label"],
        attrs=attrs["label"],
    )


@hookimpl
def lcnkit_exporter() -> dict[str, type[Npz]]:
    """Offer the exporter."""
    return {"npz": Npz}

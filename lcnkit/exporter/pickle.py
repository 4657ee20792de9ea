"""Exporter: one pickle, a list of (image, label) pairs, as the LandCoverNet tutorial left it.

The list is never held in memory. Each worker writes the pickle opcodes of its pair to a part of its own, and
the parts are strung together behind the opcode of an empty list, each followed by "append". A pair says only
"call xarray.DataArray with these arguments", so that it loads wherever numpy and xarray are installed.
"""

from __future__ import annotations

import errno
import os
import pickle
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

import numpy as np

from lcnkit.contracts import Exporter
from lcnkit.errors import OutputError
from lcnkit.exporter.receipts import facts_of, shapes_of
from lcnkit.hookspecs import hookimpl
from lcnkit.model import Frame, Grid, Image, Receipt, Sample
from lcnkit.model.sample import valid_of
from lcnkit.output import STATE, whole_file

FILE = "items.pkl"

# Protocol 5 (Python 3.8): arrays are written without being copied first.
_PROTOCOL = 5
_HEAD = pickle.PROTO + bytes([_PROTOCOL]) + pickle.EMPTY_LIST
_DATA_ARRAY = pickle.GLOBAL + b"xarray\nDataArray\n"


@dataclass(frozen=True, kw_only=True)
class Pickle(Exporter):
    """Write ``items.pkl``: one list of (image, label) pairs of xarray DataArrays, in the label collection's order."""

    def write(self, sample: Sample, folder: Path) -> Receipt:
        """See `lcnkit.contracts.Exporter.write`."""
        part = folder / STATE / "parts" / f"{sample.chip_id}.part"
        with whole_file(part) as file:
            hashed = _Hashed(file)
            _dump_call(sample.image_parts(sample.source), hashed)
            _dump_call(sample.label_parts(), hashed)
            hashed.write(pickle.TUPLE2)
        return Receipt(
            chip_id=sample.chip_id,
            file=part.relative_to(folder).as_posix(),
            size=hashed.size,
            checksum=hashed.checksum,
            shapes=shapes_of(sample),
            facts=facts_of(sample),
        )

    def finish(self, receipts: Sequence[Receipt], folder: Path) -> list[Receipt]:
        """See `lcnkit.contracts.Exporter.finish`."""
        placed: list[Receipt] = []
        with whole_file(folder / FILE) as whole:
            whole.write(_HEAD)
            for receipt in receipts:
                start = whole.tell()
                _append(folder / receipt.file, receipt, whole)
                whole.write(pickle.APPEND)
                placed.append(replace(receipt, file=FILE, offset=start))
            whole.write(pickle.STOP)
        return placed

    def read(self, receipt: Receipt, folder: Path) -> Sample:
        """See `lcnkit.contracts.Exporter.read`."""
        with (folder / receipt.file).open("rb") as file:
            file.seek(receipt.offset)
            image, label = pickle.loads(_HEAD[:2] + file.read(receipt.size) + pickle.STOP)
        return sample_of(image, label, receipt)


class _Hashed:
    """A file that knows the size and checksum of what went through it."""

    def __init__(self, file: IO[bytes]) -> None:
        import xxhash

        self._file, self._hash, self.size = file, xxhash.xxh3_128(), 0

    def write(self, data: Any) -> int:
        self._file.write(data)
        self._hash.update(data)
        size = memoryview(data).nbytes
        self.size += size
        return size

    @property
    def checksum(self) -> str:
        return f"xxh3_128:{self._hash.hexdigest()}"


class _Arguments:
    """Drops the last opcode of a pickle (STOP), and passes on the rest."""

    def __init__(self, file: _Hashed) -> None:
        self._file, self._held = file, b""

    def write(self, data: Any) -> int:
        if self._held:
            self._file.write(self._held)
            self._held = b""
        if memoryview(data).nbytes > 1 << 16:  # large buffers are arrays: the last opcode comes in a short one
            return self._file.write(data)
        self._held = bytes(data)
        return len(self._held)

    def close(self) -> None:
        if self._held[-1:] != pickle.STOP:
            raise pickle.PicklingError("the pickle did not end with STOP")
        self._file.write(self._held[:-1])


def _dump_call(arguments: tuple[Any, ...], file: _Hashed) -> None:
    """The opcodes of ``xarray.DataArray(*arguments)``, leaving the result on the unpickler's stack."""
    file.write(_DATA_ARRAY)
    held = _Arguments(file)
    pickler = pickle.Pickler(held, protocol=_PROTOCOL)
    # No memo: its numbers would clash when parts are strung together. The arguments hold no cycles.
    pickler.fast = True
    pickler.dump(tuple(_contiguous(argument) for argument in arguments))
    held.close()
    file.write(pickle.REDUCE)


def _contiguous(value: Any) -> Any:
    return np.ascontiguousarray(value) if isinstance(value, np.ndarray) else value


def _append(path: Path, receipt: Receipt, whole: IO[bytes]) -> None:
    """Copy a sample's bytes to the end of the list, inside the kernel where the system can."""
    with path.open("rb") as part:
        part.seek(receipt.offset)
        whole.flush()
        left = receipt.size
        while left:
            copied = _copy(part, whole, left)
            if not copied:
                raise OutputError(f"{path} ends before the sample of chip {receipt.chip_id} does. Make the data set again with overwrite=true.")
            left -= copied


def _copy(source: IO[bytes], target: IO[bytes], size: int) -> int:
    if hasattr(os, "copy_file_range"):
        try:
            # Both positions are given: the kernel moves no file pointer, and Python's buffers stay right.
            copied = os.copy_file_range(source.fileno(), target.fileno(), size, source.tell(), target.tell())
        except OSError as error:
            # Some file systems cannot do it, some containers do not allow it: then the bytes go through this process.
            if error.errno not in (errno.EXDEV, errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.EPERM):
                raise
        else:
            source.seek(copied, os.SEEK_CUR)
            target.seek(copied, os.SEEK_CUR)
            return copied
    data = source.read(min(size, 1 << 20))
    target.write(data)
    return len(data)


def sample_of(image: Any, label: Any, receipt: Receipt) -> Sample:
    """The sample that a pair of DataArrays was made of."""
    values = image.values
    nodata = float("nan") if np.issubdtype(values.dtype, np.floating) else image.attrs.get("nodata")
    valid = image.valid.values if "valid" in image.coords else valid_of(values, nodata, image.missing.values)
    frames = tuple(
        Frame(int(period), time, str(item), cloud_cover=float(cloud))
        for period, time, item, cloud in zip(image.period.values, image.time.values, image.item_id.values, image.cloud_cover.values, strict=True)
    )
    source = image.attrs["source"]
    known = ("chip_id", "source", "nodata")
    attrs = {name: value for name, value in image.attrs.items() if name not in known}
    return Sample(
        chip_id=receipt.chip_id,
        label_item_id=label.attrs["item_id"],
        grid=Grid.from_dict(receipt.facts["grid"]),
        images={source: Image(values, valid, tuple(str(band) for band in image.band.values), nodata, attrs)},
        frames={source: frames},
        classes=label.values,
        attrs={name: value for name, value in label.attrs.items() if name not in ("chip_id", "item_id")},
    )


@hookimpl
def lcnkit_exporter() -> dict[str, type[Pickle]]:
    """Offer the exporter."""
    return {"pickle": Pickle}

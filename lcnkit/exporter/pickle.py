"""Exporter: one pickle, a list of (image, label) pairs, as the LandCoverNet tutorial left it."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

import numpy as np

from lcnkit.contracts import Exporter
from lcnkit.errors import OutputError
from lcnkit.exporter.page_cache import PageCache
from lcnkit.exporter.pickle_slots import WHOLE, reserve, slot_of
from lcnkit.exporter.pickle_stream import APPEND, HEAD, STOP, load_pair, pair_of
from lcnkit.exporter.receipts import facts_of, shapes_of
from lcnkit.hookspecs import hookimpl
from lcnkit.model import Frame, Grid, Image, Packed, Receipt, Sample
from lcnkit.model.sample import valid_of
from lcnkit.output import STATE, file_name, whole_file

FILE = "items.pkl"
# Of this process: all its chips go into one file.
_CACHE = PageCache()


@dataclass(frozen=True, kw_only=True)
class Pickle(Exporter):
    """Write ``items.pkl``: one list of (image, label) pairs of xarray DataArrays, in the label collection's order."""

    def reserve(self, samples: Iterable[Sample], folder: Path) -> int:
        """See `lcnkit.contracts.Exporter.reserve`."""
        return reserve(samples, folder)

    def write(self, sample: Sample, folder: Path) -> Receipt:
        """See `lcnkit.contracts.Exporter.write`."""
        slot, pieces = slot_of(sample.chip_id, folder), pair_of(sample)
        if slot is not None and slot[1] == pieces.size:
            path, offset = folder / WHOLE, slot[0]
            with path.open("r+b", buffering=0) as whole, _CACHE.writing(whole.fileno(), offset, pieces.size):
                whole.seek(offset)
                checksum = pieces.write_to(whole)
                whole.write(APPEND)
        else:
            path, offset = folder / STATE / "parts" / f"{file_name(sample.chip_id)}.part", 0
            with whole_file(path) as file:
                checksum = pieces.write_to(file)
        return Receipt(
            chip_id=sample.chip_id,
            file=path.relative_to(folder).as_posix(),
            offset=offset,
            size=pieces.size,
            checksum=checksum,
            shapes=shapes_of(sample),
            facts=facts_of(sample),
        )

    def finish(self, receipts: Sequence[Receipt], folder: Path) -> Sequence[Receipt]:
        """See `lcnkit.contracts.Exporter.finish`."""
        offsets, whole = [len(HEAD)], True
        for receipt in receipts:
            whole = whole and receipt.file == WHOLE and receipt.offset == offsets[-1]
            offsets.append(offsets[-1] + receipt.size + len(APPEND))
        if len(receipts) and whole:
            _close(folder, offsets)
        else:
            _string_together(receipts, folder)
        return Packed(replace(receipt, file=FILE, offset=offset) for receipt, offset in zip(receipts, offsets[:-1], strict=True))

    def read(self, receipt: Receipt, folder: Path) -> Sample:
        """See `lcnkit.contracts.Exporter.read`."""
        with (folder / receipt.file).open("rb") as file:
            file.seek(receipt.offset)
            image, label = load_pair(file.read(receipt.size))
        return sample_of(image, label, receipt)


def _close(folder: Path, offsets: Sequence[int]) -> None:
    """The file that workers wrote into is whole: end it, and give it its name.

    The few bytes between samples are written again: no checksum covers them, and the machine may have gone down meanwhile.
    """
    with (folder / WHOLE).open("r+b") as file:
        file.write(HEAD)
        for end in offsets[1:]:
            file.seek(end - len(APPEND))
            file.write(APPEND)
        file.truncate(offsets[-1])
        file.write(STOP)
    _give_name(folder / WHOLE, folder / FILE)


def _give_name(path: Path, name: Path) -> None:
    """Let the file be there under its name, and under the old one until the manifest is written: the journal tells of that one."""
    beside = name.with_name(f".{name.name}.{os.getpid()}.partial")
    try:
        os.link(path, beside)
    except OSError:  # a file system without hard links
        os.replace(path, name)
    else:
        os.replace(beside, name)
        beside.unlink(missing_ok=True)  # still there where both names were the same file's already


def _string_together(receipts: Sequence[Receipt], folder: Path) -> None:
    """Copy samples from wherever they lie: some failed, or were added to an earlier data set."""
    with whole_file(folder / FILE) as whole:
        whole.write(HEAD)
        for receipt in receipts:
            _append(folder / receipt.file, receipt, whole)
            whole.write(APPEND)
        whole.write(STOP)


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

"""Contenders: a bare loop of rasterio, and the floor: bytes in, bytes out."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import rasterio

from benchmarks.products import product, scaled, write
from benchmarks.workers import in_processes

_ENVIRONMENT = {"GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR", "GDAL_NUM_THREADS": "1"}


def rasterio_loop(jobs: Sequence[dict[str, Any]], bands: Sequence[str], processes: int, output: str) -> None:
    """Open and read every file, scale, clip, write: the files are known, and on the chip's grid."""
    in_processes(_read_all, jobs, processes, bands, output)


def _read_all(part: int, jobs: Iterable[dict[str, Any]], bands: Sequence[str], output: str) -> None:
    with rasterio.Env(**_ENVIRONMENT), product(output, part) as file:
        for job in jobs:
            stored = np.empty((len(job["items"]), len(bands), *job["shape"]), dtype="uint16")
            valid = np.empty(stored.shape, dtype=bool)
            for time, item in enumerate(job["items"]):
                for number, band in enumerate(bands):
                    with rasterio.open(item["assets"][band]) as raster:
                        stored[time, number] = raster.read(1)
                        valid[time, number] = stored[time, number] != raster.nodata
            with rasterio.open(job["label"]) as raster:
                classes = raster.read(1).astype("int64")
            write(file, (job["chip"], scaled(stored, valid), classes))


def floor(jobs: Sequence[dict[str, Any]], sample_bytes: int, processes: int, inflate: bool, output: str) -> None:
    """Read the bytes that a run must read, and write as many as its product has; ``inflate`` them between.

    Where planning had to read cloud masks, they are read here too. Inflating is libdeflate's.
    """
    in_processes(_pass_on, jobs, processes, sample_bytes, inflate, output)


def _pass_on(part: int, jobs: Iterable[dict[str, Any]], sample_bytes: int, inflate: bool, output: str) -> None:
    blank = bytes(sample_bytes)
    with (Path(output) / f"floor-{part}.bin").open("wb") as written:
        for job in jobs:
            for path in (*(href for item in job["items"] for href in item["assets"].values()), *job["masks"]):
                with open(path, "rb") as file:
                    content = file.read()
                if inflate:
                    for start, size in zip(_numbers(content, _OFFSETS), _numbers(content, _COUNTS), strict=True):
                        imagecodecs.zlib_decode(content[start : start + size])
            with open(job["label"], "rb") as file:
                file.read()
            written.write(blank)


# TIFF 6.0, section 8: where strips begin, and their bytes.
_OFFSETS, _COUNTS = 273, 279


def _numbers(content: bytes, tag: int) -> tuple[int, ...]:
    """The values of a tag of a little-endian TIFF; several, as all our chips have several strips."""
    (directory,) = struct.unpack_from("<I", content, 4)
    (entries,) = struct.unpack_from("<H", content, directory)
    for entry in range(entries):
        number, kind, count, where = struct.unpack_from("<HHII", content, directory + 2 + 12 * entry)
        if number == tag:
            return struct.unpack_from(f"<{count}{'H' if kind == 3 else 'I'}", content, where)
    raise ValueError(f"the file has no tag {tag}")

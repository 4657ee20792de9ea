"""The pickle opcodes of a list of (image, label) pairs, written pair by pair.

A pair says only "call xarray.DataArray with these arguments", so that it loads wherever numpy and xarray are
installed. Pairs are strung together behind the opcode of an empty list, each followed by "append": the list is
never held in memory, and pairs may be written in any order once it is known where each begins.
"""

from __future__ import annotations

import pickle
from typing import IO, Any

import numpy as np

from lcnkit.model import Sample

# Protocol 5 (Python 3.8): arrays are written without being copied first.
_PROTOCOL = 5
START = pickle.PROTO + bytes([_PROTOCOL])
HEAD = START + pickle.EMPTY_LIST
APPEND = pickle.APPEND
STOP = pickle.STOP
_DATA_ARRAY = pickle.GLOBAL + b"xarray\nDataArray\n"


class HashedFile:
    """A file that knows the size and checksum of what went through it."""

    def __init__(self, file: IO[bytes]) -> None:
        import xxhash

        self._file, self._hash, self.size = file, xxhash.xxh3_128(), 0

    def write(self, data: Any) -> int:
        """Write bytes or a buffer."""
        self._file.write(data)
        self._hash.update(data)
        size = memoryview(data).nbytes
        self.size += size
        return size

    @property
    def checksum(self) -> str:
        """``xxh3_128:`` and 32 hexadecimal digits."""
        return f"xxh3_128:{self._hash.hexdigest()}"


class Counter:
    """Counts bytes, and keeps none."""

    def __init__(self) -> None:
        self.size = 0

    def write(self, data: Any) -> int:
        """Count bytes or a buffer."""
        size = memoryview(data).nbytes
        self.size += size
        return size


def dump_pair(sample: Sample, file: HashedFile | Counter) -> None:
    """The opcodes of one pair, leaving it on the unpickler's stack."""
    _dump_call(sample.image_parts(sample.source), file)
    _dump_call(sample.label_parts(), file)
    file.write(pickle.TUPLE2)


def size_of_pair(sample: Sample) -> int:
    """Bytes that `dump_pair` writes; the pixels themselves are not looked at."""
    counter = Counter()
    dump_pair(sample, counter)
    return counter.size


def load_pair(fragment: bytes) -> tuple[Any, Any]:
    """The pair that `dump_pair` wrote."""
    image, label = pickle.loads(START + fragment + STOP)
    return image, label


class _Arguments:
    """Drops the last opcode of a pickle (STOP), and passes on the rest."""

    def __init__(self, file: HashedFile | Counter) -> None:
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


def _dump_call(arguments: tuple[Any, ...], file: HashedFile | Counter) -> None:
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

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
_LARGE = 1 << 16
# Large arrays are written in blocks of so many bytes, which begin at multiples of it. Workers that write into one file take
# turns: in short ones, one of them seldom waits. And a block fits into the processor's cache.
_BLOCK = 1 << 18
_DATA_ARRAY = pickle.GLOBAL + b"xarray\nDataArray\n"


class Pieces:
    """Bytes of a pair, ready to be written: arrays are referred to, not copied."""

    def __init__(self) -> None:
        self._pieces: list[Any] = []
        self._small: list[bytes] = []
        self._kept: list[Any] = []
        self.size = 0

    def keep(self, value: Any) -> None:
        """Let a value live as long: the pickler gives views of its arrays, and such a view does not."""
        self._kept.append(value)

    def write(self, data: Any) -> int:
        """Take bytes or a buffer; a large buffer must not change before it is written."""
        size = memoryview(data).nbytes
        if size > _LARGE:
            self._close()
            self._pieces.append(data)
        else:
            self._small.append(bytes(data))
        self.size += size
        return size

    def write_to(self, file: IO[bytes]) -> str:
        """Write all; gives the checksum: ``xxh3_128:`` and 32 hexadecimal digits."""
        import xxhash

        self._close()
        hashed, at = xxhash.xxh3_128(), file.tell()
        for piece in self._pieces:
            left = memoryview(piece).cast("B")
            while left:
                block, left = left[: _BLOCK - at % _BLOCK], left[_BLOCK - at % _BLOCK :]
                hashed.update(block)  # which brings it into the processor's cache, from where it is copied
                at += block.nbytes
                while block:
                    block = block[file.write(block) :]
        return f"xxh3_128:{hashed.hexdigest()}"

    def _close(self) -> None:
        if self._small:
            self._pieces.append(b"".join(self._small))
            self._small.clear()


def pair_of(sample: Sample) -> Pieces:
    """The opcodes of one pair, leaving it on the unpickler's stack."""
    pieces = Pieces()
    _dump_call(sample.image_parts(sample.source), pieces)
    _dump_call(sample.label_parts(), pieces)
    pieces.write(pickle.TUPLE2)
    return pieces


def load_pair(fragment: bytes) -> tuple[Any, Any]:
    """The pair that `dump_pair` wrote."""
    image, label = pickle.loads(START + fragment + STOP)
    return image, label


class _Arguments:
    """Drops the last opcode of a pickle (STOP), and passes on the rest."""

    def __init__(self, pieces: Pieces) -> None:
        self._pieces, self._held = pieces, b""

    def write(self, data: Any) -> int:
        if self._held:
            self._pieces.write(self._held)
            self._held = b""
        if memoryview(data).nbytes > _LARGE:  # large buffers are arrays: the last opcode comes in a short one
            return self._pieces.write(data)
        self._held = bytes(data)
        return len(self._held)

    def close(self) -> None:
        if self._held[-1:] != pickle.STOP:
            raise pickle.PicklingError("the pickle did not end with STOP")
        self._pieces.write(self._held[:-1])


def _dump_call(arguments: tuple[Any, ...], pieces: Pieces) -> None:
    """The opcodes of ``xarray.DataArray(*arguments)``, leaving the result on the unpickler's stack."""
    pieces.write(_DATA_ARRAY)
    held = _Arguments(pieces)
    pickler = pickle.Pickler(held, protocol=_PROTOCOL)
    # No memo: its numbers would clash when parts are strung together. The arguments hold no cycles.
    pickler.fast = True
    contiguous = tuple(_contiguous(argument) for argument in arguments)
    pieces.keep(contiguous)
    pickler.dump(contiguous)
    held.close()
    pieces.write(pickle.REDUCE)


def _contiguous(value: Any) -> Any:
    return np.ascontiguousarray(value) if isinstance(value, np.ndarray) else value

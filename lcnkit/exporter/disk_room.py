"""Room on a disk, set aside for a file before it is written."""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from functools import cache
from typing import IO, Any

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def set_aside(file: IO[bytes], size: int) -> bool:
    """Have the file system find room for a file of so many bytes, where it can; gives whether it did.

    Workers that write into one file then wait less for each other: the room is there, and need not be found and noted at
    each write. Only Linux's own call is used: the portable one (`os.posix_fallocate`) writes to every block of a file
    where the file system knows no better way.
    """
    call = _fallocate()
    file.flush()
    if call is None:
        return False
    before = os.fstat(file.fileno()).st_size
    if call(file.fileno(), 0, 0, size) == 0:
        return True
    if ctypes.get_errno() in _FULL:  # what was found is given back: samples fill the disk as far as they go
        os.ftruncate(file.fileno(), before)
    return False


@cache
def _fallocate() -> Any:
    """The C library's function, ``None`` where there is none."""
    if not sys.platform.startswith("linux"):
        return None
    library = ctypes.CDLL(None, use_errno=True)
    call = getattr(library, "fallocate64", None) or getattr(library, "fallocate", None)
    if call is not None:
        call.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]
    return call

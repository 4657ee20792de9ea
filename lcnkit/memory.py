"""Memory that was freed, kept for the next chip.

A chip's arrays have a few megabytes and live for milliseconds. By default the C library gives such memory back to the
system at once, and every page of the next array costs a fault again: half of the time that a chip takes.

Arrays go when nobody refers to them any more; the search for objects that refer to each other seldom finds any here.
"""

from __future__ import annotations

import ctypes
import gc
import os
import sys

# glibc's malloc.h. Blocks up to the first size come from the heap; so much of the heap's end is kept when it is free.
_M_MMAP_THRESHOLD, _LARGEST_BLOCK = -3, 32 << 20
_M_TRIM_THRESHOLD, _KEPT = -1, 256 << 20

# Objects made, beyond those gone, before Python looks for cycles; its own figure is 700, and it then looks a hundred times while libraries
# are loaded and configurations composed.
_OBJECTS_BETWEEN_SEARCHES = 10_000


def collect_seldom() -> None:
    """Let Python look for cycles less often, as long as nobody has told it to look even less often, or never.

    Meant for the command line and the workers that it starts.
    """
    often, *rest = gc.get_threshold()
    if often:  # 0: somebody has switched it off
        gc.set_threshold(max(often, _OBJECTS_BETWEEN_SEARCHES), *rest)


def keep_freed_memory() -> None:
    """Let this process keep up to 256 MiB that it has freed; does nothing where the C library is not glibc.

    Meant for processes that make chips and nothing else: the command line and workers.
    """
    if not sys.platform.startswith("linux"):
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # another C library
        return
    # Arrow's own pool would keep what it has freed to itself; this counts as long as pyarrow is not imported yet.
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    os.environ.setdefault("ARROW_IO_THREADS", "1")
    mallopt(_M_MMAP_THRESHOLD, _LARGEST_BLOCK)
    mallopt(_M_TRIM_THRESHOLD, _KEPT)

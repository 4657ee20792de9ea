"""Room in the page cache for a part of a file, found before the file is locked.

A file system finds memory for what is written page by page, while it holds the file's lock. Where memory is not at hand (a virtual
machine gives what it has not used for seconds back to its host, and waits 7 µs for each 4 kB that it fetches again), workers that
write into one file wait for each other many times as long as they write. Reading ahead takes no such lock: what was set aside
for the file (`lcnkit.exporter.disk_room`) is nowhere on the disk yet, so that pages of zeros are all that is read, and the
write that follows fills them at once.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

# Bytes a second. A page cache takes 5 GB and more where memory is at hand, where it is not half a gigabyte: between them it does
# not pay, as a page of zeros costs as much as a page of data.
_SLOW = 1.5e9
# Bytes of one request: the kernel cuts longer ones down to what the disk reads at once.
_BLOCK = 1 << 18
# Where a file's lock is not taken for reading ahead, and what was set aside is not asked for from a disk or a server.
_FILE_SYSTEMS = {"ext4", "xfs"}


class PageCache:
    """How the page cache has taken what this process wrote into one file; room is found ahead as long as that takes long."""

    def __init__(self) -> None:
        self.is_slow = False
        """Whether memory was not at hand the last time."""

    @contextmanager
    def writing(self, number: int, offset: int, size: int) -> Iterator[None]:
        """Around a write of so many bytes into a part of an open file that is set aside, and still empty.

        Args:
            number: The file's descriptor, open for reading too.
            offset: Where the part begins.
            size: Its bytes.
        """
        ahead = self.is_slow and _file_system(os.fstat(number).st_dev) in _FILE_SYSTEMS
        started = time.perf_counter()
        if ahead:
            find_room(number, offset, size)
            self.is_slow = size < _SLOW * (time.perf_counter() - started)
        yield
        if not ahead:
            self.is_slow = size < _SLOW * (time.perf_counter() - started)


def find_room(number: int, offset: int, size: int) -> None:
    """Have the page cache hold a part of a file that is set aside; only a hint, so that nothing is lost where it fails."""
    try:
        for start in range(offset, offset + size, _BLOCK):
            os.posix_fadvise(number, start, min(_BLOCK, offset + size - start), os.POSIX_FADV_WILLNEED)
    except OSError:
        return


@lru_cache(maxsize=8)
def _file_system(device: int) -> str:
    """The kind of file system on a device, ``""`` where the system does not say."""
    wanted = f"{os.major(device)}:{os.minor(device)}"
    try:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as file:
            # proc_pid_mountinfo(5): the third field is the device; the kind comes after " - ".
            kinds = [line.partition(" - ")[2].split()[0] for line in file if line.split()[2] == wanted]
    except (OSError, IndexError):
        return ""
    return kinds[0] if kinds else ""

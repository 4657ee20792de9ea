"""Loaded by Dask in each local worker: Ctrl-C is for the client, and freed memory stays for the next chip.

A terminal sends it to every process of its group. The client ends the run cleanly, its workers with it; a
worker that acted on the signal itself would only print a traceback.
"""

from __future__ import annotations

import importlib
import signal

from lcnkit.memory import keep_freed_memory

# Imported while the cluster starts, all workers at once, and not during the first chip of each.
_WANTED_BY_EVERY_CHIP = ("lcnkit.make", "rasterio.crs", "tifffile", "xxhash")


def dask_setup(worker: object) -> None:
    """Called by Dask when a worker starts, in its main thread."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    keep_freed_memory()
    for library in _WANTED_BY_EVERY_CHIP:
        importlib.import_module(library)

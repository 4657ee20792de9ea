"""Loaded by Dask in each local worker: Ctrl-C is for the client.

A terminal sends it to every process of its group. The client ends the run cleanly, its workers with it; a
worker that acted on the signal itself would only print a traceback.
"""

from __future__ import annotations

import signal


def dask_setup(worker: object) -> None:
    """Called by Dask when a worker starts, in its main thread."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

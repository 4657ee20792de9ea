"""Loaded by Dask in each local worker: Ctrl-C is for the client, and freed memory stays for the next chip.

A terminal sends it to every process of its group. The client ends the run cleanly, its workers with it; a
worker that acted on the signal itself would only print a traceback.
"""

from __future__ import annotations

import signal

import numpy.random

from lcnkit.backend.worker_setup import set_up
from lcnkit.memory import collect_seldom


def dask_setup(worker: object) -> None:
    """Called by Dask when a worker starts, in its main thread."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    set_up()
    collect_seldom()  # workers of somebody else's cluster are left as they are
    # Workers that were forked from one process have its random numbers; a transform of a user's may draw some.
    numpy.random.seed()

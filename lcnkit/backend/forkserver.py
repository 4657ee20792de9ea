"""A process that local workers are forked from: what each of them needs is loaded once, while the plan is made."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from lcnkit.backend.worker_needs import WANTED_BY_DEFAULT, WANTED_BY_EVERY_CHIP

# What a worker of Dask's is made of.
_OF_DASK = ("distributed", "distributed.nanny", "distributed.worker")
# Read when Python and numerical libraries start: workers share the cores, so one thread each is enough; strings hash alike. The values
# are Dask's (distributed.nanny.pre-spawn-environ).
_AT_START = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONHASHSEED": "6640"}

#: Names in the environment when the process was started.
_KNOWN: set[str] = set()


def start() -> None:
    """Start it, once; it ends with this process. Does nothing but on Linux: elsewhere libraries are not made to be forked."""
    if not sys.platform.startswith("linux"):
        return
    from multiprocessing import forkserver

    if not _KNOWN:
        _KNOWN.update(os.environ)
        forkserver.set_forkserver_preload([*_OF_DASK, *WANTED_BY_EVERY_CHIP, *WANTED_BY_DEFAULT])
    with _environment({name: value for name, value in _AT_START.items() if name not in os.environ}), _deaf():
        forkserver.ensure_running()


def start_method() -> str:
    """How workers are to be started now: ``forkserver`` or ``spawn``."""
    # Workers are told what was added to the environment, or changed there; what was taken out of it they would still have.
    return "forkserver" if _KNOWN and set(os.environ) >= _KNOWN else "spawn"


@contextmanager
def _deaf() -> Iterator[None]:
    """What is started here ignores Ctrl-C, which a terminal sends to all: it would end with a traceback while it loads libraries."""
    if threading.current_thread() is not threading.main_thread() or (before := signal.getsignal(signal.SIGINT)) is None:
        yield
        return
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def _environment(more: Mapping[str, str]) -> Iterator[None]:
    os.environ.update(more)
    try:
        yield
    finally:
        for name in more:
            del os.environ[name]

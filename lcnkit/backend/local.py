"""Backend: a Dask cluster on this machine."""

from __future__ import annotations

import importlib.util
import logging
import multiprocessing
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lcnkit.backend import forkserver
from lcnkit.backend.dask_backend import quiet, reason
from lcnkit.backend.dask_pool import DaskPool
from lcnkit.contracts import Backend, Pool
from lcnkit.errors import BackendError, ConfigError
from lcnkit.hookspecs import hookimpl

if TYPE_CHECKING:
    from distributed import Client, LocalCluster

log = logging.getLogger(__name__)

#: So many workers may be lost with a task before it is given back, to be tried with less beside it.
ALLOWED_FAILURES = 2


@dataclass(frozen=True, kw_only=True)
class Local(Backend):
    """Run on all cores of this machine, with a Dask LocalCluster."""

    workers: int | None = None
    """Worker processes; null: one for each core this process may use."""
    threads: int = 1
    """Threads of each worker. Reading chips gains from processes, not from threads."""
    memory_limit: str = "auto"
    """Memory of each worker (4GiB); auto: its share of the machine's; 0: no limit."""
    dashboard: str | None = "127.0.0.1:0"
    """Address of Dask's dashboard; port 0: any free one; null: none."""
    batch: int | None = None
    """Chips per task; null: as many as take about a quarter of a second, 64 at most."""

    def __post_init__(self) -> None:
        for name in ("workers", "threads", "batch"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(f"backend.{name} is {value}; it must be at least 1")

    @contextmanager
    def open(self) -> Iterator[Pool]:
        """See `lcnkit.contracts.Backend.open`."""
        forkserver.start()
        with ExitStack() as stack:
            pool = DaskPool(lambda: stack.enter_context(self._client()), self.batch, early=True)
            try:
                yield pool
            finally:
                pool.settle()  # what a thread is just about to start is closed with the rest

    @contextmanager
    def _client(self) -> Iterator[Client]:
        import dask
        from distributed import Client

        workers = self.workers or available_cores()
        _know_start_method()
        config = {
            # So long after a worker was lost Dask looks whether it is there, and gives its place up for good where it is not: a worker
            # that is lost several times may just be starting again then.
            "distributed.deploy.lost-worker-timeout": "7 days",
            "distributed.worker.multiprocessing-method": forkserver.start_method(),
            # A hundred times a second Dask notes what a worker does, for a page of the dashboard.
            "distributed.worker.profile.enabled": self.dashboard is not None and _has_bokeh(),
        }
        with (
            quiet(),
            dask.config.set(config),
            self._cluster(workers) as cluster,
            closing(Client(cluster)) as client,  # type: ignore[no-untyped-call]  # it may be closed by another thread than its own
        ):
            log.info("%s", _where(workers, self.threads, cluster.dashboard_link if self.dashboard else ""))
            yield client

    def _cluster(self, workers: int) -> LocalCluster:
        from distributed import LocalCluster

        _look_at_script()
        try:
            return LocalCluster(  # type: ignore[no-untyped-call]
                n_workers=workers,
                threads_per_worker=self.threads,
                memory_limit=self.memory_limit,
                dashboard_address=self.dashboard or "127.0.0.1:0",
                scheduler_kwargs={"dashboard": self.dashboard is not None, "allowed_failures": ALLOWED_FAILURES},
                silence_logs=logging.CRITICAL,
                preload="lcnkit.backend.worker_preload",
                env=dict(os.environ),
            )
        except RuntimeError as error:
            raise BackendError(_no_start(f"{reason(error)} Above is what they say themselves.")) from error


def _look_at_script() -> None:
    """Refuse a script that is no file: workers could not import it, and some releases of Dask would wait for them for ever.

    Raises:
        BackendError: It comes from standard input.
    """
    script = sys.modules.get("__main__")
    path = getattr(script, "__file__", None)
    if path is not None and getattr(script, "__spec__", None) is None and not os.path.exists(path):
        raise BackendError(_no_start(f"{path} is no file."))


def _no_start(why: str) -> str:
    return (
        f"The workers of backend=local do not start: {why} They import the script that asks for them: it must be a file, and do its work below "
        '`if __name__ == "__main__":`. backend=serial needs no workers.'
    )


def _know_start_method() -> None:
    """Let workers start where we run in a process of joblib's: it has a start method that a process of ours does not know."""
    if multiprocessing.get_start_method(allow_none=True) not in (None, *multiprocessing.get_all_start_methods()):
        multiprocessing.set_start_method("spawn", force=True)


def available_cores() -> int:
    """Cores this process may run on (containers and schedulers often allow fewer than there are)."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _has_bokeh() -> bool:
    """Whether the dashboard has anything to show."""
    return importlib.util.find_spec("bokeh") is not None


def _where(workers: int, threads: int, link: str) -> str:
    text = f"backend    local: {workers} worker{'s' if workers > 1 else ''} with {threads} thread{'s' if threads > 1 else ''}"
    if not link:
        return text
    missing = "" if _has_bokeh() else " (nothing to see without bokeh: pip install 'lcnkit[dashboard]')"
    return f"{text}, dashboard {link}{missing}"


@hookimpl
def lcnkit_backend() -> dict[str, type[Local]]:
    """Offer the backend."""
    return {"local": Local}

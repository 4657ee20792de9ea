"""What backends have in common that run on a Dask cluster of somebody else's: a scheduler, a gateway, a job queue.

A backend of your own inherits `DaskBackend` and says how to get a client; see ``docs/backends.md``.
"""

from __future__ import annotations

import contextlib
import logging
import time
import warnings
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lcnkit.backend.dask_pool import DaskPool, Gather
from lcnkit.backend.versions import Policy, check_versions
from lcnkit.contracts import Backend, Pool
from lcnkit.errors import BackendError, ConfigError

if TYPE_CHECKING:
    from distributed import Client

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class DaskBackend(Backend):
    """Runs on the workers of a Dask client, which `connect` gives."""

    gather: Gather = "auto"
    """Who writes: the workers, or this process, to which samples travel then; auto: workers where they share the output folder (it is tried)."""
    batch: int | None = None
    """Chips per task; null: as many as take about a quarter of a second, 64 at most."""
    versions: Policy = "refuse"
    """What to do where workers have other versions of Python, dask, numpy, lcnkit or its plugins."""
    worker_timeout_s: float = 600.0
    """Seconds to wait for a first worker, and for another one where all are lost."""

    def __post_init__(self) -> None:
        if self.batch is not None and self.batch < 1:
            raise ConfigError(f"backend.batch is {self.batch}; it must be at least 1")
        if self.worker_timeout_s <= 0:
            raise ConfigError(f"backend.worker_timeout_s is {self.worker_timeout_s}; it must be above 0")

    @abstractmethod
    def connect(self) -> AbstractContextManager[Client]:
        """A client of the cluster; leaving the ``with`` block closes it, and the cluster where this backend started it.

        Raises:
            BackendError: The cluster cannot be had.
        """

    @property
    def grows_to(self) -> int:
        """Workers that the cluster may have at most, where it grows with its work; else 0."""
        return 0

    @contextmanager
    def open(self) -> Iterator[Pool]:
        """See `lcnkit.contracts.Backend.open`."""
        with ExitStack() as stack:

            def connect() -> Client:
                stack.enter_context(quiet())
                client = stack.enter_context(self.connect())
                self._prepare(client, stack)
                return client

            yield DaskPool(connect, self.batch, gather=self.gather, timeout_s=self.worker_timeout_s, grows_to=self.grows_to)

    def _prepare(self, client: Client, stack: ExitStack) -> None:
        """Wait for a worker, look at what is installed there, set the workers up."""
        await_worker(client, self.worker_timeout_s)
        check_versions(client, self.versions)
        from lcnkit.backend.worker_setup import NAME, WorkerSetup

        try:
            client.register_plugin(WorkerSetup())
        except Exception as error:  # whatever keeps lcnkit from being imported there; `versions` lets that pass
            log.warning("The workers cannot be set up, and may not be able to work: %s: %s", type(error).__name__, error)
        stack.callback(_leave_as_found, client, NAME)


def await_worker(client: Any, timeout_s: float) -> None:
    """Wait until a cluster has a worker.

    Raises:
        BackendError: It has none in time.
    """
    if client.nthreads():
        return
    log.info("backend    waiting for a worker, %.0f s at most", timeout_s)
    # Something to do: an adaptive cluster starts no worker for nothing.
    knock = client.submit(int, pure=False)
    try:
        deadline = time.monotonic() + timeout_s
        while not client.nthreads():
            if client.status == "closed" or time.monotonic() > deadline:
                raise BackendError(f"The cluster had no worker in {timeout_s:.0f} s. Start workers, or wait longer with backend.worker_timeout_s.")
            time.sleep(0.2)
    finally:
        knock.release()


# A client that never reached its scheduler has nothing to say good-bye to.
_CLOSE_S = 2.0


def client_of(address: Any, timeout_s: float, **options: Any) -> Client:
    """A Dask client; what it says of versions is left to `check_versions`.

    Raises:
        OSError: Nobody answers in time.
    """
    from distributed import Client
    from distributed.versions import VersionMismatchWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", VersionMismatchWarning)
        # Made in two steps, so that it can be closed where nobody answers. Left to the garbage collector, it would be closed
        # whenever that comes round, also while another client starts: both then wait for one lock (distributed 2026.8).
        client = Client.__new__(Client)
        try:
            client.__init__(address, timeout=timeout_s, set_as_default=False, **options)  # type: ignore[misc]
        except BaseException:
            with contextlib.suppress(Exception):
                client.close(timeout=_CLOSE_S)  # type: ignore[no-untyped-call]
            raise
        return client


def reason(error: BaseException) -> str:
    """What the innermost error says, in one line."""
    while error.__cause__ is not None:
        error = error.__cause__
    text = " ".join(str(error).split()) or type(error).__name__
    return text if text.endswith(".") else f"{text}."


# Dask keeps what it sent for those who look for its own mistakes: by default 1,000 messages, each with a batch of tasks, up to 1 MB.
_MESSAGES_KEPT = 10


@contextmanager
def quiet() -> Iterator[None]:
    """Leave out what Dask says and keeps of its own doings: what goes wrong in a task reaches us as its outcome."""
    import dask
    import distributed  # noqa: F401  # brings its settings along: of those that come while one is set, none would be left afterwards

    logger = logging.getLogger("distributed")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with dask.config.set({"distributed.admin.low-level-log-length": _MESSAGES_KEPT}):
            yield
    finally:
        logger.setLevel(level)


def _leave_as_found(client: Any, plugin: str) -> None:
    """Take our plugin off a cluster that others go on using; it may be gone."""
    if client.status == "running":
        with contextlib.suppress(OSError, ValueError, KeyError):  # no answer; it is not there, or not on some worker
            client.unregister_worker_plugin(plugin)

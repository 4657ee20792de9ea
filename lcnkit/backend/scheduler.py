"""Backend: a Dask scheduler that runs already."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lcnkit.backend.dask_backend import DaskBackend, client_of, reason
from lcnkit.contracts import Pool
from lcnkit.errors import BackendError, ConfigError
from lcnkit.hookspecs import hookimpl

if TYPE_CHECKING:
    from distributed import Client

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Scheduler(DaskBackend):
    """Run on the workers of a Dask scheduler that is there already, and leave it running."""

    address: str | None = None
    """Where the scheduler is: tcp://HOST:8786, or tls://HOST:8786"""
    scheduler_file: str | None = None
    """Or the file it wrote (`dask scheduler --scheduler-file FILE`)."""
    timeout_s: float = 30.0
    """Seconds to wait for the scheduler, and for its file."""
    tls_ca: str | None = None
    """For tls://: the certificate authority's file (PEM)."""
    tls_cert: str | None = None
    """For tls://: this client's certificate."""
    tls_key: str | None = None
    """For tls://: its key."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.address is not None and self.scheduler_file is not None:
            raise ConfigError("backend.address and backend.scheduler_file both say where the scheduler is: set one of them")
        if self.timeout_s <= 0:
            raise ConfigError(f"backend.timeout_s is {self.timeout_s}; it must be above 0")

    @contextmanager
    def open(self) -> Iterator[Pool]:
        """See `lcnkit.contracts.Backend.open`."""
        if self.address is None and self.scheduler_file is None:
            raise ConfigError("backend=scheduler has none: set backend.address=tcp://HOST:8786 or backend.scheduler_file=FILE")
        with super().open() as pool:
            yield pool

    @contextmanager
    def connect(self) -> Iterator[Client]:
        """See `lcnkit.backend.dask_backend.DaskBackend.connect`."""
        address = self.address or _address_in(Path(str(self.scheduler_file)), self.timeout_s)
        try:
            client = client_of(address, self.timeout_s, security=self._security())
        except (OSError, ValueError, ImportError, TypeError) as error:  # unreachable, no such scheme, TLS without certificates
            raise BackendError(
                f"The scheduler {address} cannot be reached in {self.timeout_s:.0f} s: {reason(error)} "
                "Is it running, and is its address one that this machine can use?"
            ) from error
        with closing(client):
            log.info("backend    scheduler %s, dashboard %s", address, client.dashboard_link)
            yield client

    def _security(self) -> Any:
        if self.tls_ca is None and self.tls_cert is None and self.tls_key is None:
            return None
        from distributed.security import Security

        for name in ("tls_ca", "tls_cert", "tls_key"):
            file = getattr(self, name)
            if file is not None and not Path(file).is_file():
                raise ConfigError(f"backend.{name}={file}: there is no such file")
        files = {"tls_ca_file": self.tls_ca, "tls_client_cert": self.tls_cert, "tls_client_key": self.tls_key}
        return Security(**files, require_encryption=True)  # type: ignore[no-untyped-call]


def _address_in(file: Path, timeout_s: float) -> str:
    """The address in a scheduler file, which may appear a little later than we do."""
    deadline = time.monotonic() + timeout_s
    why = "it is not there."
    while True:
        try:
            return str(json.loads(file.read_text())["address"])
        except FileNotFoundError:
            pass
        except OSError as error:
            raise BackendError(f"The scheduler file {file} cannot be read: {error.strerror}.") from error
        except (ValueError, KeyError, TypeError):  # perhaps it is being written
            why = "it holds no address; `dask scheduler --scheduler-file FILE` writes one."
        if time.monotonic() > deadline:
            raise BackendError(f"The scheduler file {file} is of no use after {timeout_s:.0f} s: {why}")
        time.sleep(0.1)


@hookimpl
def lcnkit_backend() -> dict[str, type[Scheduler]]:
    """Offer the backend."""
    return {"scheduler": Scheduler}

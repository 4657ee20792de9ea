"""Backend: a cluster from Dask Gateway."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from lcnkit.backend.adaptive import check_size
from lcnkit.backend.dask_backend import DaskBackend, client_of, reason
from lcnkit.contracts import Pool
from lcnkit.errors import BackendError, ConfigError, UnknownName, did_you_mean, listing
from lcnkit.hookspecs import hookimpl
from lcnkit.secrets import check_reference

if TYPE_CHECKING:
    from distributed import Client

    from lcnkit.backend.gateway_link import Link

log = logging.getLogger(__name__)

# Where neither a number of workers nor a range is given.
_WORKERS = 4


@dataclass(frozen=True, kw_only=True)
class Gateway(DaskBackend):
    """Run on a cluster of a Dask Gateway: started for the run, closed at its end."""

    address: str | None = None
    """The gateway: https://HOST; null: what Dask's own configuration says (gateway.address)."""
    proxy_address: str | None = None
    """Where its scheduler proxy listens, HOST:PORT or gateway://HOST:PORT; null: at the address."""
    auth: Literal["basic", "jupyterhub", "kerberos", "token"] | None = None
    """How to say who we are; token: `Authorization: Bearer`; null: what Dask's own configuration says (gateway.auth)."""
    user: str | None = None
    """The user for auth=basic; null: this process's."""
    secret: str | None = None
    """Where the password or token is, never the secret itself: env:NAME or keyring:SERVICE/USER; null for jupyterhub: JUPYTERHUB_API_TOKEN."""
    cluster_options: dict[str, Any] = field(default_factory=dict)
    """What the gateway lets its users choose, {worker_cores: 7}."""
    image: str | None = None
    """Short for the cluster option of that name."""
    workers: int | None = None
    """Workers, a fixed number; null: 4, or as adaptive says."""
    adaptive: dict[str, int] = field(default_factory=dict)
    """As many as there is work for, {minimum: 1, maximum: 20}."""
    cluster: str | None = None
    """Name of a cluster that runs already: it is used, and left running."""
    timeout_s: float = 60.0
    """Seconds to wait for an answer of the gateway."""

    def __post_init__(self) -> None:
        super().__post_init__()
        parts = urlsplit(self.address or "")
        if parts.username or parts.password:
            raise ConfigError("backend.address must not hold a user name: set backend.auth, backend.user and backend.secret")
        if self.secret is not None:
            check_reference(self.secret, "backend.secret")
        if self.secret is not None and self.auth not in ("basic", "jupyterhub", "token"):
            raise ConfigError("backend.secret is used with backend.auth=basic, jupyterhub or token: set one of them")
        if self.auth == "token" and self.secret is None:
            raise ConfigError("backend.auth=token needs backend.secret=env:NAME, where the token is")
        if self.image is not None and self.cluster_options.get("image", self.image) != self.image:
            raise ConfigError("backend.image and backend.cluster_options.image differ: set one of them")
        if self.cluster is not None and (self.cluster_options or self.image):
            raise ConfigError("backend.cluster names a cluster that runs already: its options cannot be chosen any more")
        check_size(self.workers, self.adaptive)
        if self.timeout_s <= 0:
            raise ConfigError(f"backend.timeout_s is {self.timeout_s}; it must be above 0")

    @property
    def grows_to(self) -> int:
        """See `lcnkit.backend.dask_backend.DaskBackend.grows_to`."""
        return self.adaptive["maximum"] if self.adaptive else 0

    @contextmanager
    def open(self) -> Iterator[Pool]:
        """See `lcnkit.contracts.Backend.open`."""
        if self.address is None and not _configured_address():
            raise ConfigError("backend=gateway has no gateway to ask: set backend.address=https://HOST")
        with super().open() as pool:
            yield pool

    @contextmanager
    def connect(self) -> Iterator[Client]:
        """See `lcnkit.backend.dask_backend.DaskBackend.connect`."""
        from lcnkit.backend.gateway_link import Access, Link

        auth = None if self.auth is None else Access(self.auth, self.user, self.secret)
        with ExitStack() as stack:
            link = stack.enter_context(closing(Link(self.address, self.proxy_address, auth, self.timeout_s)))
            name = self.cluster or self._started(link, stack)
            cluster = link.running(name, self.worker_timeout_s)
            log.info("backend    gateway: cluster %s%s", name, f", dashboard {cluster.dashboard_link}" if cluster.dashboard_link else "")
            self._scale(link, name)
            try:
                client = client_of(cluster.scheduler_address, self.timeout_s, security=cluster.security)
            except OSError as error:
                raise BackendError(
                    f"The scheduler of the cluster {name} cannot be reached at {cluster.scheduler_address}: {reason(error)} "
                    "Set backend.proxy_address to where the gateway's scheduler proxy listens."
                ) from error
            yield stack.enter_context(closing(client))

    def _started(self, link: Link, stack: ExitStack) -> str:
        """The name of a new cluster, which is stopped when ``stack`` is closed."""
        options = self._options(link)
        starting = link.begin(lambda gateway: gateway.submit(options))

        def stop() -> None:
            # Whatever became of us: Ctrl-C while the gateway was asked may have left a cluster.
            try:
                name = starting.result()
            except Exception:  # there is none
                return
            try:
                link.ask(lambda gateway: gateway.stop_cluster(name))
            except BackendError as error:
                log.error("The cluster %s could not be closed, and may still run: %s", name, error)

        stack.callback(stop)
        return str(link.end(starting))

    def _options(self, link: Link) -> Any:
        """The gateway's cluster options with ours among them.

        Raises:
            ConfigError: The gateway does not offer an option, or not that value.
        """
        wanted = {**self.cluster_options, **({"image": self.image} if self.image is not None else {})}
        offered = link.ask(lambda gateway: gateway.cluster_options())
        for name, value in wanted.items():
            if name not in offered:
                each = listing(f"{one}={offered[one]}" for one in offered)
                raise UnknownName(f"The gateway has no cluster option {name!r}; it offers {each}.{did_you_mean(name, offered)}")
            try:
                offered[name] = value
            except (TypeError, ValueError) as error:
                raise ConfigError(f"backend.cluster_options.{name} is {value!r}: {error}") from error
        return offered

    def _scale(self, link: Link, name: str) -> None:
        remarks: list[str] = []
        if self.adaptive:
            limits = dict(self.adaptive)
            remarks = link.said(lambda gateway: gateway.adapt_cluster(name, **limits))
        elif self.workers or self.cluster is None:
            remarks = link.said(lambda gateway: gateway.scale_cluster(name, self.workers or _WORKERS))
        for remark in remarks:
            log.warning("The gateway says: %s", remark)


def _configured_address() -> bool:
    import dask
    import dask_gateway  # noqa: F401  # its defaults become part of Dask's configuration

    return dask.config.get("gateway.address", None) is not None


@hookimpl
def lcnkit_backend() -> dict[str, type[Gateway]]:
    """Offer the backend."""
    return {"gateway": Gateway}

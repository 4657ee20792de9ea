"""Which errors pass by themselves, and how long to wait before a task gets another turn."""

from __future__ import annotations

import errno
import random
from collections.abc import Iterator

from lcnkit.errors import UnreachableAsset

# A file server that is away for a while (a stale NFS handle), or a network that is.
_PASSING_ERRNOS = {
    errno.EIO,
    errno.ESTALE,
    errno.ETIMEDOUT,
    errno.EAGAIN,
    errno.ENETDOWN,
    errno.ENETUNREACH,
    errno.ENETRESET,
    errno.EHOSTDOWN,
    errno.EHOSTUNREACH,
    errno.ENOTCONN,
}
# By name, so that a library is not imported for an error that it never raised; subclasses count too.
_PASSING = {
    "concurrent.futures._base.BrokenExecutor",
    "dask_gateway.client.GatewayServerError",
    "distributed.client.FutureCancelledError",
    "distributed.comm.core.CommClosedError",
    "distributed.scheduler.KilledWorker",
    "http.client.IncompleteRead",
    "httpx.TransportError",
    "botocore.exceptions.ConnectionError",
    "botocore.exceptions.HTTPClientError",
    "aiohttp.client_exceptions.ClientConnectionError",
    "aiohttp.client_exceptions.ClientPayloadError",
    "requests.exceptions.ChunkedEncodingError",
    "requests.exceptions.ConnectionError",
    "requests.exceptions.RetryError",
    "requests.exceptions.Timeout",
    "urllib3.exceptions.IncompleteRead",
    "urllib3.exceptions.MaxRetryError",
    "urllib3.exceptions.ProtocolError",
    "urllib3.exceptions.TimeoutError",
}
# Of a server that was reached: too many requests, or its own trouble.
_PASSING_STATUSES = {408, 425, 429, 500, 502, 503, 504}

_FIRST_S, _LONGEST_S = 1.0, 60.0


def is_passing(error: BaseException | None) -> bool:
    """Whether the same task may succeed a little later: the network, a busy server, a lost worker.

    What an error was raised from counts too: readers say in words of their own what a library could not do.
    """
    return any(_passes(one) for one in _chain(error))


def pause(attempt: int) -> float:
    """Seconds to wait after so many attempts: 1, 2, 4, ... up to a minute, and a little more, so that runs do not ask in step."""
    return float(min(_FIRST_S * 2 ** (attempt - 1), _LONGEST_S) * random.uniform(1.0, 1.25))


def _passes(error: BaseException) -> bool:
    if isinstance(error, UnreachableAsset | ConnectionError | TimeoutError):
        return True
    if _status(error) in _PASSING_STATUSES:
        return True
    if isinstance(error, OSError) and error.errno in _PASSING_ERRNOS:
        return True
    return any(f"{cls.__module__}.{cls.__qualname__}" in _PASSING for cls in type(error).__mro__)


def _status(error: BaseException) -> object:
    """The HTTP status that an error of requests, urllib, aiohttp, httpx or pystac-client tells of."""
    for holder, name in ((error, "status_code"), (error, "status"), (error, "code"), (getattr(error, "response", None), "status_code")):
        status = getattr(holder, name, None)
        if isinstance(status, int):
            return status
    return None


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        yield error
        seen.add(id(error))
        error = error.__cause__

"""Requests without a secret, in half the time that a `requests.Session` takes for one.

A chip of five periods and four bands is twenty requests; what the client does for each counts then.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import urllib3
from requests.utils import DEFAULT_CA_BUNDLE_PATH

# Connections kept for the next request to a host, and hosts. More may be open at once.
_CONNECTIONS, _HOSTS = 64, 16
_REDIRECTS = 10
_BUNDLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")


@dataclass(frozen=True)
class Answer:
    """What `lcnkit.raster.http` looks at in a `requests.Response`."""

    raw: Any
    """urllib3's response, its body unread."""

    @property
    def status_code(self) -> int:
        """HTTP status."""
        return int(self.raw.status)

    @property
    def ok(self) -> bool:
        """Whether the server gives what it was asked for."""
        return self.status_code < 400

    @property
    def reason(self) -> str:
        """The status in words."""
        return str(self.raw.reason or "")

    @property
    def headers(self) -> Mapping[str, str]:
        """Of the answer, in any case."""
        headers: Mapping[str, str] = self.raw.headers
        return headers


class Pool:
    """Connections that threads share; knows no cookies, no passwords and no proxy."""

    def __init__(self) -> None:
        bundle = next((os.environ[name] for name in _BUNDLES if os.environ.get(name)), None) or DEFAULT_CA_BUNDLE_PATH
        self._manager = urllib3.PoolManager(_HOSTS, maxsize=_CONNECTIONS, ca_certs=bundle)

    @contextmanager
    def get(self, href: str, *, headers: Mapping[str, str], timeout: tuple[float, float], stream: bool = True) -> Iterator[Answer]:
        """As `requests.Session.get`, always streamed. Redirects are followed; nothing is asked twice."""
        retries = urllib3.Retry(_REDIRECTS, redirect=_REDIRECTS, connect=0, read=0, status=0, other=0, respect_retry_after_header=False)
        raw = self._manager.request(
            "GET", href, headers=headers, timeout=urllib3.Timeout(*timeout), retries=retries, preload_content=False, redirect=True
        )
        try:
            yield Answer(raw)
        finally:
            raw.close()  # a connection whose answer was read to its end is back in the pool by now


def pool() -> Pool:
    """This process's own: connections do not outlive a fork."""
    return _pool(os.getpid())


@lru_cache(maxsize=1)
def _pool(process: int) -> Pool:
    from lcnkit.secrets import hush

    hush()
    return Pool()

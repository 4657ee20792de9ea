"""Who gets the secret: requests to the API's own host, and no other, whatever redirects and links say.

Imported where it is used: requests takes a while to load.
"""

from __future__ import annotations

import base64
import threading
from dataclasses import dataclass
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase

from lcnkit.errors import DataError
from lcnkit.secrets import origin, resolve, scrub, with_parameter, without_parameter


@dataclass(frozen=True)
class Access:
    """How to reach an API; holds the reference to a secret, never the secret."""

    url: str
    auth: str = "none"
    auth_name: str = "key"
    secret: str | None = None
    timeout_s: float = 60.0
    attempts: int = 6

    @property
    def named_secret(self) -> str | None:
        """The secret itself, where one is used: for the moment of a request."""
        return resolve(self.secret) if self.secret is not None and self.auth != "none" else None

    def is_own(self, url: str) -> bool:
        """Whether ``url`` is on the API's own host: only such a URL may carry the secret."""
        return origin(url) == origin(self.url)


class _OwnHostAuth(AuthBase):
    """Adds the secret to requests to the API's own host, and takes it away from all others."""

    def __init__(self, access: Access) -> None:
        self._access = access

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        access, url = self._access, str(request.url)
        if access.auth == "query":
            url = without_parameter(url, access.auth_name)
        else:
            request.headers.pop(access.auth_name if access.auth == "header" else "Authorization", None)
        secret = access.named_secret if access.is_own(url) else None
        if secret is not None and access.auth == "query":
            url = with_parameter(url, access.auth_name, secret)
        elif secret is not None:
            name, value = header_of(access, secret)
            request.headers[name] = value
        request.url = url
        return request


def header_of(access: Access, secret: str) -> tuple[str, str]:
    """Name and value of the header that carries the secret."""
    if access.auth == "header":
        return access.auth_name, secret
    return "Authorization", f"Bearer {secret}" if access.auth == "bearer" else f"Basic {base64.b64encode(secret.encode()).decode()}"


class CountingSession(requests.Session):
    """A session that counts what it sends, and lets no secret follow a redirect to another host."""

    def __init__(self, access: Access) -> None:
        super().__init__()
        self.sent = 0
        self._lock = threading.Lock()
        if access.auth != "none":
            self.auth = _OwnHostAuth(access)
        for scheme in ("http://", "https://"):
            self.mount(scheme, HTTPAdapter(pool_maxsize=32))

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        """Send, and count; redirects come here too."""
        with self._lock:
            self.sent += 1
        return super().send(request, **kwargs)

    def rebuild_auth(self, prepared_request: requests.PreparedRequest, response: requests.Response) -> None:
        """Called for each redirect: the secret follows on the API's own host, and nowhere else."""
        if isinstance(self.auth, _OwnHostAuth):
            self.auth(prepared_request)
        else:
            super().rebuild_auth(prepared_request, response)  # type: ignore[no-untyped-call]

    def rebuild_method(self, prepared_request: requests.PreparedRequest, response: requests.Response) -> None:
        """Called for each redirect: one that would turn a search into something else is refused."""
        if prepared_request.method == "POST" and response.status_code in (301, 302, 303):
            # As a browser would: what was searched for would be lost on the way.
            raise DataError(
                f"{scrub(str(response.url))} redirects searches to {scrub(str(response.headers.get('location')))}: "
                "set catalog.url to where the API is now."
            )
        super().rebuild_method(prepared_request, response)


def host_of(url: str) -> str:
    """Scheme, host and port as a person writes them."""
    scheme, host, port = origin(url)
    return f"{scheme}://{host}{'' if port in (80, 443, None) else f':{port}'}"

"""Requests to one API: retried where that may help, and plain words where it does not.

Imported where it is used: requests and pystac-client take a while to load.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import requests
from pystac_client.stac_api_io import StacApiIO

from lcnkit.catalog.api_auth import Access, CountingSession, header_of, host_of
from lcnkit.errors import DataError
from lcnkit.raster import http
from lcnkit.secrets import hush, scrub, without_echo

log = logging.getLogger(__name__)

# Waits double from here, in seconds; a server that names a time is obeyed up to the longest.
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.5, 120.0
_CONNECT_S = 10.0
# An answer must be whole within so many times the time that its next bytes may take: one that drips is given up.
_WHOLE_WITHIN = 3
_MOST_BYTES = 1 << 30
_PERMANENT = (
    requests.exceptions.InvalidURL,
    requests.exceptions.InvalidSchema,
    requests.exceptions.InvalidHeader,
    requests.exceptions.SSLError,
    requests.exceptions.TooManyRedirects,
)


class NotFoundError(DataError):
    """The API answered 404."""


class NoAnswerError(DataError):
    """The API did not answer, or not well, in all attempts: it may do so later."""


class _PassingError(Exception):
    """A failure that may pass; ``wait_s`` where the server said how long."""

    def __init__(self, why: str, wait_s: float | None = None) -> None:
        super().__init__(why)
        self.wait_s = wait_s


class Connection(StacApiIO):
    """JSON from an API, for pystac-client too; one for all threads of a process."""

    def __init__(self, access: Access) -> None:
        """Nothing is sent yet."""
        super().__init__(max_retries=None)
        self.timeout = (min(_CONNECT_S, access.timeout_s), access.timeout_s)
        self.access = access
        self.session: CountingSession = CountingSession(access)
        self.retried = 0
        self.stopped = threading.Event()
        """Set to end attempts that wait."""
        self._counted = (0, 0)
        hush()

    def counted(self) -> tuple[int, int]:
        """Requests since the last time this was asked, each page, retry and redirect counted, and how many were tried again."""
        now = (self.session.sent, self.retried)
        since, self._counted = self._counted, now
        return now[0] - since[0], now[1] - since[1]

    def json(self, url: str) -> dict[str, Any]:
        """The document at ``url``.

        Raises:
            NotFoundError: The API answered 404.
            NoAnswerError: It did not answer, or not well, in all attempts.
            DataError: It refused, or answered something else.
        """
        return dict(json.loads(self.request(url)))

    def json_loads(self, txt: str, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """See `pystac.StacIO.json_loads`; also of an answer with a NaN, which is no JSON by the letter, or with links that are none."""
        document = dict(json.loads(txt))
        if "links" in document:
            document["links"] = [link for link in document["links"] or () if isinstance(link, dict) and "rel" in link]
        return document

    def request(
        self, href: str, method: str | None = None, headers: Mapping[str, str] | None = None, parameters: Mapping[str, Any] | None = None
    ) -> str:
        """The JSON text that a request is answered with; what may pass is tried again.

        Raises:
            NotFoundError: The API answered 404.
            NoAnswerError: It did not answer, or not well, in all attempts.
            DataError: It refused, or answered something else.
        """
        from tenacity import Retrying, retry_if_exception_type, sleep_using_event, stop_after_attempt, stop_when_event_set

        access, started = self.access, time.monotonic()
        request = requests.Request((method or "GET").upper(), href, headers=dict(headers or {}))
        if request.method == "GET":
            request.params = dict(parameters or {})
        else:
            request.json = dict(parameters or {})
        attempts = Retrying(
            stop=stop_after_attempt(access.attempts) | stop_when_event_set(self.stopped),
            sleep=sleep_using_event(self.stopped),
            wait=_wait,
            retry=retry_if_exception_type(_PassingError),
            reraise=True,
            before_sleep=lambda state: self._say(href, state),
        )
        try:
            return attempts(self._once, request)
        except _PassingError as error:
            why = str(error)
        raise NoAnswerError(
            f"The API {host_of(href)} did not answer {scrub(href)} in {access.attempts} attempts within {time.monotonic() - started:.0f} s: {why}. "
            "Try again later, with catalog.attempts=NUMBER or catalog.timeout_s=SECONDS if it is slow; what was found so far is kept."
        )

    def _once(self, request: requests.Request) -> str:
        response, content, problem, permanent = None, b"", "", False
        try:
            prepared = self.session.prepare_request(request)
            settings = self.session.merge_environment_settings(prepared.url, {}, None, None, None)
            until = time.monotonic() + _WHOLE_WITHIN * self.access.timeout_s
            with self.session.send(prepared, timeout=self.timeout, **{**settings, "stream": True}) as response:
                content = http.body(response, until, _MOST_BYTES)
        except http.HttpError as error:
            response, problem = None, str(error)
        except requests.exceptions.RequestException as error:
            problem, permanent = http.innermost(error), isinstance(error, _PERMANENT)
        # Raised out here, an error has no other behind it: that one's text would hold the URL with its query.
        if response is None and permanent:
            raise DataError(f"The API {host_of(request.url)} cannot be asked: {scrub(problem)}. See catalog.url.")
        if response is None:
            raise _PassingError(scrub(problem))
        if not 200 <= response.status_code < 300:
            raise self._refusal(request.url, response, content)
        return self._text(request.url, content)

    def _text(self, href: str, content: bytes) -> str:
        text, access = content.decode("utf-8", "replace"), self.access
        secret = access.named_secret if access.auth == "query" else None
        if secret is not None:
            # Some servers write the query they were asked with into the links they give.
            text = without_echo(text, access.auth_name, secret)
        try:
            found = json.loads(text)
        except ValueError:
            if text.strip()[:1] in ("", "{", "["):
                found = None
            else:
                raise DataError(f"{scrub(href)} answers with no JSON ({text.strip()[:60]!r}): is catalog.url a STAC API?") from None
        if found is None:
            raise _PassingError(f"the answer was cut short after {len(text)} characters")
        if not isinstance(found, dict):
            raise DataError(f"{scrub(href)} answers with a JSON {type(found).__name__}, no object: is catalog.url a STAC API?")
        return text

    def _refusal(self, href: str, response: requests.Response, content: bytes) -> Exception:
        status, access = response.status_code, self.access
        secret = access.named_secret
        said = " ".join(scrub(content[:2000].decode("utf-8", "replace"), secret).split())[:300]
        if http.is_passing(status):
            return _PassingError(f"status {status}{f' ({said[:100]})' if said else ''}", http.named_wait(response.headers))
        if status == 404:
            return NotFoundError(f"{scrub(href)} does not exist (404): look at catalog.url, which is to be the address of a STAC API.")
        if status in (401, 403):
            return DataError(f"The API {host_of(href)} refuses {scrub(href)} ({status}). {self._about_secret(str(response.url))}")
        return DataError(f"The API {host_of(href)} does not take the request {scrub(href)} ({status}): {said or response.reason}")

    def _about_secret(self, url: str) -> str:
        access = self.access
        if access.auth == "none":
            return "It may want a secret: set catalog.auth=query, header, bearer or basic, and catalog.secret=env:NAME."
        if not access.is_own(url):
            return f"The secret is sent to {host_of(access.url)} only, and not to {host_of(url)}: if that is the API, set catalog.url to it."
        what = f"the parameter {access.auth_name!r}" if access.auth == "query" else f"the header {header_of(access, '')[0]!r}"
        return f"It does not accept the secret that catalog.secret={access.secret} refers to, sent as {what} (catalog.auth={access.auth})."

    def _say(self, href: str, state: Any) -> None:
        self.retried += 1
        log.info("retry      %s in %.0f s: %s", host_of(href), state.next_action.sleep, state.outcome.exception())


@lru_cache(maxsize=16)
def connection(access: Access, process: int) -> Connection:
    """The connection of this process (``os.getpid()``) to an API; made once."""
    return Connection(access)


def _wait(state: Any) -> float:
    """Seconds until the next attempt: as long as the server says, else twice as long each time."""
    said = getattr(state.outcome.exception(), "wait_s", None)
    wait: float = _FIRST_WAIT_S * 2 ** (state.attempt_number - 1) if said is None else said
    return min(wait, _LONGEST_WAIT_S)

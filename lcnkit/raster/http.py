"""Bytes over HTTP: whole files or parts of them, asked for again where that may help, and never waited for without end.

Imported where it is used: requests takes a while to load.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import requests
import urllib3.exceptions

from lcnkit.raster.http_pool import Answer, Pool
from lcnkit.secrets import scrub

PASSING_STATUS = frozenset({408, 425, 429})
"""Besides 5xx: a server that answers so may answer better later."""
# Larger files are not fetched whole: a chip has less than a megabyte, a scene has hundreds.
MOST_BYTES = 64 << 20
# Seconds to connect, and to wait for the next bytes.
_CONNECT_S, _SILENCE_S = 10.0, 30.0
# Waits double from the first on; a server that names a time is obeyed up to the longest.
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.5, 30.0
# All attempts at one answer together: a server that sends a byte now and then is given up.
_TOTAL_S = 120.0
_ATTEMPTS = 4
_PERMANENT = (
    requests.exceptions.InvalidURL,
    requests.exceptions.InvalidSchema,
    requests.exceptions.InvalidHeader,
    requests.exceptions.SSLError,
    requests.exceptions.TooManyRedirects,
    urllib3.exceptions.LocationValueError,
    urllib3.exceptions.SSLError,
    urllib3.exceptions.ResponseError,  # too many redirects
)


class HttpError(OSError):
    """A server's answer is of no use; the text holds no query of a URL."""


class RefusedError(HttpError):
    """The answer is final: not there, not allowed, too large."""


class NoAnswerError(HttpError):
    """The server did not answer, or not well: it may do so later. ``wait_s`` where it said when."""

    def __init__(self, why: str, wait_s: float | None = None) -> None:
        super().__init__(why)
        self.wait_s = wait_s


class CutShortError(NoAnswerError):
    """A part has another length than the server says of it."""


class ChangedError(NoAnswerError):
    """A part is not of the file that those before it were of: there is another one at its address."""


@dataclass(frozen=True)
class Part:
    """Some of a file's bytes."""

    start: int
    content: bytes
    size: int
    """Of the whole file."""
    version: tuple[str, str] = ("", "")
    """``ETag`` and ``Last-Modified``; ``""`` where the server does not say one."""

    def is_of_file(self, other: Part) -> bool:
        """Whether both are of one file, as far as the server tells.

        Servers that take turns behind one address may give a file an ETag each, and others the present for its last change: it is
        another file where nothing that both parts say is the same.
        """
        said = [one == another for one, another in zip(self.version, other.version, strict=True) if one and another]
        return self.size == other.size and (any(said) or not said)


def is_passing(status: int) -> bool:
    """Whether an HTTP status may be another one later."""
    return status in PASSING_STATUS or status >= 500


def fetch(href: str, session: requests.Session | Pool, span: tuple[int, int] | None = None, attempts: int = _ATTEMPTS) -> Part:
    """A file, or the bytes of it from the first of ``span`` up to and without the second; of a server without ranges, all of it.

    Raises:
        RefusedError: The answer is final.
        CutShortError: A part is shorter than it says; asked for once.
        NoAnswerError: No attempt brought the whole answer.
    """
    until = time.monotonic() + _TOTAL_S
    wait = _FIRST_WAIT_S
    for attempt in range(1, attempts + 1):
        try:
            return _once(href, session, span, until)
        except CutShortError:
            raise
        except NoAnswerError as error:
            pause = min(wait if error.wait_s is None else error.wait_s, _LONGEST_WAIT_S)
            if attempt == attempts or time.monotonic() + pause > until:
                raise NoAnswerError(f"{error} ({attempt} attempt{'s' if attempt > 1 else ''})", error.wait_s) from None
            time.sleep(pause)
            wait *= 2
    raise ValueError("attempts must be at least 1")


def _once(href: str, session: requests.Session | Pool, span: tuple[int, int] | None, until: float) -> Part:
    # As it is stored: a server that compresses on the way would not count the same bytes.
    headers = {"Accept-Encoding": "identity", **({"Range": f"bytes={span[0]}-{span[1] - 1}"} if span else {})}
    problem, final = "", False
    left = max(0.1, until - time.monotonic())
    try:
        with session.get(href, headers=headers, timeout=(min(_CONNECT_S, left), min(_SILENCE_S, left)), stream=True) as answer:
            return _part(answer, span, until)
    except (requests.exceptions.RequestException, urllib3.exceptions.HTTPError) as error:
        problem, final = innermost(error), isinstance(error, _PERMANENT) or isinstance(getattr(error, "reason", None), _PERMANENT)
    # Raised out here, an error has no other behind it: that one's text may hold the URL with its query.
    raise (RefusedError if final else NoAnswerError)(scrub(problem))


def _part(answer: requests.Response | Answer, span: tuple[int, int] | None, until: float) -> Part:
    status = answer.status_code
    if is_passing(status):
        raise NoAnswerError(f"HTTP {status} {answer.reason}".rstrip(), named_wait(answer.headers))
    if not answer.ok:
        raise RefusedError(f"HTTP {status} {answer.reason}".rstrip())
    announced = answer.headers.get("Content-Length", "")
    if announced.isdigit() and int(announced) > MOST_BYTES:
        raise RefusedError(f"the server gives {int(announced) >> 20} MB in one piece{', and no part of it' if span else ''}")
    content = body(answer, until)
    version = (answer.headers.get("ETag", ""), answer.headers.get("Last-Modified", ""))
    place = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", answer.headers.get("Content-Range", "").strip())
    if status != 206 or place is None:
        return Part(0, content, len(content), version)
    start, last, size = (int(number) for number in place.groups())
    if len(content) != last - start + 1:
        raise CutShortError(f"{len(content)} bytes came where {last - start + 1} were announced")
    return Part(start, content, size, version)


def body(answer: requests.Response | Answer, until: float, most: int = MOST_BYTES) -> bytes:
    """The whole body of an answer that is streamed.

    Args:
        until: `time.monotonic` at which it is given up, however steadily it drips.
        most: Bytes.

    Raises:
        NoAnswerError: It takes too long, or ends early.
        RefusedError: It is larger than ``most``.
    """
    from urllib3.exceptions import HTTPError

    pieces: list[bytes] = []
    size, problem = 0, ""
    try:
        # What has come, without waiting for a piece to be full.
        while piece := answer.raw.read1(1 << 16, decode_content=True):
            pieces.append(piece)
            size += len(piece)
            if time.monotonic() > until:
                raise NoAnswerError(f"the server is too slow: {size} bytes came, and not all")
            if size > most:
                raise RefusedError(f"the server gives more than {most >> 20} MB")
    except (HTTPError, OSError) as error:
        if isinstance(error, HttpError):
            raise
        problem = innermost(error)
    if problem:
        raise NoAnswerError(scrub(problem))
    left = getattr(answer.raw, "length_remaining", None)
    if left:
        raise NoAnswerError(f"the answer ended {left} bytes early")
    return b"".join(pieces)


def named_wait(headers: Mapping[str, str]) -> float | None:
    """Seconds that ``Retry-After`` asks for, a number or a date; ``None`` where there is none that can be read.

    A date is compared with the server's own clock, where it tells the time.
    """
    value = headers.get("Retry-After", "").strip()
    if re.fullmatch(r"\d+(\.\d+)?", value):
        return float(value)
    then, now = _date(value), _date(headers.get("Date", "")) or datetime.now(UTC)
    return None if then is None else max(0.0, (then - now).total_seconds())


def _date(text: str) -> datetime | None:
    try:
        when = parsedate_to_datetime(text.strip())
    except (ValueError, TypeError):
        return None
    return when.replace(tzinfo=UTC) if when.tzinfo is None else when  # without a zone, an HTTP date is GMT


def innermost(error: BaseException) -> str:
    """What happened, without the layers around it."""
    while True:
        refused = isinstance(error, urllib3.exceptions.NewConnectionError)  # which urllib3 takes for a timeout
        if isinstance(error, requests.exceptions.Timeout | urllib3.exceptions.TimeoutError) and not refused:
            return "it took too long"
        inner = getattr(error, "reason", None) or next((part for part in error.args if isinstance(part, BaseException)), None)
        if not isinstance(inner, BaseException):
            return f"{type(error).__name__}: {error}"
        error = inner

"""Archives on a web server: read with retries, many files at once, and never listed."""

from __future__ import annotations

import os
import re
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar

from lcnkit.archive.store import Entry, R, Store, T
from lcnkit.secrets import scrub

if TYPE_CHECKING:
    import requests

# Seconds to connect, and to wait for the next bytes.
_TIMEOUT_S = (10.0, 60.0)
# Waits double from the first on; a server that names a time is obeyed up to the longest.
_ATTEMPTS, _FIRST_WAIT_S, _LONGEST_WAIT_S = 4, 0.3, 30.0
# Requests under way at once, and answers kept until their turn comes.
_THREADS, _AHEAD = 16, 64
# After so many files in a row that no attempt could get, the server is taken to be down: one attempt each.
_DOWN_AFTER = 8


class _PassingError(OSError):
    """A failure that may pass; ``wait_s`` where the server said how long."""

    def __init__(self, why: str, wait_s: float | None = None) -> None:
        super().__init__(why)
        self.wait_s = wait_s


@dataclass
class _Health:
    lost: int = 0


@dataclass(frozen=True)
class Http(Store):
    """A web server, or several: any ``http(s)://`` URL."""

    is_remote: ClassVar[bool] = True
    can_list: ClassVar[bool] = False
    _health: _Health = field(default_factory=_Health, compare=False, repr=False)

    def read(self, href: str) -> bytes:
        """See `Store.read`."""
        attempts = 1 if self._health.lost >= _DOWN_AFTER else _ATTEMPTS
        wait = _FIRST_WAIT_S
        for attempt in range(1, attempts + 1):
            try:
                content = _get(href)
            except _PassingError as error:
                if attempt == attempts:
                    self._health.lost += 1
                    raise OSError(f"{error}{f' ({attempts} attempts)' if attempts > 1 else ''}") from error
                time.sleep(min(error.wait_s if error.wait_s is not None else wait, _LONGEST_WAIT_S))
                wait *= 2
            else:
                self._health.lost = 0
                return content
        raise AssertionError("unreachable")

    def exists(self, href: str) -> bool:
        """See `Store.exists`."""
        try:
            self.read(href)
        except OSError:
            return False
        return True

    def entries(self, folder: str) -> list[Entry]:
        """Nothing: a web server does not say what a folder holds."""
        return []

    def map(self, function: Callable[[T], R], things: Iterable[T]) -> Iterator[R]:
        """See `Store.map`."""
        pool = ThreadPoolExecutor(_THREADS, "lcnkit-archive")
        waiting: deque[Future[R]] = deque()
        try:
            for thing in things:
                waiting.append(pool.submit(function, thing))
                if len(waiting) >= _AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


def _get(url: str) -> bytes:
    """One attempt."""
    import requests

    from lcnkit.raster.http import is_passing, named_wait

    try:
        response = _session(os.getpid()).get(url, timeout=_TIMEOUT_S)
    except (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema, requests.exceptions.SSLError) as error:
        raise OSError(_cause(error)) from error
    except requests.exceptions.RequestException as error:
        raise _PassingError(_cause(error)) from error
    answer = f"HTTP {response.status_code} {response.reason}".rstrip()
    if response.status_code in (404, 410):
        raise FileNotFoundError(2, answer)
    if response.status_code in (401, 403):
        raise PermissionError(13, answer)
    if is_passing(response.status_code):
        raise _PassingError(answer, named_wait(response.headers))
    if not response.ok:
        raise OSError(answer)
    return response.content


def _cause(error: BaseException) -> str:
    """The last cause that requests wraps into its own: ``Connection refused``."""
    text = scrub(" ".join(str(error).split()))
    innermost = re.findall(r"\[Errno -?\d+\] ([^'\")\]]+)", text)
    return innermost[-1] if innermost else text[-200:]


@lru_cache(maxsize=2)
def _session(pid: int) -> requests.Session:
    """One per process: a connection does not survive a fork."""
    import requests
    from requests.adapters import HTTPAdapter

    session = requests.Session()
    for scheme in ("http://", "https://"):
        session.mount(scheme, HTTPAdapter(pool_connections=_THREADS, pool_maxsize=2 * _THREADS))
    return session

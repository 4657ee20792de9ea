"""Talking to a Dask Gateway: who we are, and calls that end in time, in one clear line.

Imported where it is used: dask_gateway takes a second to load.
"""

from __future__ import annotations

import asyncio
import threading
import warnings
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from typing import Any, TypeVar

import aiohttp
from dask_gateway import Gateway, GatewayClusterError
from dask_gateway.auth import BasicAuth, GatewayAuth, JupyterHubAuth, KerberosAuth
from dask_gateway.client import ClusterReport, ClusterStatus, GatewayServerError, GatewayWarning

from lcnkit.errors import BackendError
from lcnkit.secrets import resolve

R = TypeVar("R")


class Access(GatewayAuth):  # type: ignore[misc]  # dask_gateway has no types
    """Answers the gateway's question who we are; holds the reference to a secret, never the secret."""

    def __init__(self, kind: str, user: str | None, secret: str | None) -> None:
        self._kind, self._user, self._secret = kind, user, secret
        self._kerberos = KerberosAuth() if kind == "kerberos" else None

    def pre_request(self, resp: Any) -> Any:
        """Headers for the request that the gateway has just refused."""
        if self._kerberos is not None:
            return self._kerberos.pre_request(resp)
        secret = resolve(self._secret, "backend.secret") if self._secret is not None else None
        if self._kind == "token":
            return {"Authorization": f"Bearer {secret}"}, None
        return (JupyterHubAuth(secret) if self._kind == "jupyterhub" else BasicAuth(self._user, secret)).pre_request(resp)

    def post_response(self, resp: Any, context: Any = None) -> None:
        """Kerberos wants the last word."""
        if self._kerberos is not None:
            self._kerberos.post_response(resp, context)


class Link:
    """A connection to a gateway, on an event loop of its own, so that every wait can be ended."""

    def __init__(self, address: str | None, proxy_address: str | None, auth: GatewayAuth | None, timeout_s: float) -> None:
        """Nothing is sent yet; ``None`` is what Dask's own configuration says."""
        self.timeout = timeout_s
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True, name="lcnkit-gateway")
        self._thread.start()
        try:
            self._gateway = self._made(address, proxy_address, auth)
        except Exception as error:
            self._end()
            raise self._explained(error, timeout_s) from None

    def _made(self, address: str | None, proxy_address: str | None, auth: GatewayAuth | None) -> Any:
        self.address = address

        async def make() -> Any:
            return Gateway(address, proxy_address, auth=auth, asynchronous=True)

        gateway = asyncio.run_coroutine_threadsafe(make(), self._loop).result()
        self.address = gateway.address
        return gateway

    def begin(self, call: Callable[[Any], Awaitable[R]], timeout_s: float | None = None) -> Future[R]:
        """Start a call, given the asynchronous `dask_gateway.Gateway`; it goes on if nobody waits for it."""

        async def bounded() -> R:
            return await asyncio.wait_for(call(self._gateway), timeout_s or self.timeout)

        return asyncio.run_coroutine_threadsafe(bounded(), self._loop)

    def end(self, started: Future[R], timeout_s: float | None = None) -> R:
        """What a call that was begun has answered.

        Raises:
            BackendError: The gateway does not answer, or refuses; the message says which.
        """
        try:
            return started.result()
        except Exception as error:
            raise self._explained(error, timeout_s or self.timeout) from None  # an aiohttp error holds the request's headers

    def ask(self, call: Callable[[Any], Awaitable[R]], timeout_s: float | None = None) -> R:
        """What the gateway answers; see `begin` and `end`."""
        started = self.begin(call, timeout_s)
        try:
            return self.end(started, timeout_s)
        except KeyboardInterrupt:
            started.cancel()
            raise

    def running(self, name: str, timeout_s: float) -> ClusterReport:
        """Wait until a cluster runs.

        Raises:
            BackendError: It does not, or not in time.
        """

        async def wait(gateway: Any) -> ClusterReport:
            while True:
                report = await gateway.get_cluster(name)
                if report.status != ClusterStatus.PENDING:
                    return report
                await asyncio.sleep(0.2)

        report = self.ask(wait, timeout_s)
        if report.status != ClusterStatus.RUNNING:
            raise BackendError(f"The cluster {name} of the gateway {self.address} did not start; it is {report.status.name.lower()}.")
        return report

    def said(self, call: Callable[[Any], Awaitable[Any]]) -> list[str]:
        """Ask, and give what the gateway remarks, e.g. that there may not be so many workers."""
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", GatewayWarning)
            self.ask(call)
        return [str(one.message) for one in caught if issubclass(one.category, GatewayWarning)]

    def close(self) -> None:
        """End the connection."""
        try:
            self.begin(lambda gateway: gateway.close()).result(self.timeout)
        finally:
            self._end()

    def _end(self) -> None:
        async def last() -> None:
            for task in asyncio.all_tasks() - {asyncio.current_task()}:
                task.cancel()
            await asyncio.sleep(0)
            self._loop.call_soon(self._loop.stop)

        asyncio.run_coroutine_threadsafe(last(), self._loop)
        self._thread.join(self.timeout)
        self._loop.close()

    def _explained(self, error: Exception, timeout_s: float) -> Exception:
        """The error as a user should read it; any other as it is."""
        text = " ".join(str(error).split())
        where = f"The gateway {self.address}"
        if isinstance(error, aiohttp.ClientResponseError) and error.status in (401, 403):
            return BackendError(f"{where} does not let us in ({error.status}): check backend.auth, backend.user and what backend.secret refers to.")
        if isinstance(error, aiohttp.ClientResponseError):
            return BackendError(f"{where} answers with {error.status} {error.message}: is that its address?")
        if isinstance(error, TimeoutError):
            return BackendError(f"{where} does not answer, or not with what was asked for, in {timeout_s:.0f} s.")
        if isinstance(error, aiohttp.InvalidURL | aiohttp.NonHttpUrlClientError):
            return BackendError(f"backend.address={self.address} is no address of a gateway: http://HOST:PORT or https://HOST")
        if isinstance(error, aiohttp.ClientError | OSError):
            return BackendError(f"{where} cannot be reached: {text or type(error).__name__}. Is that its address, and is it running?")
        if isinstance(error, GatewayClusterError | GatewayServerError):
            return BackendError(f"{where} cannot do it: {text}")
        if isinstance(error, ValueError):  # 404 and 422, and what Dask's own configuration lacks
            return BackendError(f"{where} refuses: {text}")
        if isinstance(error, ImportError):
            return BackendError(f"backend.auth needs another package: {text}. For kerberos: pip install 'dask-gateway[kerberos]'")
        return error

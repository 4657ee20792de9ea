"""A real Dask Gateway on loopback: clusters are processes of this machine, with a password or a token to get in."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil
import pytest

from servers.loopback import free_port
from servers.rustac import wait_for

#: Characters that look different in a header or a URL.
PASSWORD = "planted S3cr+t/val=ue-42"
TOKEN = "planted-T0ken+of/42"
#: The user that every token stands for.
USER = "ada"

# `bin/dask`: the server looks for `dask-scheduler`, which no longer exists, and passes no PATH on.
CONFIG = """
import sys
from aiohttp import web
from dask_gateway_server.auth import SimpleAuthenticator
from dask_gateway_server.models import User
from dask_gateway_server.options import Options, Integer, Select, String


class Either(SimpleAuthenticator):
    async def authenticate(self, request):
        if request.headers.get("Authorization") == "Bearer " + {token!r}:
            return User({user!r})
        return await super().authenticate(request)


def handle(options):
    environment = dict(LCNKIT_CACHE_DIR={cache!r}, TEST_IMAGE=options.image)
    return dict(worker_cores=1, worker_threads=options.worker_threads, environment=environment)


c.DaskGateway.backend_class = "dask_gateway_server.backends.local.UnsafeLocalBackend"
c.DaskGateway.authenticator_class = Either
c.SimpleAuthenticator.password = {password!r}
c.Proxy.address = "127.0.0.1:{port}"
c.UnsafeLocalBackend.clusters_directory = {folder!r}
c.UnsafeLocalBackend.sigint_timeout = 3
c.ClusterConfig.scheduler_cmd = [{dask!r}, "scheduler"]
c.ClusterConfig.worker_cmd = [{worker_dask!r}, "worker"]
c.ClusterConfig.cluster_max_workers = 3
c.Backend.cluster_options = Options(
    Integer("worker_threads", default=1, min=1, max=2),
    String("image", default="plain"),
    Select("size", options=["small", "large"]),
    handler=handle,
)
"""


@dataclass(frozen=True)
class GatewayServer:
    """A gateway that runs."""

    url: str
    process: psutil.Process

    def options(self, **more: Any) -> dict[str, Any]:
        """Options of `lcnkit.backend.gateway.Gateway`; the variable GATEWAY_PASSWORD must hold `PASSWORD`."""
        return {"address": self.url, "auth": "basic", "user": USER, "secret": "env:GATEWAY_PASSWORD", "worker_timeout_s": 60.0, **more}

    def words(self, **more: Any) -> list[str]:
        """The same for a command line."""
        return ["backend=gateway", *(f"backend.{name}={value}" for name, value in self.options(**more).items())]

    def ask(self, method: str, *arguments: Any, **keywords: Any) -> Any:
        """What a method of Dask's own client of the gateway answers."""
        return asyncio.run(self._ask(method, *arguments, **keywords))

    async def _ask(self, method: str, *arguments: Any, **keywords: Any) -> Any:
        from dask_gateway import BasicAuth, Gateway

        async with Gateway(self.url, auth=BasicAuth(USER, PASSWORD), asynchronous=True) as gateway:
            return await getattr(gateway, method)(*arguments, **keywords)

    def clusters(self) -> list[str]:
        """Names of the clusters that run or start."""
        return [report.name for report in self.ask("list_clusters")]

    def processes(self) -> list[list[str]]:
        """Commands of the schedulers and workers that run."""
        found = []
        for child in self.process.children(recursive=True):
            with contextlib.suppress(psutil.Error):
                command = child.cmdline()
                if {"scheduler", "worker"} & set(command):
                    found.append(command)
        return found

    def settled(self, seconds: float = 30.0) -> bool:
        """Whether no cluster and no process of one is left, after a while."""
        deadline = time.monotonic() + seconds
        while self.clusters() or self.processes():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.3)
        return True


@contextmanager
def serving_gateway(cache: Path | None = None, worker_python: Path | None = None) -> Iterator[GatewayServer]:
    """A gateway for the time of a ``with`` block; whatever it started ends with it.

    Args:
        cache: ``LCNKIT_CACHE_DIR`` of workers; a gateway does not pass the environment on.
        worker_python: The Python of another environment, for workers that are not like us.
    """
    if find_spec("dask_gateway_server") is None:
        pytest.skip("dask-gateway-server is not installed (pip install -e '.[slow]')")
    port = free_port()
    # Not in pytest's folder: paths of Unix sockets are short.
    with tempfile.TemporaryDirectory(prefix="lcnkit-gateway-", ignore_cleanup_errors=True) as folder:
        values = {"token": TOKEN, "user": USER, "password": PASSWORD, "port": port, "folder": f"{folder}/clusters", "cache": str(cache or folder)}
        commands = {"dask": str(_dask(Path(sys.executable))), "worker_dask": str(_dask(worker_python or Path(sys.executable)))}
        config = Path(folder) / "dask_gateway_config.py"
        config.write_text(CONFIG.format(**values, **commands))
        config.chmod(0o600)
        log = Path(folder) / "log"
        with log.open("wb") as file:
            started = subprocess.Popen(
                [sys.executable, "-m", "dask_gateway_server", "-f", str(config)], stdout=file, stderr=file, cwd=folder, start_new_session=True
            )
        server = psutil.Process(started.pid)
        try:
            wait_for(f"http://127.0.0.1:{port}/api/version", started, log, 60)
            yield GatewayServer(f"http://127.0.0.1:{port}", server)
        finally:
            _end(started, server)


def _dask(python: Path) -> Path:
    return python.parent / "dask"


def _end(started: subprocess.Popen[bytes], server: psutil.Process) -> None:
    """Stop the server, which stops its clusters, and then whatever did not listen."""
    family = server.children(recursive=True)
    started.send_signal(signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        started.wait(20)
    for process in family:
        with contextlib.suppress(psutil.Error):
            process.kill()
    if started.poll() is None:
        started.kill()
        started.wait()

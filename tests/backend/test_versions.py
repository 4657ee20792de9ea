"""Packages that differ between client and workers are found before the first task: with workers in real other environments."""

from __future__ import annotations

import importlib.metadata
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from servers.dask_processes import dask_processes
from servers.gateway import PASSWORD, serving_gateway

from lcnkit.backend.gateway import Gateway
from lcnkit.backend.scheduler import Scheduler
from lcnkit.backend.versions import MISSING, Difference, differences, table
from lcnkit.errors import BackendError
from lcnkit.testing.backend import Square

LCNKIT = importlib.metadata.version("lcnkit")


@pytest.mark.slow
def test_the_same_everywhere(tmp_path: Path) -> None:
    with dask_processes(tmp_path, 1) as cluster, Scheduler(address=cluster.address).open() as pool:
        assert next(pool.map(Square(), [2])).value == 4
        assert differences(pool.client) == []  # type: ignore[attr-defined]


@pytest.mark.slow
def test_workers_without_lcnkit(other_environment: Callable[..., Any], tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    environment = other_environment()
    with dask_processes(tmp_path) as cluster:
        cluster.worker(python=environment.python)
        with pytest.raises(BackendError) as raised, Scheduler(address=cluster.address).open() as pool:
            next(pool.map(Square(), [1]))
        text = str(raised.value)
        assert "The workers have other packages than this process:" in text
        assert ["lcnkit", LCNKIT, *MISSING.split()] in [line.split() for line in text.splitlines()]
        assert f"Install on the workers what they lack: pip install lcnkit=={LCNKIT}" in text
        # Told to go on, it says why each task fails, and does not wait for ever.
        with Scheduler(address=cluster.address, versions="warn").open() as pool:
            outcomes = list(pool.map(Square(), range(6)))
    assert len(outcomes) == 6
    assert all("lcnkit" in str(outcome.error) for outcome in outcomes)
    assert any("The workers have other packages" in message for message in caplog.messages)


@pytest.mark.slow
def test_a_gateway_whose_workers_lack_lcnkit(other_environment: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_PASSWORD", PASSWORD)
    with serving_gateway(worker_python=other_environment().python) as server:
        with pytest.raises(BackendError, match=f"pip install lcnkit=={LCNKIT}"), Gateway(**server.options(workers=1)).open() as pool:
            next(pool.map(Square(), [1]))
        assert server.clusters() == []
        assert server.settled()


# Run with the client's packages in front: it prints what a run would say.
CLIENT = """
import sys
from lcnkit.backend.scheduler import Scheduler
from lcnkit.errors import BackendError
from lcnkit.testing.backend import Square

try:
    with Scheduler(address=sys.argv[1]).open() as pool:
        print("values", [outcome.value for outcome in pool.map(Square(), [3])])
except BackendError as error:
    print(error)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("here", "there", "offers", "said"),
    [
        ("1.4", "1.4", "strategy", "values [9]"),
        ("1.4", "1.3", "strategy", "Install the same on the workers: pip install lcnkit-snow==1.4; or"),
        ("1.4", None, "strategy", "Install on the workers what they lack: pip install lcnkit-snow==1.4; or"),
        ("1.4", None, "backend", "values [9]"),
    ],
)
def test_plugins(here: str, there: str | None, offers: str, said: str, other_environment: Any, install: Any, tmp_path: Path) -> None:
    """One that offers nothing but backends is the client's own affair."""
    environment = other_environment(lcnkit=True)
    if there is not None:
        environment.add("lcnkit-snow", there, "lcnkit_snow", offers)
    install(tmp_path / "plugins", "lcnkit-snow", here, "lcnkit_snow", offers)
    with dask_processes(tmp_path) as cluster:
        cluster.worker(python=environment.python)
        variables = {**os.environ, "PYTHONPATH": str(tmp_path / "plugins")}
        done = subprocess.run(
            [sys.executable, "-c", CLIENT, cluster.address], env=variables, capture_output=True, text=True, timeout=120, check=False
        )
    assert done.returncode == 0, done.stderr
    assert said in done.stdout
    if "values" not in said:
        assert ["lcnkit-snow", here, *(there or MISSING).split()] in [line.split() for line in done.stdout.splitlines()]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("package", "version", "refused"),
    [("numpy", "1.20.0", True), ("numpy", "{minor}.999", False), ("pandas", "1.0", False), ("cloudpickle", "0.1", False)],
)
def test_how_much_a_difference_matters(
    package: str, version: str, refused: bool, other_environment: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    installed = importlib.metadata.version(package)
    environment = other_environment(package, lcnkit=True)
    environment.add(package, version.format(minor=".".join(installed.split(".")[:2])))
    with dask_processes(tmp_path) as cluster:
        cluster.worker(python=environment.python)
        if refused:
            with pytest.raises(BackendError, match=f"pip install {package}=={installed}"), Scheduler(address=cluster.address).open() as pool:
                next(pool.map(Square(), [3]))
        else:
            with Scheduler(address=cluster.address).open() as pool:
                assert [outcome.value for outcome in pool.map(Square(), [3])] == [9]
            assert any(package in message for message in caplog.messages)


def test_the_table_is_plain_text() -> None:
    rows = [
        Difference("python", "3.11.7", "3.12.1", (("3.11.7", 3), ("3.12.1", 1)), matters=True),
        Difference("lcnkit-odc", "0.1.0", "", ((MISSING, 4),), matters=True),
    ]
    lines = [line.split() for line in table(rows).splitlines()]
    assert lines[0] == ["package", "client", "scheduler", "workers"]
    assert lines[2:] == [["python", "3.11.7", "3.12.1", "3.11.7", "(3),", "3.12.1", "(1)"], ["lcnkit-odc", "0.1.0", "not", "installed"]]
    assert "\x1b" not in table(rows)

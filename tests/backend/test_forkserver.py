"""Local workers are forked from one process, and are none the worse for it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from lcnkit.backend import forkserver
from lcnkit.backend.local import Local
from lcnkit.cache_dir import CACHE_VARIABLE
from lcnkit.testing.backend import outcomes_in_order

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="workers are forked on Linux only")


def environment(name: str) -> tuple[int, str | None]:
    return os.getppid(), os.environ.get(name)


def drawn(_: int) -> tuple[int, int]:
    return os.getpid(), int(np.random.randint(1 << 30))  # the generator that workers might have in common


def told(name: str) -> dict[Any, str | None]:
    """What the environment of workers says, by the process they were started from."""
    with Local(workers=1, dashboard=None).open() as pool:
        return dict(outcome.value for outcome in pool.map(environment, [name]))


def test_they_know_what_the_environment_says_now(monkeypatch: pytest.MonkeyPatch) -> None:
    assert list(told("LCNKIT_TEST").values()) == [None]
    monkeypatch.setenv("LCNKIT_TEST", "one")
    [(forked_from, value)] = told("LCNKIT_TEST").items()
    assert value == "one"
    assert forked_from != os.getpid(), "a process that has loaded all they need"
    monkeypatch.setenv("LCNKIT_TEST", "two")
    assert told("LCNKIT_TEST") == {forked_from: "two"}
    monkeypatch.delenv("LCNKIT_TEST")
    assert list(told("LCNKIT_TEST").values()) == [None]


def test_what_was_taken_out_of_the_environment_is_not_there_for_them(monkeypatch: pytest.MonkeyPatch) -> None:
    forkserver.start()
    assert CACHE_VARIABLE in forkserver._KNOWN, "set for all tests; others, libraries may set again in a worker"
    assert forkserver.start_method() == "forkserver"
    monkeypatch.delenv(CACHE_VARIABLE)
    assert forkserver.start_method() == "spawn"
    assert told(CACHE_VARIABLE) == {os.getpid(): None}


def test_each_draws_random_numbers_of_its_own() -> None:
    with Local(workers=2, dashboard=None, batch=1).open() as pool:
        numbers = [outcome.value for outcome in outcomes_in_order(pool.map(drawn, range(40)))]
    assert len({worker for worker, _ in numbers}) == 2
    assert len({number for _, number in numbers}) == 40


_STARTED = """
import signal
from lcnkit.backend import forkserver
forkserver.start()
from multiprocessing.forkserver import _forkserver
ignored = next(line.split()[1] for line in open(f"/proc/{_forkserver._forkserver_pid}/status") if line.startswith("SigIgn:"))
print(ignored, signal.getsignal(signal.SIGINT) is signal.default_int_handler)
"""


def test_ctrl_c_does_not_meet_it_while_it_loads_libraries() -> None:
    """A terminal sends it to all processes; this one printed a traceback."""
    done = subprocess.run([sys.executable, "-c", _STARTED], capture_output=True, text=True, timeout=60, check=True)
    ignored, default = done.stdout.split()
    assert int(ignored, 16) >> (signal.SIGINT - 1) & 1
    assert default == "True", "this process hears it"

"""What becomes of a batch whose result is fetched, where no cluster can be made to fail at the right moment."""

from __future__ import annotations

from typing import Any

import pytest
from distributed.scheduler import KilledWorker

from lcnkit.backend.dask_flight import Batch, Flight


class Connected:
    """As much of a Dask client as a `Flight` asks for."""

    status = "running"

    def nthreads(self) -> dict[str, int]:
        return {"worker": 1}


class Ended:
    """A future whose result is, or was, in its worker's memory."""

    def __init__(self, status: str, error: Exception | None) -> None:
        self.status, self.error = status, error

    def exception(self) -> Exception | None:
        return self.error

    def result(self, timeout: float) -> Any:
        if self.error:
            raise self.error
        return [(5, None)]


def fetched(status: str, error: Exception | None) -> Any:
    return Flight(Connected(), int, 1.0)._fetched(Batch([(0, 5)]), Ended(status, error))


@pytest.mark.parametrize("status", ["error", "finished"])
def test_a_worker_that_was_lost_is_no_error_of_the_task(status: str) -> None:
    """Finished: its worker was lost before the result was fetched, and Dask could not make it again either."""
    landed = fetched(status, KilledWorker("task", "worker", 2))  # type: ignore[arg-type]
    assert (landed.results, landed.lost, landed.batch.lost) == (None, True, 3)


@pytest.mark.parametrize("status", ["error", "finished"])
def test_another_error_is_that_of_each_task(status: str) -> None:
    error = ValueError("unreadable")
    assert fetched(status, error).results == [(None, error)]


def test_a_result() -> None:
    assert fetched("finished", None).results == [(5, None)]


def test_a_result_that_cannot_be_fetched_is_asked_for_again() -> None:
    landed = fetched("finished", OSError("the connection went"))
    assert (landed.results, landed.lost) == (None, False)

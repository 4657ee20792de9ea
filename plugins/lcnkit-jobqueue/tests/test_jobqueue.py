"""Job queues keep the contract of backends, and ask their queue for what was set."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("dask_jobqueue", reason="dask-jobqueue is not installed: pip install ./plugins/lcnkit-jobqueue")

from lcnkit_jobqueue import JobQueue, Lsf, Pbs, Sge, Slurm, lcnkit_backend

from lcnkit.config import compose
from lcnkit.errors import BackendError, ConfigError
from lcnkit.testing.backend import BackendContract, Square, process_id


@dataclass(frozen=True, kw_only=True)
class OnThisMachine(JobQueue):
    """Jobs that are processes of this machine: dask-jobqueue's own, for tests."""

    name = "on_this_machine"

    def cluster_class(self) -> Any:
        from dask_jobqueue.local import LocalCluster

        return LocalCluster


class TestJobQueue(BackendContract):
    @pytest.fixture
    def backend(self) -> OnThisMachine:
        return OnThisMachine(jobs=2, memory="1GiB", worker_timeout_s=60.0)

    def test_runs_in_its_jobs(self, pool) -> None:
        pool.client.wait_for_workers(2, timeout=60)
        ids = {outcome.value for outcome in pool.map(process_id, range(40))}
        assert len(ids) == 2
        assert os.getpid() not in ids


def test_an_adaptive_number_of_jobs() -> None:
    with OnThisMachine(adaptive={"minimum": 0, "maximum": 2}, memory="1GiB", worker_timeout_s=60.0).open() as pool:
        assert sorted(outcome.value or 0 for outcome in pool.map(Square(), range(4))) == [0, 1, 4, 9]


SET = {
    "queue": "short",
    "account": "land",
    "cores": 4,
    "memory": "16GiB",
    "interface": "lo",
    "prologue": ["module load gdal"],
    "python": "/env/python",
}


@pytest.mark.parametrize(
    ("backend", "lines"),
    [
        (Slurm(**SET, directives=["--constraint=cpu"]), ["-p short", "-A land", "--cpus-per-task=4", "--mem=16G", "-t 01:00:00", "--constraint=cpu"]),
        (Pbs(**SET, directives=["-m n"]), ["-q short", "-A land", "select=1:ncpus=4:mem=16GB", "walltime=01:00:00", "-m n"]),
        (Lsf(**SET, directives=["-R x"]), ["-q short", '-P "land"', "-n 4", "-M 17", "-W 01:00", "-R x"]),
        (Sge(**SET, directives=["-pe smp 4"]), ["-q short", "-P land", "h_rt=01:00:00", "-pe smp 4"]),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_the_job_script(backend: JobQueue, lines: list[str]) -> None:
    with backend.cluster_class()(**backend.job_options()) as cluster:
        script = cluster.job_script()
    assert [line for line in lines if line not in script] == [], script
    assert "module load gdal\n" in script
    command = script.strip().splitlines()[-1]
    assert command.startswith("/env/python -m distributed.cli.dask_worker tcp://127.0.0.1:")
    assert "--nworkers 4" in command
    assert "--nthreads 1" in command


@pytest.mark.parametrize("name", ["slurm", "pbs", "lsf", "sge"])
def test_on_a_machine_without_the_queue(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    said = f"backend={name} needs the command .* run lcnkit where jobs are submitted"
    with pytest.raises(BackendError, match=said), lcnkit_backend()[name]().open() as pool:
        next(pool.map(Square(), [1]))


def test_a_queue_that_refuses_the_jobs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    refuses = tmp_path / "sbatch"
    refuses.write_text("#!/bin/sh\necho 'sbatch: error: invalid partition specified: shrot' >&2\nexit 1\n")
    refuses.chmod(refuses.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    said = r"The queue refuses the jobs: .*invalid partition specified: shrot"
    with pytest.raises(BackendError, match=said), Slurm(queue="shrot").open() as pool:
        next(pool.map(Square(), [1]))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"jobs": 0}, "backend.jobs is 0"),
        ({"cores": 0}, "backend.cores is 0"),
        ({"jobs": 1, "adaptive": {"minimum": 1, "maximum": 2}}, "backend.jobs is a fixed number"),
        ({"batch": 0}, "backend.batch is 0"),
    ],
)
def test_options_that_cannot_be_meant(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        Slurm(**options)


def test_chosen_on_the_command_line() -> None:
    words = [
        "backend=slurm",
        "backend.queue=short",
        "backend.adaptive={minimum:1,maximum:4}",
        "backend.prologue=[module load gdal]",
        "dataset.root=x",
    ]
    assert compose(words).backend == Slurm(queue="short", adaptive={"minimum": 1, "maximum": 4}, prologue=["module load gdal"])

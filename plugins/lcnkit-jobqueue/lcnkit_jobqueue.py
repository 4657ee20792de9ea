"""Backends: workers as jobs of a queue, by dask-jobqueue."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import lcnkit
from lcnkit.backend.adaptive import check_size
from lcnkit.backend.dask_backend import DaskBackend, client_of
from lcnkit.errors import BackendError, ConfigError

if TYPE_CHECKING:
    from distributed import Client

log = logging.getLogger(__name__)

# So long the command that submits a job may take.
_SUBMIT_S = 60.0


@dataclass(frozen=True, kw_only=True)
class JobQueue(DaskBackend):
    """Run on workers that are jobs of a queue; the scheduler runs here."""

    queue: str | None = None
    """The queue, or partition."""
    account: str | None = None
    """Who pays: the account, or project."""
    cores: int = 1
    """Cores of a job."""
    memory: str = "4GiB"
    """Memory of a job, shared by its processes."""
    processes: int | None = None
    """Worker processes of a job, which share its cores; null: one for each core. Reading chips gains from processes, not from threads."""
    walltime: str = "01:00:00"
    """How long a job may take, as the queue writes it."""
    jobs: int | None = None
    """Jobs, a fixed number; null: 1, or as adaptive says."""
    adaptive: dict[str, int] = field(default_factory=dict)
    """As many jobs as there is work for, {minimum: 1, maximum: 20}."""
    interface: str | None = None
    """Network interface by which nodes reach this machine: ib0."""
    local_directory: str | None = None
    """A fast folder on each node, for Dask's own files."""
    log_directory: str | None = None
    """Where the logs of jobs go; null: where the queue puts them."""
    directives: list[str] = field(default_factory=list)
    """More lines for the head of the job script, without the queue's prefix: [--constraint=cpu]"""
    prologue: list[str] = field(default_factory=list)
    """Commands that a job runs first: [module load python, source ~/env/bin/activate]"""
    python: str | None = None
    """Python on the nodes; null: the path of this one."""
    worker_timeout_s: float = 3600.0
    """Seconds to wait for a first worker (queues take their time), and for another one where all are lost."""

    name: ClassVar[str]
    """The name of the backend."""
    account_option: ClassVar[str] = "account"
    """What dask-jobqueue calls the account for this queue."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_size(self.jobs, self.adaptive, "jobs")
        for name in ("cores", "processes"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(f"backend.{name} is {value}; it must be at least 1")

    @property
    def grows_to(self) -> int:
        """See `lcnkit.backend.dask_backend.DaskBackend.grows_to`."""
        return self.adaptive["maximum"] * (self.processes or self.cores) if self.adaptive else 0

    @contextmanager
    def connect(self) -> Iterator[Client]:
        """See `lcnkit.backend.dask_backend.DaskBackend.connect`."""
        cluster_class = self.cluster_class()
        command = str(getattr(cluster_class.job_cls, "submit_command", None) or "sh").split()[0]
        if shutil.which(command) is None:
            raise BackendError(f"backend={self.name} needs the command {command}, which is not on this machine: run lcnkit where jobs are submitted.")
        submissions = _Submissions()
        try:
            cluster = cluster_class(job_cls=submissions.watching(cluster_class.job_cls), **self.job_options())
        except (ValueError, OSError, RuntimeError) as error:
            raise BackendError(f"backend={self.name} cannot be set up: {' '.join(str(error).split())}") from error
        with cluster:
            log.debug("the job script:\n%s", cluster.job_script())
            if self.adaptive:
                cluster.adapt(minimum_jobs=self.adaptive["minimum"], maximum_jobs=self.adaptive["maximum"])
            else:
                cluster.scale(jobs=self.jobs or 1)
            if not self.adaptive or self.adaptive["minimum"]:
                submissions.wait()
            log.info("backend    %s: scheduler %s, dashboard %s", self.name, cluster.scheduler_address, cluster.dashboard_link)
            with client_of(cluster, 30.0) as client:
                yield client

    def job_options(self) -> dict[str, Any]:
        """What dask-jobqueue's cluster class is called with."""
        options = {
            "queue": self.queue,
            self.account_option: self.account,
            "cores": self.cores,
            "memory": self.memory,
            "processes": self.processes or self.cores,
            "walltime": self.walltime,
            "interface": self.interface,
            "local_directory": self.local_directory,
            "log_directory": self.log_directory,
            "job_extra_directives": list(self.directives) or None,
            "job_script_prologue": list(self.prologue) or None,
            "python": self.python,
        }
        # What is not set here may be in dask-jobqueue's own configuration file.
        return {**{name: value for name, value in options.items() if value is not None}, "scheduler_options": {"dashboard_address": ":0"}}

    def cluster_class(self) -> Any:
        """The class of dask-jobqueue; imported here, it takes a while."""
        raise NotImplementedError


class _Submissions:
    """What became of the jobs that were submitted: dask-jobqueue only logs it."""

    def __init__(self) -> None:
        self.taken = 0
        self.refused = ""

    def watching(self, job_class: Any) -> Any:
        """The job class, with a `start` that reports here."""
        from distributed.core import Status

        submissions = self

        async def start(job: Any) -> None:
            try:
                await job_class.start(job)
                submissions.taken += 1
            except (OSError, RuntimeError) as error:  # raised again by `wait`; in Dask's loop it would be logged at length
                submissions.refused = " ".join(str(error).split())
                job.status = Status.failed

        return type(job_class.__name__, (job_class,), {"start": start})

    def wait(self) -> None:
        """Until the queue has taken a job.

        Raises:
            BackendError: It refuses them.
        """
        deadline = time.monotonic() + _SUBMIT_S
        while not self.taken and time.monotonic() < deadline:
            if self.refused:
                raise BackendError(f"The queue refuses the jobs: {self.refused}")
            time.sleep(0.1)


@dataclass(frozen=True, kw_only=True)
class Slurm(JobQueue):
    """Run on workers that are jobs of SLURM (sbatch)."""

    name = "slurm"

    def cluster_class(self) -> Any:
        """See `JobQueue.cluster_class`."""
        from dask_jobqueue import SLURMCluster

        return SLURMCluster


@dataclass(frozen=True, kw_only=True)
class Pbs(JobQueue):
    """Run on workers that are jobs of PBS (qsub)."""

    name = "pbs"

    def cluster_class(self) -> Any:
        """See `JobQueue.cluster_class`."""
        from dask_jobqueue import PBSCluster

        return PBSCluster


@dataclass(frozen=True, kw_only=True)
class Lsf(JobQueue):
    """Run on workers that are jobs of LSF (bsub)."""

    walltime: str = "01:00"
    """How long a job may take, as LSF writes it: hours and minutes."""

    name = "lsf"
    account_option = "project"

    def cluster_class(self) -> Any:
        """See `JobQueue.cluster_class`."""
        from dask_jobqueue import LSFCluster

        return LSFCluster


@dataclass(frozen=True, kw_only=True)
class Sge(JobQueue):
    """Run on workers that are jobs of SGE (qsub)."""

    name = "sge"
    account_option = "project"

    def cluster_class(self) -> Any:
        """See `JobQueue.cluster_class`."""
        from dask_jobqueue import SGECluster

        return SGECluster


@lcnkit.hookimpl
def lcnkit_backend() -> dict[str, type[JobQueue]]:
    """Offer the backends."""
    return {cls.name: cls for cls in (Slurm, Pbs, Lsf, Sge)}

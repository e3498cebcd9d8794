"""The options of the executors."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from facekit.interfaces import Options


class SlurmOptions(Options):
    """Options of ``slurm``."""

    partition: str | None = None
    """Where jobs go; by default the cluster's own choice."""
    account: str | None = None
    """Whom they are counted to."""
    qos: str | None = None
    """Their quality of service."""
    hours: float = Field(24.0, gt=0)
    """The time a job may take; one that needs more saves a checkpoint and is queued again."""
    gpus: int = Field(1, ge=0)
    """GPUs of a job."""
    threads: int = Field(4, ge=1)
    """Computing threads of a job, and the cores it asks for."""
    memory_gb: float | None = Field(None, gt=0)
    """Memory of a job; by default the cluster's own choice."""
    setup: tuple[str, ...] = ()
    """Lines of shell that a job begins with, such as ``module load cuda``."""
    workers: int = Field(64, ge=1)
    """Jobs in the queue at the same time."""
    cluster: Literal["slurm", "local", "debug"] = "slurm"
    """``local`` runs jobs as processes here, to try it out; ``debug`` one after the other, inside this process."""


class RayOptions(Options):
    """Options of ``ray``."""

    address: str | None = None
    """The cluster: ``auto`` for the one of this machine, or ``ray://HOST:PORT``; by default Ray finds or starts one."""
    gpus: float | None = Field(None, ge=0)
    """GPUs of a run; by default one, divided by ``per_gpu``, where the cluster has any."""
    per_gpu: int = Field(1, ge=1)
    """Runs at the same time on one GPU."""
    threads: int = Field(1, ge=1)
    """Computing threads of a run, and the CPUs it asks for."""
    retries: int = Field(3, ge=0)
    """How often a run is started again that died with its node."""
    workers: int = Field(64, ge=1)
    """Runs that Ray is given at the same time; it starts as many as there is room for."""

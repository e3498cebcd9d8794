"""Which of several processes this one is, as torchrun or srun tell it. Torch-free."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

from facekit.interfaces import FacekitError


@dataclass(frozen=True)
class Launch:
    """How this process was launched.

    Args:
        rank: which of the processes it is; the first one leads.
        local_rank: which of those on its machine.
        address: ``tcp://host:port`` where they meet; None where torchrun tells torch itself.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    address: str | None = None


def launch() -> Launch:
    """Return how this process was launched: alone, by torchrun (``RANK``, ``WORLD_SIZE``), or by ``srun``.

    What a batch script itself starts is alone, whatever the tasks of its job: only ``srun`` starts several.

    Raises:
        FacekitError: these variables are not what either of them sets.
    """
    given = os.environ
    try:
        if "RANK" in given and "WORLD_SIZE" in given:
            size = int(given["WORLD_SIZE"])
            return Launch(int(given["RANK"]), size, int(given.get("LOCAL_RANK", "0"))) if size > 1 else Launch()
        size = int(given.get("SLURM_STEP_NUM_TASKS", "1"))
        if size == 1 or "SLURM_PROCID" not in given:
            return Launch()
        # node[01-03,07],other: the first task runs on the first node.
        name, digits = re.match(r"([^,\[]+)(?:\[([^,\-\]]+))?", given["SLURM_STEP_NODELIST"]).groups("")  # type: ignore[union-attr]
        host = given.get("MASTER_ADDR", name + digits)
        port = given.get("MASTER_PORT", str(20_000 + int(given.get("SLURM_JOB_ID", "0")) % 20_000))
        return Launch(int(given["SLURM_PROCID"]), size, int(given["SLURM_LOCALID"]), f"tcp://{host}:{port}")
    except (KeyError, ValueError, AttributeError) as error:
        raise FacekitError(
            f"the environment does not say which of several processes this is: {error}",
            remedy="start it with torchrun or srun, or unset RANK, WORLD_SIZE and the variables SLURM_*",
        ) from error

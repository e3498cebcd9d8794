"""Memory of the process: how much it holds, and whether freed memory is kept for the next step or given back."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Mapping
from pathlib import Path

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD, _M_MMAP_MAX = -1, -2, -3, -4
"""Numbers of glibc's ``mallopt``."""

_KEEP = {_M_MMAP_MAX: 0, _M_TRIM_THRESHOLD: 2**31 - 1, _M_TOP_PAD: 64 << 20}
_GIVE_BACK = {_M_MMAP_MAX: 65536, _M_MMAP_THRESHOLD: 256 << 10, _M_TRIM_THRESHOLD: 1 << 20, _M_TOP_PAD: 0}


def keep_freed_memory() -> bool:
    """Let the C library keep freed memory for the next allocation; return whether it does.

    glibc gives large blocks back to the system as soon as they are freed. A training step on the CPU frees and takes
    every feature map anew, and the system fills each of its pages with zeros first, which takes longer than most passes
    over the map. The peak grows a little, since freed blocks do not always fit the next ones. The setting holds for the
    rest of the process, or until :func:`give_freed_memory_back`. Other C libraries are left as they are.
    """
    return _set_up(_KEEP)


def give_freed_memory_back() -> bool:
    """Let the C library give every larger block back to the system when it is freed; return whether it does.

    Left alone, glibc raises the size from which it does so to that of the feature maps, and freed ones stay between
    blocks that are in use: hundreds of megabytes at 256 pixels.
    """
    done = _set_up(_GIVE_BACK)
    if done:
        ctypes.CDLL(None).malloc_trim(0)  # what was kept before would be used first
    return done


def _set_up(settings: Mapping[int, int]) -> bool:
    if sys.platform != "linux":
        return False
    library = ctypes.CDLL(None)
    if not hasattr(library, "gnu_get_libc_version"):
        return False
    return all(library.mallopt(number, value) == 1 for number, value in settings.items())


def process_memory() -> int:
    """Return the bytes that this process holds now; 0 on systems other than Linux, which do not say it in a file."""
    if sys.platform != "linux":
        return 0
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def available_memory() -> int | None:
    """Return the bytes that this process could take now: what the system has free, within the limit of its control
    group (a container's); None where the system does not say it in a file."""
    if sys.platform != "linux":
        return None
    lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    free = {name: int(rest.split()[0]) * 1024 for name, _, rest in (line.partition(":") for line in lines)}
    found = free.get("MemAvailable")
    limit, used = (Path("/sys/fs/cgroup") / name for name in ("memory.max", "memory.current"))
    if found is None or not limit.is_file() or not used.is_file():
        return found
    allowed = limit.read_text(encoding="ascii").strip()
    return found if allowed == "max" else min(found, max(0, int(allowed) - int(used.read_text(encoding="ascii"))))

"""Memory of the process: how much it holds, and keeping it for the next step rather than giving it back."""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4
"""Numbers of glibc's ``mallopt``."""

_NEVER = 2**31 - 1
_GROWTH = 64 << 20


def keep_freed_memory() -> bool:
    """Let the C library keep freed memory for the next allocation; return whether it does.

    glibc gives large blocks back to the system as soon as they are freed. A training step on the CPU frees and takes
    every feature map anew, and the system fills each of its pages with zeros first, which takes longer than most passes
    over the map. The peak grows a little, since freed blocks do not always fit the next ones. The setting holds for the
    rest of the process. Other C libraries are left as they are.
    """
    if sys.platform != "linux":
        return False
    library = ctypes.CDLL(None)
    if not hasattr(library, "gnu_get_libc_version"):
        return False
    settings = ((_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, _NEVER), (_M_TOP_PAD, _GROWTH))
    return all(library.mallopt(number, value) == 1 for number, value in settings)


def process_memory() -> int:
    """Return the bytes that this process holds now; 0 on systems other than Linux, which do not say it in a file."""
    if sys.platform != "linux":
        return 0
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")

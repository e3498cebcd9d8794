"""Parts of networks that may be computed again in the backward pass.

Networks call such parts by their attribute ``recompute``. It is :func:`plainly` until somebody who would rather compute
them twice than keep what they compute on the way puts something else there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def plainly(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function."""
    return function(*arguments)

"""Sizes in words."""

from __future__ import annotations


def spoken_bytes(count: float) -> str:
    """Return a size as people say it: ``3.72 GiB``."""
    for unit in ("B", "KiB", "MiB"):
        if count < 999.5:  # from there on three digits would read 1e+03
            return f"{count:.3g} {unit}"
        count /= 1024
    return f"{count:.3g} GiB" if count < 999.5 else f"{count:,.0f} GiB"

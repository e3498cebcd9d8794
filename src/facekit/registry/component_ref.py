"""How a recipe names a component: ``name`` or ``namespace/name``, and the version it was written for, ``name@2``."""

from __future__ import annotations

import re

from facekit.interfaces import FacekitError

_VERSION = re.compile(r"[1-9][0-9]{0,8}")


def split_use(use: str) -> tuple[str, int | None]:
    """Return the name of a ``use:`` and the version of the component it is written for; None where it says none.

    Raises:
        FacekitError: what follows the ``@`` is no version.
    """
    name, at, version = use.partition("@")
    if not at:
        return use, None
    if not _VERSION.fullmatch(version):
        raise FacekitError(
            f"{version!r} is no version of a component",
            remedy=f"after the @ stands a whole number: {name}@1" if name else "write the component's name",
        )
    return name, int(version)


def join_use(name: str, version: int) -> str:
    """Return a name and a version as a ``use:``."""
    return f"{name}@{version}"


def name_of_use(use: str) -> str:
    """Return the name of a ``use:`` alone, whatever follows its ``@``: for people, and to compare two of them."""
    return use.partition("@")[0]

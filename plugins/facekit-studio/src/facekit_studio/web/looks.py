"""Looks as the page asks for them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from facekit_studio.web.faces import Face
from facekit_studio.web.requests import Look


@dataclass(frozen=True)
class WantedBlend:
    """Part of the way to another face's look.

    Args:
        face: the face.
        amount: how far, 0 to 1.
        regions: the classes that go there; none for all.
    """

    face: Face
    amount: float
    regions: tuple[str, ...] = ()


@dataclass(frozen=True)
class WantedLook:
    """Whose style an image takes.

    Args:
        face: a face.
        blends: other faces, and how far it goes to the look of each, one after another.
    """

    face: Face
    blends: tuple[WantedBlend, ...] = ()

    def regions_for(self, face: Face) -> list[tuple[str, ...]]:
        """Return the regions of a face that each part of the look changes; an empty tuple stands for all of them."""
        changed = [blend.regions for blend in self.blends]
        return changed if changed and self.face.identity == face.identity else [*changed, ()]


def wanted_look(look: Look, face_of: Callable[[str], Face]) -> WantedLook:
    """Return a look of a request; ``face_of`` gives the face of an identity."""
    blends = (WantedBlend(face_of(each.face), each.amount, tuple(each.regions)) for each in look.blends)
    return WantedLook(face_of(look.face), tuple(blends))

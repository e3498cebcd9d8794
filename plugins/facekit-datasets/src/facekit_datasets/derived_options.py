"""The options of attributes that are read off masks and photos. Imports no numpy: recipes are checked by it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from facekit.faces import TINTED_GLASSES, ShownAttribute
from facekit.interfaces import Options

Share = Annotated[float, Field(ge=0, lt=1)]


class DerivedOptions(Options):
    """Options of datasets with masks that can read attributes off them."""

    mask_attributes: dict[ShownAttribute, Share] = Field(default_factory=dict)
    """Attributes that are read off the masks, in place of the attribute file's column where it has one. Each holds
    where its class (``eye_g``, ``mouth``, ``ear_r``, ``hat``, ``neck_l``) covers more than this share of the image:
    ``{Mouth_Slightly_Open: 0.004}``. None by default, since people see more than a mask shows."""
    tinted_glasses: bool = False
    """Give the attribute ``Tinted_Glasses``: the photo shows that lenses hide the skin behind them. Masks have one
    class for clear and tinted glasses."""

    @property
    def derived_names(self) -> tuple[str, ...]:
        """The attributes that are read off masks and photos."""
        return (*self.mask_attributes, *((TINTED_GLASSES,) if self.tinted_glasses else ()))

    def require_derived(self, chosen: Sequence[str] | None) -> None:
        """Raise ValueError where attributes are to be read off masks, but others are chosen."""
        unused = [name for name in self.derived_names if chosen is not None and name not in chosen]
        if unused:
            raise ValueError(f"{', '.join(unused)} would be read off the masks, but `attributes` does not name it")

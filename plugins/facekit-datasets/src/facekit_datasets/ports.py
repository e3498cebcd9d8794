"""The ports that every dataset of this plugin has."""

from __future__ import annotations

from dataclasses import replace

from facekit.interfaces import ATTRIBUTES, IMAGE, MASK, Port, Ports


def dataset_ports(*, classes: int | None, attributes: int | None) -> Ports:
    """Return the ports of a dataset.

    Args:
        classes: how many classes its masks have; 0 for photos without masks, None where only the files can tell.
        attributes: how many attributes it has; 0 for none, None where only the files can tell.
    """
    gives: list[Port] = [IMAGE]
    if classes is None:
        gives.append(MASK)
    elif classes:
        gives.append(replace(MASK, classes=classes))
    if attributes is None:
        gives.append(ATTRIBUTES)
    elif attributes:
        gives.append(replace(ATTRIBUTES, shape=("batch", attributes)))
    return Ports(gives=tuple(gives))

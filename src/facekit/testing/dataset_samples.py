"""Single samples of a dataset, and what is promised of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from facekit.data.extras import extra_problems, mirrored_extra
from facekit.interfaces import (
    ATTRIBUTES,
    IMAGE,
    MASK,
    FaceDataset,
    FacekitError,
    FaceSample,
    MirrorsExtra,
    Port,
    Ports,
    Repairs,
)
from facekit.testing.contract import BrokenPromise

if TYPE_CHECKING:
    from numpy.typing import NDArray

_DTYPES = {"float": ("float32",), "class_ids": ("int64", "int32", "uint8"), "binary": ("bool", "float32")}
"""What arrays may be made of, by the dtype of their port."""

_TOLERANCE = 1e-4
"""How far an array that was mirrored twice may be off, as a share of its largest number."""


def check_sample(dataset: FaceDataset, row: int, *, masks: bool) -> None:
    """Check photo, mask and attributes of a sample. Raises BrokenPromise."""
    sample = dataset.read(row)
    wrong: list[str] = []
    image, mask = sample.image, sample.mask
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        wrong.append(f"the photo is {image.dtype} {image.shape}, not uint8 (H, W, 3)")
    if mask is None:
        if masks:
            wrong.append("it has no mask, and the ports give one")
    elif not masks:
        wrong.append("it has a mask, and the ports give none")
    elif mask.dtype != np.uint8 or mask.ndim != 2:
        wrong.append(f"the mask is {mask.dtype} {mask.shape}, not uint8 (h, w)")
    elif int(mask.max()) >= len(dataset.label_map):
        wrong.append(f"the mask holds the id {int(mask.max())}, and there are {len(dataset.label_map)} classes")
    elif abs(image.shape[1] * mask.shape[0] - image.shape[0] * mask.shape[1]) > max(*image.shape, *mask.shape):
        wrong.append(f"photo {image.shape[:2]} and mask {mask.shape} differ in aspect")
    names, attributes = dataset.attribute_names, sample.attributes
    if attributes is None:
        if names:
            wrong.append("it has no attributes")
    elif attributes.dtype != np.bool_ or attributes.shape != (len(names),):
        wrong.append(f"its attributes are {attributes.dtype} {attributes.shape}, not bool ({len(names)},)")
    may_repair = dataset.repair_names if isinstance(dataset, Repairs) else ()
    if unknown := [name for name in sample.repairs if name not in may_repair]:
        wrong.append(f"its repairs {unknown} are not among the dataset's repair_names {may_repair}")
    if wrong:
        raise BrokenPromise(f"sample {row}: {'; '.join(wrong)}", "correct read(), or the label map")


def equal_samples(first: FaceSample, second: FaceSample) -> bool:
    """Return whether two samples hold the same."""

    def arrays(sample: FaceSample) -> dict[str, NDArray[Any]]:
        own = {"image": sample.image, "mask": sample.mask, "attributes": sample.attributes}
        extra = {f"extra.{name}": array for name, array in sample.extra.items()}
        return {name: array for name, array in {**own, **extra}.items() if array is not None}

    one, other = arrays(first), arrays(second)
    return one.keys() == other.keys() and all(np.array_equal(array, other[name]) for name, array in one.items())


def check_extra(dataset: FaceDataset, ports: Ports, *, size: int, rows: Iterable[int]) -> None:
    """Check the further arrays of samples, read at a size. Raises BrokenPromise."""
    settled = _settled(dataset, size)
    for row in rows:
        sample = dataset.read(row, size=size)
        if problems := [*extra_problems(sample), *_port_problems(sample.extra, ports, settled)]:
            raise BrokenPromise(f"sample {row}: {'; '.join(problems)}", "correct read(), or the ports")


def check_mirrored_extra(dataset: FaceDataset, ports: Ports, *, size: int, rows: Iterable[int]) -> None:
    """Check what a dataset mirrors its further arrays to. Raises BrokenPromise."""
    if not isinstance(dataset, MirrorsExtra):
        return
    settled = _settled(dataset, size)
    for row in rows:
        extra = dataset.read(row, size=size).extra
        if not extra:
            continue
        try:
            once = mirrored_extra(dataset, extra)
            twice = mirrored_extra(dataset, once)
        except FacekitError as error:
            raise BrokenPromise(f"sample {row}: {error.message}", "correct mirror_extra()") from error
        problems = [f"mirrored, {problem}" for problem in _port_problems(once, ports, settled)]
        for name, array in extra.items():
            scale = max(1.0, float(np.abs(array.astype(np.float64)).max()))
            off = float(np.abs(twice[name].astype(np.float64) - array.astype(np.float64)).max())
            if off > (_TOLERANCE * scale if array.dtype.kind == "f" else 0):
                problems.append(f"`{name}` is off by {off:.3g} after mirroring twice")
        if problems:
            raise BrokenPromise(
                f"sample {row}: {'; '.join(problems)}",
                "mirror left to right: negate or flip what is horizontal, and exchange left and right entries",
            )


def _settled(dataset: FaceDataset, size: int) -> dict[str, int]:
    """Return the numbers behind the names of dimensions; others are settled by the first array that has them."""
    return {"size": size, "classes": len(dataset.label_map), "attributes": len(dataset.attribute_names)}


def _port_problems(extra: Mapping[str, NDArray[Any]], ports: Ports, settled: dict[str, int]) -> list[str]:
    """Return how the further arrays of a sample differ from the ports; new dimensions are written into ``settled``."""
    fields = {IMAGE.name, MASK.name, ATTRIBUTES.name}
    declared = {port.name: port for port in ports.gives if port.name not in fields}
    problems = [f"the ports give `{name}`, and `extra` holds no such array" for name in declared if name not in extra]
    problems += [f"`extra` holds `{name}`, and the ports do not give it" for name in extra if name not in declared]
    for name, port in declared.items():
        if name in extra:
            problems += _array_problems(port, extra[name], settled)
    return problems


def _array_problems(port: Port, array: NDArray[Any], settled: dict[str, int]) -> list[str]:
    if port.shape[:1] != ("batch",):
        return [f"the port `{port.name}` does not begin with the dimension 'batch'"]
    if port.dtype not in _DTYPES:
        return [f"the port `{port.name}` is of {port.dtype}, which a dataset cannot give"]
    problems = []
    wanted: list[int | str] = list(port.shape[1:])
    if len(array.shape) == len(wanted):
        sides = zip(wanted, array.shape, strict=True)
        wanted = [settled.setdefault(side, found) if isinstance(side, str) else side for side, found in sides]
    if list(array.shape) != wanted:
        problems.append(f"`{port.name}` has the shape {array.shape}, and its port says {tuple(wanted)}")
    if array.dtype.name not in _DTYPES[port.dtype]:
        allowed = " or ".join(_DTYPES[port.dtype])
        problems.append(f"`{port.name}` is {array.dtype.name}, and arrays of a port of {port.dtype} are {allowed}")
    low, high = port.value_range or (-float("inf"), float("inf"))
    if port.dtype == "class_ids":
        classes = settled.get(port.classes) if isinstance(port.classes, str) else port.classes
        low, high = 0.0, float("inf") if classes is None else float(classes - 1)
    smallest, largest = float(array.min()), float(array.max())
    if smallest < low or largest > high:
        found = f"[{smallest:g}, {largest:g}]"
        problems.append(f"`{port.name}` is in {found}, and its port says [{low:g}, {high:g}]")
    elif port.dtype == "binary" and not bool(np.isin(array, (0, 1)).all()):
        problems.append(f"`{port.name}` holds other numbers than 0 and 1, and its port is binary")
    return problems

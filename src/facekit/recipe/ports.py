"""The second stage of validation: what the parts of a recipe need and give fits together.

Ports are joined by name. Equal names of dimensions stand for equal numbers across the whole recipe, so joining is
unification: two dimensions that meet become one, and one that becomes two numbers is a mistake that names both sides.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from facekit.interfaces import SAMPLER, FacekitError, Player, Port, PortContext, Ports, did_you_mean
from facekit.interfaces import ports as standard_ports
from facekit.interfaces.ports import Dimension
from facekit.recipe.nodes import MapNode, key_mark_at, mark_at
from facekit.recipe.problems import Problems
from facekit.recipe.resolved import AugmentationChoice, ComponentChoice, LossChoice, Mark, ModelChoice
from facekit.registry import Registry

FREE = "batch"
"""The one dimension that no port settles: a component works with any batch above its smallest."""

# Of ports of one name the first says the shape: that of a style vector, not of any style.
_STANDARD = {port.name: port for port in reversed(list(vars(standard_ports).values())) if isinstance(port, Port)}

_USUAL_GIVERS = {
    "image": "a dataset gives it",
    "mask": "a dataset with masks gives it",
    "attributes": "a dataset with attributes gives it",
    "reference.image": "a dataset gives it",
    "reference.mask": "a dataset with masks gives it",
    "style": "add a model.style_encoder",
    "generated": "a generator gives it",
    "hole": "a dataset of windows gives it: data.windows: {}",
    "generated.pyramid": "a generator that gives several scales gives it",
    "discriminated": "add a model.discriminator",
    "discriminated.features": "add a model.discriminator that shows its feature maps",
    "discriminated.class_logits": "add a model.discriminator that also classifies attributes",
}


@dataclass(frozen=True)
class _Part:
    """A component of the recipe with its ports."""

    title: str
    choice: ComponentChoice
    ports: Ports


@dataclass(frozen=True)
class _Claim:
    """Where a number comes from: a part's port, or a setting of the core (then ``part`` and ``port`` are None)."""

    number: int
    mark: Mark
    part: _Part | None = None
    port: Port | None = None
    gives: bool = False


def resolve_dimensions(
    root: MapNode,
    *,
    registry: Registry,
    dataset: ComponentChoice,
    model: ModelChoice,
    losses: tuple[LossChoice, ...],
    metrics: tuple[ComponentChoice, ...],
    augmentation: AugmentationChoice | None = None,
    size: int,
    batch: int,
    problems: Problems,
) -> dict[str, int]:
    """Join all ports of a recipe, and return the numbers behind the named dimensions.

    Args:
        root: the recipe, which knows where each value was written.
        registry: offers the label maps.
        dataset: the dataset.
        model: the parts of the model.
        losses: the losses.
        metrics: the metrics.
        augmentation: what stands in front of discriminators; None for nothing.
        size: picture side in pixels.
        batch: photos a step.
        problems: collects what does not fit.
    """
    nowhere = Mark("", 0, 0, "")
    size_mark, batch_mark = (mark_at(root, place, nowhere) for place in (("data", "size"), ("train", "batch")))
    parts: list[_Part] = []

    def add(title: str, choice: ComponentChoice, player: Player | None = None) -> None:
        ports = _ports_of(title, choice, PortContext(size, registry.label_maps, player), root, problems)
        if ports is not None:
            parts.append(_Part(title, choice, ports))

    add("the dataset", dataset)
    # The sampler first: what it gives is the recipe's, though a network that it calls gives the same.
    for name, choice in sorted(model.components(), key=lambda entry: entry[0] != SAMPLER):
        add(f"the {name.replace('_', ' ')}", choice)
    for loss in losses:
        add(f"the {loss.player}'s loss", loss.choice, loss.player)
    for metric in metrics:
        add("the metric", metric)
    if augmentation is not None:
        add("the augmentation", augmentation.choice)

    join = _Join(problems, size, dataset.mark if size_mark is nowhere else size_mark)
    for part in parts:
        join.give(part)
    if not problems.found:  # a part without ports would make others seem to lack something
        for part in parts:
            join.take(part)
        join.tell_missing()
    for part in parts:
        _check_size(part, size, part.choice.mark if size_mark is nowhere else size_mark, problems)
        if batch < part.ports.smallest_batch:
            problems.add(
                f"{_named(part)} ({part.choice.mark.short}) needs at least {part.ports.smallest_batch} photos a step, "
                f"found {batch}",
                part.choice.mark if batch_mark is nowhere else batch_mark,
                "train.batch",
            )
    return join.dimensions()


class _Join:
    """Unifies the dimensions of ports as they are joined."""

    def __init__(self, problems: Problems, size: int, size_mark: Mark) -> None:
        self._problems = problems
        self._given: dict[str, tuple[_Part, Port]] = {}
        self._parents: dict[str, str] = {}
        self._claims: dict[str, _Claim] = {"size": _Claim(size, size_mark)}
        self._missing: dict[str, list[_Part]] = {}

    def give(self, part: _Part) -> None:
        """Take note of what a part gives."""
        for port in part.ports.gives:
            if port.name in self._given:
                other, _ = self._given[port.name]
                if other.choice.component.spec.kind == SAMPLER:
                    continue
                self._problems.add(
                    f"{_named(part)} gives `{port.name}`, and so does {_named(other)} ({other.choice.mark.short})",
                    part.choice.mark,
                    part.choice.path,
                )
                continue
            self._given[port.name] = (part, port)
            if part.choice.component.spec.kind == "dataset" and port.name in ("image", "mask"):
                # The reference of a face is drawn from its own photo.
                self._given[f"reference.{port.name}"] = (part, replace(port, name=f"reference.{port.name}"))
            standard = _STANDARD.get(port.name)
            if standard is not None and len(standard.shape) == len(port.shape):
                # So that "style" and "classes" have a number even where every port writes it out.
                for index, dimension in enumerate(standard.shape):
                    if isinstance(dimension, str):
                        self._unify(dimension, port.shape[index], None, (part, port), index)
            if standard is not None and standard.classes is not None and port.classes is not None:
                self._unify(standard.classes, port.classes, None, (part, port), -1)

    def take(self, part: _Part) -> None:
        """Join what a part needs to what gives it."""
        for need in part.ports.needs:
            if need.dtype == "noise":
                # The engine draws it, once for all that need noise of this name; the first of them says its shape.
                self._given.setdefault(need.name, (part, need))
            given = self._given.get(need.name)
            if given is None:
                if not need.optional:
                    self._missing.setdefault(need.name, []).append(part)
                continue
            self._fit(part, need, *given)

    def tell_missing(self) -> None:
        """Tell of what parts need and nothing gives: each thing once, at the first part that needs it."""
        for name, (first, *others) in self._missing.items():
            also = f" ({', '.join(other.choice.path for other in others)} too)" if others else ""
            self._problems.add(
                f"{_named(first)} needs `{name}`{also}, and nothing in this recipe gives it",
                first.choice.mark,
                first.choice.path,
                _USUAL_GIVERS.get(name) or did_you_mean(name, self._given) or f"given here: {', '.join(self._given)}",
            )

    def dimensions(self) -> dict[str, int]:
        """Return the numbers behind the names."""
        names = {name for name in (*self._parents, *self._claims) if name != FREE}
        numbers = {name: self._claims.get(self._root(name)) for name in names}
        return {name: claim.number for name, claim in sorted(numbers.items()) if claim is not None}

    def _fit(self, part: _Part, need: Port, giver: _Part, given: Port) -> None:
        if len(need.shape) != len(given.shape) and not (need.leading or given.leading):
            self._conflict(part, need, giver, given, f"of shape {_shape(need)}", f"one of shape {_shape(given)}")
            return
        if need.dtype != given.dtype and (need.dtype, given.dtype) != ("float", "binary"):
            self._conflict(part, need, giver, given, f"of {_dtype(need)}", _dtype(given))
            return
        if need.value_range and given.value_range and need.value_range != given.value_range:
            self._conflict(part, need, giver, given, f"in {_range(need)}", f"it in {_range(given)}")
        for index, (wanted, offered) in enumerate(zip(need.shape, given.shape)):
            self._unify(wanted, offered, (part, need), (giver, given), index)
        if need.classes is not None and given.classes is not None:
            self._unify(need.classes, given.classes, (part, need), (giver, given), -1)

    def _unify(
        self,
        wanted: Dimension,
        offered: Dimension,
        need: tuple[_Part, Port] | None,
        given: tuple[_Part, Port],
        index: int,
    ) -> None:
        """Make two dimensions one. ``index`` is the position in the shape, or -1 for the number of classes."""
        if FREE in (wanted, offered):
            return
        left = self._claim_of(wanted, need, False)
        right = self._claim_of(offered, given, given[1].dtype != "noise")
        if left is not None and right is not None and left.number != right.number:
            # At the part that needs it, naming both sides.
            here, other = (right, left) if left.part is None and right.part is not None else (left, right)
            place = (here.part or (need or given)[0]).choice
            self._problems.add(f"{_says(here, index)}, {_says(other, index)}", place.mark, place.path)
            return
        claim = left if left is not None and left.part is not None else right if right is not None else left
        names = [self._root(name) for name in (wanted, offered) if isinstance(name, str)]
        if len(names) == 2 and names[0] != names[1]:
            self._parents[names[1]] = names[0]
        if claim is not None and names:
            self._claims.setdefault(names[0], claim)

    def _claim_of(self, dimension: Dimension, owner: tuple[_Part, Port] | None, gives: bool) -> _Claim | None:
        if isinstance(dimension, str):
            return self._claims.get(self._root(dimension))
        return None if owner is None else _Claim(dimension, owner[0].choice.mark, *owner, gives)

    def _root(self, name: str) -> str:
        self._parents.setdefault(name, name)
        while self._parents[name] != name:
            name = self._parents[name]
        return name

    def _conflict(self, part: _Part, need: Port, giver: _Part, given: Port, wanted: str, offered: str) -> None:
        self._problems.add(
            f"{_named(part)} needs `{need.name}` {wanted} ({part.choice.mark.short}), "
            f"{_named(giver)} {'needs' if given.dtype == 'noise' else 'gives'} {offered} ({giver.choice.mark.short})",
            part.choice.mark,
            part.choice.path,
        )


def _ports_of(
    title: str, choice: ComponentChoice, context: PortContext, root: MapNode, problems: Problems
) -> Ports | None:
    spec = choice.component.spec
    try:
        ports = spec.ports(choice.options, context)
    except FacekitError as error:
        # A component that names one of its options as the place is shown there.
        path = f"{choice.path}.{error.where}" if error.where else choice.path
        mark = key_mark_at(root, path) if error.where else None
        problems.add(error.message, mark or choice.mark, path, error.remedy)
        return None
    except Exception as error:  # the plugin's code
        what = f"cannot work out what it needs and gives: {type(error).__name__}: {error}"
    else:
        if isinstance(ports, Ports):
            return ports
        what = f"describes what it needs and gives as {type(ports).__name__}, not as Ports"
    blame = f"it comes from {choice.component.origin}"
    problems.add(f"{title} {spec.name!r} {what}", choice.mark, choice.path, blame)
    return None


def _check_size(part: _Part, size: int, mark: Mark, problems: Problems) -> None:
    line = f" ({part.choice.mark.short})"
    if size < part.ports.smallest_size:
        problems.add(f"{_named(part)}{line} needs at least {part.ports.smallest_size}, found {size}", mark, "data.size")
    step = part.ports.size_multiple
    if size % step:
        below, above = size // step * step, (size // step + 1) * step
        near = f"{below} or {above}" if below >= max(part.ports.smallest_size, 1) else str(above)
        message = f"{_named(part)}{line} needs a multiple of {step}, found {size}"
        problems.add(message, mark, "data.size", f"try {near}")


def _named(part: _Part) -> str:
    return f"{part.title} {part.choice.component.spec.name!r}"


def _says(claim: _Claim, index: int) -> str:
    if claim.part is None or claim.port is None:
        return f"data.size is {claim.number} ({claim.mark.short})"
    verb = "gives" if claim.gives else "needs"
    name, number = claim.port.name, claim.number
    if index == -1:
        thing = f"`{name}` with {number} classes"
    elif name == "style" and index == len(claim.port.shape) - 1:
        thing = f"a style of {number} numbers"
    elif name == "attributes" and index == 1:
        thing = f"{number} attributes"
    else:
        thing = f"`{name}` with {number} as dimension {index + 1} of {_shape(claim.port)}"
    return f"{_named(claim.part)} {verb} {thing} ({claim.mark.short})"


def _shape(port: Port) -> str:
    return f"({', '.join(str(dimension) for dimension in port.shape)}{', ...' if port.leading else ''})"


def _range(port: Port) -> str:
    assert port.value_range is not None
    return f"[{port.value_range[0]:g}, {port.value_range[1]:g}]"


def _dtype(port: Port) -> str:
    return {"float": "real numbers", "class_ids": "class ids", "binary": "zeros and ones", "noise": "noise"}[port.dtype]

"""The second stage of validation: what the parts of a recipe need and give fits together.

Ports are joined by name. Equal names of dimensions stand for equal numbers across the whole recipe, so joining is
unification: two dimensions that meet become one, and one that becomes two numbers is a mistake that names both sides.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from facekit.interfaces import SAMPLER, FacekitError, Player, Port, PortContext, Ports, did_you_mean
from facekit.interfaces import ports as standard_ports
from facekit.interfaces.ports import Dimension
from facekit.recipe.nodes import MapNode, entry_at, mark_at
from facekit.recipe.problems import Problems
from facekit.recipe.resolved import ComponentChoice, Mark, ResolvedRecipe
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

_DTYPES = {"float": "real numbers", "class_ids": "class ids", "binary": "zeros and ones", "noise": "noise"}


@dataclass(frozen=True)
class _Part:
    """A component of the recipe with its ports."""

    title: str
    choice: ComponentChoice
    ports: Ports

    def __str__(self) -> str:
        return f"{self.title} {self.choice.component.spec.name!r}"

    @property
    def line(self) -> str:
        return f"({self.choice.mark.short})"


@dataclass(frozen=True)
class _Claim:
    """Where a number comes from: a part's port, or a setting of the core (then ``part`` and ``port`` are None)."""

    number: int
    mark: Mark
    part: _Part | None = None
    port: Port | None = None
    gives: bool = False

    def says(self, index: int) -> str:
        """Return the claim as a sentence; ``index`` is the position in the shape, or -1 for the number of classes."""
        if self.part is None or self.port is None:
            return f"data.size is {self.number} ({self.mark.short})"
        name, number = self.port.name, self.number
        if index == -1:
            thing = f"`{name}` with {number} classes"
        elif name == "style" and index == len(self.port.shape) - 1:
            thing = f"a style of {number} numbers"
        elif name == "attributes" and index == 1:
            thing = f"{number} attributes"
        else:
            thing = f"`{name}` with {number} as dimension {index + 1} of {_shape(self.port)}"
        return f"{self.part} {'gives' if self.gives else 'needs'} {thing} ({self.mark.short})"


def resolve_dimensions(
    root: MapNode, recipe: ResolvedRecipe, *, registry: Registry, problems: Problems
) -> dict[str, int]:
    """Join all ports of a recipe, and return the numbers behind the named dimensions.

    ``root`` is the recipe as a tree, which knows where each value was written; ``problems`` collects what does not fit.
    """
    size, batch = recipe.data.size, recipe.train.batch
    named: list[tuple[str, ComponentChoice, Player | None]] = [("the dataset", recipe.dataset, None)]
    # The sampler first: what it gives is the recipe's, though a network that it calls gives the same.
    for name, choice in sorted(recipe.model.components(), key=lambda entry: entry[0] != SAMPLER):
        named.append((f"the {name.replace('_', ' ')}", choice, None))
    named += [(f"the {loss.player}'s loss", loss.choice, loss.player) for loss in recipe.losses]
    named += [("the metric", metric, None) for metric in recipe.metrics]
    if recipe.augmentation is not None:
        named.append(("the augmentation", recipe.augmentation.choice, None))
    parts: list[_Part] = []
    for title, choice, player in named:
        ports = _ports_of(title, choice, PortContext(size, registry.label_maps, player), root, problems)
        parts += [] if ports is None else [_Part(title, choice, ports)]

    join = _Join(problems, {"size": _Claim(size, mark_at(root, ("data", "size"), recipe.dataset.mark))})
    for part in parts:
        join.give(part)
    if not problems.found:  # a part without ports would make others seem to lack something
        join.take(parts)
    for part in parts:
        ports, size_mark = part.ports, mark_at(root, ("data", "size"), part.choice.mark)
        if size < ports.smallest_size:
            message = f"{part} {part.line} needs at least {ports.smallest_size}, found {size}"
            problems.add(message, size_mark, "data.size")
        step = ports.size_multiple
        if size % step:
            below, above = size // step * step, (size // step + 1) * step
            near = f"{below} or {above}" if below >= max(ports.smallest_size, 1) else str(above)
            message = f"{part} {part.line} needs a multiple of {step}, found {size}"
            problems.add(message, size_mark, "data.size", f"try {near}")
        if batch < ports.smallest_batch:
            message = f"{part} {part.line} needs at least {ports.smallest_batch} photos a step, found {batch}"
            problems.add(message, mark_at(root, ("train", "batch"), part.choice.mark), "train.batch")
    claims = {name: join.claims.get(join.root(name)) for name in sorted({*join.parents, *join.claims} - {FREE})}
    return {name: claim.number for name, claim in claims.items() if claim is not None}


@dataclass
class _Join:
    """Unifies the dimensions of ports as they are joined: ``claims`` are the numbers behind the names so far."""

    problems: Problems
    claims: dict[str, _Claim]
    given: dict[str, tuple[_Part, Port]] = field(default_factory=dict)
    parents: dict[str, str] = field(default_factory=dict)

    def give(self, part: _Part) -> None:
        """Take note of what a part gives."""
        for port in part.ports.gives:
            if port.name in self.given:
                other, _ = self.given[port.name]
                if other.choice.component.spec.kind != SAMPLER:
                    message = f"{part} gives `{port.name}`, and so does {other} {other.line}"
                    self.problems.add(message, part.choice.mark, part.choice.path)
                continue
            self.given[port.name] = (part, port)
            if part.choice.component.spec.kind == "dataset" and port.name in ("image", "mask"):
                # The reference of a face is drawn from its own photo.
                self.given[f"reference.{port.name}"] = (part, replace(port, name=f"reference.{port.name}"))
            standard = _STANDARD.get(port.name)
            if standard is not None and len(standard.shape) == len(port.shape):
                # So that "style" and "classes" have a number even where every port writes it out.
                for index, dimension in enumerate(standard.shape):
                    if isinstance(dimension, str):
                        self._unify(dimension, port.shape[index], None, (part, port), index)
            if standard is not None and standard.classes is not None and port.classes is not None:
                self._unify(standard.classes, port.classes, None, (part, port), -1)

    def take(self, parts: Sequence[_Part]) -> None:
        """Join what parts need to what gives it; what nothing gives is told once, at the first part that needs it."""
        missing: dict[str, list[_Part]] = {}
        for part, need in ((each, need) for each in parts for need in each.ports.needs):
            if need.dtype == "noise":
                # The engine draws it, once for all that need noise of this name; the first of them says its shape.
                self.given.setdefault(need.name, (part, need))
            if need.name not in self.given:
                if not need.optional:
                    missing.setdefault(need.name, []).append(part)
                continue
            giver, given = self.given[need.name]
            differ: tuple[str, str] | None = None
            fits = len(need.shape) == len(given.shape) or need.leading or given.leading
            if not fits:
                differ = f"of shape {_shape(need)}", f"one of shape {_shape(given)}"
            elif need.dtype != given.dtype and (need.dtype, given.dtype) != ("float", "binary"):
                differ, fits = (f"of {_DTYPES[need.dtype]}", _DTYPES[given.dtype]), False
            elif need.value_range and given.value_range and need.value_range != given.value_range:
                wanted, offered = (f"[{low:g}, {high:g}]" for low, high in (need.value_range, given.value_range))
                differ = f"in {wanted}", f"it in {offered}"
            if differ is not None:
                does = "needs" if given.dtype == "noise" else "gives"
                message = f"{part} needs `{need.name}` {differ[0]} {part.line}, {giver} {does} {differ[1]} {giver.line}"
                self.problems.add(message, part.choice.mark, part.choice.path)
            if not fits:
                continue
            for index, (dimension, other) in enumerate(zip(need.shape, given.shape)):
                self._unify(dimension, other, (part, need), (giver, given), index)
            if need.classes is not None and given.classes is not None:
                self._unify(need.classes, given.classes, (part, need), (giver, given), -1)
        for name, (first, *others) in missing.items():
            whole, dot, _ = name.partition(".")
            if dot and whole in missing:
                continue  # what has no style has no part of one either
            also = f" ({', '.join(other.choice.path for other in others)} too)" if others else ""
            message = f"{first} needs `{name}`{also}, and nothing in this recipe gives it"
            near = did_you_mean(name, self.given) or f"given here: {', '.join(self.given)}"
            self.problems.add(message, first.choice.mark, first.choice.path, _USUAL_GIVERS.get(name) or near)

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
        claims: list[_Claim | None] = []
        for dimension, owner, gives in ((wanted, need, False), (offered, given, given[1].dtype != "noise")):
            claim = self.claims.get(self.root(dimension)) if isinstance(dimension, str) else None
            if isinstance(dimension, int) and owner is not None:
                claim = _Claim(dimension, owner[0].choice.mark, *owner, gives)
            claims.append(claim)
        left, right = claims
        if left is not None and right is not None and left.number != right.number:
            # At the part that needs it, naming both sides.
            here, other = (right, left) if left.part is None and right.part is not None else (left, right)
            place = (here.part or (need or given)[0]).choice
            self.problems.add(f"{here.says(index)}, {other.says(index)}", place.mark, place.path)
            return
        claim = left if left is not None and left.part is not None else right or left
        names = [self.root(name) for name in (wanted, offered) if isinstance(name, str)]
        if len(names) == 2 and names[0] != names[1]:
            self.parents[names[1]] = names[0]
        if claim is not None and names:
            self.claims.setdefault(names[0], claim)

    def root(self, name: str) -> str:
        """Return the name that stands for all that are one with a name."""
        self.parents.setdefault(name, name)
        while self.parents[name] != name:
            name = self.parents[name]
        return name


def _ports_of(
    title: str, choice: ComponentChoice, context: PortContext, root: MapNode, problems: Problems
) -> Ports | None:
    spec = choice.component.spec
    try:
        ports = spec.ports(choice.options, context)
    except FacekitError as error:
        # A component that names one of its options as the place is shown there.
        path = f"{choice.path}.{error.where}" if error.where else choice.path
        keys = [int(position) if position else key for key, position in re.findall(r"([^.\[\]]+)|\[(\d+)\]", path)]
        entry = entry_at(root, keys) if error.where else None
        problems.add(error.message, entry.key_mark if entry else choice.mark, path, error.remedy)
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


def _shape(port: Port) -> str:
    return f"({', '.join(str(dimension) for dimension in port.shape)}{', ...' if port.leading else ''})"

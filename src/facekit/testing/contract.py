"""What every component promises, whatever its kind: the base of the contract classes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar, TypeVar

import pytest
import torch
from pydantic import ValidationError

from facekit.interfaces import BuildContext, FacekitError, LabelClass, LabelMap, Options, PortContext, Ports
from facekit.recipe.dump import dump_document
from facekit.recipe.nodes import plain
from facekit.recipe.problems import Problems
from facekit.recipe.yaml_source import file_marks, parse_yaml
from facekit.registry import ComponentSpec, Kind

Check = TypeVar("Check", bound=Callable[..., None])

_NAMES = (
    *("background", "skin", "nose", "eye_g", "l_eye", "r_eye", "l_brow", "r_brow", "l_ear", "r_ear"),
    *("mouth", "u_lip", "l_lip", "hair", "hat", "ear_r", "neck_l", "neck", "cloth"),
)

BENCH_LABEL_MAP = LabelMap(
    name="bench",
    classes=tuple(
        LabelClass(name, (13 * index % 256, 37 * index % 256, 71 * index % 256)) for index, name in enumerate(_NAMES)
    ),
    mirrored=(("l_eye", "r_eye"), ("l_brow", "r_brow"), ("l_ear", "r_ear")),
    description="The 19 classes most face data has, for contract tests.",
)

BENCH_ATTRIBUTES = ("Eyeglasses", "Smiling")

UNSETTLED_DIMENSION = 8
"""What a named dimension is that neither the ports nor the contract settle."""


class BrokenPromise(AssertionError):
    """A component does not keep what its interface promises.

    Args:
        seen: what was seen instead.
        remedy: what to do.
        promise: the promise, in one sentence; by default that of the check, see :func:`promise`.
    """

    def __init__(self, seen: str, remedy: str, promise: str = "") -> None:
        super().__init__(seen, remedy, promise)
        self.seen = seen
        self.remedy = remedy
        self.promise = promise

    def __str__(self) -> str:
        return f"\n  promise: {self.promise}\n  seen:    {self.seen}\n  to do:   {self.remedy}"


@contextmanager
def promised(promise: str) -> Iterator[None]:
    """Raise BrokenPromise where the component raises anything, of this promise unless the error names one itself."""
    try:
        yield
    except BrokenPromise as error:
        error.promise = error.promise or promise
        raise
    except Exception as error:
        remedy = error.remedy if isinstance(error, FacekitError) and error.remedy else "see the exception above"
        raise BrokenPromise(f"{type(error).__name__}: {error}", remedy, promise) from error


def promise(check: Check) -> Check:
    """Decorate a check: it is of the promise that the first line of its docstring states."""
    text = (check.__doc__ or "").partition("\n")[0].removesuffix(".")
    return promised(text[:1].lower() + text[1:])(check)


def every_form(check: Check) -> Check:
    """Decorate a check that takes the indices of a size and of a batch size: it is called with two of each."""
    check = pytest.mark.parametrize("batch_index", range(2), ids=["small_batch", "large_batch"])(check)
    return pytest.mark.parametrize("size_index", range(2), ids=["small", "large"])(check)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Run with a global random state of its own; afterwards it is what it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


class ComponentContract:
    """The promises that components of all kinds make. Subclass one of the kinds' classes, not this one.

    Everything is set by class attributes; a subclass needs ``spec`` at least.
    """

    kind: ClassVar[Kind]
    """The kind of component the contract is for."""

    spec: ClassVar[ComponentSpec]
    """The component."""
    options: ClassVar[Mapping[str, Any]] = {}
    """Its options, as a recipe writes them: the smallest that show its behaviour. Subclass again for other options."""
    declared_in: ClassVar[str | None] = None
    """The module that declares the spec; found where options or ports have a class or function of their own."""
    label_map: ClassVar[LabelMap] = BENCH_LABEL_MAP
    """The label map of the data."""
    attribute_names: ClassVar[tuple[str, ...]] = BENCH_ATTRIBUTES
    """The attributes of the data."""
    dimensions: ClassVar[Mapping[str, int]] = {}
    """Named dimensions that other components of a recipe would settle, such as ``{"style": 64}``."""
    sizes: ClassVar[tuple[int, ...]] = (32, 64)
    """Image sides to try; none below the component's own smallest, and all multiples it works with."""
    batches: ClassVar[tuple[int, ...]] = (1, 3)
    """Batch sizes to try."""
    player: ClassVar[str | None] = None
    """The player of a loss."""
    seed: ClassVar[int] = 0
    """The seed of weights and inputs."""

    __test__ = False

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        # The classes of facekit.testing are not tests themselves, wherever a test module imports them to.
        cls.__test__ = not cls.__module__.startswith("facekit.testing.")
        if not cls.__test__:
            return
        spec = getattr(cls, "spec", None)
        if not isinstance(spec, ComponentSpec):
            raise TypeError(f"{cls.__name__} needs `spec`, the ComponentSpec of the component it is about")
        if spec.kind != cls.kind:
            raise TypeError(f"{cls.__name__} is a contract for a {cls.kind}, and {spec.id} is a {spec.kind}")

    def validated(self) -> Options:
        """Return the options, checked as a recipe's are."""
        try:
            return self.spec.options.model_validate_json(json.dumps(dict(self.options)), strict=True)
        except ValidationError as error:
            promise = "the contract's own options are valid"
            raise BrokenPromise(str(error), "correct `options`", promise) from error

    def port_context(self, size: int) -> PortContext:
        """Return what ports are computed from beside the options."""
        return PortContext(size=size, label_maps={self.label_map.name: self.label_map}, player=self.player)

    def ports(self, size: int) -> Ports:
        """Return the ports with the contract's options."""
        return self.spec.ports(self.validated(), self.port_context(size))

    def settled(self, size: int, batch: int) -> dict[str, int]:
        """Return the numbers behind the named dimensions of the ports."""
        found = {
            "size": size,
            "batch": batch,
            "classes": len(self.label_map),
            "attributes": len(self.attribute_names),
            **self.dimensions,
        }
        ports = self.ports(size)
        for port in (*ports.needs, *ports.gives):
            for dimension in (*port.shape, port.classes):
                if isinstance(dimension, str):
                    found.setdefault(dimension, UNSETTLED_DIMENSION)
        return found

    def build_context(self, size: int) -> BuildContext:
        """Return what a factory gets beside the options."""
        dimensions = {name: number for name, number in self.settled(size, 1).items() if name not in ("batch", "size")}
        return BuildContext(
            label_map=self.label_map,
            attribute_names=self.attribute_names,
            size=size,
            dimensions=dimensions,
            player=self.player,
        )

    def build(self, size: int, *, seed: int | None = None) -> Any:
        """Build the component; the same seed gives the same first weights."""
        with seeded(self.seed if seed is None else seed), promised("the component can be built from its options"):
            return self.spec.build(self.validated(), self.build_context(size))

    def form(self, size_index: int, batch_index: int, ports: Ports) -> tuple[int, int]:
        """Return one of the sizes, held against what the ports allow, and one of the batch sizes."""
        size = self.sizes[size_index % len(self.sizes)]
        if size < ports.smallest_size or size % ports.size_multiple:
            raise BrokenPromise(
                f"{size} is below {ports.smallest_size}, or no multiple of {ports.size_multiple}",
                "set `sizes` in the contract",
                "the contract tries sizes the component works with",
            )
        return size, self.batches[batch_index % len(self.batches)]

    @promise
    def test_spec_imports_no_torch(self) -> None:
        """What a plugin declares can be read without torch, so that looking around stays fast."""
        names = [self.declared_in] if self.declared_in else []
        names += [self.spec.options.__module__, self.spec.ports.__module__]
        own = [name for name in dict.fromkeys(names) if name and not name.startswith("facekit.")]
        if not own:
            raise BrokenPromise(
                "options and ports are facekit's own, so they do not tell",
                'set `declared_in = "my_plugin.plugin"` in the contract',
                "the contract knows which module declares the component",
            )
        failure = failure_without_torch(
            _DECLARATION,
            own,
            kind=self.spec.kind,
            id=self.spec.id,
            options=dict(self.options),
            size=self.sizes[0],
            player=self.player,
        )
        if failure:
            raise BrokenPromise(
                f"{', '.join(own)} failed where torch cannot be imported: {failure}",
                "import torch only in the module of the factory, which is imported when the component is built",
            )

    @promise
    def test_options_round_trip(self) -> None:
        """Options read back from a run's recipe are the options that were given, and every one of them is explained."""
        options, kind = self.validated(), self.spec.options
        written = dump_document(options.model_dump(mode="json"))
        node = parse_yaml(written, marks=file_marks(written, "options"), problems=Problems())
        try:
            again = kind.model_validate_json("{}" if node is None else json.dumps(plain(node) or {}), strict=True)
        except ValidationError as error:
            raise BrokenPromise(
                f"what they are written as is refused: {error}",
                "use types that are written as they are read (numbers, text, lists, nested options)",
            ) from error
        if again != options:
            raise BrokenPromise(f"{options!r} came back as {again!r}", "a validator or serialiser changes them")
        unknown = "no_such_option_at_all"
        if accepted(lambda: kind.model_validate({**options.model_dump(), unknown: 1})):
            raise BrokenPromise(
                f"{unknown!r} was accepted",
                'derive the options from facekit.interfaces.Options and keep its `extra="forbid"`',
                "an option that does not exist is an error",
            )
        for name, field in kind.model_fields.items():
            if not field.description:
                raise BrokenPromise(
                    f"{name!r} has no description",
                    "write a docstring under the field: `facekit components show` and editors print it",
                    "every option says what it does",
                )
            if accepted(lambda name=name: setattr(options, name, getattr(options, name))):  # type: ignore[misc]
                raise BrokenPromise(
                    f"{name!r} could be set",
                    "keep `frozen=True` of facekit.interfaces.Options",
                    "options do not change after they were checked",
                )
        try:
            kind.model_validate_json(json.dumps(dict(self.spec.example)), strict=True)
        except ValidationError as error:
            if self.spec.example or not any(field.is_required() for field in kind.model_fields.values()):
                promise = "the example of a component can be used"
                raise BrokenPromise(f"its options are refused: {error}", "correct `example`", promise) from error


def accepted(change: Callable[[], object]) -> bool:
    """Return whether options let something be done with them."""
    try:
        change()
    except (ValidationError, AttributeError, TypeError):
        return False
    return True


def failure_without_torch(program: str, modules: list[str], **request: Any) -> str | None:
    """Return the last line of the error of a program that may import no torch; None where it has none.

    Args:
        program: it finds a function ``module(name)`` and the mapping ``request``.
        modules: those it asks for; a one-file plugin or a module beside the tests is loaded from its file.
        **request: more that it finds in ``request``.
    """
    files = {name: getattr(sys.modules.get(name), "__file__", None) for name in modules}
    arguments = json.dumps({**request, "modules": files, "path": sys.path})
    command = [sys.executable, "-c", _WITHOUT_TORCH + program, arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    return (lines or ["(nothing)"])[-1] if done.returncode else None


_WITHOUT_TORCH = """
import importlib, importlib.util, json, sys

class Trap:
    def find_spec(self, name, path=None, target=None):
        if name == "torch" or name.startswith("torch."):
            raise ImportError(f"{name} was imported")

def module(name):
    file = request["modules"].get(name)
    try:
        found = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        found = None
    if found is not None or not file:
        return importlib.import_module(name)
    if name not in sys.modules:
        found = importlib.util.spec_from_file_location(name, file)
        sys.modules[name] = importlib.util.module_from_spec(found)
        found.loader.exec_module(sys.modules[name])
    return sys.modules[name]

sys.meta_path.insert(0, Trap())
request = json.loads(sys.argv[1])
sys.path[:] = request["path"]
"""

_DECLARATION = """
from facekit.registry import ComponentSpec
from facekit.interfaces import PortContext
for name in request["modules"]:
    declaring = module(name)
    specs = [value for value in vars(declaring).values() if isinstance(value, ComponentSpec)]
    if callable(getattr(declaring, "facekit_components", None)):
        specs += list(declaring.facekit_components())
    for spec in specs:
        if (spec.kind, spec.id) == (request["kind"], request["id"]):
            options = spec.options.model_validate_json(json.dumps(request["options"]), strict=True)
            spec.ports(options, PortContext(size=request["size"], player=request["player"]))
"""

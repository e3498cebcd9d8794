"""What every component promises, whatever its kind: the base of the contract classes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from fnmatch import fnmatchcase
from typing import Any, ClassVar

import torch
from pydantic import ValidationError

from facekit.interfaces import BuildContext, FacekitError, LabelClass, LabelMap, Options, PortContext, Ports
from facekit.recipe.dump import dump_document
from facekit.recipe.nodes import plain
from facekit.recipe.problems import Problems
from facekit.recipe.yaml_source import file_marks, parse_yaml
from facekit.registry import ComponentSpec, Kind

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

_CHILD_SECONDS = 120


class BrokenPromise(AssertionError):
    """A component does not keep what its interface promises.

    Args:
        promise: the promise, in one sentence.
        seen: what was seen instead.
        remedy: what to do.
    """

    def __init__(self, promise: str, seen: str, remedy: str) -> None:
        super().__init__(f"\n  promise: {promise}\n  seen:    {seen}\n  to do:   {remedy}")
        self.promise = promise
        self.seen = seen
        self.remedy = remedy


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

    # What the promises are about

    def validated(self) -> Options:
        """Return the options, checked as a recipe's are."""
        try:
            return self.spec.options.model_validate_json(json.dumps(dict(self.options)), strict=True)
        except ValidationError as error:
            raise BrokenPromise("the contract's own options are valid", str(error), "correct `options`") from error

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
        with seeded(self.seed if seed is None else seed):
            return self.spec.build(self.validated(), self.build_context(size))

    # Promises

    def test_spec_imports_no_torch(self) -> None:
        """The module that declares the spec, its options and its ports can be used without importing torch."""
        promise = "what a plugin declares can be read without torch, so that looking around stays fast"
        modules = self._modules()
        request = {
            "modules": modules,
            "path": sys.path,
            "kind": self.spec.kind,
            "id": self.spec.id,
            "options": dict(self.options),
            "size": self._common_size(),
            "player": self.player,
        }
        done = subprocess.run(
            [sys.executable, "-c", _CHILD, json.dumps(request)],
            capture_output=True,
            text=True,
            timeout=_CHILD_SECONDS,
            check=False,
        )
        if done.returncode:
            last = [line for line in done.stderr.strip().splitlines() if line.strip()] or ["(nothing)"]
            raise BrokenPromise(
                promise,
                f"{', '.join(name for name, _ in modules)} failed where torch cannot be imported: {last[-1]}",
                "import torch only in the module of the factory, which is imported when the component is built",
            )

    def test_options_round_trip(self) -> None:
        """Options survive being written into a run's recipe and read again, and every one of them is explained."""
        promise = "options read back from a run's recipe are the options that were given"
        options = self.validated()
        written = dump_document(options.model_dump(mode="json"))
        problems = Problems()
        node = parse_yaml(written, marks=file_marks(written, "options"), problems=problems)
        again_text = "{}" if node is None else json.dumps(plain(node) or {})
        try:
            again = self.spec.options.model_validate_json(again_text, strict=True)
        except ValidationError as error:
            raise BrokenPromise(
                promise,
                f"what they are written as is refused: {error}",
                "use types that are written as they are read (numbers, text, lists, nested options)",
            ) from error
        if again != options:
            raise BrokenPromise(
                promise, f"{options!r} came back as {again!r}", "a validator or serialiser changes them each time"
            )
        self._check_refusals(options)
        self._check_declaration()

    # Helpers

    def _check_refusals(self, options: Options) -> None:
        unknown = "no_such_option_at_all"
        try:
            self.spec.options.model_validate({**options.model_dump(), unknown: 1})
        except ValidationError:
            pass
        else:
            raise BrokenPromise(
                "an option that does not exist is an error",
                f"{unknown!r} was accepted",
                'derive the options from facekit.interfaces.Options and keep its `extra="forbid"`',
            )
        for name, field in self.spec.options.model_fields.items():
            if not field.description:
                raise BrokenPromise(
                    "every option says what it does",
                    f"{name!r} has no description",
                    "write a docstring under the field: `facekit components show` and editors print it",
                )
            try:
                setattr(options, name, getattr(options, name))
            except (ValidationError, AttributeError, TypeError):
                continue
            raise BrokenPromise(
                "options do not change after they were checked",
                f"{name!r} could be set",
                "keep `frozen=True` of facekit.interfaces.Options",
            )

    def _check_declaration(self) -> None:
        try:
            self.spec.options.model_validate_json(json.dumps(dict(self.spec.example)), strict=True)
        except ValidationError as error:
            required = {name for name, field in self.spec.options.model_fields.items() if field.is_required()}
            if self.spec.example or not required:
                raise BrokenPromise(
                    "the example of a component can be used", f"its options are refused: {error}", "correct `example`"
                ) from error

    def _common_size(self) -> int:
        return self.sizes[0]

    def _modules(self) -> list[tuple[str, str | None]]:
        """Return name and file of the modules that declare the component."""
        names = [self.declared_in] if self.declared_in else []
        names += [self.spec.options.__module__, self.spec.ports.__module__]
        own = [name for name in dict.fromkeys(names) if name and not name.startswith("facekit.")]
        if not own:
            raise BrokenPromise(
                "the contract knows which module declares the component",
                "options and ports are facekit's own, so they do not tell",
                'set `declared_in = "my_plugin.plugin"` in the contract',
            )
        return [(name, getattr(sys.modules.get(name), "__file__", None)) for name in own]


def matching(names: Iterator[str] | list[str], patterns: tuple[str, ...]) -> set[str]:
    """Return the names that fit one of the patterns (``*`` and ``?`` as in file names)."""
    return {name for name in names if any(fnmatchcase(name, pattern) for pattern in patterns)}


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Run with a global random state of its own; afterwards it is what it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


@contextmanager
def promised(promise: str) -> Iterator[None]:
    """Raise BrokenPromise where the component raises anything."""
    try:
        yield
    except BrokenPromise:
        raise
    except Exception as error:
        remedy = error.remedy if isinstance(error, FacekitError) and error.remedy else "see the exception above"
        raise BrokenPromise(promise, f"{type(error).__name__}: {error}", remedy) from error


IMPORT_WITHOUT_TORCH = """
import importlib, importlib.util, json, sys

class Trap:
    def find_spec(self, name, path=None, target=None):
        if name == "torch" or name.startswith("torch."):
            raise ImportError(f"{name} was imported")

def module(name, file):
    try:
        found = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        found = None
    if found is not None or not file:
        return importlib.import_module(name)
    if name not in sys.modules:  # a plugin that is one file, or a module beside the tests
        found = importlib.util.spec_from_file_location(name, file)
        sys.modules[name] = importlib.util.module_from_spec(found)
        found.loader.exec_module(sys.modules[name])
    return sys.modules[name]

sys.meta_path.insert(0, Trap())
request = json.loads(sys.argv[1])
sys.path[:] = request["path"]
"""
"""Beginning of a program that may import no torch: ``module(name, file)``, and ``request`` from its argument."""

_CHILD = (
    IMPORT_WITHOUT_TORCH
    + """
from facekit.registry import ComponentSpec
from facekit.interfaces import PortContext
for name, file in request["modules"]:
    declaring = module(name, file)
    specs = [value for value in vars(declaring).values() if isinstance(value, ComponentSpec)]
    if callable(getattr(declaring, "facekit_components", None)):
        specs += list(declaring.facekit_components())
    for spec in specs:
        if (spec.kind, spec.id) == (request["kind"], request["id"]):
            options = spec.options.model_validate_json(json.dumps(request["options"]), strict=True)
            spec.ports(options, PortContext(size=request["size"], player=request["player"]))
assert "torch" not in sys.modules
"""
)

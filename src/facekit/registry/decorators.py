"""A loss or a metric of one formula as one decorated function. Torch-free.

::

    @loss("mine/charbonnier", needs=("image", "generated"))
    def charbonnier(step: Step, *, epsilon: float = 1e-3) -> Tensor:
        \"\"\"Smooth absolute difference between the pixels of a fake and its real image.

        Args:
            epsilon: below this difference the loss is round.

        Paper: Charbonnier et al., ICIP 1994
        \"\"\"
        difference = (fake(step).image - step.batch.image).float()
        return ((difference.square() + epsilon**2).sqrt() - epsilon).mean()


    facekit_components = components(charbonnier)
"""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial, update_wrapper
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, create_model

from facekit.interfaces import FacekitError, Measurement, Observation, Options, Port, Ports, Task, did_you_mean
from facekit.interfaces import ports as standard_ports
from facekit.registry.hooks import hookimpl
from facekit.registry.spec import ComponentSpec, Kind

if TYPE_CHECKING:
    from torch import Tensor

PORTS: Mapping[str, Port] = {port.name: port for port in vars(standard_ports).values() if isinstance(port, Port)}
"""The ports that ``needs`` may name."""

_SECTION = re.compile(r"(Args|Paper|Returns|Raises|Yields|Note|Notes|Example|Examples):\s*(.*)")
_ENTRY = re.compile(r"(\w+)(?: \([^)]*\))?:\s*(.*)")

_WRITTEN_FOR = 1
"""The version of the interfaces that a decorated function is written for unless it says otherwise. It stays when
facekit raises its own: the function was written before."""


class FunctionComponent:
    """A component that is one function, as ``@loss`` and ``@metric`` return it.

    Called with what the function takes, it is the function: ``charbonnier(step, epsilon=0.1)``. Called with options and
    a context, as facekit calls a factory, it returns the component, which ``make`` makes of the options by name.
    """

    def __init__(
        self, function: Callable[..., Any], spec: ComponentSpec, make: Callable[[Mapping[str, Any]], Any]
    ) -> None:
        update_wrapper(self, function)
        self.function = function
        self.spec = spec
        self._make = make

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        """Return what the function returns, or the component where the first argument is its options."""
        if arguments and isinstance(arguments[0], Options):
            options = arguments[0]
            return self._make({name: getattr(options, name) for name in type(options).model_fields})
        return self.function(*arguments, **named)


def loss(
    id: str,
    *,
    needs: Sequence[str | Port],
    smallest_batch: int = 1,
    **more: Any,
) -> Callable[[Callable[..., Tensor]], FunctionComponent]:
    """Make a loss of a function that takes a :class:`facekit.interfaces.Step` and returns a scalar.

    The parameters after the ``*`` are the options, with their types and defaults (``Annotated[float, Field(gt=0)]``
    says limits); ``Args:`` in the docstring describes them. The first paragraph is the summary, ``Paper:`` the paper.

    Args:
        id: ``namespace/name``.
        needs: the names of standard ports (``"image"``), or ports of a family's own.
        smallest_batch: the smallest batch it works with.
        more: any other field of :class:`ComponentSpec`: ``players``, ``example``, ``licence``, ``version`` ...

    Raises:
        FacekitError: a port has no such name, or the function is not of this form.
    """

    def decorate(function: Callable[..., Tensor]) -> FunctionComponent:
        spec = _spec("loss", id, function, needs, more, smallest_batch)
        return FunctionComponent(function, spec, lambda values: partial(function, **values))

    return decorate


def metric(
    id: str,
    *,
    needs: Sequence[str | Port],
    better: Literal["higher", "lower"],
    unit: str = "",
    tasks: tuple[Task, ...] = ("reconstruction",),
    protocol: Mapping[str, str] | None = None,
    smallest_size: int = 1,
    **more: Any,
) -> Callable[[Callable[..., Tensor]], FunctionComponent]:
    """Make a metric of a function that takes a :class:`facekit.interfaces.Observation` and returns one value a sample.

    The metric is the mean of the values. Its name is that of the component, with the task behind it where there are
    several; the options are part of its protocol. Options and words come from the function as for :func:`loss`.

    Args:
        id, needs, more: as for :func:`loss`.
        better: which direction is better.
        unit: ``dB``, ``share``, ``%`` or empty.
        tasks: the tasks whose images it measures.
        protocol: what two numbers must share to be compared, beside the options.
        smallest_size: the smallest image side in pixels.

    Raises:
        FacekitError: a port has no such name, the function is not of this form, or a task is ``attribute_transfer``.
    """

    def decorate(function: Callable[..., Tensor]) -> FunctionComponent:
        if "attribute_transfer" in tasks:
            said = f"{function.__name__} measures attribute_transfer, and names no attributes to transfer"
            raise _mistake(function, said, "write the metric as a class with a property `transfers`")
        spec = _spec("metric", id, function, needs, more, smallest_size=smallest_size)

        def make(values: Mapping[str, Any]) -> FunctionMetric:
            said = {**(protocol or {}), **{name: str(value) for name, value in values.items()}}
            return FunctionMetric(partial(function, **values), spec.name, tasks, unit, better, said)

        return FunctionComponent(function, spec, make)

    return decorate


def components(*found: FunctionComponent | ComponentSpec) -> Callable[[], list[ComponentSpec]]:
    """Return the hook that offers decorated functions: ``facekit_components = components(charbonnier)``.

    Specs of other components may stand among them.

    Raises:
        FacekitError: something else is among them.
    """
    specs = []
    for each in found:
        if not isinstance(each, FunctionComponent | ComponentSpec):
            raise FacekitError(
                f"components() was given {each!r}, which is no component",
                remedy="give it functions decorated with @loss or @metric, and ComponentSpec objects",
            )
        specs.append(each if isinstance(each, ComponentSpec) else each.spec)

    def facekit_components() -> list[ComponentSpec]:
        return list(specs)

    return hookimpl(facekit_components)


class FunctionMetric:
    """The mean over samples of what a function gives for each; see :class:`facekit.interfaces.Metric`.

    The function takes an observation, and returns the values (N,); ``protocol`` is what two numbers must share to be
    compared.
    """

    def __init__(
        self,
        function: Callable[[Observation], Tensor],
        name: str,
        tasks: tuple[Task, ...],
        unit: str,
        better: Literal["higher", "lower"],
        protocol: Mapping[str, str],
    ) -> None:
        self._function, self._name, self.tasks = function, name, tasks
        self._unit, self._better, self._protocol = unit, better, protocol
        self._values: dict[Task, list[float]] = {task: [] for task in tasks}

    def update(self, observation: Observation) -> None:
        """Take in one batch.

        Raises:
            FacekitError: the function did not return one value for each sample.
        """
        values = self._function(observation)
        count = len(observation.keys)
        if tuple(values.shape) != (count,):
            raise FacekitError(
                f"the metric {self._name} returned a tensor of shape {tuple(values.shape)} for {count} samples",
                remedy=f"return one value for each sample, of shape ({count},): .mean((1, 2, 3)) or the like",
            )
        self._values[observation.task].extend(values.double().tolist())

    def compute(self) -> tuple[Measurement, ...]:
        """Return the mean of each task. Raises FacekitError when nothing was observed."""
        observed = {task: values for task, values in self._values.items() if values}
        if not observed:
            raise FacekitError(f"the metric {self._name} was given no results to measure")
        return tuple(
            Measurement(
                name=self._name if len(self.tasks) == 1 else f"{self._name}/{task}",
                value=math.fsum(values) / len(values),
                unit=self._unit,
                better=self._better,
                protocol=self._protocol,
                count=len(values),
                per_sample=tuple(values),
            )
            for task, values in observed.items()
        )


def _mistake(function: Callable[..., Any], message: str, remedy: str) -> FacekitError:
    code = inspect.unwrap(function).__code__
    return FacekitError(message, where=f"{code.co_filename}:{code.co_firstlineno}", remedy=remedy)


def _spec(
    kind: Kind,
    id: str,
    function: Callable[..., Any],
    needs: Sequence[str | Port],
    more: Mapping[str, Any],
    smallest_batch: int = 1,
    smallest_size: int = 1,
) -> ComponentSpec:
    """Return the spec of a function; its words come from the docstring.

    Raises:
        FacekitError: a port has no such name, there is no docstring, or it describes something else than the function.
    """
    name = function.__name__
    if isinstance(needs, str):
        raise _mistake(function, f"needs of {name} is the text {needs!r}, not a list", f'write needs=("{needs}",)')
    for need in needs:
        if not isinstance(need, Port) and need not in PORTS:
            near = did_you_mean(str(need), PORTS) or f"there are {', '.join(PORTS)}"
            said = f"{name} needs {need!r}, and no standard port is called so"
            raise _mistake(function, said, f"{near}; for one of a family's own, give a Port")
    found = tuple(need if isinstance(need, Port) else PORTS[need] for need in needs)
    ports = Ports(needs=found, smallest_batch=smallest_batch, smallest_size=smallest_size)
    text = inspect.getdoc(function)
    if not text:
        remedy = "write one: its first paragraph is the summary that `facekit components show` prints"
        raise _mistake(function, f"{name} has no docstring", remedy)
    sections: dict[str, list[str]] = {"": []}
    current = sections[""]
    for line in text.splitlines():
        heading = _SECTION.fullmatch(line)
        if heading is not None:
            current = sections.setdefault(heading[1], [])
            line = heading[2]
        current.append(line)
    summary = "\n".join(sections[""]).split("\n\n")[0]
    described: dict[str, str] = {}
    filled = [line for line in sections.get("Args", ()) if line.strip()]
    indent = min((len(line) - len(line.lstrip()) for line in filled), default=0)
    entry = ""
    for line in filled:  # a line that is indented more goes on with the entry above it
        match = _ENTRY.fullmatch(line.strip())
        if match is not None and len(line) - len(line.lstrip()) == indent:
            entry, said = match[1], match[2]
            # As sentences, as others stand beside them: an entry of ``Args`` begins in lower case.
            described[entry] = said[:1].upper() + said[1:]
        elif entry:
            described[entry] += f" {line}"
    parameters = inspect.signature(function).parameters
    for argument in described:
        if argument not in parameters:
            said = f"the docstring of {name} describes {argument!r}, which is none of its parameters"
            raise _mistake(function, said, did_you_mean(argument, parameters) or f"it has {', '.join(parameters)}")
    return ComponentSpec(
        kind=kind,
        id=id,
        summary=" ".join(summary.split()),
        options=_options_of(function, {key: " ".join(words.split()) for key, words in described.items()}),
        factory=f"{function.__module__}:{name}",
        ports=lambda options, context: ports,
        paper=" ".join(" ".join(sections.get("Paper", ())).split()) or None,
        **{"interface_version": _WRITTEN_FOR, **more},
    )


def _options_of(function: Callable[..., Any], described: Mapping[str, str]) -> type[Options]:
    """Return the options class of a function: a field for each parameter after the ``*``, with its description.

    Raises:
        FacekitError: a parameter is no option and not the one argument, has no type, or one that cannot be read.
    """
    fields: dict[str, Any] = {}
    positional: list[str] = []
    for name, parameter in inspect.signature(function).parameters.items():
        kind, default, empty = parameter.annotation, parameter.default, inspect.Parameter.empty
        if parameter.kind is not inspect.Parameter.KEYWORD_ONLY:
            positional.append(str(parameter))
            continue
        if kind is empty:
            like = 1.0 if default is empty else default
            said = f"the option {name!r} of {function.__name__} has no type"
            raise _mistake(function, said, f"write one: {name}: {type(like).__name__} = {like!r}")
        if isinstance(kind, str):
            try:
                # As written under `from __future__ import annotations`. The types of options alone are read: that of
                # the step may be one that is imported for type checkers only.
                kind = eval(kind, function.__globals__)
            except Exception as error:
                said = f"the type {kind!r} of the option {name!r} of {function.__name__} cannot be read: {error}"
                remedy = "import it at the top of the module, outside `if TYPE_CHECKING:`"
                raise _mistake(function, said, remedy) from error
        annotation: Any = Annotated[kind, Field(description=described.get(name))]
        fields[name] = (annotation, ... if default is empty else default)
    if len(positional) != 1 or positional[0].startswith("*"):
        said = f"{function.__name__} takes ({', '.join(positional)}) beside its options, not one argument"
        remedy = f"options are keyword-only: def {function.__name__}(step, *, option: float = 1.0)"
        raise _mistake(function, said, remedy)
    title = "".join(word.capitalize() for word in function.__name__.split("_")) + "Options"
    about = f"Options of ``{function.__name__}``."
    try:
        # The base class decides how options are read; the module tells whose they are.
        return create_model(title, __base__=Options, __module__=function.__module__, __doc__=about, **fields)
    except Exception as error:  # pydantic's own errors are of many classes
        said = f"the options of {function.__name__} cannot be made of its parameters: {error}"
        remedy = "types are numbers, text, Literal, lists, or classes derived from Options"
        raise _mistake(function, said, remedy) from error

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

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial, update_wrapper
from typing import TYPE_CHECKING, Any, Literal

from facekit.interfaces import FacekitError, Measurement, Observation, Options, Port, Ports, Task, did_you_mean
from facekit.interfaces import ports as standard_ports
from facekit.registry.function_options import described_in, location_of, options_of
from facekit.registry.hooks import hookimpl
from facekit.registry.spec import ComponentSpec, Kind, Migration

if TYPE_CHECKING:
    from torch import Tensor

PORTS: Mapping[str, Port] = {port.name: port for port in vars(standard_ports).values() if isinstance(port, Port)}
"""The ports that ``needs`` may name."""

_WRITTEN_FOR = 1
"""The version of the interfaces that a decorated function is written for unless it says otherwise. It stays when
facekit raises its own: the function was written before."""


class FunctionComponent:
    """A component that is one function, as ``@loss`` and ``@metric`` return it.

    Called with what the function takes, it is the function: ``charbonnier(step, epsilon=0.1)``. Called with options and
    a context, as facekit calls a factory, it returns the component.

    Args:
        function: the function.
        spec: what is known of the component.
        make: returns the component for values of the options by name.
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
    players: tuple[str, ...] = ("generator",),
    smallest_batch: int = 1,
    licence: str = "Apache-2.0",
    example: Mapping[str, Any] | None = None,
    version: int = 1,
    migrations: tuple[Migration, ...] = (),
    interface_version: int = _WRITTEN_FOR,
) -> Callable[[Callable[..., Tensor]], FunctionComponent]:
    """Make a loss of a function that takes a :class:`facekit.interfaces.Step` and returns a scalar.

    The parameters after the ``*`` are the options, with their types and defaults (``Annotated[float, Field(gt=0)]``
    says limits); ``Args:`` in the docstring describes them. The first paragraph is the summary, ``Paper:`` the paper.

    Args:
        id: ``namespace/name``.
        needs: the names of standard ports (``"image"``), or ports of a family's own.
        players: whose loss it can be.
        smallest_batch: the smallest batch it works with.
        licence: see :class:`ComponentSpec`, as for all that follows.
        example: options for an example.
        version: of the component.
        migrations: how to read what is older.
        interface_version: what the function was written for.

    Raises:
        FacekitError: a port has no such name, or the function is not of this form.
    """

    def decorate(function: Callable[..., Tensor]) -> FunctionComponent:
        ports = Ports(needs=_ports(needs, function), smallest_batch=smallest_batch)
        more = {"players": players, "licence": licence, "version": version, "migrations": migrations}
        spec = _spec("loss", id, function, ports, example, interface_version, more)
        return FunctionComponent(function, spec, lambda values: partial(function, **values))

    return decorate


def metric(
    id: str,
    *,
    needs: Sequence[str | Port],
    better: Literal["higher", "lower"],
    unit: str = "",
    tasks: tuple[Task, ...] = ("reconstruction",),
    licence: str = "Apache-2.0",
    example: Mapping[str, Any] | None = None,
    version: int = 1,
    migrations: tuple[Migration, ...] = (),
    interface_version: int = _WRITTEN_FOR,
) -> Callable[[Callable[..., Tensor]], FunctionComponent]:
    """Make a metric of a function that takes a :class:`facekit.interfaces.Observation` and returns one value a sample.

    The metric is the mean of the values. Its name is that of the component, with the task behind it where there are
    several; the options are part of its protocol. Options and words come from the function as for :func:`loss`.

    Args:
        id, needs: as for :func:`loss`, as are the last five.
        better: which direction is better.
        unit: ``dB``, ``share``, ``%`` or empty.
        tasks: the tasks whose images it measures.

    Raises:
        FacekitError: a port has no such name, the function is not of this form, or a task is ``attribute_transfer``.
    """

    def decorate(function: Callable[..., Tensor]) -> FunctionComponent:
        if "attribute_transfer" in tasks:
            raise FacekitError(
                f"{function.__name__} measures attribute_transfer, and names no attributes to transfer",
                where=location_of(function),
                remedy="write the metric as a class with a property `transfers`",
            )
        ports = Ports(needs=_ports(needs, function))
        more = {"licence": licence, "version": version, "migrations": migrations}
        spec = _spec("metric", id, function, ports, example, interface_version, more)

        def make(values: Mapping[str, Any]) -> FunctionMetric:
            protocol = {name: str(value) for name, value in values.items()}
            return FunctionMetric(partial(function, **values), spec.name, tasks, unit, better, protocol)

        return FunctionComponent(function, spec, make)

    return decorate


def components(*found: FunctionComponent | ComponentSpec) -> Callable[[], list[ComponentSpec]]:
    """Return the hook that offers decorated functions: ``facekit_components = components(charbonnier)``.

    Args:
        found: decorated functions; specs of other components may stand among them.

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

    Args:
        function: takes an observation, returns the values (N,).
        name: the name of the measurement.
        tasks: the tasks whose images it measures.
        unit: of the values.
        better: which direction is better.
        protocol: what two numbers must share to be compared.
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
        self._function, self._name, self._tasks = function, name, tasks
        self._unit, self._better, self._protocol = unit, better, protocol
        self._values: dict[Task, list[float]] = {task: [] for task in tasks}

    @property
    def tasks(self) -> tuple[Task, ...]:
        """The tasks whose images it measures."""
        return self._tasks

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
            raise FacekitError(f"the metric {self._name} is asked for a value before it saw an image")
        return tuple(
            Measurement(
                name=self._name if len(self._tasks) == 1 else f"{self._name}/{task}",
                value=math.fsum(values) / len(values),
                unit=self._unit,
                better=self._better,
                protocol=self._protocol,
                count=len(values),
                per_sample=tuple(values),
            )
            for task, values in observed.items()
        )


def _spec(
    kind: Kind,
    id: str,
    function: Callable[..., Any],
    ports: Ports,
    example: Mapping[str, Any] | None,
    interface_version: int,
    more: Mapping[str, Any],
) -> ComponentSpec:
    words = described_in(function)
    return ComponentSpec(
        interface_version=interface_version,
        kind=kind,
        id=id,
        summary=words.summary,
        options=options_of(function, words),
        factory=f"{function.__module__}:{function.__name__}",
        ports=lambda options, context: ports,
        paper=words.paper,
        example=example or {},
        **more,
    )


def _ports(needs: Sequence[str | Port], function: Callable[..., Any]) -> tuple[Port, ...]:
    if isinstance(needs, str):
        raise FacekitError(
            f"needs of {function.__name__} is the text {needs!r}, not a list",
            where=location_of(function),
            remedy=f'write needs=("{needs}",)',
        )
    near = f"there are {', '.join(PORTS)}"
    found = []
    for need in needs:
        port = need if isinstance(need, Port) else PORTS.get(need)
        if port is None:
            raise FacekitError(
                f"{function.__name__} needs {need!r}, and no standard port is called so",
                where=location_of(function),
                remedy=f"{did_you_mean(str(need), PORTS) or near}; for one of a family's own, give a Port",
            )
        found.append(port)
    return tuple(found)

"""Which tasks a model can do, and what to say of metrics that ask for others. Torch-free."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress

from pydantic import ValidationError

from facekit.interfaces import TASKS, FacekitError, Metric, Options, PortContext, Task
from facekit.recipe.resolved import ComponentChoice, ResolvedRecipe
from facekit.sampling.inputs import ATTRIBUTES, MASK, REFERENCE, REFERENCE_MASK, SOURCE, SamplingInputs

GENERATION: Task = "generation"

_ABOUT: dict[Task, str] = {
    "reconstruction": "each face from its own mask and style",
    "style_copy": "each face in the style of another",
    "attribute_transfer": "each face with one attribute changed",
    "generation": "images from noise",
}

_ORDER = (MASK, REFERENCE, REFERENCE_MASK, SOURCE, ATTRIBUTES)


def possible_tasks(inputs: SamplingInputs) -> tuple[Task, ...]:
    """Return the tasks that a model can do.

    The tasks about faces take a model that reads something of a face: a mask, a reference, a photo that it changes, or
    an input of its family's own. ``generation`` takes one that starts from noise.
    """
    reads_faces = bool(inputs.own) or any(inputs.reads(name) for name in (MASK, REFERENCE, SOURCE))
    return tuple(task for task in TASKS if (bool(inputs.noise) if task == GENERATION else reads_faces))


def what_is_read(inputs: SamplingInputs) -> str:
    """Return what a model reads, for people: ``mask, reference and noise``."""
    names = [name.replace("_", " ") for name in _ORDER if inputs.reads(name)]
    names += [*inputs.own, *(["noise"] if inputs.noise else [])]
    if names == ["noise"]:
        return "noise alone"
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names) or "nothing"


def check_tasks(choice: ComponentChoice, metric: Metric, inputs: SamplingInputs) -> None:
    """Check that the tasks of a metric are tasks that the model can do.

    Raises:
        FacekitError: one of them is not; the message says what the model reads, and what to write instead.
    """
    possible = possible_tasks(inputs)
    task = next((task for task in metric.tasks if task not in possible), None)
    if task is None:
        return
    others = f", or measure this model with others, such as kid with `task: {possible[-1]}`" if possible else ""
    remedies = [f"write `{written}`" for other in possible for written in _written(choice.options, other)]
    raise FacekitError(
        f"{choice.component.spec.id} measures {task}, {_ABOUT[task]}, and this model reads {what_is_read(inputs)}",
        where=choice.path,
        remedy=next(iter(remedies), f"take it out{others}"),
    )


def _written(options: Options, task: Task) -> Iterator[str]:
    """Yield how a metric with these options is told to measure a task instead: ``task: generation``."""
    for name, value, written in (("task", task, task), ("tasks", [task], f"[{task}]")):
        if name in type(options).model_fields:
            with suppress(ValidationError):
                type(options).model_validate({**options.model_dump(exclude_unset=True), name: value})
                yield f"{name}: {written}"


def shown_images(recipe: ResolvedRecipe, metrics: Sequence[Metric]) -> list[Metric]:
    """Return those metrics that look at images alone, which are all that baselines give.

    Others name what they read beside the image in their ports: ``generated.pyramid``, a map such as
    ``generated.depth``, or a field of a family's own.

    Args:
        recipe: the recipe whose metrics these are.
        metrics: the same, built, in its order.
    """
    context = PortContext(recipe.data.size)
    return [
        metric
        for choice, metric in zip(recipe.metrics, metrics, strict=True)
        if not any(port.name.startswith("generated.") and not port.optional for port in choice.ports(context).needs)
    ]


def check_data(
    choice: ComponentChoice, metric: Metric, *, size: int, classes: int, attribute_names: Sequence[str]
) -> None:
    """Check that the data has what a metric looks at: masks and attributes.

    Args:
        classes: how many classes the masks have; 0 for photos without masks.

    Raises:
        FacekitError: it has not.
    """
    name, tasks = choice.component.spec.id, " and ".join(metric.tasks)
    needed = {port.name for port in choice.ports(PortContext(size)).needs if not port.optional}
    if not classes and needed & {"mask", "reference.mask"}:
        raise FacekitError(
            f"{name} measures {tasks} by masks, and these are photos without masks",
            where=choice.path,
            remedy="take it out, or take a dataset with masks",
        )
    if not attribute_names and ("attributes" in needed or "attribute_transfer" in metric.tasks):
        raise FacekitError(
            f"{name} measures {tasks} by attributes, and the data has none",
            where=choice.path,
            remedy="take it out, or put the attribute file beside the photos and name them in `data.attributes`",
        )

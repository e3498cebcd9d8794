"""Mistakes in components, said with the component, its place in the recipe, its plugin, and the line that failed."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from facekit.interfaces import FacekitError
from facekit.interfaces.errors import is_out_of_memory, memory_asked
from facekit.recipe.resolved import ComponentChoice

_OF_FAKE_TENSORS = "torch._subclasses"
"""The module of what fake tensors raise where a component looks at numbers: the shape check tries again with real."""


@dataclass(frozen=True)
class Culprit:
    """A component to name where something goes wrong in it.

    Args:
        title: what it is called in sentences: ``the generator 'spade/spade'``.
        choice: the component; None where there is no recipe (contract tests).
    """

    title: str
    choice: ComponentChoice | None = None
    path: str = ""

    @classmethod
    def of(cls, name: str, choice: ComponentChoice) -> Culprit:
        """Return the one of a component under its name in the recipe."""
        return cls(f"the {name.replace('_', ' ')} {choice.component.spec.id!r}", choice, choice.path)

    @property
    def where(self) -> str | None:
        """The file and line of the recipe, and the place in it."""
        if self.choice is None:
            return self.path or None
        return f"{self.choice.mark}: {self.path}"

    @property
    def origin(self) -> str:
        """The plugin it comes from."""
        return "" if self.choice is None else str(self.choice.component.origin)

    def error(self, message: str, *, error: BaseException | None = None, remedy: str | None = None) -> FacekitError:
        """Return the error to raise: the message at the component's place, and the line of the plugin that failed."""
        line = None if error is None else self._line_of(error)
        hints = [
            remedy,
            f"it failed at {line}" if line else None,
            f"it comes from {self.origin}" if self.origin else None,
        ]
        return FacekitError(message, where=self.where, remedy="; ".join(filter(None, hints)) or None)

    def _line_of(self, error: BaseException) -> str | None:
        """Return file, line and function of the plugin's own code that failed last, else of any but a library's."""
        factory = "" if self.choice is None else self.choice.component.spec.factory
        module = sys.modules.get(factory.split(":")[0])
        file = getattr(module, "__file__", None)
        packaged = bool(getattr(module, "__package__", None))
        own = None if file is None else Path(file).parent if packaged else Path(file)
        frames = traceback.extract_tb(error.__traceback__)
        in_plugin = [frame for frame in frames if own is not None and Path(frame.filename).is_relative_to(own)]
        elsewhere = [
            frame
            for frame in frames
            if not ({"torch", "facekit"} & set(Path(frame.filename).parts) or frame.filename.startswith("<"))
        ]
        found = (in_plugin or elsewhere)[-1:]
        return f"{found[0].filename}:{found[0].lineno} in {found[0].name}" if found else None


@contextmanager
def failures_in(culprit: Culprit, what: str) -> Iterator[None]:
    """Say of any exception within which component it is of, and where.

    Args:
        what: what it was doing: ``fails in its forward pass``.

    Raises:
        FacekitError: in place of any exception but those that are meant for people already and name their place, and
            those that say nothing of the component (memory, fake tensors).
    """
    try:
        yield
    except FacekitError as error:
        if error.where or type(error) is not FacekitError:
            raise
        raise FacekitError(error.message, where=culprit.where, remedy=error.remedy) from error
    except torch.OutOfMemoryError:
        raise
    except Exception as error:
        if type(error).__module__.startswith(_OF_FAKE_TENSORS):
            raise
        if is_out_of_memory(error):
            raise culprit.error(
                f"{culprit.title} {what}: there is too little memory ({memory_asked(error)})",
                error=error,
                remedy="lower its sizes, data.size or train.batch",
            ) from error
        reason = f"{type(error).__name__}: {str(error).strip() or 'without a message'}"
        raise culprit.error(f"{culprit.title} {what}: {reason}", error=error) from error


def build(name: str, choice: ComponentChoice, context: Any) -> Any:
    """Build a component of a recipe.

    Raises:
        FacekitError: its factory fails, is not there, or gives nothing.
    """
    culprit, factory = Culprit.of(name, choice), choice.component.spec.factory
    with failures_in(culprit, f"cannot be built by its factory {factory!r}"):
        built = choice.component.spec.build(choice.options, context)
    if built is None:
        raise culprit.error(
            f"the factory {factory!r} of {culprit.title} gave None", remedy="let it return what it built"
        )
    return built

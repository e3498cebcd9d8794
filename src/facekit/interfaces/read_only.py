"""Data that is shown and must not be changed: what events carry."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn


class ReadOnlyDict(dict[str, Any]):
    """A dictionary that cannot be changed. It can be written as JSON, compared, pickled, and copied into a plain one.

    Raises:
        TypeError: on every attempt to change it.
    """

    __slots__ = ()

    def _refuse(self, *arguments: object, **named: object) -> NoReturn:
        raise TypeError("this is shown to be read, and cannot be changed; facekit.interfaces.plain_data() copies it")

    __setitem__ = __delitem__ = __ior__ = clear = pop = popitem = setdefault = update = _refuse

    def copy(self) -> dict[str, Any]:
        """Return a plain dictionary with the same entries, themselves still read-only."""
        return dict(self)

    def __reduce__(self) -> tuple[type[ReadOnlyDict], tuple[dict[str, Any]]]:
        # What unpickles and deep-copies a dictionary sets its items one by one.
        return type(self), (dict(self),)


def read_only(value: Any) -> Any:
    """Return plain data that cannot be changed at any depth: mappings as :class:`ReadOnlyDict`, lists as tuples.

    The data itself is copied: who keeps the original may change it without changing what is shown. Anything that is
    neither mapping, list, tuple nor set is returned as it is.
    """
    if isinstance(value, Mapping):
        return ReadOnlyDict({key: read_only(entry) for key, entry in value.items()})
    if isinstance(value, list | tuple):
        return tuple(read_only(entry) for entry in value)
    if isinstance(value, set | frozenset):
        return frozenset(read_only(entry) for entry in value)
    return value


def plain_data(value: Any) -> Any:
    """Return a copy of read-only data that may be changed, in dictionaries and lists: what YAML writers ask for."""
    if isinstance(value, Mapping):
        return {key: plain_data(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [plain_data(entry) for entry in value]
    if isinstance(value, set | frozenset):
        return {plain_data(entry) for entry in value}
    return value

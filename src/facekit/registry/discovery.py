"""Finding what is installed, and what the switches say of it. Nothing of a plugin is imported here."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

from facekit.interfaces import FacekitError, did_you_mean

TOOLKIT = "facekit-toolkit"
"""The distribution that speaks the interfaces."""

ENTRY_POINT_GROUP = "facekit.plugins"

SWITCHES = ("FACEKIT_NO_PLUGINS", "FACEKIT_PLUGINS", "FACEKIT_STRICT_PLUGINS")
"""The environment variables that say which plugins are loaded, and how failures are taken."""

READING_ENTRY_POINTS = "reading its entry points"
"""What a plugin failed in whose distribution cannot be read."""

_ALIKE = ("facekit", "facekitplugin", "facekitplugins", "facekittoolkit", "facekittoolkitplugins")
"""Letters of groups that are meant to be facekit's."""

_GROUP = re.compile(r"^\s*\[\s*(.+?)\s*\]", re.MULTILINE)
_FIELD = re.compile(r"^(Name|Version):[ \t]*(.*?)[ \t]*$", re.MULTILINE)


@dataclass(frozen=True)
class PluginOrigin:
    """Where a plugin comes from: an entry point of a distribution, which names ``module`` or ``module:attribute``.

    For a plugin that is one file, the name is the file's stem, the distribution its path, and the version empty.
    """

    name: str
    distribution: str
    version: str
    target: str
    file: Path | None = None

    @classmethod
    def of_file(cls, path: Path) -> PluginOrigin:
        """Return the origin of a one-file plugin."""
        return cls(name=path.stem, distribution=str(path), version="", target=path.stem, file=path)

    def __str__(self) -> str:
        return f"{self.distribution} {self.version}".strip()


@dataclass(frozen=True)
class InstalledPlugin:
    """An entry point of an installed distribution."""

    origin: PluginOrigin
    entry_point: metadata.EntryPoint
    distribution: metadata.Distribution


@dataclass(frozen=True)
class UnusablePlugin:
    """What is installed and cannot be found: its files are damaged, or its group only looks like facekit's.

    The origin has no target where that is not known; ``folder`` is where its distribution is.
    """

    origin: PluginOrigin
    folder: str
    error: Exception | str
    remedy: str


@dataclass
class Installed:
    """The plugins that the distributions on the path declare, by distribution and name; and those that are unusable."""

    plugins: list[InstalledPlugin] = field(default_factory=list)
    unusable: list[UnusablePlugin] = field(default_factory=list)

    def names(self) -> set[str]:
        """Return what ``FACEKIT_PLUGINS`` can name: entry points and distributions."""
        origins = [plugin.origin for plugin in self.plugins] + [entry.origin for entry in self.unusable]
        return {name for origin in origins for name in (origin.name, origin.distribution)}


def find_installed() -> Installed:
    """Return the plugins of every distribution on the path.

    ``importlib.metadata.entry_points()`` raises for all of them if one has a broken file, and parses all metadata.
    """
    found = Installed()
    used: set[str] = set()
    for distribution in metadata.distributions():
        # To name one that cannot be read: the name of its folder is ``name-version.dist-info``.
        name, _, version = str(getattr(getattr(distribution, "_path", None), "stem", "")).partition("-")
        name = name or "a distribution without a name"
        try:
            if not _declares_plugins(distribution):
                continue
            # What the first lines of its metadata say, without parsing all of it.
            text = distribution.read_text("METADATA") or distribution.read_text("PKG-INFO") or ""
            fields = dict(reversed(_FIELD.findall(re.split(r"\r?\n\r?\n", text, maxsplit=1)[0])))
            if not fields.get("Name"):
                raise ValueError(f"it has no METADATA that says its name (in {folder_of(distribution)})")
            name, version = fields["Name"], fields.get("Version", "")
            if normal_name(name) in used:  # the first on the path is the one that is imported
                continue
            used.add(normal_name(name))
            declared = list(distribution.entry_points)
        except Exception as error:  # bytes that are no text, a file that is no list of entry points
            again = f"`pip install --force-reinstall {name}`"
            remedy = f"its files are damaged, which other programs may fail of as well: {again} puts them right"
            origin = PluginOrigin(name, name, version, "")
            found.unusable.append(UnusablePlugin(origin, folder_of(distribution), error, remedy))
            continue
        targets = {one.value for one in declared if one.group == ENTRY_POINT_GROUP}
        for one in declared:
            origin = PluginOrigin(one.name, name, version, one.value)
            if one.group == ENTRY_POINT_GROUP:
                found.plugins.append(InstalledPlugin(origin, one, distribution))
            elif _looks_like_ours(one.group) and one.value not in targets:
                # A second entry in another group, of a plugin that is found as well, may be meant for something else.
                stands = f"the entry point {one.name!r} stands in the group {one.group!r}"
                message = f"{stands}, and facekit looks into {ENTRY_POINT_GROUP!r} only"
                write = f'write [project.entry-points."{ENTRY_POINT_GROUP}"] in its pyproject.toml'
                remedy = f"{write}, and install it again"
                found.unusable.append(UnusablePlugin(origin, folder_of(distribution), message, remedy))
    found.plugins.sort(key=lambda plugin: (plugin.origin.distribution, plugin.origin.name))
    return found


@dataclass(frozen=True)
class Switches:
    """Which plugins are loaded, and how failures are taken.

    Of the installed ones ``none`` are loaded, or ``only`` these entry points or distributions (all where it is empty)
    but for those that ``never`` names; any failure is fatal where it is ``strict``.
    """

    none: bool = False
    only: tuple[str, ...] = ()
    never: tuple[str, ...] = ()
    strict: bool = False

    @classmethod
    def read(cls, environment: Mapping[str, str] | None = None) -> Switches:
        """Read them from environment variables; this process's where none are given."""
        environment = os.environ if environment is None else environment
        off = ("", "0", "false", "no", "off")
        none, strict = (environment.get(f"FACEKIT_{name}_PLUGINS", "") for name in ("NO", "STRICT"))
        names = [name.strip() for name in environment.get("FACEKIT_PLUGINS", "").split(",")]
        return cls(
            none=none.strip().lower() not in off,
            only=tuple(name for name in names if name and not name.startswith("-")),
            never=tuple(name[1:].strip() for name in names if name.startswith("-") and name != "-"),
            strict=strict.strip().lower() not in off,
        )

    def load(self, origin: PluginOrigin) -> bool:
        """Tell whether an installed plugin is to be loaded."""
        names = {normal_name(origin.name), normal_name(origin.distribution)}
        only, never = ({normal_name(name) for name in listed} for listed in (self.only, self.never))
        return not (self.none or (only and not only & names) or never & names)

    def by(self) -> str:
        """Return the name of the switch that keeps plugins from being loaded."""
        return "FACEKIT_NO_PLUGINS" if self.none else "FACEKIT_PLUGINS"

    def check(self, known: Collection[str]) -> None:
        """Check the names.

        Raises:
            FacekitError: one is not among those known; a typing error must not silently load something else.
        """
        normal = {normal_name(name) for name in known}
        for name in (*self.only, *self.never):
            if normal_name(name) not in normal:
                raise FacekitError(
                    f"FACEKIT_PLUGINS names {name!r}, and no such plugin is installed",
                    remedy=did_you_mean(name, sorted(known)) or f"installed: {', '.join(sorted(known)) or 'none'}",
                )


def doctor_command(origins: Iterable[PluginOrigin] = ()) -> str:
    """Return the command that examines plugins: the installed ones, and those among these that are one file."""
    files = dict.fromkeys(str(origin.file) for origin in origins if origin.file is not None)
    return shlex.join(["facekit", "plugins", "doctor", *(word for file in files for word in ("--plugin-file", file))])


def how_to_leave_one_out(sides: Sequence[PluginOrigin]) -> str:
    """Return what to do about plugins that cannot be had together: one of them is to be left out."""
    installed = list(dict.fromkeys(side.distribution for side in sides if side.file is None))
    files = list(dict.fromkeys(str(side.file) for side in sides if side.file is not None))
    if not installed:
        return "give one of the plugin files only, or rename it in one of them"
    by_switch = f"leave it out: `FACEKIT_PLUGINS=-{installed[0]} facekit ...`"
    if not files:
        return f"uninstall one, or {by_switch}"
    return f"run without `--plugin-file {shlex.quote(files[0])}`; or uninstall {installed[0]}, or {by_switch}"


def normal_name(name: str) -> str:
    """Return the name of a distribution as package indexes compare names."""
    return re.sub(r"[-_.]+", "-", name).lower()


def folder_of(distribution: metadata.Distribution) -> str:
    """Return the folder on the path that a distribution was found in."""
    try:
        return str(Path(str(distribution.locate_file(""))).resolve())
    except (NotImplementedError, OSError):  # a finder of somebody's own, which keeps no files
        return "an unknown place"


def _declares_plugins(distribution: metadata.Distribution) -> bool:
    try:
        text = distribution.read_text("entry_points.txt") or ""
        return ENTRY_POINT_GROUP in text or any(_looks_like_ours(group) for group in _GROUP.findall(text))
    except UnicodeDecodeError:  # whose it is can be told all the same, and most are not facekit's concern
        path = getattr(distribution, "_path", None)
        if path is None or ENTRY_POINT_GROUP.encode() in path.joinpath("entry_points.txt").read_bytes():
            raise
        return False


def _looks_like_ours(group: str) -> bool:
    """Tell whether a group is meant to be facekit's, by another spelling: ``facekit_plugins``, ``facekit.plugin``."""
    return group != ENTRY_POINT_GROUP and re.sub(r"[^a-z]", "", group.lower()) in _ALIKE


def requirements_of(distribution: str) -> list[str]:
    """Return what a distribution asks for, as its metadata says it; nothing for a one-file plugin."""
    try:
        return metadata.requires(distribution) or []
    except (metadata.PackageNotFoundError, ValueError):
        return []


def how_to_upgrade(origin: PluginOrigin) -> str:
    """Return how a newer version of a plugin is had."""
    if not origin.version:
        return f"is {origin.distribution} the newest one you have?"
    return f"upgrade it: `pip install --upgrade {origin.distribution}`"

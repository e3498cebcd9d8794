"""Makes broken recipes from a good one, each with one mistake whose place is known from how it was made.

The places come from PyYAML's own composer and from string arithmetic, not from facekit's reader. Load this module by
its path; it needs facekit's registry and PyYAML only::

    for mistake in make_mistakes(text, registry=registry):
        mistake.write(folder)  # writes recipe.yaml
        # then read folder / "recipe.yaml" with mistake.overrides: fails at mistake.place(folder)
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from facekit.registry import KINDS, Kind, Registry

FILE = "recipe.yaml"

TreePath = tuple[str | int, ...]


@dataclass(frozen=True)
class Mistake:
    """A broken recipe.

    Args:
        name: what was done, unique.
        text: the recipe.
        overrides: the overrides.
        line: 1-based line of the mistake.
        column: 1-based column of the mistake.
        override: the override the mistake is in; None for the file.
    """

    name: str
    text: str
    line: int
    column: int
    overrides: tuple[str, ...] = ()
    override: str | None = None

    def write(self, folder: Path) -> Path:
        """Write the recipe into a folder and return its path."""
        path = folder / FILE
        path.write_text(self.text, encoding="utf-8")
        return path

    def place(self, folder: Path) -> str:
        """Return ``file:line:column`` as the message must show it."""
        file = f"--set {self.override}" if self.override is not None else str(folder / FILE)
        return f"{file}:{self.line}:{self.column}"


@dataclass(frozen=True)
class _Key:
    path: TreePath
    key: yaml.ScalarNode
    value: yaml.Node
    in_flow: bool
    is_first: bool


def make_mistakes(text: str, *, registry: Registry, style_option: str = "numbers") -> list[Mistake]:
    """Return all mistakes this module knows to make in a sound recipe.

    Args:
        text: the recipe; block maps at its top, a style encoder and a discriminator, no ``extends``.
        registry: the components it uses.
        style_option: the option of the style encoder that sets the length of its vectors.
    """
    found: dict[str, Mistake] = {}
    maker = _Maker(text, registry, style_option)
    for mistake in maker.all():
        assert mistake.name not in found, mistake.name
        found[mistake.name] = mistake
    return list(found.values())


class _Maker:
    def __init__(self, text: str, registry: Registry, style_option: str) -> None:
        self.text = text
        self.lines = text.splitlines()
        self.registry = registry
        self.style_option = style_option
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        assert root is not None
        self.keys = list(self._walk(root, ()))
        self.by_path = {key.path: key for key in self.keys}

    def all(self) -> Iterator[Mistake]:
        yield from self.keys_misspelt()
        yield from self.keys_twice()
        yield from self.values_of_wrong_type()
        yield from self.components_misnamed()
        yield from self.numbers_out_of_range()
        yield from self.lines_misindented()
        yield from self.syntax_broken()
        yield from self.ports_in_conflict()
        yield from self.bases_missing()
        yield from self.overrides_misspelt()
        yield from self.overrides_of_wrong_type()
        yield from self.rules_broken()

    def keys_misspelt(self) -> Iterator[Mistake]:
        for key in self.keys:
            mark = key.key.start_mark
            for suffix in ("x", "_s"):
                text = self._splice(key.key.start_mark.index, key.key.end_mark.index, f"{key.key.value}{suffix}")
                yield self._at(f"unknown key {_show(key.path)}{suffix}", text, mark)

    def keys_twice(self) -> Iterator[Mistake]:
        for key in self.keys:
            value, mark = key.value, key.key.start_mark
            if isinstance(value, yaml.CollectionNode) and not value.flow_style:
                continue
            written = f"{key.key.value}: {self.text[value.start_mark.index : value.end_mark.index]}"
            name = f"key twice {_show(key.path)}"
            if key.in_flow:
                end = value.end_mark
                yield Mistake(name, self._splice(end.index, end.index, f", {written}"), end.line + 1, end.column + 3)
            else:
                lines = [*self.lines]
                lines.insert(value.end_mark.line + 1, " " * mark.column + written)
                yield Mistake(name, _join(lines), value.end_mark.line + 2, mark.column + 1)

    def values_of_wrong_type(self) -> Iterator[Mistake]:
        for path, node in self._scalars():
            for wrong in self._wrong_values(path, node):
                text = self._splice(node.start_mark.index, node.end_mark.index, wrong)
                yield self._at(f"{wrong} for {_show(path)}", text, node.start_mark)

    def components_misnamed(self) -> Iterator[Mistake]:
        for path, node, kind in self._uses():
            other = next(
                entry.spec.name
                for k in KINDS
                if k != kind
                for entry in self.registry.of_kind(k)
                if entry.spec.name not in self.registry.names(kind)
            )
            for wrong in (f"{node.value}s", node.value[:-1], f"nobody/{node.value}", other, "completely_different"):
                text = self._splice(node.start_mark.index, node.end_mark.index, wrong)
                yield self._at(f"component {wrong} at {_show(path)}", text, node.start_mark)

    def numbers_out_of_range(self) -> Iterator[Mistake]:
        bad = {
            ("data", "size"): ("8", "4096", "-128"),
            ("train", "batch"): ("0", "-1", "1e30"),
            ("train", "steps"): ("0", "-5"),
            ("train", "epochs"): ("0", "-1.5"),
            ("train", "seed"): ("-1", "7.5"),
            ("train", "optimiser", "lr"): ("0", "-2e-4", ".inf", ".nan"),
            ("train", "ema", "decay"): ("1", "1.5", "-0.1"),
        }
        for path, values in bad.items():
            key = self.by_path.get(path)
            for value in values if key else ():
                assert key is not None
                text = self._splice(key.value.start_mark.index, key.value.end_mark.index, value)
                yield self._at(f"{_show(path)} out of range {value}", text, key.value.start_mark)
        for key in self.keys:
            if key.path[-1] == "weight":
                text = self._splice(key.value.start_mark.index, key.value.end_mark.index, "-1")
                yield self._at(f"negative {_show(key.path)}", text, key.value.start_mark)

    def lines_misindented(self) -> Iterator[Mistake]:
        for name, line, column in self._movable_lines():
            body = self.lines[line].lstrip(" ")
            yield self._with_line(f"indented more {name}", line, " " * (column + 1) + body, column + 2)
            if column > 1:
                yield self._with_line(f"indented less {name}", line, " " * (column - 1) + body, column)
            if column > 0:
                yield self._with_line(f"indented by a tab {name}", line, "\t" + body, 1)

    def syntax_broken(self) -> Iterator[Mistake]:
        for key in self.keys:
            value, name = key.value, _show(key.path)
            start, end = value.start_mark, value.end_mark
            if isinstance(value, yaml.CollectionNode):
                if value.flow_style and start.line == end.line and not key.in_flow:
                    text = self._splice(end.index - 1, end.index, "")
                    yield self._at(f"bracket not closed {name}", text, start)
                continue
            if not key.in_flow:
                colon = key.key.end_mark.index
                yield self._at(f"no colon {name}", self._splice(colon, colon + 1, ""), key.key.start_mark)
                yield Mistake(
                    f"two colons {name}", self._splice(end.index, end.index, ": more"), end.line + 1, end.column + 1
                )
            yield self._at(f"quote not closed {name}", self._splice(start.index, start.index, '"'), start)
            yield self._at(f"unknown alias {name}", self._splice(start.index, end.index, "*nowhere"), start)
            yield self._at(f"tag {name}", self._splice(start.index, start.index, "!!python/name:os.system "), start)
            yield self._at(f"control character {name}", self._splice(start.index, start.index, "\x07"), start)
        count = len(self.lines)
        yield Mistake("second document", self.text.rstrip("\n") + "\n---\nfacekit: 1\n", count + 1, 1)
        yield Mistake("a list", "- facekit: 1\n", 1, 1)
        yield Mistake("only a word", "facekit\n", 1, 1)
        yield Mistake("empty", "", 1, 1)
        yield Mistake("only comments", "# nothing\n", 1, 1)

    def ports_in_conflict(self) -> Iterator[Mistake]:
        generator = self.by_path[("model", "generator", "use")].value.start_mark
        for numbers in (4, 5, 63, 65, 100, 200, 511, 1000, 2047, 3000, 4000, 4095):
            override = f"model.style_encoder.{self.style_option}={numbers}"
            yield Mistake(
                f"style of {numbers}", self.text, generator.line + 1, generator.column + 1, overrides=(override,)
            )
        yield Mistake(
            "no style encoder",
            self.text,
            generator.line + 1,
            generator.column + 1,
            overrides=("model.style_encoder=null", "train.optimiser.lr_scale.style_encoder=null"),
        )
        size = self.by_path[("data", "size")].value
        for odd in (99, 101, 127, 129, 131, 255):
            text = self._splice(size.start_mark.index, size.end_mark.index, str(odd))
            yield self._at(f"size of {odd}", text, size.start_mark)
            override = f"data.size={odd}"
            yield Mistake(f"size overridden to {odd}", self.text, 1, 11, (override,), override)
        for path, node, _ in self._uses():
            if path[:2] == ("losses", "discriminator"):
                yield Mistake(
                    f"no discriminator for {_show(path)}",
                    self.text,
                    node.start_mark.line + 1,
                    node.start_mark.column + 1,
                    overrides=("model.discriminator=null",),
                )

    def bases_missing(self) -> Iterator[Mistake]:
        for value in ("missing.yaml", "../nowhere/base.yaml", ".", FILE, "17", "{a: b}", "''", "null"):
            yield Mistake(f"extends {value}", f"extends: {value}\n{self.text}", 1, 10)
        yield Mistake("extends a list", f"extends: [missing.yaml]\n{self.text}", 1, 11)
        yield Mistake("extends in a list", f"extends:\n  - missing.yaml\n{self.text}", 2, 5)

    def overrides_misspelt(self) -> Iterator[Mistake]:
        for key in self.keys:
            before = _show(key.path[:-1])
            column = len(before) + 2 if before else 1
            override = f"{before}.{key.path[-1]}x=1" if before else f"{key.path[-1]}x=1"
            yield Mistake(f"override {override}", self.text, 1, column, (override,), override)
        for override, column in (
            ("", 1),
            ("train.batch", 12),
            ("=4", 1),
            (".train.batch=4", 1),
            ("train..batch=4", 7),
            ("train.batch.=4", 13),
            ("train batch=4", 6),
            ("train.batch =4", 12),
            ("losses.generator[x].weight=1", 17),
            ("losses.generator[0.weight=1", 17),
            ("losses.generator[99].weight=1", 17),
            ("losses.generator.99.weight=1", 18),
            ("losses.generator.first.weight=1", 18),
            ("losses.generator[-1].weight=1", 17),
            ("losses.generator[0]weight=1", 20),
            ("data[0]=1", 5),
            ("train.batch[0]=1", 12),
            ("train.batch=[1", 13),
            ("train.batch={a: 1", 13),
            ("train.batch='4", 13),
            ("train.batch=*four", 13),
            ("train.batch=@four", 13),
            ("train.batch=4: 5", 13),
            ("train.batch=!!int 4", 13),
        ):
            yield Mistake(f"override syntax {override}", self.text, 1, column, (override,), override)

    def overrides_of_wrong_type(self) -> Iterator[Mistake]:
        for path, node in self._scalars():
            for wrong in self._wrong_values(path, node)[:2]:
                override = f"{_show(path)}={wrong}"
                yield Mistake(f"override {override}", self.text, 1, len(_show(path)) + 2, (override,), override)
        for path, _, _ in self._uses():
            override = f"{_show(path)}=no_such_thing"
            yield Mistake(f"override {override}", self.text, 1, len(_show(path)) + 2, (override,), override)
        for section, value in (
            ("data", "17"),
            ("data", "null"),
            ("model", "generator"),
            ("model.generator", "null"),
            ("model.generator", "adain"),
            ("losses", "[]"),
            ("losses.generator", "l1"),
            ("losses.generator[0]", "l1"),
            ("metrics", "psnr"),
            ("metrics", "{use: psnr}"),
            ("train", "fast"),
            ("train.ema", "null"),
            ("train.optimiser", "adam"),
            ("facekit", "2"),
            ("facekit", "'1'"),
            ("train.optimiser.betas", "[0.5]"),
            ("train.optimiser.betas", "0.5"),
        ):
            override = f"{section}={value}"
            yield Mistake(f"override {override}", self.text, 1, len(section) + 2, (override,), override)

    def rules_broken(self) -> Iterator[Mistake]:
        given = "epochs" if ("train", "epochs") in self.by_path else "steps"
        other = "steps" if given == "epochs" else "epochs"
        key = self.by_path["train", given].key.start_mark
        lines = [*self.lines]
        lines.insert(key.line + 1, " " * key.column + f"{other}: 3")
        yield Mistake("both steps and epochs", _join(lines), key.line + 2, key.column + 1)
        version = self.by_path[("facekit",)].value
        for wrong in ("2", "'1'", "one", "1.0", "null", "[1]"):
            text = self._splice(version.start_mark.index, version.end_mark.index, wrong)
            yield self._at(f"format {wrong}", text, version.start_mark)
        for override, column in (
            ("losses.generator=[]", 8),
            ("losses.discriminator=[]", 8),
            ("losses.generator[0].use=gradient_penalty", 25),
            ("losses.generator[1].label=adversarial", 27),
            ("losses.generator[1].label=a/b", 27),
            ("train.keep.best=psnr", 17),
            ("train.freeze=[{part: decoder}]", 22),
            ("train.initialise=[{part: generator}]", 19),
            ("train.optimiser.lr_scale.encoder=2", 26),
        ):
            yield Mistake(f"rule {override}", self.text, 1, column, (override,), override)

    def _walk(self, node: yaml.Node, path: TreePath) -> Iterator[_Key]:
        if isinstance(node, yaml.MappingNode):
            for index, (key, value) in enumerate(node.value):
                here = (*path, key.value)
                yield _Key(here, key, value, bool(node.flow_style), index == 0)
                yield from self._walk(value, here)
        elif isinstance(node, yaml.SequenceNode):
            for index, item in enumerate(node.value):
                yield from self._walk(item, (*path, index))

    def _scalars(self) -> Iterator[tuple[TreePath, yaml.ScalarNode]]:
        for key in self.keys:
            if key.path == ("facekit",):
                continue
            if isinstance(key.value, yaml.ScalarNode):
                yield key.path, key.value
            elif isinstance(key.value, yaml.SequenceNode):
                for index, item in enumerate(key.value.value):
                    if isinstance(item, yaml.ScalarNode):
                        yield (*key.path, index), item

    def _uses(self) -> Iterator[tuple[TreePath, yaml.ScalarNode, Kind]]:
        kinds: dict[str, Kind] = {"data": "dataset", "losses": "loss", "metrics": "metric"}
        for key in self.keys:
            if key.path[-1] == "use":
                assert isinstance(key.value, yaml.ScalarNode)
                section, slot = str(key.path[0]), str(key.path[1])
                kind: Kind = slot if section in ("model", "train") else kinds[section]  # type: ignore[assignment]
                yield key.path, key.value, kind

    def _wrong_values(self, path: TreePath, node: yaml.ScalarNode) -> list[str]:
        if path[-1] == "use":
            return ["17", "[a]", "{a: b}", "true"]
        if node.value in ("true", "false"):
            return ["maybe", "17", "[]", "on"]
        if re.fullmatch(r"[-+0-9.e]+", node.value):
            # A map may stand for a weight: one that changes over the run.
            a_map = "[[1]]" if path[-1] == "weight" else "{a: 1}"
            return ["wrong", f'"{node.value}"', "true", "[1]", a_map, "1_000"]
        return ["17", "[[x]]", "true"]

    def _movable_lines(self) -> Iterator[tuple[str, int, int]]:
        """Yield the lines that follow others of their level, so that only their own indentation can be wrong."""
        for key in self.keys:
            if not key.in_flow and not key.is_first:
                yield _show(key.path), key.key.start_mark.line, key.key.start_mark.column
            if isinstance(key.value, yaml.SequenceNode) and not key.value.flow_style:
                for index, item in enumerate(key.value.value[1:], start=1):
                    line = item.start_mark.line
                    dash = self.lines[line].index("-")
                    yield f"{_show(key.path)}[{index}]", line, dash

    def _splice(self, start: int, end: int, text: str) -> str:
        return self.text[:start] + text + self.text[end:]

    def _at(self, name: str, text: str, mark: yaml.Mark) -> Mistake:
        return Mistake(name, text, mark.line + 1, mark.column + 1)

    def _with_line(self, name: str, line: int, text: str, column: int) -> Mistake:
        lines = [*self.lines]
        lines[line] = text
        return Mistake(name, _join(lines), line + 1, column)


def _join(lines: list[str]) -> str:
    return "\n".join(lines) + "\n"


def _show(path: TreePath) -> str:
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text

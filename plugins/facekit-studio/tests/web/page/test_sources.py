"""The page's own files: no text in documentation that the page does not keep, nothing from elsewhere."""

from __future__ import annotations

import json
import re
from pathlib import Path

from facekit_studio.web.responses import PAGE, PAGE_KINDS

DOCS = Path(__file__).parents[5] / "docs" / "studio.md"


def test_documentation_has_the_shortcuts_of_the_page() -> None:
    shortcuts = json.loads((PAGE / "help" / "shortcuts.json").read_text())
    section = DOCS.read_text().split("### Keyboard shortcuts\n")[1].split("\n#")[0]
    rows = re.findall(r"^\| `([^`]+)` \| (.+) \|$", section, flags=re.MULTILINE)
    assert rows == [(each["keys"], each["what"]) for each in shortcuts]


def test_single_keys_of_the_list_are_listened_to() -> None:
    source = (PAGE / "help" / "keyboard.js").read_text()
    for each in json.loads((PAGE / "help" / "shortcuts.json").read_text()):
        for key in each["keys"].split(" "):
            if len(key) == 1 and key not in "…12345":
                assert re.search(
                    rf'^\s+("{re.escape(key.lower())}"|{re.escape(key.lower())}): ', source, re.MULTILINE
                ), key


def test_files_are_ours_alone() -> None:
    """Modules import each other by relative paths; nothing names another server, and none is long."""
    files = [file for file in PAGE.rglob("*") if file.is_file()]
    assert len(files) > 20
    for file in files:
        assert file.suffix in PAGE_KINDS, file
        text = file.read_text(encoding="utf-8")
        addresses = set(re.findall(r"https?://[^\"'\s)]+", text)) - {"http://www.w3.org/2000/svg"}
        assert addresses == set(), file
        assert len(text.splitlines()) <= 400, file
        for name in re.findall(r'^(?:import|export) .*from "([^"]+)";', text, flags=re.MULTILINE):
            assert name.startswith("."), (file, name)
            assert (file.parent / name).is_file(), (file, name)

"""The lists of pairs that were measured: the face of each mask and the face of its style."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from facekit.figures.html import spoken, text

_FROM_NOISE = "generation"

_OF_ONE_FACE = {
    "reconstruction": "each face from its own mask in its own look",
    _FROM_NOISE: "one sample of noise for each face of the split",
}
"""The tasks whose targets and references are the same faces."""


def pair_lists(lists: Mapping[str, Sequence[tuple[str, str]]], *, seed: str) -> str:
    """Return every list of pairs as a folded table; an empty string where there are none.

    Args:
        lists: (target key, reference key) of each pair, by the name of the list (``style_copy``,
            ``attribute_transfer/Smiling``).
        seed: the seed they were drawn with.
    """
    parts = [_folded(name, pairs) for name, pairs in lists.items() if pairs]
    if not parts:
        return ""
    names = [name for name, pairs in lists.items() if pairs]
    said = []
    if names != [_FROM_NOISE]:
        said.append(f"Drawn with seed {text(seed)}: the same faces give the same pairs in every run.")
    if _FROM_NOISE in names:
        said.append("The noise of a sample follows from the name of its face: it is the same in every run.")
    return (
        f"<details><summary>Which {'samples' if names == [_FROM_NOISE] else 'pairs'} were measured</summary>"
        f"<p class=note>{' '.join(said)}</p>"
        f"{''.join(parts)}</details>"
    )


def _folded(name: str, pairs: Sequence[tuple[str, str]]) -> str:
    what = _OF_ONE_FACE.get(name, "pairs of mask and look")
    headings = ("Face",) if name in _OF_ONE_FACE else ("Mask of", "Look of")
    rows = "".join(
        "<tr>" + "".join(f"<td class=mono>{text(key)}</td>" for key in pair[: len(headings)]) + "</tr>"
        for pair in pairs
    )
    head = "".join(f"<th>{heading}</th>" for heading in headings)
    return (
        f"<details class=how><summary>{text(spoken(name))}: {what} ({len(pairs):,})</summary>"
        f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></details>"
    )

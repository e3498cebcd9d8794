"""Scripts that nobody would write: they are read or refused, never crash, and never leave the label map."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from facekit.interfaces import FacekitError, LabelMap
from facekit.registry import load_registry
from facekit_studio.editing.script import (
    OPERATIONS,
    EditContext,
    EditScript,
    Runs,
    apply_script,
    parse_script,
    write_script,
)
from facekit_studio.editing.script.masks import Ids

LABELS: LabelMap = load_registry().label_maps["celebamask_hq"]

regions = st.sampled_from(LABELS.names)
several = regions | st.lists(regions, min_size=1, max_size=4)
maybe = st.none() | several
files = st.text("abc/. é'\"\n", min_size=1, max_size=9)


def number(low: float, high: float) -> st.SearchStrategy[float]:
    return st.floats(low, high, allow_nan=False) | st.sampled_from([low, high])


fractions = number(-1, 2)
points = st.tuples(fractions, fractions)
pixels = st.tuples(st.integers(1, 24), st.integers(1, 24)).flatmap(
    lambda size: st.binary(min_size=size[0] * size[1], max_size=size[0] * size[1]).map(
        lambda data: np.frombuffer(data, np.uint8).reshape(size) > 127
    )
)
shapes = st.one_of(
    pixels.map(lambda found: {"runs": Runs.of(found).model_dump()}),
    st.fixed_dictionaries({"points": st.lists(points, min_size=1, max_size=5), "width": number(1e-3, 1)}).map(
        lambda value: {"stroke": value}
    ),
    st.fixed_dictionaries(
        {"centre": points, "radii": st.tuples(number(1e-3, 2), number(1e-3, 2)), "degrees": number(-360, 360)}
    ).map(lambda value: {"ellipse": value}),
    st.lists(points, min_size=3, max_size=6).map(lambda value: {"polygon": {"points": value}}),
    st.tuples(number(0, 0.999), number(0, 0.999)).map(lambda value: {"flood": {"at": value}}),
)
factors = number(0.05, 20)
FIELDS: dict[str, st.SearchStrategy[dict[str, Any]]] = {
    "set": st.tuples(st.fixed_dictionaries({"region": regions, "only": maybe}), shapes).map(
        lambda two: two[0] | two[1]
    ),
    "replace": st.fixed_dictionaries({"region": several, "by": regions}),
    "remove": st.fixed_dictionaries({"region": several, "fill": st.none() | regions}),
    "grow": st.fixed_dictionaries({"region": several, "by": number(1e-3, 0.5), "over": maybe}),
    "shrink": st.fixed_dictionaries({"region": several, "by": number(1e-3, 0.5)}),
    "move": st.fixed_dictionaries({"region": several, "by": st.tuples(number(-1, 1), number(-1, 1)), "over": maybe}),
    "scale": st.fixed_dictionaries({"region": several, "by": factors | st.tuples(factors, factors), "over": maybe}),
    "rotate": st.fixed_dictionaries({"region": several, "degrees": number(-360, 360), "over": maybe}),
    "copy_part": st.fixed_dictionaries({"region": several, "mask": files, "fit": st.booleans(), "keep": st.booleans()}),
    "mirror": st.just({}),
    "interpolate": st.fixed_dictionaries({"mask": files, "amount": number(0, 1)}),
    "open_mouth": st.fixed_dictionaries({"amount": number(0, 1)}),
    "close_mouth": st.just({}),
    "raise_brows": st.fixed_dictionaries({"amount": number(-1, 1), "over": maybe}),
    "add_glasses": st.fixed_dictionaries(
        {"shape": st.sampled_from(["round", "rectangular"]), "size": number(0.3, 2), "tinted": st.booleans()}
    ),
    "reference": st.fixed_dictionaries({"photo": files, "mask": st.none() | files}),
    "blend_reference": st.fixed_dictionaries({"photo": files, "mask": st.none() | files, "amount": number(0, 1)}),
}
operations = st.sampled_from(sorted(FIELDS)).flatmap(
    lambda name: FIELDS[name].map(
        lambda fields: OPERATIONS[name].model_validate(
            {"do": name} | {key: value for key, value in fields.items() if value is not None}
        )
    )
)
words = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), max_size=20)
scripts = st.builds(
    EditScript,
    operations=st.lists(operations, max_size=5).map(tuple),
    name=words,
    description=words,
    label_map=st.sampled_from(["", "celebamask_hq"]),
)
masks = st.tuples(st.integers(1, 24), st.integers(1, 24)).flatmap(
    lambda size: st.binary(min_size=size[0] * size[1], max_size=size[0] * size[1]).map(
        lambda data: (np.frombuffer(data, np.uint8) % len(LABELS)).reshape(size)
    )
)
often = settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))


def test_every_operation_is_tried() -> None:
    assert set(FIELDS) == set(OPERATIONS)


@often
@given(script=scripts)
def test_what_is_written_reads_back(script: EditScript) -> None:
    assert parse_script(write_script(script), label_map=LABELS) == script


@often
@given(script=scripts, mask=masks, other=masks)
def test_masks_stay_in_the_label_map(script: EditScript, mask: Ids, other: Ids) -> None:
    before = mask.copy()
    context = EditContext(LABELS, read_mask=lambda file: other)
    result = apply_script(script, mask, context)
    assert result.shape == mask.shape
    assert result.dtype == np.uint8
    assert int(result.max()) < len(LABELS)
    assert np.array_equal(mask, before)
    again = apply_script(script, mask, EditContext(LABELS, read_mask=lambda file: other))
    assert np.array_equal(result, again)


values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8) | st.sampled_from(["do"]), inner),
    max_leaves=12,
)
keys = st.sampled_from(["facekit_edit", "operations", "name", "label_map", "do", "region", "by", "runs", "size"])
documents = st.dictionaries(keys | st.text(max_size=8), values, max_size=6)


def _read(text: str) -> None:
    try:
        script = parse_script(text, file="fuzzed.yaml", label_map=LABELS)
    except FacekitError as caught:  # a sentence with a place; anything else is a crash
        refusal: FacekitError = caught
    else:
        assert parse_script(write_script(script), label_map=LABELS) == script
        return
    assert refusal.exit_code == 2
    assert "fuzzed.yaml" in str(refusal)


@often
@given(document=documents)
def test_any_document_is_read_or_refused(document: dict[str, Any]) -> None:
    import yaml

    _read(yaml.safe_dump(document | {"facekit_edit": 1}, allow_unicode=True))


@often
@given(script=scripts, data=st.data())
def test_changed_scripts_are_read_or_refused(script: EditScript, data: st.DataObject) -> None:
    text = write_script(script)
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(text)))
        end = data.draw(st.integers(start, min(len(text), start + 12)))
        text = (
            text[:start]
            + data.draw(st.text(max_size=6) | st.sampled_from(["{", "]", ": ", "\n- ", "&a", "*a", "!!"]))
            + text[end:]
        )
    _read(text)


@often
@given(text=st.text(max_size=200))
def test_any_text_is_refused(text: str) -> None:
    _read(text)

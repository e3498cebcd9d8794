"""Tuning a run to a face of the studio: beside the painting, in memory only, and what the command makes of it."""

from __future__ import annotations

import io
import time
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from facekit.cli.main import cli
from facekit.inference import read_provenance
from facekit.interfaces import cache_folder
from facekit_studio.web.tunings import MOST_TUNED, Tunings

RUN, LABELS = "tiny-run", "celebamask_hq"
LOOK = 1
"""Index of the face that a look is taken from."""


@pytest.fixture
def tunings(served: Any) -> Iterator[Tunings]:
    """The tunings of the run, all of them gone afterwards."""
    found: Tunings = served.studio.runs[RUN].tunings
    assert isinstance(found, Tunings)
    yield found
    for tuning in list(found._tunings.values()):
        tuning.cancelled = True
    found._tunings.clear()


def faces(api: httpx.Client) -> list[dict[str, Any]]:
    return [face for face in api.get("/api/state").json()["faces"] if face["label_map"] == LABELS]


def asked(api: httpx.Client, face: str, run: str = RUN) -> dict[str, Any]:
    return api.get("/api/tuning", params={"run": run, "face": face}).json()


def tune(api: httpx.Client, face: str) -> dict[str, Any]:
    begun = api.post("/api/tuning", json={"run": RUN, "face": face})
    assert begun.status_code == 202, begun.text
    assert begun.json()["steps"] == 60
    end = time.monotonic() + 120
    while (told := asked(api, face))["state"] == "tuning":
        assert time.monotonic() < end
        time.sleep(0.05)
    return told


def preview(api: httpx.Client, face: str, **more: Any) -> httpx.Response:
    preview.sequence = getattr(preview, "sequence", 0) + 1  # type: ignore[attr-defined]
    body = {"run": RUN, "mask": api.get(f"/api/faces/{face}/ids").json(), "label_map": LABELS, "look": {"face": face}}
    return api.post(
        "/api/preview",
        json={**body, "client": "tuning", "sequence": preview.sequence, **more},  # type: ignore[attr-defined]
    )


def pixels(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(content)))


def test_runs_say_whether_they_can_be_tuned(api: httpx.Client, tunings: Tunings) -> None:
    runs = {run["id"]: run["tunable"] for run in api.get("/api/state").json()["runs"]}
    assert runs == {RUN: True, "merged": False}
    face = faces(api)[0]["id"]
    refused = api.post("/api/tuning", json={"run": "merged", "face": face})
    assert refused.status_code == 400
    assert "cannot be tuned" in refused.json()["error"]["message"]
    assert api.post("/api/tuning", json={"run": RUN, "face": "nobody"}).status_code == 404
    assert api.get("/api/tuning", params={"run": "nothing", "face": face}).status_code == 404
    other = next(face for face in api.get("/api/state").json()["faces"] if face["label_map"] != LABELS)
    assert api.post("/api/tuning", json={"run": RUN, "face": other["id"]}).status_code == 400


def test_a_tuned_run_paints_nearer_to_the_photo(api: httpx.Client, tunings: Tunings) -> None:
    face = faces(api)[0]["id"]
    assert asked(api, face)["state"] == "none"
    refused = preview(api, face, tuned=face)
    assert refused.status_code == 409
    assert "not tuned" in refused.json()["error"]["message"]
    untuned = preview(api, face).content
    told = tune(api, face)
    assert (told["state"], told["done"]) == ("tuned", 60)
    assert "60 steps" in told["note"]
    photo = pixels(api.get(f"/api/faces/{face}/photo").content).astype(float)
    tuned = preview(api, face, tuned=face).content
    distance = [np.abs(pixels(each).astype(float) - photo).mean() for each in (tuned, untuned)]
    assert distance[0] < 0.95 * distance[1]
    assert preview(api, face).content == untuned  # the run itself is as it was
    assert not (cache_folder() / "tuned").exists()
    assert tune(api, face)["state"] == "tuned"  # asked again, it is there
    assert api.delete("/api/tuning", params={"run": RUN, "face": face}).status_code == 204
    assert asked(api, face)["state"] == "none"
    assert preview(api, face, tuned=face).status_code == 409


def test_what_is_exported_is_what_the_command_makes(
    api: httpx.Client, tunings: Tunings, run: Path, tmp_path: Path
) -> None:
    edited, other = faces(api)[0], faces(api)[LOOK]
    blend = [{"do": "blend_reference", **other["files"], "amount": 0.5}]
    body = {"run": RUN, "face": edited["id"], "operations": blend}
    assert api.post("/api/export/picture", json={**body, "tuned": True}).status_code == 409
    plain = api.post("/api/export/picture", json=body).content
    tune(api, edited["id"])
    bundle = api.post("/api/export/bundle", json={**body, "tuned": True})
    assert bundle.status_code == 200, bundle.text
    zipfile.ZipFile(io.BytesIO(bundle.content)).extractall(tmp_path)
    result = tmp_path / "result.png"
    look = {"face": edited["id"], "blends": [{"face": other["id"], "amount": 0.5}]}
    shown = preview(api, edited["id"], look=look, into=edited["id"], tuned=edited["id"]).content
    assert np.array_equal(pixels(shown), pixels(result.read_bytes()))
    assert not np.array_equal(pixels(plain), pixels(result.read_bytes()))
    record = read_provenance(result)
    assert record is not None
    assert record["tuning"]["steps"] == 60
    command = next(line.split() for line in (tmp_path / "README.txt").read_text().splitlines() if "edit RUN" in line)
    assert command[command.index("--tune") + 1] == "60"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        patch.setenv("FACEKIT_CACHE", str(tmp_path / "cache"))
        done = CliRunner().invoke(cli, [str(run) if word == "RUN" else word for word in command[1:]])
    assert done.exit_code == 0, done.output
    assert (tmp_path / "again.png").read_bytes() == result.read_bytes()


def test_it_can_be_cancelled(api: httpx.Client, tunings: Tunings) -> None:
    face = faces(api)[0]["id"]
    before = tunings.options
    tunings.options = before.model_copy(update={"steps": 2000})
    try:
        begun = api.post("/api/tuning", json={"run": RUN, "face": face}).json()
        assert (begun["state"], begun["steps"]) == ("tuning", 2000)
        assert preview(api, face).status_code == 200  # painting goes on
        assert api.delete("/api/tuning", params={"run": RUN, "face": face}).status_code == 204
    finally:
        tunings.options = before
    assert asked(api, face)["state"] == "none"
    assert tune(api, face)["state"] == "tuned"  # so the thread was free again


def test_few_are_kept(api: httpx.Client, served: Any, tunings: Tunings) -> None:
    shelf = served.studio.shelf
    one = shelf.get(faces(api)[0]["id"])
    many = [replace(one, version=number) for number in range(MOST_TUNED + 2)]
    begun = [tunings.begin(face) for face in many]
    assert all(tuning is not None for tuning in begun)
    assert [tuning.cancelled for tuning in begun if tuning] == [True, True, *[False] * MOST_TUNED]
    assert tunings.begin(many[-1]) is None

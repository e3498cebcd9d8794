"""A studio with a run that fills in edits of a part: beside a run of whole faces, and alone."""

from __future__ import annotations

import base64
import io
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from facekit.cli.main import cli
from facekit.inference import read_provenance
from facekit.interfaces import FacekitError
from facekit.registry import load_registry
from facekit_studio.web.server import build_studio

Served = Any
"""A studio that is served; see conftest.py."""

SIDE, LABELS = 512, "celebamask_hq"
PART = [{"do": "set", "region": "hat", "ellipse": {"centre": [0.4, 0.4], "radii": [0.1, 0.07]}}]
MOST = [{"do": "set", "region": "hat", "ellipse": {"centre": [0.5, 0.5], "radii": [0.49, 0.4]}}]


@pytest.fixture(scope="module")
def both(run: Path, merged_run: Path, local_run: Path, serve: Callable[..., Any]) -> Iterator[Served]:
    """Two runs, of which one has the run that fills in parts beside it."""
    with serve(run, merged_run, local=local_run) as served:
        yield served


@pytest.fixture(scope="module")
def alone(local_run: Path, serve: Callable[..., Any]) -> Iterator[Served]:
    with serve(local_run) as served:
        yield served


def pixels(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(content)))


def png(array: np.ndarray, kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, kind)
    return buffer.getvalue()


def first_face(api: httpx.Client) -> dict[str, Any]:
    return next(face for face in api.get("/api/state").json()["faces"] if face["label_map"] == LABELS)


def after(api: httpx.Client, face: str, operations: list[dict[str, Any]]) -> dict[str, Any]:
    mask = api.get(f"/api/faces/{face}/ids").json()
    answer = api.post("/api/apply", json={"mask": mask, "label_map": LABELS, "operations": operations})
    assert answer.status_code == 200, answer.text
    return answer.json()["mask"]


def preview(api: httpx.Client, run: str, mask: dict[str, Any], **more: Any) -> httpx.Response:
    preview.sequence = getattr(preview, "sequence", 0) + 1  # type: ignore[attr-defined]
    body = {"run": run, "mask": mask, "label_map": LABELS, "client": "local", "sequence": preview.sequence}  # type: ignore[attr-defined]
    return api.post("/api/preview", json={**body, **more})


def made_again(api: httpx.Client, body: dict[str, Any], place: Path, runs: dict[str, Path]) -> bytes:
    """Return what the command of a bundle makes, which is to be the picture in it."""
    bundle = api.post("/api/export/bundle", json=body)
    assert bundle.status_code == 200, bundle.text
    zipfile.ZipFile(io.BytesIO(bundle.content)).extractall(place)
    lines = (place / "README.txt").read_text().splitlines()
    command = next(line.split() for line in lines if "edit RUN" in line)
    for word, run in runs.items():
        assert any(line.startswith(f"{word} is the folder of the run {run.name}, ") for line in lines)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        arguments = [str(runs.get(word, word)) for word in command[1:]]
        done = CliRunner().invoke(cli, arguments, prog_name="facekit")
    assert done.exit_code == 0, done.output
    again = (place / "again.png").read_bytes()
    assert again == (place / "result.png").read_bytes()
    return again


def test_state(both: Served, local_run: Path) -> None:
    with both.client() as api:
        state = api.get("/api/state").json()
        assert state["side"] == SIDE
        first, second = state["runs"]
        assert first["local"] == {"folder": str(local_run), "step": 3}
        assert second["local"] is None  # it knows other classes
        face = first_face(api)
        assert face["source"] == "data"
        assert api.get(f"/api/faces/{face['id']}/ids").json()["size"] == [SIDE, SIDE]
        assert pixels(api.get(f"/api/faces/{face['id']}/photo").content).shape == (SIDE, SIDE, 3)


@pytest.mark.parametrize(("what", "locally"), [("part", True), ("most", False), ("look", False)])
def test_the_preview_is_the_export_and_that_is_what_the_command_makes(
    what: str, locally: bool, both: Served, run: Path, local_run: Path, tmp_path: Path
) -> None:
    with both.client() as api:
        face = first_face(api)
        operations = MOST if what == "most" else PART
        mask = after(api, face["id"], operations)
        look = {"face": face["id"]} if what == "look" else None
        shown = preview(api, "tiny-run", mask, into=face["id"], look=look)
        assert shown.headers["x-facekit-local"] == str(int(locally))
        script = [*operations, *([{"do": "reference", **face["files"]}] if look else [])]
        body = {"run": "tiny-run", "face": face["id"], "operations": script, "mask": mask}
        picture = api.post("/api/export/picture", json=body).content
        assert np.array_equal(pixels(shown.content), pixels(picture))
        assert made_again(api, body, tmp_path, {"RUN": run, "LOCAL": local_run}) == picture
        photo = pixels(api.get(f"/api/faces/{face['id']}/photo").content)
        changed = (pixels(picture) != photo).any(2)
        if what == "part":
            rows, columns = np.indices(changed.shape) + 0.5
            reach = ((columns / SIDE - 0.4) / 0.15) ** 2 + ((rows / SIDE - 0.4) / 0.12) ** 2
            assert changed.any()
            assert not changed[reach > 1].any()
        record = read_provenance(tmp_path / "again.png")
        assert record is not None
        assert (record["run"], record["local_run"], record["edited_locally"]) == (run.name, local_run.name, locally)


def test_a_picture_that_is_not_put_back_is_painted_whole(both: Served) -> None:
    with both.client() as api:
        face = first_face(api)
        shown = preview(api, "tiny-run", after(api, face["id"], PART), look={"face": face["id"]})
        assert shown.headers["x-facekit-local"] == "0"
        assert pixels(shown.content).shape == (32, 32, 3)


def test_an_upload_keeps_its_resolution(both: Served, run: Path, local_run: Path, tmp_path: Path) -> None:
    random = np.random.default_rng(4)
    photo = random.integers(0, 256, (700, 700, 3), dtype=np.uint8)
    mask = np.kron(random.integers(0, 19, (8, 8), dtype=np.uint8), np.ones((64, 64), np.uint8))
    with both.client() as api:
        face = api.post("/api/faces", params={"name": "a.png", "aligned": "1"}, content=png(photo)).json()
        sent = api.put(f"/api/faces/{face['id']}/mask", params={"name": "m.png"}, content=png(mask))
        assert sent.status_code == 200, sent.text
        told = api.get(f"/api/faces/{face['id']}/ids").json()
        assert np.array_equal(np.frombuffer(base64.b64decode(told["ids"]), np.uint8).reshape(SIDE, SIDE), mask)
        body = {"run": "tiny-run", "face": face["id"], "operations": PART}
        made = pixels(made_again(api, body, tmp_path, {"RUN": run, "LOCAL": local_run}))
        assert made.shape == photo.shape
        changed = (made != photo).any(2)
        assert 0.005 < changed.mean() < 0.2
        api.delete(f"/api/faces/{face['id']}")


def test_alone(alone: Served, local_run: Path, tmp_path: Path) -> None:
    with alone.client() as api:
        state = api.get("/api/state").json()
        (told,) = state["runs"]
        assert (told["local"], told["inputs"], state["side"]) == (None, ["hole", "mask", "source"], SIDE)
        face = first_face(api)
        assert face["source"] == "drawn"  # its data are windows
        for number, operations in enumerate((PART, MOST)):
            mask = after(api, face["id"], operations)
            shown = preview(api, told["id"], mask, into=face["id"])
            assert shown.headers["x-facekit-local"] == "1"
            body = {"run": told["id"], "face": face["id"], "operations": operations, "mask": mask}
            made = made_again(api, body, tmp_path / str(number), {"RUN": local_run})
            assert np.array_equal(pixels(shown.content), pixels(made))
        refused = preview(api, told["id"], mask)
        assert refused.status_code == 400
        assert refused.json()["error"]["where"] == "into"
        body = {"run": told["id"], "face": face["id"], "operations": [{"do": "reference", **face["files"]}]}
        refused = api.post("/api/export/picture", json=body)
        assert refused.status_code == 400
        assert "reads no reference" in refused.json()["error"]["message"]


def test_what_does_not_go_together(run: Path, merged_run: Path, local_run: Path) -> None:
    registry, said = load_registry(), list[str]()

    def build(*runs: Path, local: Path) -> Any:
        return build_studio(runs, registry=registry, device="cpu", local=local, drawn=None, report=said.append)

    for runs, local, message in (
        ((run,), merged_run, "does not fill holes"),
        ((local_run,), local_run, "fills holes itself"),
        ((merged_run,), local_run, "the other one those of celebamask_hq_merged"),
    ):
        with pytest.raises(FacekitError, match=message) as caught:
            build(*runs, local=local)
        assert caught.value.where
        assert caught.value.remedy
        result = CliRunner().invoke(cli, ["studio", *map(str, runs), "--local", str(local), "--port", "0"])
        assert result.exit_code == 2
        assert message in result.stderr
        assert "Traceback" not in result.output
    said.clear()
    studio = build(run, merged_run, local=local_run)
    assert [each.local is None for each in studio.runs.values()] == [False, True]
    assert any("merged edits without the run for local edits" in line for line in said)

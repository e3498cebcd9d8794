"""What the page asks for, from a studio that really serves a trained run."""

from __future__ import annotations

import base64
import io
import json
import threading
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from torch import Tensor

from facekit.cli.main import cli
from facekit.inference import FacePipeline, load, read_provenance
from facekit.interfaces import LabelMap
from facekit.registry import load_registry
from facekit_studio.editing.script import OPERATIONS, parse_script
from facekit_studio.web import requests
from facekit_studio.web.ingest import Reader

Served = Any
"""A studio that is served; see conftest.py."""

SIZE, LABELS = 32, "celebamask_hq"
MOUTH = [{"do": "set", "region": "mouth", "runs": {"size": [SIZE, SIZE], "runs": "650+12 682+12 714+12"}}]


@pytest.fixture(scope="module")
def pipeline(run: Path) -> FacePipeline:
    return load(run, device="cpu")


@pytest.fixture(scope="module")
def faces(served: Served) -> list[dict[str, Any]]:
    with served.client() as client:
        return [face for face in client.get("/api/state").json()["faces"] if face["label_map"] == LABELS]


class ByColour:
    """Reads a mask off the first colour channel: a stand-in for a trained network, which takes minutes to make."""

    provenance = "colours 0"

    def __init__(self, label_map: LabelMap) -> None:
        self.label_map = label_map

    def __call__(self, image: Tensor) -> Tensor:
        ids = ((image[:, 0] + 1) * 127.5 / 16).round().long().clamp(0, len(self.label_map) - 1)
        return torch.nn.functional.one_hot(ids, len(self.label_map)).permute(0, 3, 1, 2).float()


def pixels(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(content)))


def png(array: np.ndarray, kind: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, kind, **options)
    return buffer.getvalue()


def ids_of(api: httpx.Client, face: str) -> np.ndarray:
    told = api.get(f"/api/faces/{face}/ids").json()
    return np.frombuffer(base64.b64decode(told["ids"]), np.uint8).reshape(told["size"]).copy()


def document(mask: np.ndarray) -> dict[str, Any]:
    return {"size": list(mask.shape), "ids": base64.b64encode(mask.astype(np.uint8).tobytes()).decode()}


def array(mask: dict[str, Any]) -> np.ndarray:
    return np.frombuffer(base64.b64decode(mask["ids"]), np.uint8).reshape(mask["size"])


def wanted(face: str, mask: np.ndarray, *, sequence: int, client: str, **more: Any) -> dict[str, Any]:
    body = {"run": "tiny-run", "mask": document(mask), "label_map": LABELS, "look": {"face": face}}
    return {**body, "client": client, "sequence": sequence, **more}


def test_state(api: httpx.Client, run: Path) -> None:
    state = api.get("/api/state").json()
    assert state["side"] == SIZE
    first, second = state["runs"]
    assert first["id"] == "tiny-run"
    assert first["folder"] == str(run)
    assert (first["size"], first["label_map"], first["step"]) == (SIZE, LABELS, 3)
    assert first["inputs"] == ["mask", "reference", "reference_mask"]
    assert (second["id"], second["label_map"], second["inputs"]) == ("merged", "celebamask_hq_merged", ["mask"])
    label_map = load_registry().label_maps[LABELS]
    told = state["label_maps"][LABELS]
    assert [entry["name"] for entry in told["classes"]] == list(label_map.names)
    assert [entry["id"] for entry in told["classes"]] == list(range(len(label_map)))
    assert ["l_eye", "r_eye"] in told["mirrored"]
    assert set(state["operations"]) == set(OPERATIONS)
    assert state["operations"]["grow"]["properties"]["by"]
    # The four faces of the validation split, for either label map.
    assert len(state["faces"]) == 8
    assert {face["source"] for face in state["faces"]} == {"data"}
    assert all(face["has_mask"] and not face["removable"] for face in state["faces"])


def test_the_page_needs_no_token_and_asks_nobody_else(served: Served) -> None:
    with httpx.Client(base_url=served.address, trust_env=False) as client:
        page = client.get("/")
        assert page.status_code == 200
        assert page.headers["content-type"].startswith("text/html")
        policy = page.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "http" not in policy
        assert "frame-ancestors 'none'" in policy
        assert page.headers["referrer-policy"] == "no-referrer"
        assert page.headers["x-content-type-options"] == "nosniff"
        assert "server" not in page.headers
        assert "://" not in page.text


def test_a_face_is_what_the_data_holds(api: httpx.Client, faces: list[dict[str, Any]], pipeline: FacePipeline) -> None:
    from facekit.training.open_data import open_data

    packed = open_data(pipeline.recipe, load_registry())
    for face, row in zip(faces, packed.rows("validation"), strict=True):
        photo = pixels(api.get(f"/api/faces/{face['id']}/photo").content)
        assert np.array_equal(photo, packed.images[row])
        mask = api.get(f"/api/faces/{face['id']}/mask").content
        assert Image.open(io.BytesIO(mask)).mode == "P"
        assert np.array_equal(pixels(mask), packed.masks[row])
        assert np.array_equal(ids_of(api, face["id"]), packed.masks[row])


def test_a_preview_is_what_the_run_generates(
    api: httpx.Client, faces: list[dict[str, Any]], pipeline: FacePipeline
) -> None:
    face, other = faces[0]["id"], faces[1]["id"]
    mask = ids_of(api, face)
    mask[20:23, 10:22] = 10
    answer = api.post("/api/preview", json=wanted(other, mask, sequence=1, client="generate"))
    assert answer.status_code == 200
    assert answer.headers["x-facekit-sequence"] == "1"
    assert float(answer.headers["x-facekit-milliseconds"]) > 0
    reference = Image.open(io.BytesIO(api.get(f"/api/faces/{other}/photo").content))
    reference_mask = Image.open(io.BytesIO(api.get(f"/api/faces/{other}/mask").content))
    direct = np.asarray(pipeline.generate(Image.fromarray(mask), reference, reference_mask))
    assert np.array_equal(pixels(answer.content), direct)
    assert "synthetic" in Image.open(io.BytesIO(answer.content)).text["facekit"]


def test_a_blend_lies_between_two_looks(api: httpx.Client, faces: list[dict[str, Any]]) -> None:
    face, other = faces[0]["id"], faces[1]["id"]
    mask = ids_of(api, face)

    def generated(amount: float, sequence: int) -> np.ndarray:
        look = {"face": face, "blends": [{"face": other, "amount": amount}]}
        answer = api.post("/api/preview", json=wanted(face, mask, sequence=sequence, client="blend", look=look))
        return pixels(answer.content).astype(int)

    own = pixels(api.post("/api/preview", json=wanted(face, mask, sequence=0, client="blend")).content).astype(int)
    theirs = pixels(api.post("/api/preview", json=wanted(other, mask, sequence=1, client="blend")).content).astype(int)
    assert np.array_equal(generated(0, 2), own)
    assert np.abs(generated(1, 3) - theirs).max() <= 1
    half = generated(0.5, 4)
    assert (half != own).any()
    assert (half != theirs).any()


def test_a_run_with_one_style_for_the_image_refuses_a_look_for_a_region(
    api: httpx.Client, faces: list[dict[str, Any]]
) -> None:
    face, other = faces[0]["id"], faces[1]["id"]
    look = {"face": face, "blends": [{"face": other, "amount": 1.0, "regions": ["skin"]}]}
    answer = api.post("/api/preview", json=wanted(face, ids_of(api, face), sequence=0, client="regions", look=look))
    assert answer.status_code == 400
    assert "no style of its own for each region, so regions cannot be mixed" in answer.text


def test_looks_are_blended_one_after_another(api: httpx.Client, faces: list[dict[str, Any]]) -> None:
    """As by a script with several; a script that gives a face its own look paints all of it, one without only edits."""
    face, others = faces[0], faces[1:3]
    mask = ids_of(api, face["id"])
    blends = [{"face": other["id"], "amount": 0.25 * (1 + place)} for place, other in enumerate(others)]
    own = {"do": "reference", **face["files"]}
    looks = [
        (None, []),
        ({"face": face["id"]}, [own]),
        (
            {"face": face["id"], "blends": blends},
            [
                {"do": "blend_reference", **other["files"], "amount": blend["amount"]}
                for other, blend in zip(others, blends, strict=True)
            ],
        ),
    ]
    seen = []
    for sequence, (look, operations) in enumerate(looks):
        shown = wanted("unused", mask, sequence=sequence, client="blends", look=look, into=face["id"])
        preview = api.post("/api/preview", json=shown)
        picture = api.post(
            "/api/export/picture", json={"run": "tiny-run", "face": face["id"], "operations": operations}
        )
        assert np.array_equal(pixels(preview.content), pixels(picture.content))
        seen.append(preview.content)
    assert np.array_equal(pixels(seen[0]), pixels(api.get(f"/api/faces/{face['id']}/photo").content))
    assert len({pixels(content).tobytes() for content in seen}) == 3


def test_a_mask_is_read_and_kept_nowhere(api: httpx.Client, faces: list[dict[str, Any]]) -> None:
    before = api.get("/api/state").json()["faces"]
    mask = ids_of(api, faces[0]["id"])
    for content in (png(mask), png(np.kron(mask, np.ones((3, 3), np.uint8)))):
        answer = api.post("/api/mask/read", params={"label_map": LABELS}, content=content)
        assert answer.status_code == 200, answer.text
        assert np.array_equal(array(answer.json()["mask"]), mask)
    assert api.get("/api/state").json()["faces"] == before


def test_a_run_without_references_paints_finer_masks(
    api: httpx.Client, faces: list[dict[str, Any]], merged_run: Path
) -> None:
    mask = ids_of(api, faces[0]["id"])
    body = wanted("unused", mask, sequence=1, client="merged", look=None, run="merged")
    generated = pixels(api.post("/api/preview", json=body).content)
    direct = load(merged_run, device="cpu", label_map=LABELS).generate(Image.fromarray(mask))
    assert np.array_equal(generated, np.asarray(direct))


def test_the_export_is_the_file_that_the_command_makes(
    api: httpx.Client, faces: list[dict[str, Any]], run: Path, tmp_path: Path
) -> None:
    """The page applies, previews and exports; the command line repeats it from what the page saves."""
    face, other = faces[0], faces[1]
    start = document(ids_of(api, face["id"]))
    operations = [*MOUTH, {"do": "grow", "region": "hair", "by": 0.05}]
    operations.append({"do": "copy_part", "region": "nose", "mask": other["files"]["mask"]})
    mask = start
    for operation in operations:  # one by one, as they are drawn
        answer = api.post("/api/apply", json={"mask": mask, "label_map": LABELS, "operations": [operation]})
        assert answer.status_code == 200, answer.text
        mask = answer.json()["mask"]
    assert mask != start
    look = {"do": "blend_reference", "photo": other["files"]["photo"], "mask": other["files"]["mask"], "amount": 0.5}
    for name, script in (("own", operations), ("look", [*operations, look])):
        body = {"run": "tiny-run", "face": face["id"], "name": name, "operations": script, "mask": mask}
        picture = api.post("/api/export/picture", json=body)
        assert picture.status_code == 200, picture.text
        into = {"face": face["id"], "blends": [{"face": other["id"], "amount": 0.5}]} if name == "look" else None
        sequence = 1 if name == "own" else 2
        shown = wanted(face["id"], array(mask), sequence=sequence, client="export", into=face["id"], look=into)
        assert np.array_equal(pixels(api.post("/api/preview", json=shown).content), pixels(picture.content))

        bundle = api.post("/api/export/bundle", json=body)
        place = tmp_path / name
        zipfile.ZipFile(io.BytesIO(bundle.content)).extractall(place)
        command = next(line.split() for line in (place / "README.txt").read_text().splitlines() if "edit RUN" in line)
        arguments = [str(run) if word == "RUN" else word for word in command[1:]]
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(place)
            done = CliRunner().invoke(cli, [*arguments, "--json"], prog_name="facekit")
        assert done.exit_code == 0, done.output
        again = (place / "again.png").read_bytes()
        assert again == picture.content == (place / "result.png").read_bytes()
        record = read_provenance(place / "again.png")
        assert record is not None
        assert record["synthetic"] is True
        assert parse_script(record["script"]) == parse_script((place / "script.yaml").read_text())


def test_an_export_of_another_mask_than_the_one_shown_is_refused(
    api: httpx.Client, faces: list[dict[str, Any]]
) -> None:
    face = faces[0]["id"]
    body = {"run": "tiny-run", "face": face, "operations": MOUTH, "mask": document(ids_of(api, face))}
    answer = api.post("/api/export/picture", json=body)
    assert answer.status_code == 409
    assert "another mask" in answer.json()["error"]["message"]


def test_an_exported_mask_holds_the_ids(api: httpx.Client) -> None:
    mask = np.random.default_rng(0).integers(0, 19, (40, 24), dtype=np.uint8)
    content = api.post("/api/export/mask", json={"mask": document(mask), "label_map": LABELS}).content
    picture = Image.open(io.BytesIO(content))
    assert picture.mode == "P"
    assert np.array_equal(np.asarray(picture), mask)
    colours = load_registry().label_maps[LABELS].colour_table()
    assert np.array_equal(np.asarray(picture.convert("RGB")), colours[mask])


def test_scripts_are_written_and_read(api: httpx.Client) -> None:
    operations = [*MOUTH, {"do": "move", "region": ["l_brow", "r_brow"], "by": [0.0, -0.05]}, {"do": "mirror"}]
    body = {"name": "éxample", "description": "d", "label_map": LABELS, "operations": operations}
    text = api.post("/api/script/write", json=body).text
    assert parse_script(text).name == "éxample"
    read = api.post("/api/script/read", json={"text": text, "label_map": LABELS}).json()
    assert read == body


def test_mistakes_of_a_script_have_their_places(api: httpx.Client) -> None:
    text = "facekit_edit: 1\noperations:\n- {do: grow, region: hiar, by: 0.1}\n- {do: growl}\n"
    answer = api.post("/api/script/read", json={"text": text, "label_map": LABELS})
    assert answer.status_code == 400
    told = answer.json()["error"]
    assert "hiar" in told["message"]
    assert "hair" in told["remedy"]
    assert [(entry["line"], entry["path"]) for entry in told["problems"]] == [
        (3, "operations[0].region"),
        (4, "operations[1].do"),
    ]
    answer = api.post("/api/script/write", json={"operations": [{"do": "grow", "region": "hair", "by": 7}]})
    assert answer.status_code == 400
    assert answer.json()["error"]["where"] == "operations[0].by"


def test_lint(api: httpx.Client, faces: list[dict[str, Any]], served: Served) -> None:
    assert served.studio is not None
    served.wait_for(lambda: served.studio.runs["tiny-run"].seen is not None)  # its training data is there
    assert "skin" in served.studio.runs["tiny-run"].seen
    mask = ids_of(api, faces[0]["id"])
    eye = mask == 4
    mask[eye] = 1
    mask[0:2, 0:3] = 4
    for run in ("tiny-run", "merged"):
        body = {"mask": document(mask), "label_map": LABELS, "run": run}
        findings = api.post("/api/lint", json=body).json()["findings"]
        assert any(found["region"] == "l_eye" and "outside the skin" in found["message"] for found in findings)


def test_an_upload_without_a_segmenter_asks_for_its_mask(
    api: httpx.Client, served: Served, run: Path, tmp_path: Path
) -> None:
    random = np.random.default_rng(4)
    content = png(random.integers(0, 256, (60, 60, 3), dtype=np.uint8), "JPEG", quality=90)
    mask = random.integers(0, 19, (SIZE, SIZE), dtype=np.uint8)
    answer = api.post("/api/faces", params={"name": "../My Photo.JPG"}, content=content)
    assert answer.status_code == 201
    face = answer.json()
    assert (face["name"], face["has_mask"], face["size"], face["removable"]) == ("My Photo.JPG", False, [60, 60], True)
    assert "send its mask" in face["notes"][0]
    preview = api.post("/api/preview", json=wanted(face["id"], mask, sequence=1, client="upload"))
    assert preview.status_code == 409
    assert preview.json()["error"]["remedy"] == "send the mask of its photo first"

    wrong = api.put(f"/api/faces/{face['id']}/mask", content=png(np.zeros((30, 60), np.uint8)))
    assert wrong.status_code == 400
    assert "aspect" in wrong.json()["error"]["remedy"]
    outside = api.put(f"/api/faces/{face['id']}/mask", content=png(np.full((30, 30), 200, np.uint8)))
    assert "200" in outside.json()["error"]["message"]
    sent = api.put(f"/api/faces/{face['id']}/mask", params={"name": "My mask.png"}, content=png(mask))
    assert sent.status_code == 200
    assert sent.json()["has_mask"]
    assert np.array_equal(ids_of(api, face["id"]), mask)

    # An edit goes back into the photo that was sent, and is what the command makes of it.
    body = {"run": "tiny-run", "face": face["id"], "operations": MOUTH}
    exported = api.post("/api/export/picture", json=body).content
    for name, data in {"photo.jpg": content, "mask.png": png(mask)}.items():
        (tmp_path / name).write_bytes(data)
    (tmp_path / "script.yaml").write_text(api.post("/api/script/write", json={"operations": MOUTH}).text)
    files = [str(tmp_path / name) for name in ("photo.jpg", "mask.png", "script.yaml", "out.png")]
    arguments = ["edit", str(run), files[0], "--mask", files[1], "--script", files[2], "-o", files[3]]
    assert CliRunner().invoke(cli, arguments, prog_name="facekit").exit_code == 0
    assert pixels(exported).shape == (60, 60, 3)
    assert np.array_equal(pixels(exported), np.asarray(Image.open(files[3])))

    # Scripts that were written elsewhere know it by the names of its files.
    names = {"photo": "My Photo.JPG", "mask": "My mask.png"}
    look = api.post("/api/export/picture", json={**body, "operations": [{"do": "reference", **names}]})
    assert look.status_code == 200, look.text
    assert api.delete(f"/api/faces/{face['id']}").status_code == 204
    assert api.get(f"/api/faces/{face['id']}/ids").status_code == 404


def test_uploads_are_found_and_read(run: Path, serve: Callable[..., Any]) -> None:
    """With the real detector on a real photo; what reads the mask stands in for a trained network."""
    detector = pytest.importorskip("facekit_mtcnn.detector")
    data = pytest.importorskip("skimage.data")
    from facekit_mtcnn.options import MtcnnOptions

    def reader(studio: Any) -> Reader:
        pipeline = studio.runs["tiny-run"].pipeline
        return Reader(pipeline, segmenter=ByColour(pipeline.label_map), detector=detector.build(MtcnnOptions()))

    with serve(run, reader=reader) as served, served.client() as api:
        assert api.get("/api/state").json()["can_align"]
        photo = np.ascontiguousarray(data.astronaut())
        face = api.post("/api/faces", params={"name": "astronaut.png"}, content=png(photo)).json()
        assert face["has_mask"]
        assert not face["aligned"]
        assert face["mask_source"] == "colours 0"
        square = pixels(api.get(f"/api/faces/{face['id']}/photo").content)
        assert square.shape == (SIZE, SIZE, 3)
        exported = pixels(
            api.post("/api/export/picture", json={"run": "tiny-run", "face": face["id"], "operations": MOUTH}).content
        )
        assert exported.shape == photo.shape
        assert np.array_equal(exported[300:], photo[300:])  # far below the face
        assert (exported[:300] != photo[:300]).any()
        whole = api.post("/api/faces", params={"name": "whole.png", "aligned": "1"}, content=png(photo)).json()
        assert whole["aligned"]
        assert whole["has_mask"]
        empty = api.post("/api/faces", params={"name": "e.png"}, content=png(np.zeros((90, 90, 3), np.uint8)))
        assert empty.status_code == 400
        assert "no face is found" in empty.json()["error"]["message"]


def test_the_newest_preview_wins(api: httpx.Client, served: Served, faces: list[dict[str, Any]]) -> None:
    assert served.studio is not None
    face = faces[0]["id"]
    masks = [np.full((SIZE, SIZE), identity, np.uint8) for identity in (1, 13, 17)]
    worker = served.studio.runs["tiny-run"].worker
    gate = threading.Event()
    held = served.in_loop(worker.do(gate.wait, 20))
    served.wait_for(lambda: worker.busy)

    def ask(sequence: int) -> httpx.Response:
        with served.client() as client:
            return client.post(
                "/api/preview", json=wanted(face, masks[sequence - 1], sequence=sequence, client="newest")
            )

    with ThreadPoolExecutor(4) as threads:
        asked = []
        for sequence in (1, 2, 3):
            asked.append(threads.submit(ask, sequence))
            served.wait_for(lambda: worker._newest.get("newest") == len(asked))
        with served.client() as client:
            # Another client's waits its turn; it is not replaced.
            other = threads.submit(
                client.post, "/api/preview", json=wanted(face, masks[0], sequence=1, client="somebody")
            )
            served.wait_for(lambda: worker._newest.get("somebody") == 1)
            assert [future.result(20).status_code for future in asked[:2]] == [409, 409]  # told while they wait
            gate.set()
            assert other.result(20).status_code == 200
    assert held.result(20)
    assert "outdated" in asked[0].result().json()["error"]["message"]
    newest = asked[2].result()
    assert newest.status_code == 200
    direct = api.post("/api/preview", json=wanted(face, masks[2], sequence=1, client="direct"))
    assert np.array_equal(pixels(newest.content), pixels(direct.content))
    late = api.post("/api/preview", json=wanted(face, masks[0], sequence=2, client="newest"))
    assert late.status_code == 409


def test_a_full_line_is_said(served: Served, faces: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    assert served.studio is not None
    worker = served.studio.runs["merged"].worker
    monkeypatch.setattr(worker, "_most_waiting", 2)
    gate = threading.Event()
    mask = np.zeros((SIZE, SIZE), np.uint8)

    def ask(client: str) -> httpx.Response:
        with served.client() as api:
            body = wanted("unused", mask, sequence=1, client=client, look=None, run="merged")
            return api.post("/api/preview", json=body)

    served.in_loop(worker.do(gate.wait, 20))
    served.wait_for(lambda: worker.busy)
    with ThreadPoolExecutor(2) as threads:
        waiting = [threads.submit(ask, f"full-{index}") for index in range(2)]
        served.wait_for(lambda: len(worker._waiting) == 2)
        refused = ask("full-3")
        gate.set()
        assert [future.result(20).status_code for future in waiting] == [200, 200]
    assert refused.status_code == 503
    assert refused.headers["retry-after"] == "1"
    assert ask("full-3").status_code == 200  # what was refused may be asked for again


def test_fifty_clients_at_once(served: Served, faces: list[dict[str, Any]], pipeline: FacePipeline) -> None:
    """Everybody gets their own picture, and mask."""
    with served.client() as api:
        looks = {
            face["id"]: [
                Image.open(io.BytesIO(api.get(f"/api/faces/{face['id']}/{kind}").content)) for kind in ("photo", "mask")
            ]
            for face in faces
        }
    random = np.random.default_rng(5)
    masks = [random.integers(0, 19, (8, 8), dtype=np.uint8).repeat(4, 0).repeat(4, 1) for _ in range(50)]
    wants = [(index, faces[index % len(faces)]["id"]) for index in range(50)]
    expected = [np.asarray(pipeline.generate(Image.fromarray(masks[index]), *looks[face])) for index, face in wants]
    together = threading.Barrier(50)

    def ask(index: int, face: str) -> tuple[np.ndarray, np.ndarray]:
        with served.client() as client:
            together.wait(20)
            generated = client.post("/api/preview", json=wanted(face, masks[index], sequence=1, client=f"c{index}"))
            assert generated.status_code == 200, generated.text
            mirrored = client.post(
                "/api/apply",
                json={"mask": document(masks[index]), "label_map": LABELS, "operations": [{"do": "mirror"}]},
            )
            assert mirrored.status_code == 200, mirrored.text
            return pixels(generated.content), array(mirrored.json()["mask"])

    table = pipeline.label_map.mirror_table()
    with ThreadPoolExecutor(50) as threads:
        for future, mask, picture in zip(
            [threads.submit(ask, index, face) for index, face in wants], masks, expected, strict=True
        ):
            generated, mirrored = future.result(60)
            assert np.array_equal(generated, picture)
            assert np.array_equal(mirrored, table[mask[:, ::-1]])


def test_a_defect_is_told_without_its_traceback_and_stops_nothing(
    api: httpx.Client,
    served: Served,
    faces: list[dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert served.studio is not None
    run = served.studio.runs["tiny-run"]
    body = wanted(faces[0]["id"], np.zeros((SIZE, SIZE), np.uint8), sequence=1, client="defect")
    with monkeypatch.context() as patch:
        patch.setattr(run, "preview", lambda *arguments: 1 / 0)
        answer = api.post("/api/preview", json=body)
    assert answer.status_code == 500
    assert "division" not in answer.text
    assert answer.json()["error"]["message"]
    served.wait_for(lambda: "ZeroDivisionError" in caplog.text)  # in the terminal
    assert api.post("/api/preview", json={**body, "sequence": 2}).status_code == 200


def test_the_shelf_is_not_endless(api: httpx.Client, served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("facekit_studio.web.faces.MOST_UPLOADS", 2)
    content = png(np.zeros((40, 40, 3), np.uint8))
    added = [api.post("/api/faces", params={"name": "a.png"}, content=content) for _ in range(3)]
    assert [answer.status_code for answer in added] == [201, 201, 409]
    assert added[2].json()["error"]["remedy"] == "take one out first"
    assert added[0].json()["id"] != added[1].json()["id"]
    for answer in added[:2]:
        assert api.delete(f"/api/faces/{answer.json()['id']}").status_code == 204
    assert len(list(served.studio.shelf)) == 8


def test_bodies_of_all_together_are_bounded(api: httpx.Client, served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    assert served.studio is not None
    monkeypatch.setattr(served.studio._in_flight, "_most", 10_000)
    answer = api.post("/api/faces", content=bytes(20_000))
    assert answer.status_code == 503
    monkeypatch.undo()
    assert served.studio._in_flight._held == 0
    assert requests.MOST_IN_FLIGHT >= 10 * 20_000_000


def test_json_says_what_is_wrong(api: httpx.Client) -> None:
    answer = api.post(
        "/api/lint",
        content=json.dumps({"mask": {"size": [1, 0], "ids": ""}}),
        headers={"content-type": "application/json"},
    )
    assert answer.status_code == 400
    assert answer.json()["error"]["where"] == "mask.size.1"

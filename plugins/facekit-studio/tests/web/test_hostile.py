"""Clients that mean harm, against ``facekit studio`` as a process of its own. After each, it answers as before."""

from __future__ import annotations

import base64
import io
import json
import socket
import struct
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from facekit_studio.web import requests, server
from facekit_studio.web.guard import host_name

Served = Any
"""A studio that is served; see conftest.py."""

SIZE, LABELS = 32, "celebamask_hq"
EMPTY = {"size": [SIZE, SIZE], "ids": base64.b64encode(bytes(SIZE * SIZE)).decode()}


@pytest.fixture(scope="module")
def usual(process: Served) -> Callable[[], bytes]:
    """Paint a picture as an honest page does, at the same server."""
    count = iter(range(1_000_000))

    def paint() -> bytes:
        with process.client() as client:
            face = client.get("/api/state").json()["faces"][0]["id"]
            body = {"run": "tiny-run", "mask": EMPTY, "label_map": LABELS, "look": {"face": face}}
            answer = client.post("/api/preview", json={**body, "client": "usual", "sequence": next(count)})
            assert answer.status_code == 200, answer.text
            return answer.content

    return paint


@pytest.fixture(scope="module")
def before(usual: Callable[[], bytes]) -> bytes:
    return usual()


@pytest.fixture(autouse=True)
def _still_correct(usual: Callable[[], bytes], before: bytes) -> Iterator[None]:
    yield
    assert usual() == before


@pytest.fixture
def client(process: Served) -> Iterator[httpx.Client]:
    with process.client() as opened:
        yield opened


def told(answer: httpx.Response) -> dict[str, Any]:
    """The error of an answer, which is always told in the same form."""
    error = answer.json()["error"]
    assert error["message"]
    assert "Traceback" not in answer.text
    assert set(error) >= {"message", "where", "remedy"}
    return dict(error)


def raw(process: Served, request: bytes, *, seconds: float = 10) -> bytes:
    """Send bytes as they are, and return what comes back."""
    with socket.create_connection(("127.0.0.1", process.port), timeout=seconds) as connection:
        connection.sendall(request)
        answer = b""
        try:
            while part := connection.recv(65536):
                answer += part
        except ConnectionResetError:
            pass
        return answer


def memory_of(pid: int, entry: str) -> int:
    """Bytes, from Linux's account of a process."""
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith(entry))
    return int(line.split()[1]) * 1024


@pytest.mark.parametrize("token", [None, "", "x", "é".encode().decode("latin-1"), "A" * 32])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/state"),
        ("POST", "/api/preview"),
        ("GET", "/api"),
        ("GET", "/api/nothing"),
        ("PUT", "/API/state"),
        ("GET", "//api/state"),
    ],
)
def test_nothing_without_the_token(process: Served, token: str | None, method: str, path: str) -> None:
    headers = {} if token is None else {"X-Facekit-Token": token.encode("latin-1")}
    with httpx.Client(base_url=process.address, trust_env=False) as stranger:
        answer = stranger.request(method, path, headers=headers)
        # The token in the address opens the page alone.
        assert stranger.get(f"/api/state?token={process.token}").status_code == 401
    assert answer.status_code == 401
    assert process.token not in told(answer)["message"] + str(told(answer)["remedy"])


def test_two_tokens_are_none(process: Served) -> None:
    lines = [f"X-Facekit-Token: {process.token}", "X-Facekit-Token: other"]
    request = "\r\n".join(["GET /api/state HTTP/1.1", f"Host: localhost:{process.port}", *lines, "", ""])
    assert raw(process, request.encode()).startswith(b"HTTP/1.1 401")


@pytest.mark.parametrize("host", ["evil.example", "evil.example:{port}", "127.0.0.1.evil.example", "", "10.0.0.1", "["])
@pytest.mark.parametrize("path", ["/", "/api/state", "/page/index.html"])
def test_a_foreign_host_is_refused(process: Served, client: httpx.Client, host: str, path: str) -> None:
    """A name that somebody points at 127.0.0.1, so that their page is of the studio's own origin."""
    answer = client.get(path, headers={"Host": host.format(port=process.port)})
    assert answer.status_code == 403
    assert told(answer)["where"] == "Host"


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:9000", "[::1]:80", "LOCALHOST:1"])
def test_its_own_names_are_taken_with_any_port(client: httpx.Client, host: str) -> None:
    """A tunnel has another port than the server."""
    assert client.get("/api/state", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    ("given", "name"),
    [("a:1", "a"), ("A", "a"), ("[::1]:8", "::1"), ("::1", None), ("a:b", None), ("[::1", None), ("[::1]x", None)],
)
def test_names_in_host(given: str, name: str | None) -> None:
    assert host_name(given) == name


@pytest.mark.parametrize(
    "origin",
    ["http://evil.example", "null", "https://127.0.0.1:{port}", "http://127.0.0.1:1", "http://localhost:{port}"],
)
def test_a_foreign_origin_is_refused(process: Served, client: httpx.Client, origin: str) -> None:
    headers = {"Origin": origin.format(port=process.port)}
    answer = client.post("/api/lint", json={}, headers=headers)
    assert answer.status_code == 403
    assert told(answer)["where"] == "Origin"
    asked = client.options("/api/lint", headers={**headers, "Access-Control-Request-Method": "POST"})
    assert asked.status_code == 403
    assert not any(name.startswith("access-control") for name in asked.headers)
    own = client.get("/api/state", headers={"Origin": f"http://127.0.0.1:{process.port}"})
    assert own.status_code == 200
    assert "access-control-allow-origin" not in own.headers


@pytest.mark.parametrize(
    "path",
    [
        "/page/../application.py",
        "/page/../../version.py",
        "/page/%2e%2e/application.py",
        "/page/..%2fapplication.py",
        "/page/%2e%2e%2fapplication.py",
        "/page/%252e%252e%252fapplication.py",
        "/page/..%5capplication.py",
        "/page/....//application.py",
        "/page/..%c0%afapplication.py",
        "/page//etc/passwd",
        "/page/%2fetc%2fpasswd",
        "/page/index.html%00.png",
        "/page/",
        "/page/.",
        "//etc/passwd",
        "/../../../etc/passwd",
        "/api/faces/..%2f..%2fetc%2fpasswd/photo",
        "/api/faces/%2e%2e/photo",
        "/api/faces/%00/ids",
    ],
)
def test_no_path_leads_out_of_the_page(process: Served, path: str) -> None:
    # Sent as it is: clients tidy such paths.
    head = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nX-Facekit-Token: {process.token}\r\nConnection: close\r\n\r\n"
    answer = raw(process, head.encode("latin-1"))
    assert answer.startswith((b"HTTP/1.1 404", b"HTTP/1.1 400")), answer[:100]
    assert b"root:" not in answer
    assert b"import" not in answer


@pytest.mark.parametrize(
    "name", ["/etc/passwd", "../../etc/passwd", "file:///etc/passwd", "C:\\x", "a\x00b", "é" * 4000]
)
def test_scripts_read_no_file_of_the_disk(client: httpx.Client, name: str, run: Path) -> None:
    face = client.get("/api/state").json()["faces"][0]["id"]
    for file in (name, str(run / "samples" / "step-00000003.png")):
        copy = {"do": "copy_part", "region": "nose", "mask": file}
        for operation in (copy, {"do": "reference", "photo": file}, {"do": "interpolate", "mask": file, "amount": 0.5}):
            export = {"run": "tiny-run", "face": face, "operations": [operation]}
            answers = [client.post(f"/api/export/{kind}", json=export) for kind in ("picture", "bundle")]
            if operation["do"] != "reference":  # which does nothing to a mask
                apply = {"mask": EMPTY, "label_map": LABELS, "operations": [operation]}
                answers.append(client.post("/api/apply", json=apply))
            for answer in answers:
                assert answer.status_code == 400
                assert "the studio has no" in told(answer)["message"] or "character" in told(answer)["message"]


@pytest.mark.skipif(sys.platform != "linux", reason="reads the memory of a process from /proc")
@pytest.mark.parametrize("declared", [True, False])
@pytest.mark.parametrize("path", ["/api/faces?name=big.png", "/api/preview"])
def test_a_gigabyte_is_refused_early(process: Served, declared: bool, path: str) -> None:
    usual = memory_of(process.pid, "VmHWM")
    sent = 0
    block = bytes(1 << 20)
    kind = "Content-Length: 1073741824" if declared else "Transfer-Encoding: chunked"
    lines = [f"POST {path} HTTP/1.1", "Host: localhost", "Content-Type: application/json", kind]
    head = "\r\n".join([*lines, f"X-Facekit-Token: {process.token}", "", ""]).encode()
    answer = b""
    with socket.create_connection(("127.0.0.1", process.port), timeout=10) as connection:
        connection.sendall(head)
        try:
            while sent < 1 << 30:
                connection.sendall(block if declared else b"100000\r\n" + block + b"\r\n")
                sent += len(block)
        except (ConnectionResetError, BrokenPipeError):
            pass
        with suppress(ConnectionResetError):
            answer = connection.recv(65536)
    assert sent < 64 << 20  # what the limits and the sockets hold
    assert not answer or answer.startswith(b"HTTP/1.1 413")
    assert memory_of(process.pid, "VmHWM") - usual < 100 << 20


def test_too_much_is_told(process: Served) -> None:
    for path, limit in (("/api/faces", 20_000_000), ("/api/lint", requests.JSON_BYTES)):
        lines = [f"POST {path} HTTP/1.1", "Host: localhost", "Content-Type: application/json"]
        lines += [f"Content-Length: {limit + 1}", f"X-Facekit-Token: {process.token}"]
        answer = raw(process, "\r\n".join([*lines, "", ""]).encode())
        assert answer.startswith(b"HTTP/1.1 413")
        assert f"{limit:,} bytes" in json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["message"]


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_of(width: int, height: int, *, rows: bytes, depth: int = 8, colour: int = 0, extra: bytes = b"") -> bytes:
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    parts = [chunk(b"IHDR", header), extra, chunk(b"IDAT", rows), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def bomb() -> bytes:
    """A true picture of 30,000 x 30,000 pixels in two bits each: 110 kB that unpack to 225 MB."""
    packer = zlib.compressobj(9)
    row = bytes(1 + 30_000 // 4)
    rows = b"".join(packer.compress(row * 100) for _ in range(300)) + packer.flush()
    return png_of(30_000, 30_000, rows=rows, depth=2)


def noise(kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    picture = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(picture).save(buffer, kind, **options)
    return buffer.getvalue()


def webp_of(width: int, height: int) -> bytes:
    """A header that says how large the picture is."""
    content = bytearray(noise("WEBP", exif=b"Exif\x00\x00MM\x00*\x00\x00\x00\x08\x00\x00"))
    assert content[12:16] == b"VP8X"
    content[24:30] = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return bytes(content)


def text_bomb() -> bytes:
    packed = zlib.compress(bytes(200 << 20), 9)
    return png_of(64, 64, rows=zlib.compress(bytes(65 * 64)), extra=chunk(b"zTXt", b"a\x00\x00" + packed))


PICTURES = {
    "a bomb": (bomb, 413, "64,000,000 pixels"),
    "more than is taken": (lambda: png_of(8_000, 9_000, rows=b""), 413, "8,000x9,000"),
    "a header that lies": (lambda: png_of(2**31 - 1, 2**31 - 1, rows=b""), 413, "pixels"),
    "a huge WebP": (lambda: webp_of(16_383, 16_383), 413, "16,383x16,383"),
    "half a WebP": (lambda: b"RIFF\x00\x00\x00\x00WEBPVP8X", 400, "damaged"),
    "text that unpacks without end": (text_bomb, 400, "cannot be read"),
    "nothing": (lambda: b"", 415, "PNG or JPEG or WEBP"),
    "a page": (lambda: b"<html></html>", 415, "PNG or JPEG or WEBP"),
    "a GIF": (lambda: noise("GIF"), 415, "PNG or JPEG or WEBP"),
    "a TIFF": (lambda: noise("TIFF"), 415, "PNG or JPEG or WEBP"),
    "an EPS": (lambda: noise("EPS"), 415, "PNG or JPEG or WEBP"),
    "half a PNG": (lambda: noise("PNG")[:2000], 400, "cannot be read"),
    "half a JPEG": (lambda: noise("JPEG")[:500], 400, "cannot be read"),
    "a PNG of random bytes": (lambda: b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 20, 400, "cannot be read"),
    "one pixel": (lambda: png_of(1, 1, rows=zlib.compress(b"\0\0")), 400, "1x1"),
}


@pytest.mark.parametrize("what", PICTURES)
def test_pictures_that_are_none(process: Served, client: httpx.Client, what: str) -> None:
    make, status, message = PICTURES[what]
    content = make()
    usual = memory_of(process.pid, "VmHWM") if sys.platform == "linux" else 0
    answer = client.post("/api/faces", params={"name": "x.png"}, content=content)
    assert answer.status_code == status
    assert message in told(answer)["message"]
    if sys.platform == "linux":
        assert memory_of(process.pid, "VmHWM") - usual < 80 << 20
    # As a mask of an upload as well.
    face = client.post("/api/faces", params={"name": "x.png"}, content=noise("PNG")).json()["id"]
    answer = client.put(f"/api/faces/{face}/mask", content=content)
    assert 400 <= answer.status_code < 500
    told(answer)
    assert client.delete(f"/api/faces/{face}").status_code == 204


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (noise("JPEG"), "PNG"),
        (noise("PNG"), "several channels"),
        (png_of(64, 64, rows=zlib.compress((b"\0" + bytes([19] * 64)) * 64)), "class ids 19"),
        (png_of(64, 32, rows=zlib.compress(bytes(65 * 32))), "64x32"),
        (png_of(64, 64, rows=zlib.compress((b"\0" + b"\xff\xff" * 64) * 64), depth=16), "class ids 65535"),
    ],
)
def test_masks_that_are_none(client: httpx.Client, content: bytes, message: str) -> None:
    face = client.post("/api/faces", params={"name": "x.png"}, content=noise("PNG")).json()["id"]
    for answer in (
        client.put(f"/api/faces/{face}/mask", content=content),
        client.post("/api/mask/read", params={"label_map": "celebamask_hq"}, content=content),
    ):
        assert 400 <= answer.status_code < 500
        assert message in told(answer)["message"]
    assert client.delete(f"/api/faces/{face}").status_code == 204


def test_faces_of_the_studio_stay(client: httpx.Client) -> None:
    face = client.get("/api/state").json()["faces"][0]["id"]
    assert client.delete(f"/api/faces/{face}").status_code == 409
    assert client.put(f"/api/faces/{face}/mask", content=png_of(64, 64, rows=zlib.compress(bytes(65 * 64)))).is_error
    assert client.delete("/api/faces/none").status_code == 404
    assert client.post("/api/state").status_code == 405


def mask(height: Any, width: Any, ids: Any) -> dict[str, Any]:
    return {"size": [height, width], "ids": ids}


def encoded(*values: int) -> str:
    return base64.b64encode(bytes(values)).decode()


@pytest.mark.parametrize(
    ("wrong", "where"),
    [
        (mask(2, 2, encoded(0, 0, 0)), "mask.ids"),
        (mask(2, 2, encoded(0, 0, 0, 19)), "mask.ids"),
        (mask(2, 2, encoded(0, 0, 0, 255)), "mask.ids"),
        (mask(2, 2, "!!!!"), "mask.ids"),
        (mask(2, 2, "AAAAAA"), "mask.ids"),
        (mask(2, 2, None), "mask.ids"),
        (mask(0, 2, ""), "mask.size.0"),
        (mask(-1, -1, "AA=="), "mask.size.0"),
        (mask(2.5, 2, "AA=="), "mask.size.0"),
        (mask(True, 1, "AA=="), "mask.size.0"),
        (mask(1_000_000, 1_000_000, "AA=="), "mask.size.0"),
        (mask(10**30, 1, "AA=="), "mask.size.0"),
        ({"size": [1], "ids": "AA=="}, "mask.size"),
        ({"ids": "AA=="}, "mask.size"),
        ([], "mask"),
        (None, "mask"),
    ],
)
def test_masks_in_json_that_are_none(client: httpx.Client, wrong: Any, where: str) -> None:
    for path, body in {
        "/api/apply": {"label_map": LABELS, "operations": []},
        "/api/lint": {"label_map": LABELS, "run": "tiny-run"},
        "/api/preview": {"label_map": LABELS, "run": "tiny-run", "client": "x", "sequence": 1},
        "/api/export/mask": {"label_map": LABELS},
    }.items():
        answer = client.post(path, json={**body, "mask": wrong})
        assert answer.status_code == 400, answer.text
        assert str(told(answer)["where"]).startswith(where)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"\xff\xfe",
        b"null",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"9" * 100_000,
        b'{"text": "\\ud800"}',
    ],
)
def test_json_that_is_none(client: httpx.Client, content: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    for path in ("/api/apply", "/api/preview", "/api/script/read", "/api/script/write", "/api/export/picture"):
        answer = client.post(path, content=content, headers=headers)
        assert answer.status_code == 400
        told(answer)
    # As a form of another site could send it, without asking the browser first.
    answer = client.post("/api/script/read", content=b'{"text": ""}', headers={"Content-Type": "text/plain"})
    assert answer.status_code == 415


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("run", "none"),
        ("run", 3),
        ("label_map", "none"),
        ("look", {"face": "none"}),
        ("look", {"face": "../x"}),
        ("look", None),
        ("into", "none"),
        ("client", "a b"),
        ("client", "x" * 65),
        ("sequence", -1),
        ("sequence", 2**60),
        ("sequence", "1"),
        ("more", 1),
    ],
)
def test_previews_of_nothing(client: httpx.Client, key: str, value: Any) -> None:
    face = client.get("/api/state").json()["faces"][0]["id"]
    body = {"run": "tiny-run", "mask": EMPTY, "label_map": LABELS, "look": {"face": face}}
    answer = client.post("/api/preview", json={**body, "client": "nothing", "sequence": 1, key: value})
    assert answer.status_code in (400, 404)
    told(answer)


def test_a_blend_is_between_two(client: httpx.Client) -> None:
    face = client.get("/api/state").json()["faces"][0]["id"]
    for amount in ("2", "-1", "NaN", "1e999", '"1"'):
        text = json.dumps({"run": "tiny-run", "mask": EMPTY, "label_map": LABELS, "client": "b", "sequence": 1})
        look = f'"look": {{"face": "{face}", "blends": [{{"face": "{face}", "amount": {amount}}}]}}'
        content = f"{text[:-1]}, {look}}}"
        answer = client.post("/api/preview", content=content, headers={"Content-Type": "application/json"})
        assert answer.status_code == 400
        assert "amount" in str(told(answer)["where"]) or amount in ("NaN", "1e999")


OPERATIONS: list[Any] = [
    {},
    {"do": 1},
    {"do": "x" * 10_000},
    {"do": "set", "region": "hair"},
    {"do": "set", "region": "nobody", "runs": {"size": [32, 32], "runs": "0+1"}},
    {"do": "set", "region": "hair", "runs": {"size": [32, 32], "runs": "0+99999"}},
    {"do": "set", "region": "hair", "runs": {"size": [10**9, 10**9], "runs": "0+1"}},
    {"do": "set", "region": "hair", "runs": {"size": [32, 32], "runs": "-1+5"}},
    {"do": "grow", "region": "hair", "by": 1e308},
    {"do": "grow", "region": ["hair"] * 10_000, "by": 0},
    {"do": "move", "region": "hair", "by": [0.1]},
    {"do": "move", "region": "hair", "by": {"a": {"b": {"c": [[[[[[]]]]]]}}}},
    {"do": "mirror", "more": True},
    {"do": "mirror", "\u0000": "\u0007"},
    {"do": "set", "region": "hair", "ellipse": {"centre": [9e99, 0], "radii": [0, 0]}},
    {"do": "rotate", "region": "hair", "degrees": 10**40},
]


@pytest.mark.parametrize("operation", OPERATIONS, ids=[str(index) for index in range(len(OPERATIONS))])
def test_operations_that_are_none(client: httpx.Client, operation: Any) -> None:
    face = client.get("/api/state").json()["faces"][0]["id"]
    for path, body in {
        "/api/apply": {"mask": EMPTY, "label_map": LABELS},
        "/api/script/write": {"label_map": LABELS},
        "/api/export/picture": {"run": "tiny-run", "face": face},
    }.items():
        answer = client.post(path, json={**body, "operations": [operation]})
        assert answer.status_code == 400, answer.text
        told(answer)


def test_too_many_operations(client: httpx.Client) -> None:
    body = {"mask": EMPTY, "label_map": LABELS, "operations": [{"do": "mirror"}] * 6000}
    assert "operations" in told(client.post("/api/apply", json=body))["message"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a: [",
        "- 1",
        "&a [*a]",
        "a: &a [1,1]\nb: &b [*a,*a]\nc: &c [*b,*b]\n",
        "!!python/object/apply:os.system ['true']",
        "facekit_edit: 99\noperations: []",
        "facekit_edit: 1\noperations: [" + "[" * 5000,
        "\x00",
        "facekit_edit: 1\noperations: [{do: mirror}, {do: [}]",
    ],
)
def test_scripts_that_are_none(client: httpx.Client, text: str) -> None:
    answer = client.post("/api/script/read", json={"text": text, "label_map": LABELS})
    assert answer.status_code == 400
    assert all(problem["message"] for problem in told(answer)["problems"])


def test_what_is_no_http_is_refused(process: Served) -> None:
    assert raw(process, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 10).startswith(b"HTTP/1.1 400")
    assert raw(process, b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n").startswith(b"HTTP/1.1 40")
    assert raw(process, b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\n\r\n").startswith((b"HTTP/1.1 400", b""))


def test_half_requests_keep_nobody_waiting(process: Served, usual: Callable[[], bytes], before: bytes) -> None:
    head = b"POST /api/faces HTTP/1.1\r\nHost: localhost\r\nX-Facekit-Token: " + process.token.encode()
    halves = [head, head + b"\r\nContent-Length: 1000000\r\n\r\n0123"] * 40
    connections = []
    try:
        for half in halves:
            connection = socket.create_connection(("127.0.0.1", process.port), timeout=10)
            connection.sendall(half)
            connections.append(connection)
        start = time.monotonic()
        assert usual() == before
        assert time.monotonic() - start < 5
    finally:
        for connection in connections:
            connection.close()


def test_half_requests_are_given_up(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "HEADER_SECONDS", 0.3)
    monkeypatch.setattr(requests, "CHUNK_SECONDS", 0.3)
    head = f"POST /api/faces HTTP/1.1\r\nHost: localhost\r\nX-Facekit-Token: {served.token}".encode()
    assert raw(served, b"") == b""
    assert raw(served, head) == b""
    answer = raw(served, head + b"\r\nContent-Length: 100\r\n\r\n0123")
    assert answer.startswith(b"HTTP/1.1 408")
    # Between the requests of one connection as well, and not while an answer is being made.
    with socket.create_connection(("127.0.0.1", served.port), timeout=10) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 200")
        time.sleep(0.5)
        connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        time.sleep(0.1)
        assert b"HTTP/1.1 200" in connection.recv(100_000)
        connection.sendall(b"GET / HT")
        while connection.recv(100_000):
            pass

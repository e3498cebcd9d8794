"""A session with yaml-language-server, as an editor has it, over its standard input and output."""

from __future__ import annotations

import json
import queue
import subprocess
import threading
from pathlib import Path
from types import TracebackType
from typing import Any

PATIENCE = 60.0
"""Seconds to wait for an answer."""


class LanguageServer:
    """A running server that has a folder open.

    Args:
        program: the server.
        folder: the folder.
        settings: the editor's settings under ``yaml``.
    """

    def __init__(self, program: str, folder: Path, settings: dict[str, Any]) -> None:
        self._settings = {"validate": True, "completion": True, "hover": True, "schemaStore": {"enable": False}}
        self._settings |= settings
        self._process = subprocess.Popen(
            [program, "--stdio"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        self._received: queue.Queue[dict[str, Any]] = queue.Queue()
        self._asked = 0
        threading.Thread(target=self._receive, daemon=True).start()
        root = folder.as_uri()
        capabilities = {
            "workspace": {"configuration": True},
            "textDocument": {
                "completion": {"completionItem": {"snippetSupport": True}},
                "hover": {"contentFormat": ["markdown"]},
            },
        }
        self._ask(
            "initialize",
            {
                "processId": None,
                "rootUri": root,
                "workspaceFolders": [{"uri": root, "name": folder.name}],
                "capabilities": capabilities,
            },
        )
        self._tell("initialized", {})
        self._tell("workspace/didChangeConfiguration", {"settings": {"yaml": self._settings}})

    def __enter__(self) -> LanguageServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()

    def open(self, file: Path, text: str) -> list[str]:
        """Open a file with a text, and return what is underlined in it: ``line:column: message``."""
        document = {"uri": file.as_uri(), "languageId": "yaml", "version": 1, "text": text}
        self._tell("textDocument/didOpen", {"textDocument": document})
        while True:
            message = self._received.get(timeout=PATIENCE)
            if message.get("method") == "textDocument/publishDiagnostics" and message["params"]["uri"] == file.as_uri():
                return [_underlined(found) for found in message["params"]["diagnostics"]]

    def completions(self, file: Path, line: int, column: int) -> dict[str, str]:
        """Return what is offered at a place (1-based): labels and the text each would insert."""
        found = self._ask("textDocument/completion", _place(file, line, column))
        items = found["items"] if isinstance(found, dict) else found
        return {item["label"]: item.get("insertText") or item["label"] for item in items}

    def hover(self, file: Path, line: int, column: int) -> str:
        """Return what is shown over a place (1-based)."""
        found = self._ask("textDocument/hover", _place(file, line, column))
        return str(found["contents"]["value"]) if found else ""

    def _ask(self, method: str, parameters: dict[str, Any]) -> Any:
        self._asked += 1
        number = self._asked
        self._send({"id": number, "method": method, "params": parameters})
        others: list[dict[str, Any]] = []
        while True:
            message = self._received.get(timeout=PATIENCE)
            if message.get("id") == number:
                for other in others:
                    self._received.put(other)
                assert "error" not in message, message
                return message["result"]
            others.append(message)

    def _tell(self, method: str, parameters: dict[str, Any]) -> None:
        self._send({"method": method, "params": parameters})

    def _send(self, message: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        self._process.stdin.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
        self._process.stdin.flush()

    def _receive(self) -> None:
        stream = self._process.stdout
        assert stream is not None
        while True:
            length = 0
            while line := stream.readline().strip():
                if line.lower().startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            if not length:
                return
            message = json.loads(stream.read(length))
            if "method" in message and "id" in message:  # the server asks the editor
                wanted = message["params"].get("items", []) if message["method"] == "workspace/configuration" else []
                answer = [self._settings if item.get("section") == "yaml" else None for item in wanted]
                self._send({"id": message["id"], "result": answer})
            else:
                self._received.put(message)


def _underlined(found: dict[str, Any]) -> str:
    start = found["range"]["start"]
    return f"{start['line'] + 1}:{start['character'] + 1}: {found['message']}"


def _place(file: Path, line: int, column: int) -> dict[str, Any]:
    position = {"line": line - 1, "character": column - 1}
    return {"textDocument": {"uri": file.as_uri()}, "position": position}

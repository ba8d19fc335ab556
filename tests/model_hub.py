"""A model hub on this machine: as much of its protocol as pushing and pulling need, over real HTTP.

It keeps commits in memory, redirects large files to another origin as hubs do, and misbehaves where a test says so.
What it answers follows the requests of the package huggingface-hub; it was compared with no hub.
"""

from __future__ import annotations

import base64
import hashlib
import json
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

TOKEN = "hf_of_the_test"
LARGE = (".onnx", ".gif")


@dataclass
class Hub:
    """What is on it, what it was asked, and how it misbehaves."""

    repositories: dict[str, list[dict[str, bytes]]] = field(default_factory=dict)
    """By name: every commit, as its files."""
    large: dict[str, bytes] = field(default_factory=dict)
    """By SHA-256."""
    port: int = 0
    requests: list[tuple[str, str]] = field(default_factory=list)
    ranges: list[str] = field(default_factory=list)
    """Of the requests for content that did not begin at its start."""
    tokens_elsewhere: int = 0
    """How often a token was sent to the other origin."""
    break_off_after: int | None = None
    """So many bytes of the next large file are sent, and then the connection is closed; once."""
    instead: dict[str, bytes] = field(default_factory=dict)
    """Content that is sent in place of a file's, though listed as what it is."""
    sizes: dict[str, int] = field(default_factory=dict)
    """Sizes that are listed in place of a file's."""
    answers: dict[str, int] = field(default_factory=dict)
    """A status for every path with this beginning."""
    drips: str = ""
    """Of what is answered for paths with this in them a byte is sent now and then, be it headers or content."""
    drips_to_its_end: bool = False
    """Such an answer has no length: it ends where its connection does."""
    silent: str = ""
    """Nothing is answered to paths that begin so, until the hub ends."""
    fell_silent: threading.Event = field(default_factory=threading.Event)
    """Set at the first of these."""
    asks_to_wait: str = ""
    """Paths that begin so are answered with 429, and the wish to be asked again in a year; once."""
    ended: threading.Event = field(default_factory=threading.Event)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def commit_of(self, repository: str, revision: str) -> dict[str, bytes] | None:
        commits = self.repositories.get(repository, [])
        if revision == "main":
            return commits[-1] if commits else None
        return next((files for place, files in enumerate(commits) if commit_id(repository, place) == revision), None)


def commit_id(repository: str, place: int) -> str:
    return hashlib.sha1(f"{repository} {place}".encode()).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        self._handle()

    def do_POST(self) -> None:
        self._handle()

    def do_PUT(self) -> None:
        self._handle()

    def _handle(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(length)
        if len(body) < length:  # whoever sent it has gone meanwhile
            self.close_connection = True
            return None
        path = unquote(urlsplit(self.path).path)
        self.hub.requests.append((self.command, path))
        if self.hub.silent and path.startswith(self.hub.silent):
            self.hub.fell_silent.set()
            self.hub.ended.wait()
            self.close_connection = True
            return None
        if self.hub.drips and self.hub.drips in path:
            more = b"\r\n" if self.hub.drips_to_its_end else b"Content-Length: 100000\r\nX-More: "
            return self._drip(b"HTTP/1.1 200 OK\r\n" + more + 9999 * b".")
        if self.hub.asks_to_wait and path.startswith(self.hub.asks_to_wait):
            self.hub.asks_to_wait = ""
            return self._answer({}, status=429, retry_after=365 * 86400)
        for beginning, status in self.hub.answers.items():
            if path.startswith(beginning):
                return self._answer({"error": "as the test says"}, status=status)
        if path.startswith("/lfs/"):
            return self._large(path.removeprefix("/lfs/"), body)
        if self.headers.get("Authorization") != f"Bearer {TOKEN}" and self.command != "GET":
            return self._answer({"error": "who are you?"}, status=401)
        if path == "/api/repos/create":
            asked = json.loads(body)
            name = f"{asked['organization']}/{asked['name']}"
            status = 409 if name in self.hub.repositories else 200
            self.hub.repositories.setdefault(name, [{".gitattributes": b"*.onnx filter=lfs\n"}])
            return self._answer({"url": f"{self.hub.endpoint}/{name}"}, status=status)
        if path == "/api/validate-yaml":
            return self._answer({"errors": [], "warnings": []})
        if path.endswith(".git/info/lfs/objects/batch"):
            return self._batch(json.loads(body))
        if path.startswith("/api/models/"):
            owner, name, what, revision, *_ = *path.removeprefix("/api/models/").split("/"), "revision", "main"
            return self._model(f"{owner}/{name}", what, revision, body)
        if path.startswith("/api/"):
            return self._answer({}, status=404)
        owner, name, what, revision, *parts = path.removeprefix("/").split("/")
        assert what == "resolve", path
        return self._resolve(f"{owner}/{name}", revision, "/".join(parts))

    def _drip(self, content: bytes) -> None:
        with suppress(OSError):
            for byte in content:
                self.wfile.write(bytes([byte]))
                if self.hub.ended.wait(0.02):
                    break
        self.close_connection = True

    def _model(self, repository: str, what: str, revision: str, body: bytes) -> None:
        hub = self.hub
        files = hub.commit_of(repository, revision)
        if repository not in hub.repositories:
            return self._answer({}, status=404, code="RepoNotFound")
        if files is None:
            return self._answer({}, status=404, code="RevisionNotFound")
        if what == "revision":
            place = hub.repositories[repository].index(files)
            return self._answer({"id": repository, "sha": commit_id(repository, place)})
        if what == "tree":
            return self._answer([_entry(name, data, hub) for name, data in files.items()])
        if what == "preupload":
            asked = json.loads(body)["files"]
            modes = {True: "lfs", False: "regular"}
            answers = [
                {"path": file["path"], "uploadMode": modes[file["path"].endswith(LARGE)], "shouldIgnore": False}
                for file in asked
            ]
            return self._answer({"files": answers})
        assert what == "commit", what
        return self._commit(repository, files, body)

    def _commit(self, repository: str, files: dict[str, bytes], body: bytes) -> None:
        new = dict(files)
        for line in map(json.loads, body.splitlines()):
            value = line["value"]
            if line["key"] == "file":
                new[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                new[value["path"]] = self.hub.large[value["oid"]]
            elif line["key"] == "deletedFile":
                del new[value["path"]]
        self.hub.repositories[repository].append(new)
        made = commit_id(repository, len(self.hub.repositories[repository]) - 1)
        self._answer(
            {"commitUrl": f"{self.hub.endpoint}/{repository}/commit/{made}", "commitOid": made, "success": True}
        )

    def _batch(self, asked: dict[str, Any]) -> None:
        objects = [
            {
                **each,
                "authenticated": True,
                "actions": {"upload": {"href": f"{self.hub.endpoint}/lfs/{each['oid']}", "header": {}}},
            }
            for each in asked["objects"]
        ]
        self._answer({"transfer": "basic", "objects": objects})

    def _large(self, digest: str, body: bytes) -> None:
        if self.command == "PUT":
            assert hashlib.sha256(body).hexdigest() == digest
            self.hub.large[digest] = body
            return self._answer({})
        self.hub.tokens_elsewhere += "Authorization" in self.headers
        return self._content(self.hub.instead.get(digest, self.hub.large[digest]), breaks=True)

    def _resolve(self, repository: str, revision: str, name: str) -> None:
        files = self.hub.commit_of(repository, revision)
        if files is None or name not in files:
            return self._answer({}, status=404, code="EntryNotFound")
        data = files[name]
        if name.endswith(LARGE):
            digest = hashlib.sha256(data).hexdigest()
            self.hub.large[digest] = data
            if name in self.hub.instead:
                self.hub.instead[digest] = self.hub.instead[name]
            self.send_response(302)
            self.send_header("Location", f"http://localhost:{self.hub.port}/lfs/{digest}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return None
        return self._content(self.hub.instead.get(name, data), breaks=False)

    def _content(self, data: bytes, *, breaks: bool) -> None:
        asked = self.headers.get("Range")
        start = 0
        if asked is not None:
            self.hub.ranges.append(asked)
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
        self.send_response(206 if asked else 200)
        self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        most = self.hub.break_off_after if breaks else None
        if most is not None:
            self.hub.break_off_after = None
            self.close_connection = True
        self.wfile.write(data[start:][:most])

    def _answer(self, document: Any, *, status: int = 200, code: str = "", retry_after: int = 0) -> None:
        data = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        if code:
            self.send_header("X-Error-Code", code)
        if retry_after:
            self.send_header("Retry-After", str(retry_after))
            self.send_header("RateLimit", f'"api";r=0;t={retry_after}')
        self.end_headers()
        self.wfile.write(data)


def _entry(name: str, data: bytes, hub: Hub) -> dict[str, Any]:
    size = hub.sizes.get(name, len(data))
    entry = {"type": "file", "path": name, "size": size}
    if name.endswith(LARGE):
        oid = hashlib.sha256(data).hexdigest()
        return entry | {"oid": "0" * 40, "lfs": {"oid": oid, "size": size, "pointerSize": 134}}
    return entry | {"oid": hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()}


class _Server(ThreadingHTTPServer):
    """Keeps its faults to itself: what it printed would stand among the words of the command that is tested.

    Once it is closed, no thread of it goes on.
    """

    daemon_threads = False  # these are not waited for

    def __init__(self, handler: type[_Handler]) -> None:
        self.faults: list[BaseException] = []
        self._connections: list[socket.socket] = []
        super().__init__(("127.0.0.1", 0), handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._connections.append(request)
        super().process_request(request, client_address)

    def server_close(self) -> None:
        for connection in self._connections:
            with suppress(OSError):  # closed since
                connection.shutdown(socket.SHUT_RDWR)
        super().server_close()

    def handle_error(self, *_: object) -> None:
        fault = sys.exception()
        # A client that closes a connection with something unread in it resets it, which is no fault of either side.
        if fault is not None and not isinstance(fault, ConnectionError):
            self.faults.append(fault)


@contextmanager
def running_hub() -> Iterator[Hub]:
    """A hub that listens until the end of the block, which fails with the first fault of the hub itself."""
    hub = Hub()
    handler = type("Handler", (_Handler,), {"hub": hub})
    with _Server(handler) as server:
        hub.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield hub
        finally:
            hub.ended.set()
            server.shutdown()
            thread.join()
    for fault in server.faults:
        raise fault

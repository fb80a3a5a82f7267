"""A local stand-in for the Hugging Face hub that fails as servers do.

Its large files lie, as the hub's do, on another host, which refuses requests that carry a token.
"""

import hashlib
import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import unquote, urlsplit

NAME = "owner/Model-1"
OLD, NEW = (hashlib.sha1(name).hexdigest() for name in (b"old", b"new"))
# What the hub keeps in git itself; anything else is kept apart, by its SHA-256.
IN_GIT = (".json", ".txt", ".md", ".py")


class Hub(http.server.BaseHTTPRequestHandler):
    """``commits``: the files of each; ``branches``: revision -> commit. ``faults``: of a file's name, one a request.

    ``asked``: (path, Range) of each request. ``refusal``: status and X-Error-Code for all but a token's bearer.
    """

    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):  # noqa: N802 - the name is http.server's
        path = unquote(urlsplit(self.path).path)
        self.asked.append((self.path, self.headers.get("Range")))
        name = path.rpartition("/")[2]
        self.fault = self.faults[name].pop(0) if self.faults.get(name) else None
        if isinstance(self.fault, int):
            return self.answer(self.fault)
        if self.headers.get("Authorization") not in (None, "Bearer secret"):
            return self.answer(401, {"X-Error-Message": "Invalid credentials in Authorization header"})
        if path.startswith("/large/"):
            if self.headers.get("Authorization"):
                return self.answer(400)
            _, _, commit, name = path.split("/")
            return self.file(self.commits[commit][name])
        if self.refusal and "Authorization" not in self.headers:
            return self.answer(self.refusal[0], {"X-Error-Code": self.refusal[1]} if self.refusal[1] else {})
        if path.startswith(f"/api/models/{NAME}/revision/") and urlsplit(self.path).query == "blobs=true":
            revision = path.partition("/revision/")[2]
            commit = self.branches.get(revision, revision)
            if commit not in self.commits:
                return self.answer(404, {"X-Error-Code": "RevisionNotFound"} if self.codes else {})
            return self.answer(200, {"Content-Type": "application/json"}, self.listing(commit))
        if path.startswith(f"/{NAME}/resolve/"):
            commit, _, name = path.removeprefix(f"/{NAME}/resolve/").partition("/")
            if not name.endswith(IN_GIT):
                return self.answer(302, {"Location": f"{self.store}/large/{commit}/{name}"})
            return self.file(self.commits[commit][name])
        return self.answer(404, {"X-Error-Code": "RepoNotFound"} if self.codes else {})

    def listing(self, commit):
        siblings = []
        for name, body in self.commits[commit].items():
            git = hashlib.sha1(b"blob " + str(len(body)).encode() + b"\0" + body).hexdigest()
            entry = {"rfilename": name, "size": len(body), "blobId": git if self.git_ids else None}
            if not name.endswith(IN_GIT):
                entry["blobId"] = "0" * 40
                entry["lfs"] = {"sha256": hashlib.sha256(body).hexdigest(), "size": len(body), "pointerSize": 134}
            siblings.append(entry)
        return json.dumps({"id": NAME, "sha": commit, "siblings": siblings}).encode()

    def file(self, body):
        if self.fault == "wrong":
            body = bytes([body[0] ^ 1]) + body[1:]
        if self.fault == "short":
            body = body[:-1]
        headers = {"ETag": f'"{hashlib.sha256(body).hexdigest()}"', "Content-Type": "text/plain"}
        start = 0
        if (asked := self.headers.get("Range")) and self.headers.get("If-Range") == headers["ETag"]:
            start = int(asked.removeprefix("bytes=").rstrip("-"))
            headers["Content-Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
        return self.answer(206 if start else 200, headers, body[start:])

    def answer(self, status, headers=(), body=b""):
        self.send_response(status)
        for name, value in dict(headers).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if self.fault == "cut" else body)
        if self.fault == "cut":
            self.wfile.flush()
            self.close_connection = True


class Listening(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        """A client that hangs up is what some tests are about."""


@contextmanager
def serving(commits: dict[str, dict[str, bytes]], branches: dict[str, str]) -> Iterator[type[Hub]]:
    """A running hub; ``url`` is its address."""
    state = {"commits": commits, "branches": branches, "faults": {}, "asked": []}
    handler = type("Handler", (Hub,), {**state, "refusal": None, "codes": True, "git_ids": True, "waits": []})
    with Listening(("127.0.0.1", 0), handler) as hub, Listening(("127.0.0.1", 0), handler) as store:
        for server in (hub, store):
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        # Requests keeps a token from another host or port.
        handler.url, handler.store = (f"http://127.0.0.1:{server.server_port}" for server in (hub, store))
        yield handler
        hub.shutdown()
        store.shutdown()

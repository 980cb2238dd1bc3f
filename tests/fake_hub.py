"""A Hugging Face hub on loopback: models with commits, LFS uploads, and ranges of files."""

import base64
import hashlib
import json
import re
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TOKEN = "hf_of_the_test"
LARGE = (".safetensors", ".pt2", ".png")  # which the hub keeps by LFS


@dataclass
class Model:
    """A model: whether it is private, and its files by commit, the newest last."""

    private: bool
    commits: dict = field(default_factory=lambda: {"0" * 40: {}})

    def files(self, revision):
        return self.commits.get(revision, None if revision != "main" else self.newest[1])

    @property
    def newest(self):
        return list(self.commits.items())[-1]

    def commit(self, files):
        oid = hashlib.sha1(repr((self.newest, files)).encode()).hexdigest()
        self.commits[oid] = {**self.newest[1], **files}
        return oid


@dataclass
class FakeHub:
    """What the hub holds, and what it was asked. sent: the bytes of files that it has sent."""

    models: dict = field(default_factory=dict)
    blobs: dict = field(default_factory=dict)
    requests: list = field(default_factory=list)
    sent: int = 0
    url: str = ""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status=200, content=b"", **headers):
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        headers = {"Content-Length": str(len(body)), **headers}
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def body(self):
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    @property
    def hub(self):
        return self.server.hub

    def handle_request(self):
        path = self.path.partition("?")[0]
        self.hub.requests.append(f"{self.command} {path}")
        for pattern, act in ROUTES.items():
            if match := re.fullmatch(pattern, f"{self.command} {path}"):
                body = self.body()
                if self.command in ("POST", "PUT") and not self.is_owner():
                    return self.answer(401)
                return act(self, body, **match.groupdict())
        return self.answer(404)

    def __getattr__(self, name):
        if name.startswith("do_"):
            return self.handle_request
        raise AttributeError(name)

    def is_owner(self):
        return self.headers.get("Authorization") == f"Bearer {TOKEN}" or "/lfs/" in self.path

    def model(self, repo):
        """The model, or None after the answer of a hub that hides it."""
        model = self.hub.models.get(repo)
        if model is None or (model.private and not self.is_owner()):
            self.answer(404 if self.is_owner() else 401, X_Error_Code="RepoNotFound")
            return None
        return model

    def front(self, body):
        self.answer()

    def create(self, body):
        asked = json.loads(body)
        repo = f"{asked['organization']}/{asked['name']}"
        self.hub.models[repo] = Model(
            asked.get("visibility") == "private" or bool(asked.get("private"))
        )
        self.answer(content={"url": f"{self.hub.url}/{repo}"})

    def validate(self, body):
        self.answer(content={"errors": [], "warnings": []})

    def info(self, body, repo, revision="main"):
        if model := self.model(repo):
            commit = model.newest[0] if revision == "main" else revision
            if model.files(commit) is None:
                return self.answer(404, X_Error_Code="RevisionNotFound")
            private = model.private
            return self.answer(content={"id": repo, "sha": commit, "private": private, "tags": []})
        return None

    def preupload(self, body, repo):
        files = [
            {
                "path": each["path"],
                "uploadMode": "lfs" if each["path"].endswith(LARGE) else "regular",
                "shouldIgnore": False,
                "oid": None,
            }
            for each in json.loads(body)["files"]
        ]
        self.answer(content={"files": files})

    def batch(self, body, repo):
        objects = [
            {
                **each,
                "authenticated": True,
                "actions": {"upload": {"href": f"{self.hub.url}/lfs/{each['oid']}"}},
            }
            for each in json.loads(body)["objects"]
        ]
        self.answer(content={"transfer": "basic", "objects": objects})

    def store(self, body, oid):
        assert hashlib.sha256(body).hexdigest() == oid
        self.hub.blobs[oid] = body
        self.answer()

    def commit(self, body, repo):
        files = {}
        for line in map(json.loads, body.splitlines()):
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.hub.blobs[value["oid"]]
        oid = self.hub.models[repo].commit(files)
        url = f"{self.hub.url}/{repo}/commit/{oid}"
        self.answer(content={"commitUrl": url, "commitOid": oid})

    def resolve(self, body, repo, revision, name):
        if not (model := self.model(repo)):
            return
        content = model.files(revision).get(name)
        if content is None:
            self.answer(404, X_Error_Code="EntryNotFound")
            return
        commit = model.newest[0] if revision == "main" else revision
        etag = f'"{hashlib.sha256(content).hexdigest()}"'
        headers = {"X-Repo-Commit": commit, "ETag": etag, "Accept-Ranges": "bytes"}
        self.send_response(200)
        for key, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        for start in range(0, len(content), 4096):
            try:
                self.wfile.write(content[start : start + 4096])
            except OSError:  # the reader has seen enough
                self.close_connection = True
                return
            self.hub.sent += len(content[start : start + 4096])


REPO = r"(?P<repo>[\w.-]+/[\w.-]+)"
ROUTES = {
    r"HEAD /?": Handler.front,
    r"POST /api/repos/create": Handler.create,
    r"POST /api/validate-yaml": Handler.validate,
    rf"GET /api/models/{REPO}": Handler.info,
    rf"GET /api/models/{REPO}/revision/(?P<revision>\w+)": Handler.info,
    rf"POST /api/models/{REPO}/preupload/main": Handler.preupload,
    rf"POST /api/models/{REPO}/commit/main": Handler.commit,
    rf"POST /{REPO}\.git/info/lfs/objects/batch": Handler.batch,
    r"PUT /lfs/(?P<oid>\w+)": Handler.store,
    rf"(GET|HEAD) /{REPO}/resolve/(?P<revision>\w+)/(?P<name>[\w.]+)": Handler.resolve,
}


@contextmanager
def serving():
    """A hub that answers until the end of the block."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.hub = FakeHub(url=f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server.hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

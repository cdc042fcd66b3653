"""A Hub on this machine: the requests that huggingface_hub 2.4 sends, answered over real HTTP on 127.0.0.1.

It stores what it is sent and serves it back: repositories with commits, branches and tags, files in Git's way
("regular") or as large files (LFS, basic transfer; Xet is off in the tests), private repositories, users with tokens.
It can be told to fail. Nothing here is a promise about the Hub beyond what its client relies on.

    with HubServer() as server:
        server.fail("commit", status=503)  # the next commit only
"""

from __future__ import annotations

import base64
import fnmatch
import hashlib
import json
import os
import re
import socket
import struct
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import parse_qs, unquote, urlencode, urlsplit

import yaml

LARGE = 10 * 1024 * 1024
"""Bytes from which every file is a large one."""
PATTERNS = (
    "*.7z *.arrow *.bin *.bz2 *.ckpt *.ftz *.gz *.h5 *.joblib *.lfs.* *.mlmodel *.model *.msgpack *.npy *.npz *.onnx"
    " *.ot *.parquet *.pb *.pickle *.pkl *.pt *.pth *.rar *.safetensors *.tar.* *.tar *.tflite *.tgz *.wasm *.xz *.zip"
    " *.zst *tfevents*"
).split()
"""What a new repository of the Hub keeps as large files, whatever their size."""
ATTRIBUTES = "".join(f"{pattern} filter=lfs diff=lfs merge=lfs -text\n" for pattern in PATTERNS).encode()


@dataclass(frozen=True)
class User:
    """Who a token belongs to: `role` is read, write or fineGrained; `writes` are the namespaces of the last kind."""

    name: str
    role: str = "write"
    orgs: tuple[str, ...] = ()
    read_orgs: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()

    def may_write(self, namespace: str) -> bool:
        if self.role == "fineGrained":
            return namespace in self.writes
        return self.role == "write" and namespace in (self.name, *self.orgs)

    def whoami(self) -> dict[str, Any]:
        token: dict[str, Any] = {"displayName": "test", "role": self.role}
        if self.role == "fineGrained":
            scoped = [{"entity": {"type": "user", "name": n}, "permissions": ["repo.write"]} for n in self.writes]
            token["fineGrained"] = {"global": [], "scoped": scoped}
        orgs = [{"type": "org", "name": name, "roleInOrg": "write"} for name in self.orgs]
        orgs += [{"type": "org", "name": name, "roleInOrg": "read"} for name in self.read_orgs]
        return {"type": "user", "name": self.name, "orgs": orgs, "auth": {"type": "access_token", "accessToken": token}}


@dataclass(frozen=True)
class Blob:
    content: bytes
    lfs: bool = False

    @property
    def oid(self) -> str:
        """Git's name of the content, or the SHA-256 of a large one."""
        if self.lfs:
            return hashlib.sha256(self.content).hexdigest()
        return hashlib.sha1(b"blob %d\0" % len(self.content) + self.content).hexdigest()


@dataclass(frozen=True)
class Commit:
    oid: str
    message: str
    files: dict[str, Blob]
    date: str


@dataclass
class Repo:
    id: str
    private: bool
    commits: list[Commit] = field(default_factory=list)
    branches: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)

    def find(self, revision: str) -> Commit | None:
        oid = self.branches.get(revision) or self.tags.get(revision) or revision
        return next((commit for commit in self.commits if commit.oid == oid), None)

    def commit(self, files: dict[str, Blob], message: str, branch: str = "main") -> Commit:
        text = f"{self.id} {len(self.commits)} {message} {sorted((path, blob.oid) for path, blob in files.items())}"
        date = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        self.commits.append(Commit(hashlib.sha1(text.encode()).hexdigest(), message, dict(files), date))
        self.branches[branch] = self.commits[-1].oid
        return self.commits[-1]


@dataclass
class Failure:
    """What goes wrong with the requests `at` to `at + times - 1` of a kind, counted from when it was asked for."""

    kind: str
    at: int
    times: int
    status: int | None
    error: str
    retry_after: int | None
    drop_after: int | None
    lose_answer: bool
    hang: float | None
    seen: int = 0

    def strikes(self) -> bool:
        self.seen += 1
        return self.at <= self.seen < self.at + self.times


@dataclass(frozen=True)
class Seen:
    """A request that arrived, and the bytes of its body that were read."""

    kind: str
    method: str
    path: str
    size: int
    token: bool


class HubServer:
    """The server; `url` is its address, `users` maps tokens to their owners.

    Attributes:
        repos: the repositories by their ids.
        objects: the large files that were sent, by their SHA-256.
        seen: every request that arrived, in order.
        regular_only: keep every file in Git's way, so that no large-file transfer takes place.
        lies: what becomes of the answers to requests of a kind; a body may be an iterator, sent until nobody listens.
    """

    def __init__(self, users: dict[str, User] | None = None) -> None:
        self.users = {"hf_writer": User("me", orgs=("team",))} if users is None else users
        self.repos: dict[str, Repo] = {}
        self.objects: dict[str, bytes] = {}
        self.seen: list[Seen] = []
        self.regular_only = False
        self.lock = threading.RLock()
        self.closing = threading.Event()
        self._failures: list[Failure] = []
        self.lies: dict[str, Callable[[Answer], Answer]] = {}
        handler = type("Handler", (_Handler,), {"hub": self})
        self._http = _Quiet(("127.0.0.1", 0), handler)
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> HubServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def fail(
        self,
        kind: str,
        *,
        at: int = 1,
        times: int = 1,
        status: int | None = None,
        error: str = "",
        retry_after: int | None = None,
        drop_after: int | None = None,
        lose_answer: bool = False,
        hang: float | None = None,
    ) -> None:
        """Let requests of a kind (`"any"`, or the names in `ROUTES`) fail.

        Args:
            kind: the kind of request.
            at: the first one that fails, counted from now on.
            times: how many fail, one after the other.
            status: answer with this status, and `error` as its message.
            error: what the server says of it.
            retry_after: seconds of a Retry-After header.
            drop_after: break the connection after so many bytes of the request's body, or of the answer to a GET.
            lose_answer: do what is asked, then break the connection without an answer.
            hang: give no answer for so many seconds, then break the connection.
        """
        self._failures.append(Failure(kind, at, times, status, error, retry_after, drop_after, lose_answer, hang))

    def heal(self) -> None:
        """Forget all failures that were asked for."""
        self._failures.clear()

    def failure(self, kind: str) -> Failure | None:
        with self.lock:
            struck = [failure for failure in self._failures if failure.kind in (kind, "any") and failure.strikes()]
        return struck[0] if struck else None

    def count(self, kind: str) -> int:
        """Requests of a kind that arrived."""
        return sum(seen.kind == kind for seen in self.seen)

    def create(self, repo_id: str, *, private: bool = False) -> Repo:
        """A new repository, as the Hub makes it: one commit with its .gitattributes."""
        repo = self.repos[repo_id] = Repo(repo_id, private)
        repo.commit({".gitattributes": Blob(ATTRIBUTES)}, "initial commit")
        return repo

    def put(
        self, repo_id: str, files: dict[str, bytes | str | None], *, message: str = "edited", private: bool = False
    ) -> str:
        """Write files (None deletes one) past the client, as somebody does on the website; returns the commit."""
        repo = self.repos.get(repo_id) or self.create(repo_id, private=private)
        tree = self.tree(repo_id)
        for path, content in files.items():
            tree.pop(path, None)
            if content is not None:
                data = content.encode() if isinstance(content, str) else content
                tree[path] = Blob(data, self.is_large(path, data))
        return repo.commit(tree, message).oid

    def tree(self, repo_id: str, revision: str = "main") -> dict[str, Blob]:
        commit = self.repos[repo_id].find(revision)
        assert commit is not None, f"{repo_id} has no {revision}"
        return dict(commit.files)

    def files(self, repo_id: str, revision: str = "main") -> dict[str, bytes]:
        """Every file of a repository with its content, without the Hub's own .gitattributes."""
        return {p: blob.content for p, blob in self.tree(repo_id, revision).items() if p != ".gitattributes"}

    def is_large(self, path: str, sample: bytes, size: int | None = None) -> bool:
        if self.regular_only:
            return False
        name = PurePosixPath(path).name
        known = any(fnmatch.fnmatchcase(name, pattern) for pattern in PATTERNS)
        return known or b"\0" in sample[:512] or (len(sample) if size is None else size) >= LARGE


class _Quiet(ThreadingHTTPServer):
    """A client that does not listen to the end is no news."""

    def handle_error(self, *_: object) -> None:
        """Nothing is printed."""


class _BreakError(Exception):
    """The connection is to be broken."""


class _RefusedError(Exception):
    def __init__(self, status: int, message: str, code: str = "", **body: Any) -> None:
        super().__init__(message)
        self.status, self.message, self.code, self.body = status, message, code, body


class _Handler(BaseHTTPRequestHandler):
    hub: HubServer
    protocol_version = "HTTP/1.1"
    wbufsize = 65536  # headers and content in one packet
    disable_nagle_algorithm = True

    def log_message(self, *_: object) -> None:
        """Nothing is printed."""

    def setup(self) -> None:
        super().setup()
        self.connection.settimeout(30)

    def _serve(self) -> None:
        split = urlsplit(self.path)
        self.query = parse_qs(split.query)
        path = unquote(split.path)
        kind, answer, words = _route(self.command, split.path)
        failure = self.hub.failure(kind)
        stop = failure.drop_after if failure is not None and self.command != "GET" else None
        self.body = b""
        self.drop_after: int | None = None
        try:
            for chunk in self._chunks(stop):
                self.body += chunk
            header = self.headers.get("Authorization", "")
            self.hub.seen.append(Seen(kind, self.command, path, len(self.body), header != ""))
            if stop is not None:
                raise _BreakError
            if failure is not None and failure.hang is not None:
                self.hub.closing.wait(failure.hang)
                raise _BreakError
            if failure is not None and failure.status is not None:
                raise _RefusedError(failure.status, failure.error or f"told to answer {failure.status}")
            self.user = self._user(header)
            self.drop_after = failure.drop_after if failure is not None else None
            with self.hub.lock:
                status, headers, content = answer(self, *words)
            if failure is not None and failure.lose_answer:
                raise _BreakError
            if kind in self.hub.lies:
                status, headers, content = self.hub.lies[kind]((status, headers, content))
            self._send(status, headers, content)
        except _RefusedError as refused:
            headers = {"Content-Type": "application/json", "X-Error-Message": refused.message}
            headers |= {"X-Error-Code": refused.code} if refused.code else {}
            if failure is not None and failure.retry_after is not None:
                headers["Retry-After"] = str(failure.retry_after)
            headers |= refused.body.pop("headers", {})
            self._send(refused.status, headers, json.dumps({"error": refused.message, **refused.body}).encode())
        except (_BreakError, OSError):
            self._break()
        except Exception:  # a mistake in this file, or a request it does not understand
            self._send(500, {"Content-Type": "text/plain"}, traceback.format_exc().encode())

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _serve  # noqa: N815 (http.server's names)

    def _chunks(self, stop: int | None) -> Iterator[bytes]:
        """The request's body, or its first `stop` bytes."""
        if self.headers.get("Transfer-Encoding") == "chunked":
            read = 0
            while size := int(self.rfile.readline().split(b";")[0] or b"0", 16):
                chunk = self.rfile.read(size)[: None if stop is None else stop - read]
                yield chunk
                read += len(chunk)
                if read == stop:
                    return
                self.rfile.readline()
            self.rfile.readline()
            return
        left = int(self.headers.get("Content-Length") or 0)
        left = left if stop is None else min(left, stop)
        while left > 0:
            chunk = self.rfile.read(min(left, 65536))
            if not chunk:
                raise _BreakError
            left -= len(chunk)
            yield chunk

    def _user(self, header: str) -> User | None:
        if not header:
            return None
        user = self.hub.users.get(header.removeprefix("Bearer "))
        if user is None:
            raise _RefusedError(401, "Invalid credentials in Authorization header")
        return user

    def _send(self, status: int, headers: dict[str, str], content: bytes | Iterator[bytes]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, " ".join(value.split()))
        if not isinstance(content, bytes):
            self.send_header("Connection", "close")
            self.end_headers()
            self.close_connection = True
            for chunk in content if self.command != "HEAD" else ():
                self.wfile.write(chunk)
            return
        if "Content-Length" not in headers:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command == "HEAD":
            return
        drop = self.drop_after if status < 400 else None
        self.wfile.write(content if drop is None else content[:drop])
        self.close_connection |= drop is not None

    def _break(self) -> None:
        """Reset the connection: the other side sees an error, not an end."""
        self.close_connection = True
        with suppress(OSError):
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            os.close(self.connection.detach())  # at once, although files over the socket are still open

    # What the answers share.

    def json(self) -> dict[str, Any]:
        return json.loads(self.body or b"{}")

    def repo(self, repo_id: str, *, write: bool = False) -> Repo:
        repo = self.hub.repos.get(repo_id)
        namespace = repo_id.split("/")[0]
        mine = self.user is not None and namespace in (self.user.name, *self.user.orgs, *self.user.read_orgs)
        if repo is None or (repo.private and not mine):
            if self.user is None:  # the Hub does not tell strangers what there is
                raise _RefusedError(401, "Invalid username or password.")
            raise _RefusedError(404, "Repository not found", "RepoNotFound")
        if write and self.user is None:
            raise _RefusedError(401, "Invalid username or password.")
        if write and self.user is not None and not self.user.may_write(namespace):
            raise _RefusedError(403, f"You don't have the rights to write to {repo_id}")
        return repo

    def commit_of(self, repo: Repo, revision: str) -> Commit:
        commit = repo.find(revision)
        if commit is None:
            raise _RefusedError(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        return commit


Answer = tuple[int, dict[str, str], bytes | Iterator[bytes]]


def _json(data: Any, status: int = 200, **headers: str) -> Answer:
    return status, {"Content-Type": "application/json", **headers}, json.dumps(data).encode()


def _whoami(call: _Handler) -> Answer:
    if call.user is None:
        raise _RefusedError(401, "Invalid username or password.")
    return _json(call.user.whoami())


def _create(call: _Handler) -> Answer:
    asked = call.json()
    if call.user is None:
        raise _RefusedError(401, "Invalid username or password.")
    namespace = asked.get("organization") or call.user.name
    if not call.user.may_write(namespace):
        raise _RefusedError(403, f'You don\'t have the rights to create a model under the namespace "{namespace}"')
    repo_id = f"{namespace}/{asked['name']}"
    url = f"{call.hub.url}/{repo_id}"
    if repo_id in call.hub.repos:
        raise _RefusedError(409, "You already created this model repo", url=url)
    call.hub.create(repo_id, private=asked.get("visibility") == "private")
    return _json({"url": url, "name": repo_id})


def _delete_repo(call: _Handler) -> Answer:
    asked = call.json()
    repo = call.repo(f"{asked.get('organization') or getattr(call.user, 'name', '')}/{asked['name']}", write=True)
    del call.hub.repos[repo.id]
    return _json({})


def _validate_yaml(call: _Handler) -> Answer:
    try:
        _metadata(call.json()["content"])
    except yaml.YAMLError as error:
        message = str(error).replace("\n", " ")
        return _json({"errors": [{"message": message}], "warnings": [], "error": message}, 400)
    return _json({"errors": [], "warnings": []})


def _preupload(call: _Handler, repo_id: str, revision: str) -> Answer:
    files = call.commit_of(call.repo(repo_id, write=True), revision).files
    found = []
    for file in call.json()["files"]:
        large = call.hub.is_large(file["path"], base64.b64decode(file.get("sample") or ""), file["size"])
        there = files.get(file["path"])
        oid = None if there is None else there.oid
        mode = "lfs" if large else "regular"
        found.append({"path": file["path"], "uploadMode": mode, "shouldIgnore": False, "oid": oid})
    return _json({"files": found})


def _lfs_batch(call: _Handler, repo_id: str) -> Answer:
    call.repo(repo_id, write=True)
    objects = []
    for asked in call.json()["objects"]:
        href = f"{call.hub.url}/lfs/{repo_id}/{asked['oid']}"
        actions = {"upload": {"href": href}, "verify": {"href": f"{href}/verify"}}
        objects.append(asked if asked["oid"] in call.hub.objects else {**asked, "actions": actions})
    return _json({"transfer": "basic", "objects": objects}, **{"Content-Type": "application/vnd.git-lfs+json"})


def _lfs_upload(call: _Handler, _: str, oid: str) -> Answer:
    if hashlib.sha256(call.body).hexdigest() != oid:
        raise _RefusedError(400, "the content is not what its name says")
    call.hub.objects[oid] = call.body
    return 200, {}, b""


def _lfs_verify(call: _Handler, repo_id: str, oid: str) -> Answer:
    call.repo(repo_id, write=True)
    if len(call.hub.objects.get(oid, b"")) != call.json()["size"]:
        raise _RefusedError(422, "no such object")
    return _json({"message": "ok"})


def _commit(call: _Handler, repo_id: str, revision: str) -> Answer:
    repo = call.repo(repo_id, write=True)
    if revision not in repo.branches:
        raise _RefusedError(404, f"Invalid rev id: {revision}", "RevisionNotFound")
    head = call.commit_of(repo, revision)
    files, summary = dict(head.files), ""
    for line in call.body.splitlines():
        step = json.loads(line)
        value = step["value"]
        match step["key"]:
            case "header":
                summary = value["summary"]
                if not head.oid.startswith(value.get("parentCommit") or ""):
                    raise _RefusedError(412, "A commit has happened since. Please refresh and try again.")
            case "file":
                files[value["path"]] = Blob(base64.b64decode(value["content"]))
            case "lfsFile":
                if value["oid"] not in call.hub.objects:
                    raise _RefusedError(400, f"the large file of {value['path']} was not uploaded")
                files[value["path"]] = Blob(call.hub.objects[value["oid"]], lfs=True)
            case "deletedFile":
                if files.pop(value["path"], None) is None:
                    raise _RefusedError(404, "A file with this name doesn't exist", "EntryNotFound")
            case "deletedFolder":
                folder = value["path"].rstrip("/") + "/"
                files = {path: blob for path, blob in files.items() if not path.startswith(folder)}
            case key:
                raise _RefusedError(400, f"unknown step {key}")
    made = repo.commit(files, summary, revision)
    url = f"{call.hub.url}/{repo_id}/commit/{made.oid}"
    return _json({"success": True, "commitOid": made.oid, "commitUrl": url, "pullRequestUrl": None, "hookOutput": ""})


def _commits(call: _Handler, repo_id: str, revision: str) -> Answer:
    repo = call.repo(repo_id)
    call.commit_of(repo, revision)
    fields = [{"id": c.oid, "title": c.message, "message": "", "authors": [], "date": c.date} for c in repo.commits]
    return _json(fields[::-1])


def _tag(call: _Handler, repo_id: str, revision: str) -> Answer:
    repo = call.repo(repo_id, write=True)
    repo.tags[call.json()["tag"]] = call.commit_of(repo, revision).oid
    return _json({})


def _branch(call: _Handler, repo_id: str, branch: str) -> Answer:
    repo = call.repo(repo_id, write=True)
    repo.branches[branch] = call.commit_of(repo, call.json().get("startingPoint") or "main").oid
    return _json({})


def _refs(call: _Handler, repo_id: str) -> Answer:
    repo = call.repo(repo_id)
    kinds = {"branches": ("heads", repo.branches), "tags": ("tags", repo.tags)}
    refs = {
        kind: [{"name": name, "ref": f"refs/{folder}/{name}", "targetCommit": oid} for name, oid in found.items()]
        for kind, (folder, found) in kinds.items()
    }
    return _json({**refs, "converts": []})


def _entry(path: str, blob: Blob) -> dict[str, Any]:
    git = Blob(blob.content).oid if not blob.lfs else hashlib.sha1(blob.oid.encode()).hexdigest()
    lfs = {"lfs": {"oid": blob.oid, "size": len(blob.content), "pointerSize": 130}} if blob.lfs else {}
    return {"type": "file", "path": path, "size": len(blob.content), "oid": git, **lfs}


def _tree(call: _Handler, repo_id: str, revision: str, folder: str | None = None) -> Answer:
    files = call.commit_of(call.repo(repo_id), revision).files
    below = f"{folder.strip('/')}/" if folder else ""
    inside = {path: blob for path, blob in files.items() if path.startswith(below)}
    if below and not inside:
        raise _RefusedError(404, f"{folder} does not exist on {revision}", "EntryNotFound")
    entries = [_entry(path, blob) for path, blob in inside.items()]
    if call.query.get("recursive", ["false"])[0].lower() not in ("true", "1"):
        top = {below + path[len(below) :].split("/")[0] for path in inside}
        entries = [entry for entry in entries if entry["path"] in top]
        folders = sorted(top - {entry["path"] for entry in entries})
        entries += [{"type": "directory", "path": path, "size": 0, "oid": "0" * 40} for path in folders]
    return _json(entries)


def _paths_info(call: _Handler, repo_id: str, revision: str) -> Answer:
    files = call.commit_of(call.repo(repo_id), revision).files
    wanted = parse_qs(call.body.decode()).get("paths", [])
    return _json([_entry(path, files[path]) for path in wanted if path in files])


def _resolve(call: _Handler, repo_id: str, revision: str, path: str) -> Answer:
    commit = call.commit_of(call.repo(repo_id), revision)
    blob = commit.files.get(path)
    headers = {"X-Repo-Commit": commit.oid}
    if blob is None:
        raise _RefusedError(404, "Entry not found", "EntryNotFound", headers=headers)
    headers |= {"ETag": f'"{blob.oid}"', "Accept-Ranges": "bytes", "Content-Type": "application/octet-stream"}
    headers |= {"X-Linked-Etag": f'"{blob.oid}"', "X-Linked-Size": str(len(blob.content))} if blob.lfs else {}
    content, status = blob.content, 200
    wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", call.headers.get("Range") or "")
    if wanted:
        start, end = int(wanted[1]), min(int(wanted[2] or len(content) - 1), len(content) - 1)
        if start > end:
            raise _RefusedError(416, "nothing there", headers={"Content-Range": f"bytes */{len(content)}"})
        headers["Content-Range"] = f"bytes {start}-{end}/{len(content)}"
        content, status = content[start : end + 1], 206
    return status, {**headers, "Content-Length": str(len(content))}, content


def _metadata(text: str) -> dict[str, Any]:
    """What stands between the first two `---` lines of a README."""
    match = re.match(r"\A\ufeff?\s*---\r?\n(.*?)\r?\n---\s*(?:\r?\n|\Z)", text, re.DOTALL)
    found = yaml.safe_load(match[1]) if match else None
    if match and not isinstance(found, dict):
        raise yaml.YAMLError("the metadata is not a mapping")
    return found or {}


def _about(repo: Repo, commit: Commit, *, full: bool, blobs: bool = False) -> dict[str, Any]:
    readme = commit.files.get("README.md")
    try:
        card = _metadata(readme.content.decode("utf-8", "replace")) if readme else {}
    except yaml.YAMLError:
        card = {}
    tags = [str(tag) for tag in card.get("tags") or []]
    tags += [str(card["library_name"])] if "library_name" in card else []
    tags += ["model-index"] if "model-index" in card else []
    tags += [f"license:{card['license']}"] if "license" in card else []
    about: dict[str, Any] = {
        "id": repo.id,
        "modelId": repo.id,
        "author": repo.id.split("/")[0],
        "sha": commit.oid,
        "lastModified": commit.date,
        "createdAt": repo.commits[0].date,
        "private": repo.private,
        "gated": False,
        "disabled": False,
        "downloads": 0,
        "likes": 0,
        "tags": list(dict.fromkeys([*tags, "region:us"])),
    }
    about |= {"library_name": card["library_name"]} if "library_name" in card else {}
    about |= {"pipeline_tag": "reinforcement-learning"} if "reinforcement-learning" in tags else {}
    if full:
        about["cardData"] = card
        about |= {"model-index": card["model-index"]} if "model-index" in card else {}
        about["siblings"] = [
            {"rfilename": path}
            | ({"size": len(b.content), "blobId": _entry(path, b)["oid"]} if blobs else {})
            | ({"lfs": {"sha256": b.oid, "size": len(b.content), "pointerSize": 130}} if blobs and b.lfs else {})
            for path, b in sorted(commit.files.items())
        ]
    return json.loads(json.dumps(about, default=str))


def _info(call: _Handler, repo_id: str, revision: str = "main") -> Answer:
    repo = call.repo(repo_id)
    return _json(_about(repo, call.commit_of(repo, revision), full=True, blobs="blobs" in call.query))


def _list(call: _Handler) -> Answer:
    ask = {name: values[-1] for name, values in call.query.items()}
    full = any(ask.get(name, "").lower() in ("true", "1") for name in ("full", "cardData"))
    full |= bool({"cardData", "model-index"} & set(call.query.get("expand", [])))
    mine = {call.user.name, *call.user.orgs, *call.user.read_orgs} if call.user is not None else set()
    found = []
    for repo in call.hub.repos.values():
        about = _about(repo, call.commit_of(repo, "main"), full=full)
        if (
            (not repo.private or about["author"] in mine)
            and about["author"] == ask.get("author", about["author"])
            and ask.get("search", "").lower() in repo.id.lower()
            and {tag for value in call.query.get("filter", []) for tag in value.split(",")} <= set(about["tags"])
        ):
            found.append(about)
    if ask.get("sort") in ("lastModified", "createdAt"):
        found.sort(key=lambda about: about[ask["sort"]], reverse=True)
    start, limit = int(ask.get("cursor", 0)), int(ask.get("limit", 1000))
    following = {**call.query, "cursor": [str(start + limit)]}
    link = {"Link": f'<{call.hub.url}/api/models?{urlencode(following, doseq=True)}>; rel="next"'}
    return _json(found[start : start + limit], **(link if start + limit < len(found) else {}))


def _unknown(call: _Handler) -> Answer:
    raise _RefusedError(404, "Sorry, we can't find the page you are looking for.")


def _front_page(call: _Handler) -> Answer:
    return 200, {"Content-Type": "text/html"}, b"<title>a Hub for tests</title>"


ID = r"([^/]+/[^/]+)"
ROUTES: tuple[tuple[str, str, str, Callable[..., Answer]], ...] = (
    ("front", "GET|HEAD", r"/", _front_page),
    ("whoami", "GET", r"/api/whoami-v2", _whoami),
    ("create", "POST", r"/api/repos/create", _create),
    ("delete-repo", "DELETE", r"/api/repos/delete", _delete_repo),
    ("validate-yaml", "POST", r"/api/validate-yaml", _validate_yaml),
    ("preupload", "POST", rf"/api/models/{ID}/preupload/(.+)", _preupload),
    ("lfs-batch", "POST", rf"/{ID}\.git/info/lfs/objects/batch", _lfs_batch),
    ("lfs-upload", "PUT", rf"/lfs/{ID}/(\w+)", _lfs_upload),
    ("lfs-verify", "POST", rf"/lfs/{ID}/(\w+)/verify", _lfs_verify),
    ("commit", "POST", rf"/api/models/{ID}/commit/(.+)", _commit),
    ("commits", "GET", rf"/api/models/{ID}/commits/(.+)", _commits),
    ("tag", "POST", rf"/api/models/{ID}/tag/(.+)", _tag),
    ("branch", "POST", rf"/api/models/{ID}/branch/(.+)", _branch),
    ("refs", "GET", rf"/api/models/{ID}/refs", _refs),
    ("tree", "GET", rf"/api/models/{ID}/tree/([^/]+)(?:/(.+))?", _tree),
    ("paths-info", "POST", rf"/api/models/{ID}/paths-info/(.+)", _paths_info),
    ("revision", "GET", rf"/api/models/{ID}/revision/(.+)", _info),
    ("list", "GET", r"/api/models", _list),
    ("info", "GET", rf"/api/models/{ID}", _info),
    ("resolve", "GET|HEAD", rf"/{ID}/resolve/([^/]+)/(.+)", _resolve),
)
"""Kind, methods and path of every request that is known; anything else is of the kind `other` and answered with 404."""


def _route(method: str, path: str) -> tuple[str, Callable[..., Answer], list[str]]:
    """The kind of a request, what answers it, and the words of its path."""
    for kind, methods, pattern, answer in ROUTES:
        match = re.fullmatch(pattern, path)
        if match and method in methods.split("|"):
            return kind, answer, [unquote(word) for word in match.groups() if word is not None]
    return "other", _unknown, []

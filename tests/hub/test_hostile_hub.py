"""A Hub that answers what no Hub would: one line and exit code 6, little memory, and nothing left on the disk."""

from __future__ import annotations

import gzip
import itertools
import json
import resource
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from rlzoo.cli.main import main
from rlzoo.doctor.doctor import hub_login
from rlzoo.errors import ExitCode, RlzooError
from rlzoo.hub import client, failures, listing
from rlzoo.hub.push import push
from tests.hub.server import Answer, HubServer

Lie = Callable[[Answer], Answer]
MIB = 2**20


def body(content: bytes | Iterator[bytes], **headers: str) -> Lie:
    """Instead of the honest answer this one."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda answer: (200, {"Content-Type": "application/json", **named}, content)


def says(value: Any) -> Lie:
    return body(json.dumps(value).encode())


def changed(**fields: Any) -> Lie:
    """The honest answer with other fields."""

    def lie(answer: Answer) -> Answer:
        status, headers, content = answer
        assert isinstance(content, bytes)
        return status, headers, json.dumps({**json.loads(content), **fields}).encode()

    return lie


def sized(size: Any) -> Lie:
    return changed(siblings=[{"rfilename": "ppo-CartPole-v1.zip", "size": size}])


def circles(answer: Answer) -> Answer:
    return 302, {"Location": "/api/models/me/agent"}, b""


def bomb(n_bytes: int, fill: bytes = b" ") -> bytes:
    """Gzip that unpacks to so many bytes."""
    return gzip.compress(fill * n_bytes, 9)


DEEP = b"[" * 200_000 + b"]" * 200_000
LIES: dict[str, Lie] = {
    "sizes_as_text": sized("many"),
    "size_of_a_list": sized([1]),
    "negative_size": sized(-5),
    "size_without_end": sized(10**30),
    "names_as_numbers": changed(siblings=[{"rfilename": 5, "size": 5}]),
    "siblings_as_text": changed(siblings="all of them"),
    "siblings_as_numbers": changed(siblings=[1, 2]),
    "too_many_files": changed(siblings=[{"rfilename": str(k), "size": 1} for k in range(20_000)]),
    "a_commit_of_numbers": changed(sha=5),
    "no_commit": changed(sha=None),
    "half_a_character": changed(siblings=[{"rfilename": "\ud800", "size": 1}]),
    "a_list": says([1]),
    "null": says(None),
    "deep": body(DEEP),
    "no_json": body(b"\xff\xfe"),
    "circles": circles,
    "long": body(b" " * (client.ANSWER_BYTES + 1)),
    "packed": body(bomb(300 * MIB), Content_Encoding="gzip"),
    "packed_twice": body(gzip.compress(bomb(300 * MIB)), Content_Encoding="gzip, gzip"),
    "packed_otherwise": body(b"{}", Content_Encoding="br"),
    "no_gzip": body(b"{}", Content_Encoding="gzip"),
    "nothing": body(b""),
}


@pytest.fixture
def agent(hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> HubServer:
    monkeypatch.chdir(tmp_path)
    hub.put("me/agent", {"ppo-CartPole-v1.zip": b"zip" * 181, "README.md": "# an agent"})
    return hub


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """The one line that a command ends with, and perhaps one that says what to do."""
    assert main(list(words)) == ExitCode.HUB
    said = capsys.readouterr()
    assert said.out == "" and len(said.err.strip().splitlines()) <= 2, said.err
    assert "Traceback" not in said.err and len(said.err) < 1500
    return said.err


@pytest.mark.parametrize("name", LIES)
def test_what_is_said_of_a_repository(name, agent, tmp_path, capsys):
    agent.lies = {"info": LIES[name], "revision": LIES[name]}
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    refused(capsys, "load-from-hub", "repo_id=me/agent")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300 * 1024  # KiB
    assert not (tmp_path / "hub").exists()


@pytest.mark.parametrize("name", ["deep", "circles", "long", "packed", "packed_twice", "no_json", "nothing", "null"])
def test_who_is_logged_in(name, agent, tmp_path, monkeypatch, capsys):
    agent.lies = {
        "whoami": LIES[name] if name != "circles" else lambda answer: (302, {"Location": "/api/whoami-v2"}, b"")
    }
    with pytest.raises(RlzooError) as error:
        client.writable(client.connect(), "me/agent")
    assert error.value.code == ExitCode.HUB
    assert hub_login().state in ("offline", "ok")


@pytest.mark.parametrize(
    "who",
    [
        *({}, {"name": 5}, {"name": "me", "orgs": 5}, {"name": "me", "orgs": [5]}, {"name": "me", "orgs": [{}]}),
        *({"name": "me", "auth": 5}, {"name": "me", "auth": {"accessToken": []}}),
        {"name": "me", "auth": {"accessToken": {"role": "fineGrained", "fineGrained": {"scoped": [5]}}}},
        {"name": "me", "auth": {"accessToken": {"role": "fineGrained", "fineGrained": {"scoped": [{"entity": 5}]}}}},
    ],
    ids=str,
)
def test_odd_users(who, agent):
    agent.lies = {"whoami": says(who)}
    with pytest.raises(RlzooError, match="does not answer like the Hub") as error:
        client.writable(client.connect(write=True), "me/agent")
    assert error.value.code == ExitCode.HUB
    assert hub_login().state == "ok"


@pytest.mark.parametrize("name", ["deep", "long", "packed", "packed_twice", "no_json", "nothing", "null", "a_list"])
def test_a_list_of_models(name, agent, capsys):
    agent.lies = {"list": LIES[name]}
    if name == "a_list":
        assert main(["list", "hub"]) == ExitCode.DONE  # no entry of it is a model
        return
    refused(capsys, "list", "hub")
    refused(capsys, "leaderboard", "source=hub")


def test_a_list_has_an_end(agent, capsys):
    """Pages without models that name a next one for ever; and a next one elsewhere, which would get the token."""
    link = {"Link": f'<{agent.url}/api/models?cursor=1>; rel="next"'}
    agent.lies = {"list": lambda answer: (200, link, b"[]")}
    assert "has no end" in refused(capsys, "list", "hub")
    assert agent.count("list") == listing.MAX_PAGES
    with HubServer() as other:
        link["Link"] = f'<{other.url}/api/models?cursor=1>; rel="next"'
        assert listing.find_models() == [] and other.seen == []


CONTENTS: dict[str, Lie] = {
    "longer": body(b"x" * 2 * MIB, Content_Type="application/octet-stream"),
    "packed": body(bomb(300 * MIB), Content_Encoding="gzip"),
    "packed_twice": body(gzip.compress(bomb(300 * MIB)), Content_Encoding="gzip, gzip"),
    "endless": lambda answer: (200, {}, itertools.repeat(b"x" * 2**16)),
    "shorter": body(b"x"),
}


@pytest.mark.parametrize("name", CONTENTS)
def test_a_download_stops_at_the_listed_size(name, agent, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(client, "FIRST_WAIT", 0.0)
    written: list[int] = []
    stop = threading.Event()

    def watch() -> None:
        while not stop.wait(0.01):
            with suppress(OSError):  # it is just being removed
                found = [path for path in tmp_path.rglob("*") if ".files" in str(path)]
                written.append(sum(path.stat().st_size for path in found if path.is_file()))

    def lie(answer: Answer) -> Answer:
        headers = {key: value for key, value in answer[1].items() if key in ("X-Repo-Commit", "ETag")}
        status, more, content = CONTENTS[name](answer)
        return status, {**headers, **more}, content

    agent.lies = {"resolve": lambda answer: lie(answer) if b"zip" in _bytes(answer) else answer}
    watcher = threading.Thread(target=watch)
    watcher.start()
    tracemalloc.start()
    started = time.monotonic()
    try:
        said = refused_or_said(capsys)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
        stop.set()
        watcher.join()
    assert "free some space" not in said and time.monotonic() - started < 60
    assert max(written, default=0) < MIB and peak < 200 * MIB
    assert not list((tmp_path / "hub").rglob("*.zip")) if (tmp_path / "hub").exists() else True


def _bytes(answer: Answer) -> bytes:
    return answer[2] if isinstance(answer[2], bytes) else b""


def refused_or_said(capsys: pytest.CaptureFixture[str]) -> str:
    assert main(["load-from-hub", "repo_id=me/agent"]) == ExitCode.HUB
    said = capsys.readouterr().err
    assert "Traceback" not in said
    return said


@pytest.mark.parametrize("name", ["deep", "long", "packed", "circles", "sizes_as_text", "siblings_as_numbers"])
def test_a_push_meets_it_too(name, agent, tmp_path, monkeypatch):
    monkeypatch.setattr(client, "FIRST_WAIT", 0.0)
    folder = tmp_path / "package"
    folder.mkdir()
    (folder / "README.md").write_text("# mine")
    agent.lies = {"info": LIES[name]}
    with pytest.raises(RlzooError) as error:
        push(folder, "me/agent")
    assert error.value.code == ExitCode.HUB


@pytest.mark.parametrize("wait", ["\xb2", "9" * 400, "-1", "soon"])
def test_it_asks_to_wait_in_no_number(wait, agent, monkeypatch, capsys):
    monkeypatch.setattr(client, "FIRST_WAIT", 0.0)
    agent.lies = dict.fromkeys(("info", "revision"), lambda _: (503, {"Retry-After": wait}, b"{}"))
    refused_or_said(capsys)


def test_a_wrong_size_in_a_header_is_no_full_disk(hub, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    hub.regular_only = True
    hub.put("me/agent", {"ppo-CartPole-v1.zip": b"zip"})
    hub.lies = {"resolve": lambda answer: (answer[0], {**answer[1], "X-Linked-Size": "-5"}, answer[2])}
    assert "free some space" not in refused_or_said(capsys)


def test_an_answer_that_trickles_is_given_up(agent, monkeypatch, capsys):
    def trickle() -> Iterator[bytes]:
        while True:
            time.sleep(0.02)
            yield b" " * 2**16  # as much as the server holds back
            time.sleep(0.02)

    monkeypatch.setattr(client, "ANSWER_TIMEOUT", 0.1)
    monkeypatch.setattr(client, "SLOWEST", 2**30)
    agent.lies = {"list": body(trickle())}
    assert "no end" in refused(capsys, "list", "hub")


def a_package(folder: Path) -> Path:
    folder.mkdir()
    (folder / "README.md").write_text("# mine")
    (folder / "weights.bin").write_bytes(b"\0" * 100)
    return folder


def test_a_file_that_the_hub_ignores_is_not_called_published(hub, tmp_path):
    """As it does for names in the .gitignore of a repository."""

    def ignoring(answer: Answer) -> Answer:
        files = [{**file, "shouldIgnore": file["path"] == "weights.bin"} for file in json.loads(answer[2])["files"]]
        return answer[0], {"Content-Type": "application/json"}, json.dumps({"files": files}).encode()

    hub.lies = {"preupload": ignoring}
    with pytest.raises(RlzooError, match=r"left out 1 of 2 files.*me/agent names: weights\.bin") as caught:
        push(a_package(tmp_path / "package"), "me/agent")
    assert "empty" not in caught.value.message
    assert set(hub.files("me/agent")) == {"README.md"}


def test_no_other_server_gets_the_token(hub, tmp_path):
    """Where the answer about a large file names one, to ask whether it has arrived."""
    with HubServer() as other:

        def elsewhere(answer: Answer) -> Answer:
            return answer[0], answer[1], answer[2].replace(hub.url.encode(), other.url.encode())

        hub.lies = {"lfs-batch": elsewhere}
        with pytest.raises(RlzooError):
            push(a_package(tmp_path / "package"), "me/agent")
        assert {seen.kind for seen in other.seen} == {"lfs-upload", "lfs-verify"}
        assert not any(seen.token for seen in other.seen)


@pytest.mark.parametrize("errors", [5, "no", {"a": 1}])
def test_odd_words_about_a_readme(errors, hub, tmp_path):
    hub.lies = {"validate-yaml": lambda _: (400, {}, json.dumps({"errors": errors}).encode())}
    with pytest.raises(RlzooError, match=r"does not take the README"):
        push(a_package(tmp_path / "package"), "me/agent")


def test_a_bug_in_our_own_code_is_no_answer_of_the_hub():
    for error in (ValueError("x"), KeyError("x"), RecursionError()):
        try:
            raise error
        except Exception as caught:
            assert failures.explain(caught, "me/agent", "https://huggingface.co") is None
    with pytest.raises(RlzooError, match="longer than 10 bytes"):
        raise failures.misfit("x", "its answer is longer than 10 bytes")

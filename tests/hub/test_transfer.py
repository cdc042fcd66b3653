"""A folder is published whole or not at all; a push that failed succeeds the second time."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rlzoo.errors import ConfigError, ExitCode, RlzooError
from rlzoo.hub import card_merge, client
from rlzoo.hub.pull import load_from_hub
from rlzoo.hub.push import Pushed, push
from tests.hub.server import HubServer, User

REPO = "me/ppo-CartPole-v1"
CARD = f"---\nlicense: mit\ntags:\n- CartPole-v1\n---\n\n{card_merge.section('title', '# PPO')}\n"


def write(folder: Path, files: dict[str, str | bytes]) -> Path:
    """A package as `rlzoo package` leaves it, with the list of its files."""
    listed = sorted([*files, "rlzoo/info.json"])
    files = {**files, "rlzoo/info.json": json.dumps({"package": {"name": "ppo-CartPole-v1", "files": listed}})}
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    files = {"README.md": CARD, "config.json": "{}", "ppo-CartPole-v1.zip": os.urandom(300_000)}
    return write(tmp_path / "package", {**files, "replay.mp4": b"\0" + os.urandom(100_000), "empty.pkl": b""})


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits of hundredths of a second and few of them; servers that hang are given up after a third of one."""
    monkeypatch.setattr(client, "FIRST_WAIT", 0.01)
    monkeypatch.setattr(client, "RETRIES", 2)
    monkeypatch.setattr(client, "ANSWER_TIMEOUT", 0.3)
    monkeypatch.setattr(client, "PROBE", 1.0)


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def refused(action: Callable[[], Any], *words: str, code: ExitCode = ExitCode.HUB) -> None:
    with pytest.raises(RlzooError) as caught:
        action()
    assert caught.value.code == code
    for word in words:
        assert word in str(caught.value)


def test_the_repository_holds_exactly_the_folder(hub: HubServer, folder: Path, capfd: Any) -> None:
    pushed = push(folder, "ppo-CartPole-v1", commit_message="first")
    assert isinstance(pushed, Pushed)
    assert hub.files(REPO) == contents(folder)
    commits = hub.repos[REPO].commits
    assert [commit.message for commit in commits] == ["initial commit", "first"]
    assert (pushed.repo_id, pushed.url, pushed.commit) == (REPO, f"{hub.url}/{REPO}", commits[-1].oid)
    assert (pushed.changed, pushed.created, pushed.private, pushed.deleted) == (True, True, False, ())
    assert pushed.files == {name: len(data) for name, data in contents(folder).items()}
    assert hub.tree(REPO)["ppo-CartPole-v1.zip"].lfs
    assert capfd.readouterr().err.splitlines() == [
        f"created {hub.url}/{REPO}",
        f"uploading 6 files ({sum(pushed.files.values()) / 1000:.1f} kB) to {hub.url}/{REPO}",
    ]


def test_an_unchanged_folder_makes_no_commit(hub: HubServer, folder: Path) -> None:
    first = push(folder, REPO)
    sent = hub.count("lfs-upload")
    again = push(folder, REPO)
    assert (again.changed, again.created, again.commit) == (False, False, first.commit)
    assert len(hub.repos[REPO].commits) == 2
    assert hub.count("lfs-upload") == sent == 2
    assert hub.count("commit") == 1


def test_what_an_older_package_left_is_deleted_and_nothing_else(hub: HubServer, folder: Path, tmp_path: Path) -> None:
    write(folder, {**contents(folder), "old.json": "{}", "unzipped/data": "x"})
    push(folder, REPO)
    hub.put(REPO, {"notes.txt": "mine", "unzipped/more.txt": "mine too"})
    newer = write(tmp_path / "newer", {"README.md": CARD, "config.json": "[]"})
    pushed = push(newer, REPO)
    assert pushed.deleted == ("empty.pkl", "old.json", "ppo-CartPole-v1.zip", "replay.mp4", "unzipped/data")
    assert set(hub.files(REPO)) == {
        *("README.md", "config.json", "rlzoo/info.json"),
        *("notes.txt", "unzipped/more.txt"),
    }
    assert ".gitattributes" in hub.tree(REPO)
    assert not push(newer, REPO).changed


def test_a_repository_of_another_tool_loses_nothing(hub: HubServer, folder: Path) -> None:
    hub.put(REPO, {"dqn.zip": b"\0theirs", "config.json": "theirs", "README.md": "# Theirs\n"})
    assert push(folder, REPO).deleted == ()
    files = hub.files(REPO)
    assert files["dqn.zip"] == b"\0theirs"
    assert files["config.json"] == b"{}"
    assert files["README.md"].startswith(b"---\nlicense: mit")
    assert b"# Theirs\n" in files["README.md"]


def test_text_written_on_the_hub_stays(hub: HubServer, folder: Path) -> None:
    push(folder, REPO)
    edited = hub.files(REPO)["README.md"].decode() + "\nMy own words: it likes the left.\n"
    hub.put(REPO, {"README.md": edited.replace("license: mit", "license: apache-2.0")})
    (folder / "README.md").write_text(CARD.replace("# PPO", "# PPO, trained for longer"))
    for changed in (True, False):
        assert push(folder, REPO).changed is changed
        readme = hub.files(REPO)["README.md"].decode()
        assert "My own words: it likes the left.\n" in readme
        assert "# PPO, trained for longer" in readme
        assert "license: apache-2.0" in readme
    assert (folder / "README.md").read_text() == CARD.replace("# PPO", "# PPO, trained for longer")


def test_private_holds_for_new_repositories_alone(hub: HubServer, folder: Path, capfd: Any) -> None:
    assert push(folder, REPO, private=True).private
    assert hub.repos[REPO].private
    assert push(folder, REPO, private=False).private
    assert hub.repos[REPO].private
    assert "is private and stays so" in capfd.readouterr().err
    push(folder, REPO, private=True)
    push(folder, REPO)
    assert "stays so" not in capfd.readouterr().err


def test_an_organisation_and_a_branch(hub: HubServer, folder: Path) -> None:
    hub.put("team/ppo", {"a.txt": "a"})
    refused(lambda: push(folder, "team/ppo", revision="v2"), "no such branch", "v2")
    refused(lambda: push(folder, "team/new", revision="v2"), "team/new is not there yet")
    assert set(hub.repos) == {"team/ppo"}
    hub.repos["team/ppo"].branches["v2"] = hub.repos["team/ppo"].branches["main"]
    push(folder, "team/ppo", revision="v2")
    assert set(hub.files("team/ppo")) == {"a.txt"}
    assert "config.json" in hub.files("team/ppo", "v2")


@pytest.mark.parametrize(
    ("failure", "passes"),
    [
        pytest.param(lambda hub: hub.fail("whoami", status=429, retry_after=0), True, id="429 at the login"),
        pytest.param(lambda hub: hub.fail("whoami", status=401, times=9), "401", id="401 at the login"),
        pytest.param(lambda hub: hub.fail("create", status=403, error="no rights"), "no rights", id="403 at creation"),
        pytest.param(lambda hub: hub.fail("create", status=500, times=2), True, id="500 at creation"),
        pytest.param(lambda hub: hub.fail("create", lose_answer=True), True, id="creation's answer is lost"),
        pytest.param(lambda hub: hub.fail("preupload", status=429, retry_after=1), True, id="429 with Retry-After"),
        pytest.param(lambda hub: hub.fail("preupload", status=503, times=2), True, id="503 at preupload"),
        pytest.param(lambda hub: hub.fail("preupload", status=500, times=99), "500", id="500 for long at preupload"),
        pytest.param(
            lambda hub: hub.fail("preupload", status=429, retry_after=999, times=99), "wait 999 s", id="429 for long"
        ),
        pytest.param(lambda hub: hub.fail("lfs-batch", status=502), True, id="502 at the batch"),
        pytest.param(lambda hub: hub.fail("lfs-upload", drop_after=5000, times=2), True, id="large files cut"),
        pytest.param(
            lambda hub: hub.fail("lfs-upload", drop_after=5000, times=99), "connection", id="large files cut for long"
        ),
        pytest.param(lambda hub: hub.fail("lfs-upload", hang=20, times=99), "in time", id="hangs for long"),
        pytest.param(lambda hub: hub.fail("lfs-verify", hang=20), True, id="hangs once"),
        pytest.param(lambda hub: hub.fail("commit", status=503, times=2), True, id="503 at the commit"),
        pytest.param(lambda hub: hub.fail("commit", status=500, times=99), "500", id="500 for long at the commit"),
        pytest.param(lambda hub: hub.fail("commit", drop_after=100), True, id="the commit is cut"),
        pytest.param(lambda hub: hub.fail("commit", lose_answer=True), True, id="the commit's answer is lost"),
        pytest.param(lambda hub: hub.fail("commit", status=404, error="gone"), "gone", id="404 at the commit"),
        pytest.param(lambda hub: hub.fail("commit", status=409), "409", id="409 at the commit"),
        pytest.param(lambda hub: hub.fail("commit", status=412), True, id="412 at the commit"),
        pytest.param(lambda hub: hub.fail("commit", status=413, error="too big"), "too big", id="413 at the commit"),
        pytest.param(
            lambda hub: hub.fail("validate-yaml", status=400, error="bad tag"), "does not take", id="a refused card"
        ),
        pytest.param(lambda hub: hub.fail("any", at=4, drop_after=0, times=99), "connection", id="the network goes"),
    ],
)
def test_failures(
    hub: HubServer, hurried: None, folder: Path, failure: Callable, passes: bool | str, capfd: Any
) -> None:
    """What passes is waited out; what does not is explained, and nothing is visible until the second push."""
    local = contents(folder)
    failure(hub)
    if passes is True:
        push(folder, REPO)
    else:
        refused(lambda: push(folder, REPO), str(passes))
        assert not hub.repos or hub.files(REPO) == {}
        hub.heal()
        arrived = set(hub.objects)
        before = hub.count("lfs-upload")
        push(folder, REPO)
        assert hub.count("lfs-upload") - before == 2 - len(arrived)
    assert hub.files(REPO) == contents(folder) == local
    assert len(hub.repos[REPO].commits) == 2
    said = capfd.readouterr().err
    assert "Retrying" not in said
    assert "thrown while requesting" not in said
    assert "hf_writer" not in said


@pytest.mark.parametrize("kind", ["preupload", "lfs-upload", "commit"])
def test_a_published_agent_stays_until_the_new_one_is_whole(
    hub: HubServer, hurried: None, folder: Path, kind: str
) -> None:
    push(folder, REPO)
    old, head = hub.files(REPO), hub.repos[REPO].branches["main"]
    write(folder, {**contents(folder), "ppo-CartPole-v1.zip": os.urandom(300_000), "new.json": "{}"})
    hub.fail(kind, status=500, times=99)
    refused(lambda: push(folder, REPO), "500")
    assert (hub.files(REPO), hub.repos[REPO].branches["main"]) == (old, head)
    hub.heal()
    assert push(folder, REPO).changed
    assert hub.files(REPO) == contents(folder)


def test_what_is_found_before_anything_is_created(
    hub: HubServer, folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    refused(lambda: push(tmp_path / "none", REPO), "no folder", code=ExitCode.WRONG_REQUEST)
    (tmp_path / "bare").mkdir()
    refused(lambda: push(tmp_path / "bare", REPO), "is empty", code=ExitCode.WRONG_REQUEST)
    with pytest.raises(ConfigError, match="is not the name of a repository"):
        push(folder, "a/b/c")
    (folder / "link").symlink_to("/etc/hostname")
    refused(lambda: push(folder, REPO), "link is a link", code=ExitCode.WRONG_REQUEST)
    (folder / "link").unlink()
    (folder / "notes.txt").write_text("the token is hf_writer_0123456789")
    monkeypatch.setenv("HF_TOKEN", "hf_writer_0123456789")
    refused(lambda: push(folder, REPO), "notes.txt", "secret", code=ExitCode.UNSAFE)
    (folder / "notes.txt").unlink()
    assert hub.seen == []
    monkeypatch.delenv("HF_TOKEN")
    refused(lambda: push(folder, REPO), "not logged in")
    hub.users["hf_reader"] = User("me", role="read")
    monkeypatch.setenv("HF_TOKEN", "hf_reader")
    refused(lambda: push(folder, REPO), "only read")
    monkeypatch.setenv("HF_TOKEN", "hf_writer")
    refused(lambda: push(folder, "you/ppo"), "you is neither you")
    (folder / "README.md").write_text("---\ntags: [\n---\n")
    refused(lambda: push(folder, REPO), "does not take the README.md", "---")
    assert hub.repos == {}


def test_hidden_files_stay_here(hub: HubServer, folder: Path) -> None:
    before = contents(folder)
    for name in (".cache/x", ".git/config", ".DS_Store"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("x")
    push(folder, REPO)
    assert hub.files(REPO) == before


def test_a_commit_of_somebody_else_in_between(hub: HubServer, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    push(folder, REPO)
    (folder / "config.json").write_text("[]")
    original = type(hub).failure

    def edit(self: HubServer, kind: str) -> Any:
        if kind == "commit" and "more" not in self.files(REPO):
            self.put(REPO, {"more": "theirs", "README.md": CARD + "theirs"})
        return original(self, kind)

    monkeypatch.setattr(type(hub), "failure", edit)
    assert push(folder, REPO).changed
    files = hub.files(REPO)
    assert (files["more"], files["config.json"]) == (b"theirs", b"[]")
    assert files["README.md"].endswith(b"theirs")


@pytest.mark.parametrize("kind", ["commit", "lfs-upload"])
def test_control_c_leaves_the_repository_as_it_was(hub: HubServer, folder: Path, kind: str) -> None:
    push(folder, REPO)
    old = hub.files(REPO)
    large = {name: os.urandom(300_000) for name in ("ppo-CartPole-v1.zip", "vec_normalize.pkl")}
    write(folder, {**contents(folder), **large})
    before = hub.count(kind)
    hub.fail(kind, hang=30, times=9)
    restored = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"  # a shell's `&` ignores it
    code = f"{restored}; from rlzoo.hub.push import push; push({str(folder)!r}, {REPO!r})"
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 30
    while hub.count(kind) == before and time.monotonic() < deadline:
        time.sleep(0.02)
    start = time.monotonic()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    assert time.monotonic() - start < 5
    assert process.returncode != 0
    assert hub.files(REPO) == old
    hub.heal()
    push(folder, REPO)
    assert hub.files(REPO) == contents(folder)


def test_trust_is_true_or_false_and_nothing_that_counts_as_true():
    with pytest.raises(ConfigError) as caught:
        load_from_hub("user/name", trust="no", force=1)  # type: ignore[arg-type]
    assert [problem.key for problem in caught.value.problems] == ["trust", "force"]

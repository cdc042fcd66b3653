"""Who is there, who is logged in, and what is said where the Hub does not do what it should."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rlzoo.errors import ExitCode, RlzooError
from rlzoo.hub import client
from tests.hub.conftest import point_at
from tests.hub.server import HubServer, User


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits of hundredths of a second."""
    monkeypatch.setattr(client, "FIRST_WAIT", 0.01)


def refused(action, *words: str, code: ExitCode = ExitCode.HUB) -> str:
    """The message and hint of the failure, which holds these words."""
    with pytest.raises(RlzooError) as caught:
        action()
    text = str(caught.value)
    assert caught.value.code == code
    for word in words:
        assert word in text
    assert "hf_writer" not in text
    return text


def test_it_connects_and_knows_the_user(hub: HubServer) -> None:
    api = client.connect(write=True)
    assert client.writable(api, "ppo") == "me/ppo"
    assert client.writable(api, "Team/ppo") == "team/ppo"
    assert [seen.kind for seen in hub.seen if seen.kind != "other"] == ["front", "whoami"]
    assert all(seen.size == 0 for seen in hub.seen)


def test_reading_needs_no_login(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_TOKEN")
    hub.put("me/ppo", {"a.txt": "a"})
    api = client.connect()
    with client.explained("me/ppo"):
        assert api.model_info("me/ppo").id == "me/ppo"
    refused(lambda: client.connect(write=True), "not logged in", "hf auth login", "HF_TOKEN", "/settings/tokens")
    assert hub.count("whoami") == 0


def test_the_token_may_lie_in_its_file(hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_TOKEN")
    (tmp_path / "hf_home").mkdir()
    (tmp_path / "hf_home" / "token").write_text("hf_writer\n")
    assert client.writable(client.connect(write=True), "ppo") == "me/ppo"


def test_a_token_that_may_not_write_is_found(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.users |= {
        "hf_reader": User("me", role="read"),
        "hf_fine": User("me", role="fineGrained", orgs=("team",), writes=("team",)),
    }
    monkeypatch.setenv("HF_TOKEN", "hf_reader")
    refused(lambda: client.connect(write=True), "only read", "kind Write")
    monkeypatch.setenv("HF_TOKEN", "hf_fine")
    api = client.connect(write=True)
    assert client.writable(api, "team/ppo") == "team/ppo"
    refused(lambda: client.writable(api, "me/ppo"), "no right to write to me/ppo")
    monkeypatch.setenv("HF_TOKEN", "hf_revoked_long_ago")
    refused(lambda: client.connect(write=True), "401", "wrong, expired or revoked")
    assert hub.repos == {}


def test_another_owner_is_refused(hub: HubServer) -> None:
    hub.users["hf_writer"] = User("me", orgs=("team",), read_orgs=("club",))
    api = client.connect(write=True)
    text = refused(
        lambda: client.writable(api, "you/ppo"), "logged in as me", "you is neither you nor one", "repo_id=me/ppo"
    )
    assert "team" in text
    refused(lambda: client.writable(api, "club/ppo"), "only read in the organisation club")


GOOD = ("me/ppo-CartPole-v1", "ppo", "me/_a.b_")
BAD = ("a/b/c", "me/", "me/a--b", "me/a..b", "me/-a", "me/a b", "me/a.git", "", "me/" + "a" * 97, "me/\u00e9", "me/a/")


@pytest.mark.parametrize(("name", "good"), [*((name, True) for name in GOOD), *((name, False) for name in BAD)])
def test_names_are_checked_as_the_library_does(name: str, good: bool) -> None:
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id

    assert (client.check_repo_id(name) is None) == good
    try:
        validate_repo_id(name)
    except HFValidationError:
        assert not good


def test_an_address_is_no_name() -> None:
    problem = client.check_repo_id("https://huggingface.co/me/ppo/tree/main")
    assert problem is not None
    assert problem.hint == "repo_id=me/ppo"


def test_nobody_there(hub: HubServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    point_at(monkeypatch, f"http://127.0.0.1:{port}", tmp_path / "home")
    start = time.monotonic()
    refused(client.connect, f"http://127.0.0.1:{port}", "did not answer: ", "refused", "HF_ENDPOINT")
    assert time.monotonic() - start < 2


def test_a_server_that_hangs_is_not_waited_for(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "PROBE", 0.3)
    hub.fail("front", hang=60)
    start = time.monotonic()
    refused(client.connect, "did not answer")
    assert time.monotonic() - start < 2


def test_offline_is_said_at_once(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    refused(client.connect, "HF_HUB_OFFLINE")
    with pytest.raises(RlzooError, match="HF_HUB_OFFLINE"), client.explained("me/ppo"):
        from huggingface_hub import HfApi

        HfApi().model_info("me/ppo")
    assert hub.seen == []


def test_the_offline_variable_is_read(tmp_path: Path) -> None:
    code = "from rlzoo.hub.client import connect; connect()"
    env = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)
    assert "this needs the Hub, and HF_HUB_OFFLINE is set" in done.stderr


def test_a_missing_extra_names_its_install_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    refused(client.connect, 'pip install "hydra-rlzoo[hub]"', code=ExitCode.MISSING)


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (401, ["401", "hf auth login"]),
        (403, ["403", "for me/ppo", "told so", "kind Write"]),
        (404, ["404", "me/ppo"]),
        (409, ["409", "somebody else", "starts from"]),
        (413, ["413", "told so"]),
        (429, ["429", "asks to wait 400 seconds"]),
        (500, ["500", "told so", "status.huggingface.co"]),
        (503, ["503", "in trouble"]),
    ],
)
def test_each_answer_is_explained(hub: HubServer, hurried: None, status: int, words: list[str]) -> None:
    from huggingface_hub import HfApi

    hub.put("me/ppo", {"a.txt": "a"})
    hub.fail("tag", status=status, times=99, error="told so", retry_after=400 if status == 429 else None)
    refused(lambda: client.patiently(lambda: HfApi().create_tag("me/ppo", tag="v1"), "me/ppo"), *words)
    assert hub.count("tag") == (client.RETRIES + 1 if status >= 500 else 1)


def test_what_is_not_there_is_told_apart(hub: HubServer) -> None:
    from huggingface_hub import HfApi

    hub.put("me/ppo", {"a.txt": "a"})
    hub.create("you/secret", private=True)
    api = HfApi()

    def ask(repo_id: str, revision: str | None = None, file: str | None = None) -> None:
        with client.explained(repo_id):
            api.hf_hub_download(repo_id, file, revision=revision) if file else api.model_info(
                repo_id, revision=revision
            )

    refused(lambda: ask("me/qpo"), "no repository me/qpo", "private")
    refused(lambda: ask("you/secret"), "no repository you/secret", "private")
    refused(lambda: ask("me/ppo", "v9"), "no such branch, tag or commit", "v9")
    refused(lambda: ask("me/ppo", None, "b.txt"), "me/ppo", "tree/main")
    refused(lambda: ask("no/t/one"), "is not the name of a repository", code=ExitCode.WRONG_REQUEST)


def test_what_passes_is_tried_again(
    hub: HubServer, hurried: None, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from huggingface_hub import HfApi

    api = HfApi()
    hub.put("me/ppo", {"a.txt": "a"})
    hub.fail("info", status=503, times=2)
    hub.fail("info", at=3, drop_after=10)
    hub.fail("info", at=4, lose_answer=True)
    monkeypatch.setattr(client, "ANSWER_TIMEOUT", 0.3)
    hub.fail("info", at=5, hang=30)
    assert client.patiently(lambda: api.model_info("me/ppo"), "me/ppo").id == "me/ppo"
    assert hub.count("info") == 6
    said = capfd.readouterr().err.splitlines()
    assert len(said) == 5
    assert said[0] == "the Hub answered 503: trying again in 0 s (1 of 5)"
    assert said[2].startswith("the connection to the Hub broke")
    assert said[4].startswith("the Hub did not answer in time")


def test_the_wait_that_the_hub_asks_for_is_kept(hub: HubServer, hurried: None) -> None:
    from huggingface_hub import HfApi

    hub.put("me/ppo", {"a.txt": "a"})
    hub.fail("info", status=429, retry_after=1)
    start = time.monotonic()
    client.patiently(lambda: HfApi().model_info("me/ppo"), "me/ppo")
    assert 1.0 <= time.monotonic() - start < 3


def test_the_library_is_left_as_it_was(hub: HubServer) -> None:
    from huggingface_hub import constants, get_session
    from huggingface_hub.utils import logging

    http, verbosity, handler = get_session(), logging.get_verbosity(), signal.getsignal(signal.SIGINT)
    constants.HF_HUB_DISABLE_XET = False
    with client.explained("a"), client.explained("b"):
        assert "send" in vars(http)
        assert constants.HF_HUB_DISABLE_XET
    assert "send" not in vars(http)
    assert not constants.HF_HUB_DISABLE_XET
    assert logging.get_verbosity() == verbosity
    assert signal.getsignal(signal.SIGINT) is handler


def test_other_failures_pass_as_they_are(hub: HubServer) -> None:
    with pytest.raises(ZeroDivisionError), client.explained("me/ppo"):
        _ = 1 / 0
    with pytest.raises(FileNotFoundError), client.explained("me/ppo"):
        Path("no such file").read_text()

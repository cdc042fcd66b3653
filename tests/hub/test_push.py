"""`rlzoo push-to-hub`: what is looked at first, what is published, and what is left when it fails."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import rlzoo
from rlzoo.cli.main import main
from rlzoo.hub import client
from rlzoo.runs.run import Run
from tests.hub.server import HubServer, User

REPO = "me/ppo-CartPole-v1"
FEW = ("n_episodes=2", "video=false")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("push")
    words = ["algo=ppo", "env=CartPole", "hyperparams=none", "total_timesteps=128", "algo.n_steps=64", "seed=0"]
    return rlzoo.train(*words, "eval.final_n_episodes=2", "eval.n_episodes=1", f"runs_dir={root / 'runs'}").path


@pytest.fixture
def run(trained: Path, workdir: Path) -> Run:
    """A run of its own in an empty current folder."""
    return Run.open(Path(shutil.copytree(trained, workdir / "runs" / "ppo" / "CartPole-v1" / trained.name)))


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "FIRST_WAIT", 0.01)
    monkeypatch.setattr(client, "RETRIES", 1)
    monkeypatch.setattr(client, "ANSWER_TIMEOUT", 0.5)


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_the_agent_is_evaluated_and_published(hub: HubServer, run: Run, capfd: Any) -> None:
    before = len(run.read_results())
    assert main(["push-to-hub", "repo_id=ppo-CartPole-v1", "seeds=[5,6]", "video=false"]) == 0
    output = capfd.readouterr()
    assert output.out.endswith(f" files published\n{hub.url}/{REPO}\n")
    assert "over episodes of this one policy" in output.out
    files = hub.files(REPO)
    results = json.loads(files["results.json"])
    entry = run.read_results()[-1]
    assert len(run.read_results()) == before + 1
    assert results["returns"] == entry["returns"] == list(rlzoo.evaluate(run, seeds=[5, 6]).returns)
    assert {"ppo-CartPole-v1.zip", "config.json", "config.yaml", "README.md", "rlzoo/info.json"} <= set(files)
    assert f'"{REPO}"' in files["README.md"].decode() or REPO in files["README.md"].decode()
    message = hub.repos[REPO].commits[-1].message
    assert message == f"ppo-CartPole-v1: {entry['mean_reward']:.2f} +/- {entry['std_reward']:.2f} over 2 episodes"
    assert not (run.path / "hub").exists()
    assert [path.name for path in Path.cwd().iterdir() if path.name != "hf_home"] == ["runs"]


def test_json_and_the_python_function(hub: HubServer, run: Run, capfd: Any) -> None:
    words = [f"run={run.path}", "repo_id=team/x", "private=true", "commit_message=by hand, with a comma", *FEW]
    assert main(["push-to-hub", *words, "folder=out", "--json"]) == 0
    printed = json.loads(capfd.readouterr().out)
    assert (printed["repo_id"], printed["url"], printed["private"]) == ("team/x", f"{hub.url}/team/x", True)
    assert printed["commit"] == hub.repos["team/x"].branches["main"]
    assert printed["result"]["n_episodes"] == 2
    assert hub.repos["team/x"].private
    assert hub.repos["team/x"].commits[-1].message == "by hand, with a comma"
    assert hub.files("team/x") == contents(Path("out"))

    from rlzoo.hub.push import push_to_hub

    again = push_to_hub(None, "team/x", folder="out")
    assert not again.changed
    assert hub.count("commit") == 1


def test_dry_run_contacts_nobody_and_makes_what_would_be_uploaded(
    hub: HubServer, run: Run, capfd: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HF_TOKEN")
    assert main(["push-to-hub", "dry_run=true", f"repo_id={REPO}", "folder=out", *FEW]) == 0
    printed = capfd.readouterr().out
    assert "ppo-CartPole-v1.zip" in printed
    assert f"dry run: nothing was sent to {REPO}" in printed
    assert hub.seen == []
    monkeypatch.setenv("HF_TOKEN", "hf_writer")
    assert main(["push-to-hub", "dry_run=true", "run=null", "folder=out", "--json"]) == 0
    assert set(json.loads(capfd.readouterr().out)["files"]) == set(contents(Path("out")))
    assert hub.seen == []
    assert main(["push-to-hub", "run=null", "folder=out", f"repo_id={REPO}"]) == 0
    assert hub.files(REPO) == contents(Path("out"))
    capfd.readouterr()
    assert main(["push-to-hub", "run=null", "folder=out", f"repo_id={REPO}"]) == 0
    assert capfd.readouterr().out == f"{hub.url}/{REPO} holds this already: nothing was changed\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "repo_id: needs a value"),
        (["repo_id=a/b/c"], "repo_id: 'a/b/c' is not the name of a repository"),
        (["repo_id=https://huggingface.co/me/ppo"], "repo_id=me/ppo"),
        (["repo_id=me/x", "n_episodes=0"], "n_episodes"),
        (["repo_id=me/x", "seeds=[]"], "seeds: must be a list of 1 or more whole numbers or null"),
        (["repo_id=me/x", "private=maybe"], "private: must be true or false"),
        (["repo_id=me/x", "token=hf_secretsecretsecret"], "token"),
        (["repo_id=me/x", "run=null"], "folder: needs a value"),
        (["repo_id=me/x", "run=null", "folder=out", "seeds=[1]"], "seeds: has no meaning"),
        (["repo_id=me/x", "license=what ever"], "license"),
        (["repo_id=me/x", "checkpoint=bets"], "bets"),
    ],
)
def test_a_wrong_request_contacts_nobody(hub: HubServer, run: Run, words: list[str], said: str, capfd: Any) -> None:
    before = contents(run.path)
    assert main(["push-to-hub", *words]) == 2
    error = capfd.readouterr().err
    assert said in error
    assert "hf_secret" not in error
    assert hub.seen == []
    assert contents(run.path) == before


@pytest.mark.parametrize("dry_run", ["dry_run=false", "dry_run=true"])
@pytest.mark.parametrize(
    ("folder", "said"),
    [("home", "home is not a package of rlzoo's"), ("none", "none is not there"), ("a", "a is not a folder")],
)
def test_only_a_package_is_published(
    hub: HubServer, workdir: Path, dry_run: str, folder: str, said: str, capfd: Any
) -> None:
    (workdir / "home").mkdir()
    (workdir / "home" / "passwords.txt").write_text("secret")
    (workdir / "a").write_text("")
    assert main(["push-to-hub", "run=null", f"folder={folder}", "repo_id=me/x", dry_run]) == 2
    error = capfd.readouterr().err
    assert said in error
    assert "nothing is lost" not in error
    assert hub.seen == []
    assert hub.repos == {}


@pytest.mark.parametrize(
    ("token", "repo_id", "said"),
    [
        (None, REPO, "not logged in"),
        ("hf_reader", REPO, "only read"),
        ("hf_expired_token", REPO, "401"),
        ("hf_writer", "you/ppo", "neither you nor"),
    ],
)
def test_who_may_not_publish_learns_it_before_the_evaluation(
    hub: HubServer, run: Run, token: str | None, repo_id: str, said: str, capfd: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.users["hf_reader"] = User("me", role="read")
    monkeypatch.delenv("HF_TOKEN") if token is None else monkeypatch.setenv("HF_TOKEN", token)
    before = contents(run.path)
    start = time.monotonic()
    assert main(["push-to-hub", f"repo_id={repo_id}", *FEW]) == 6
    assert time.monotonic() - start < 3
    error = capfd.readouterr().err
    assert said in error
    assert "deterministic actions" not in error
    assert contents(run.path) == before
    assert hub.repos == {}


def test_a_failed_upload_is_kept_and_goes_on(hub: HubServer, hurried: None, run: Run, capfd: Any) -> None:
    hub.fail("commit", status=503, times=99)
    assert main(["push-to-hub", f"repo_id={REPO}", "private=true", *FEW]) == 6
    error = capfd.readouterr().err
    folder = run.path / "hub" / "ppo-CartPole-v1"
    assert f"nothing is lost, the package is in {folder}; to try again:" in error
    assert "503" in error
    assert "was created and is still empty" in error
    line = next(line.strip() for line in error.splitlines() if line.startswith("  rlzoo push-to-hub"))
    assert line == f"rlzoo push-to-hub run=null folder={folder} repo_id={REPO} private=true"
    made, sent = contents(folder), hub.count("lfs-upload")
    hub.heal()
    assert main(line.split()[1:]) == 0
    assert hub.files(REPO) == made
    assert hub.count("lfs-upload") == sent
    assert hub.repos[REPO].private
    assert main(["push-to-hub", f"repo_id={REPO}", *FEW]) == 0
    assert not (run.path / "hub").exists()
    assert hub.count("create") == 1


def test_text_edited_on_the_hub_survives_the_next_push(hub: HubServer, run: Run) -> None:
    assert main(["push-to-hub", f"repo_id={REPO}", *FEW]) == 0
    readme = hub.files(REPO)["README.md"].decode()
    hub.put(REPO, {"README.md": readme + "\nIt leans to the left.\n", "notes.txt": "mine"})
    assert main(["push-to-hub", f"repo_id={REPO}", "n_episodes=3", "video=false"]) == 0
    files = hub.files(REPO)
    assert files["README.md"].decode().endswith("\nIt leans to the left.\n")
    assert "over 3 episodes" in files["README.md"].decode()
    assert files["notes.txt"] == b"mine"


def command(*words: str, **environment: str) -> subprocess.Popen:
    arguments = [sys.executable, "-m", "rlzoo", "push-to-hub", *words]
    env = {**os.environ, **environment}
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env)


def test_the_token_is_nowhere(hub: HubServer, run: Run, workdir: Path) -> None:
    token = "hf_MARKEDxyz"
    hub.users = {token: User("me")}
    hub.fail("preupload", status=429, retry_after=0)
    hub.fail("commit", status=403, error=f"the token {token} has no rights")
    said = ""
    for code, words in ((6, ["n_episodes=1"]), (0, ["run=null"])):
        process = command(f"repo_id={REPO}", "folder=out", *words, HF_TOKEN=token)
        out, error = process.communicate(timeout=120)
        assert process.returncode == code, error
        said += out + error
    assert "too many requests" in said
    assert "the token *** has no rights" in said
    assert token not in said
    assert (workdir / "out" / "replay.mp4").stat().st_size > 0
    for name, content in {**contents(workdir), **hub.files(REPO)}.items():
        assert token.encode() not in content, name


def test_control_c_says_where_the_package_is(hub: HubServer, run: Run) -> None:
    assert main(["push-to-hub", "dry_run=true", "folder=out", *FEW]) == 0
    hub.fail("commit", hang=60)
    process = command("run=null", "folder=out", f"repo_id={REPO}")
    deadline = time.monotonic() + 60
    while not hub.count("commit") and time.monotonic() < deadline:
        time.sleep(0.02)
    start = time.monotonic()
    process.send_signal(signal.SIGINT)
    with process:
        _, error = process.communicate(timeout=20)
    assert time.monotonic() - start < 5
    assert process.returncode == 130
    assert f"interrupted; nothing was published\n  nothing is lost, the package is in {Path('out').absolute()}" in error
    assert hub.files(REPO) == {}

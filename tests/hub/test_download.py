"""`rlzoo load-from-hub` against a Hub on this machine: what is asked for, where it lands, what stands in the way."""

from __future__ import annotations

import json
import pickle
import shlex
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

import rlzoo
from rlzoo.cli.main import main
from rlzoo.errors import ConfigError, ExitCode, RlzooError
from rlzoo.evaluation.agent import load
from rlzoo.hub.pull import load_from_hub
from rlzoo.hub.push import push
from tests.hub import foreign

SEEDS = (21, 22, 23)
TINY = ("hyperparams=none", "seed=0", "eval.freq=0", "eval.final_n_episodes=1", "env.max_steps=60", "device=cpu")
TRAININGS = {
    "normalised": (
        "algo=ppo", "env=Pendulum", "env.normalize=true", "algo.n_steps=64", "algo.batch_size=32",
        "total_timesteps=128",
    ),
    "atari": (
        "algo=dqn", "env=Pong", "algo.buffer_size=50", "algo.learning_starts=20", "total_timesteps=40",
        "algo.policy_kwargs={net_arch: [8], features_extractor_kwargs: {features_dim: 16}}",
    ),
    "neural": ("algo=reinforce", "env=CartPole", "total_timesteps=200"),
    "tabular": ("algo=q_learning", "env=FrozenLakeNoSlippery", "total_timesteps=2000"),
}  # fmt: skip


def files_below(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


@pytest.fixture(scope="module")
def zip_bytes(tmp_path_factory) -> bytes:
    """A zip of a tiny agent for CartPole."""
    env = DummyVecEnv([foreign.monitored("CartPole-v1")])
    model = PPO("MlpPolicy", env, n_steps=32, batch_size=32, seed=0, device="cpu", policy_kwargs={"net_arch": [4]})
    path = tmp_path_factory.mktemp("zip") / "ppo-CartPole-v1.zip"
    model.save(path)
    return path.read_bytes()


@pytest.mark.parametrize("name", TRAININGS)
def test_what_was_pushed_comes_back_and_plays_the_same(name, hub, workdir):
    run = rlzoo.train(*TRAININGS[name], *TINY)
    staged = rlzoo.package(run, folder=workdir / "package", video=False, n_episodes=1)
    push(staged.folder, f"me/{name}")
    found = load_from_hub(f"me/{name}")
    assert found.path == Path("hub/me") / name
    before, after = load(run, device="cpu").evaluate(seeds=SEEDS), load(found, device="cpu").evaluate(seeds=SEEDS)
    assert before == after and len(before.returns) == 3
    about = found.read_info()["hub"]
    assert (about["layout"], about["commit"]) == ("rlzoo", hub.repos[f"me/{name}"].find("main").oid)
    assert not found.is_own()
    assert found.read_results()[0]["source"] == "published"
    assert found.read_config()["algo"] == run.read_config()["algo"]
    assert rlzoo.evaluate(found, seeds=SEEDS).returns == before.returns
    for file, layout in (("zip", "rl_zoo3"), ("pkl", "q_learning")):  # what it publishes for others' readers
        others = [one for one in hub.files(f"me/{name}") if one.endswith(file) and "train_eval" not in one]
        if others and "vec_normalize.pkl" not in others:
            same = load_from_hub(f"me/{name}", file=others[0], folder=file)
            assert same.read_info()["hub"]["layout"] == layout
            assert load(same).evaluate(seeds=SEEDS) == before


@pytest.mark.filterwarnings("ignore")
def test_what_huggingface_sb3_pushes(hub, workdir, monkeypatch):
    """By its own `package_to_hub`; the film alone is left out, which needs a system's ffmpeg."""
    from huggingface_sb3 import package_to_hub

    monkeypatch.setattr(sys.modules["huggingface_sb3.push_to_hub"], "_generate_replay", lambda *_: None)
    env = VecNormalize(DummyVecEnv([foreign.monitored("Pendulum-v1", render_mode="rgb_array")]))
    model = PPO("MlpPolicy", env, n_steps=64, batch_size=32, seed=0, device="cpu").learn(64)
    package_to_hub(
        model, "ppo-Pendulum-v1", "PPO", "Pendulum-v1", env, "me/unit1", "Upload", n_eval_episodes=2
    )  # fmt: skip
    run = load_from_hub("me/unit1")
    statistics = VecNormalize.load(
        _file(hub, "me/unit1", "vec_normalize.pkl"), DummyVecEnv([foreign.monitored("Pendulum-v1")])
    )
    statistics.training, statistics.norm_reward = False, False
    expected = [foreign.play(model, statistics, seed) for seed in SEEDS]
    assert load(run).evaluate(seeds=SEEDS).returns == pytest.approx(expected, abs=1e-6)
    assert run.read_info()["hub"]["published"].endswith("over 2 episodes")


def _file(hub: Any, repo_id: str, name: str) -> str:
    path = Path("from-the-hub") / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(hub.files(repo_id)[name])
    return str(path)


def test_only_what_is_read_is_asked_for_at_one_commit(hub, workdir, zip_bytes, capsys):
    many = {f"logs/{index}.bin": b"x" for index in range(3)} | {"replay.mp4": b"x", "train_eval_metrics.zip": b"x"}
    commit = hub.put("me/ppo-CartPole-v1", {"ppo-CartPole-v1.zip": zip_bytes, "ppo-CartPole-v1/data": "x", **many})
    assert main(["load-from-hub", "repo_id=me/ppo-CartPole-v1", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["run"], found["commit"], found["layout"]) == ("hub/me/ppo-CartPole-v1", commit, "huggingface_sb3")
    asked = {seen.path for seen in hub.seen if seen.kind == "resolve"}
    assert asked == {f"/me/ppo-CartPole-v1/resolve/{commit}/ppo-CartPole-v1.zip"}
    assert files_below(Path("hub/me")) == [
        f"ppo-CartPole-v1/{name}" for name in (
            "checkpoints/last/algorithm.json", "checkpoints/last/algorithm.safetensors",
            "checkpoints/last/manifest.json", "checkpoints/last/model.zip", "config.yaml", "info.json",
        )
    ]  # fmt: skip


def test_the_output_says_what_was_found_and_what_comes_next(hub, workdir, zip_bytes, capsys):
    hub.put("me/unit1", {"ppo-LunarLander-v2.zip": zip_bytes, "README.md": foreign.CARD.format(env_id="CartPole-v1")})
    assert main(["load-from-hub", "repo_id=me/unit1"]) == 0
    output = capsys.readouterr()
    for text in ("ppo on CartPole-v1", "huggingface_sb3's", "200.20 ± 20.80", "rlzoo evaluate run=hub/me/unit1"):
        assert text in output.out
    assert "huggingface_sb3's layout, 2 files" in output.err
    assert main(["evaluate", "run=hub/me/unit1", "n_episodes=1"]) == 0
    assert main(["load-from-hub", "repo_id=me/unit1", "folder=it's mine"]) == 0
    line = next(line for line in capsys.readouterr().out.splitlines() if "rlzoo evaluate" in line)
    assert main([*shlex.split(line)[1:], "n_episodes=1"]) == 0


def test_a_second_time_it_is_there_already(hub, workdir, zip_bytes, capsys):
    first = hub.put("me/agent", {"ppo-CartPole-v1.zip": zip_bytes})
    run = load_from_hub("me/agent")
    rlzoo.evaluate(run, n_episodes=1)
    hub.seen.clear()
    assert load_from_hub("me/agent").path == run.path
    assert "is there already" in capsys.readouterr().err and hub.count("resolve") == 0
    hub.seen.clear()
    load_from_hub("me/agent", revision=first)  # nobody has to be asked what a commit means
    assert hub.seen == []
    with pytest.raises(RlzooError, match="loaded with other file=") as error:
        load_from_hub("me/agent", env_id="Acrobot-v1")
    assert "force=true" in error.value.hint
    second = hub.put("me/agent", {"README.md": "# new"})
    with pytest.raises(RlzooError, match=f"at commit {first[:8]}, not {second[:8]}"):
        load_from_hub("me/agent")
    assert len(run.read_results()) == 1  # the evaluation of one's own is still there
    load_from_hub("me/agent", force=True)
    assert run.read_info()["hub"]["commit"] == second and run.read_results() == []
    load_from_hub("me/agent", revision=first, folder="old")
    assert files_below(Path("old"))[-1] == "info.json"


def test_what_a_stranger_says_to_be_loaded_is_not_kept(hub, workdir, zip_bytes, monkeypatch):
    """A folder that somebody sends has an agent of a commit of the Hub, as they say."""
    commit = hub.put("me/agent", {"ppo-CartPole-v1.zip": zip_bytes})
    with monkeypatch.context() as theirs:
        theirs.setenv("XDG_STATE_HOME", str(workdir / "theirs"))
        load_from_hub("me/agent")
    for revision in (None, commit):
        with pytest.raises(RlzooError, match="was not loaded from the Hub by you") as error:
            load_from_hub("me/agent", revision=revision)
        assert "force=true" in error.value.hint
    load_from_hub("me/agent", force=True)
    assert load_from_hub("me/agent", revision=commit).read_info()["hub"]["commit"] == commit


def test_what_is_in_the_way_is_never_replaced(hub, workdir, zip_bytes):
    hub.put("me/agent", {"ppo-CartPole-v1.zip": zip_bytes})
    hub.put("me/other", {"ppo-CartPole-v1.zip": zip_bytes})
    Path("notes").mkdir()
    Path("notes/mine.txt").write_text("x")
    Path("file").write_text("x")
    load_from_hub("me/other", folder="other")
    expected = (("notes", "is not an agent from the Hub"), ("file", "is not an agent"), ("other", "it holds me/other"))
    for folder, said in expected:
        with pytest.raises(RlzooError, match=said) as error:
            load_from_hub("me/agent", folder=folder, force=True)
        assert error.value.code == ExitCode.STORAGE
    Path("empty").mkdir()
    assert load_from_hub("me/agent", folder="empty").path == Path("empty")
    assert files_below(Path("notes")) == ["mine.txt"]


@pytest.mark.parametrize(
    ("repo_id", "kind", "failure", "code", "said"),
    [
        ("me/nothing", None, {}, 6, "me/nothing"),
        ("nothing", None, {}, 2, "names no owner"),
        ("https://huggingface.co/me/agent", None, {}, 2, "repo_id=me/agent"),
        ("me/agent", "resolve", {"status": 403}, 6, "me/agent"),
        ("me/agent", "info", {"status": 401}, 6, "me/agent"),
    ],
)
def test_failures_say_what_to_do_and_leave_nothing(repo_id, kind, failure, code, said, hub, workdir, zip_bytes, capsys):
    hub.put("me/agent", {"ppo-CartPole-v1.zip": zip_bytes})
    if kind:
        hub.fail(kind, times=20, **failure)
    assert main(["load-from-hub", f"repo_id={repo_id}"]) == code
    assert said in capsys.readouterr().err
    assert not Path("hub").exists()
    hub.heal()
    assert load_from_hub("me/agent").find_checkpoint().name == "last"


def test_a_broken_connection_is_tried_again(hub, workdir, zip_bytes, monkeypatch):
    from rlzoo.hub import client

    monkeypatch.setattr(client, "FIRST_WAIT", 0.01)
    hub.put("me/agent", {"ppo-CartPole-v1.zip": zip_bytes})
    hub.fail("resolve", at=2, drop_after=100)
    assert load_from_hub("me/agent").find_checkpoint().name == "last"


def test_without_a_network_it_says_so_at_once(workdir, monkeypatch, capsys):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert main(["load-from-hub", "repo_id=me/agent"]) == ExitCode.HUB
    assert "HF_HUB_OFFLINE" in capsys.readouterr().err
    assert not Path("hub").exists()


def test_hostile_repositories(hub, workdir, zip_bytes, monkeypatch):
    from rlzoo.hub.formats import source

    evil = pickle.dumps({"qtable": np.zeros((16, 4)), "x": foreign.Evil(str(workdir / "pwned"))})
    names = ["../../up.zip", "/etc/passwd.zip", "rlzoo/checkpoint/../../x.json"]
    hub.put(
        "me/names", {"config.yaml": "algo: {}", "rlzoo/checkpoint/manifest.json": "{}", **dict.fromkeys(names, b"x")}
    )
    hub.put("me/table", {"q-learning.pkl": evil})
    hub.put("me/far", {"a\nb.zip": zip_bytes})
    for repo_id, code in (("me/names", ExitCode.UNSAFE), ("me/table", ExitCode.UNSAFE), ("me/far", ExitCode.UNSAFE)):
        with pytest.raises(RlzooError) as error:
            load_from_hub(repo_id)
        assert error.value.code == code, repo_id
    hub.put("me/large", {"ppo-CartPole-v1.zip": zip_bytes})
    monkeypatch.setitem(source.LIMITS, ".zip", 1000)
    with pytest.raises(RlzooError, match=r"has .* bytes; at most 1,000 are read") as error:
        load_from_hub("me/large")
    assert error.value.code == ExitCode.UNSAFE
    assert not (workdir / "pwned").exists() and not Path("hub").exists()
    assert not any("evil" in seen.path or ".." in seen.path for seen in hub.seen)


def test_published_runs_that_are_damaged_or_name_code(hub, workdir):
    run = rlzoo.train(*TRAININGS["tabular"], *TINY)
    staged = rlzoo.package(run, folder=workdir / "package", video=False, n_episodes=1)
    files: dict[str, bytes | str | None] = {
        name: (staged.folder / name).read_bytes() for name in files_below(staged.folder)
    }
    config = str(files["config.yaml"], "utf-8")  # type: ignore[arg-type]
    weights = bytearray(files["rlzoo/checkpoint/algorithm.safetensors"])  # type: ignore[arg-type]
    weights[-1] ^= 1
    changes: dict[str, tuple[dict[str, Any], ExitCode, str]] = {
        "weights": ({"rlzoo/checkpoint/algorithm.safetensors": bytes(weights)}, ExitCode.HUB, "SHA-256"),
        "missing": ({"rlzoo/checkpoint/algorithm.json": None}, ExitCode.HUB, "algorithm.json is missing"),
        "imports": ({"config.yaml": config.replace("imports: []", "imports: [evil]")}, ExitCode.UNSAFE, "evil"),
        "hydra": ({"config.yaml": config + "hydra: {}\n"}, ExitCode.UNSAFE, "'hydra' is not allowed"),
        "class": ({"config.yaml": config.replace("name: q_learning", "name: evil:Agent")}, ExitCode.UNSAFE, "evil"),
        "odd": ({"config.yaml": config + "colour: red\n"}, ExitCode.WRONG_REQUEST, "colour: is not a known setting"),
        "stack": (
            {"config.yaml": config.replace("frame_stack: null", "frame_stack: 100000")},
            ExitCode.WRONG_REQUEST,
            "at most 64",
        ),
        "yaml": ({"config.yaml": "- 1"}, ExitCode.UNSAFE, "config.yaml"),
    }
    for name, (changed, code, said) in changes.items():
        hub.put(f"me/{name}", {**files, **changed})
        with pytest.raises(RlzooError, match=said) as error:
            load_from_hub(f"me/{name}")
        assert error.value.code == code, name
        assert ".new" not in str(error.value) and ".files" not in str(error.value)  # places that are gone by now
    assert not Path("hub").exists()
    hub.put("me/info", {**files, "rlzoo/info.json": "[1", "rlzoo/metrics.csv": None})
    assert load(load_from_hub("me/info")).config.algo.name == "q_learning"


def test_a_network_as_large_as_its_author_says_is_not_built(hub, workdir):
    run = rlzoo.train(*TRAININGS["neural"], *TINY)
    staged = rlzoo.package(run, folder=workdir / "package", video=False, n_episodes=1)
    files: dict[str, bytes | str | None] = {
        name: (staged.folder / name).read_bytes() for name in files_below(staged.folder)
    }
    config = str(files["config.yaml"], "utf-8")  # type: ignore[arg-type]
    assert "net_arch:\n  - 16\n" in config
    hub.put("me/large", {**files, "config.yaml": config.replace("- 16\n", "- 20000\n  - 20000\n")})
    with pytest.raises(RlzooError, match=r"algo.net_arch describes a larger network than checkpoint me/large") as error:
        load_from_hub("me/large")
    assert error.value.code == ExitCode.UNSAFE and not Path("hub").exists()
    hub.put("me/other", {**files, "config.yaml": config.replace("- 16\n", "- 17\n")})
    with pytest.raises(RlzooError, match="does not fit this network"):
        load_from_hub("me/other")


def test_words_that_are_wrong_are_all_named(workdir, capsys):
    with pytest.raises(ConfigError, match="names no owner"):
        load_from_hub("agent")
    assert main(["load-from-hub"]) == ExitCode.WRONG_REQUEST
    assert "repo_id: is not set" in capsys.readouterr().err
    assert main(["load-from-hub", "trust=yes", "colour=red", "env=CartPole", "force=1"]) == ExitCode.WRONG_REQUEST
    said = capsys.readouterr().err
    for text in (
        "5 problems",
        "trust: must be true or false",
        "colour: is not a known setting",
        "env: must be a mapping",
    ):
        assert text in said

"""The folder that is published: what is in it, that others and rlzoo itself read it, and that nothing private is."""

import csv
import getpass
import json
import pickle
import re
import shutil
import socket
import sys
import zipfile

import numpy as np
import pytest
import yaml

import rlzoo
from rlzoo.errors import ConfigError, ExitCode, RlzooError
from rlzoo.hub.package import default_name
from rlzoo.runs import checkpoints
from rlzoo.runs.run import Run

QUICK = ["hyperparams=none", "eval.n_episodes=2", "eval.final_n_episodes=2", "seed=0", "logger=[]", "checkpoint.freq=0"]
COMMON = {
    "README.md", "config.json", "config.yaml", "learning_curve.png", "requirements.txt", "results.json",
    "rlzoo/checkpoint/algorithm.json", "rlzoo/checkpoint/algorithm.safetensors", "rlzoo/checkpoint/manifest.json",
    "rlzoo/evaluations.csv", "rlzoo/info.json", "rlzoo/metrics.csv",
}  # fmt: skip
ZOO = {"config.yml", "args.yml", "env_kwargs.yml", "train_eval_metrics.zip"}
STATISTICS = {"rlzoo/checkpoint/normalization.json", "rlzoo/checkpoint/normalization.safetensors", "vec_normalize.pkl"}
IN_ZIP = {
    "_stable_baselines3_version", "data", "policy.optimizer.pth", "policy.pth", "pytorch_variables.pth",
    "system_info.txt",
}  # fmt: skip


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tmp_path_factory.mktemp("stage")


def train(root, *words):
    return rlzoo.train(*QUICK, *words, f"runs_dir={root / 'runs'}")


@pytest.fixture(scope="module")
def ppo(root):
    sizes = [
        "algo.n_steps=64",
        "algo.batch_size=64",
        "algo.n_epochs=1",
        "total_timesteps=400",
        "eval.freq=200",
        "checkpoint.freq=200",
    ]
    return train(root, "algo=ppo", "env=Pendulum", "env.normalize=true", "env.n_envs=2", *sizes)


@pytest.fixture(scope="module")
def dqn(root):
    sizes = ["algo.buffer_size=300", "algo.learning_starts=110", "total_timesteps=120", "eval.freq=60"]
    return train(root, "algo=dqn", "env=SpaceInvaders", "env.max_steps=160", *sizes)


@pytest.fixture(scope="module")
def reinforce(root):
    return train(root, "algo=reinforce", "env=CartPole", "total_timesteps=400")


@pytest.fixture(scope="module")
def q_learning(root):
    return train(root, "algo=q_learning", "env=FrozenLakeNoSlippery", "total_timesteps=6000", "env.max_steps=99")


@pytest.fixture(scope="module", params=["ppo", "dqn", "reinforce", "q_learning"])
def staged(request, root):
    """A package of each kind of agent, without a film."""
    run = request.getfixturevalue(request.param)
    return run, rlzoo.package(run, folder=root / "packages" / request.param, n_episodes=3, video=False)


def as_run(staged, folder):
    """The run that the published files make, put together by hand."""
    folder.mkdir(parents=True)
    shutil.copyfile(staged.folder / "config.yaml", folder / "config.yaml")
    shutil.copyfile(staged.folder / "rlzoo" / "info.json", folder / "info.json")
    shutil.copytree(staged.folder / "rlzoo" / "checkpoint", folder / "checkpoints" / "last")
    return Run(folder)


def contents(folder):
    """Every file of a folder, and every file in the zips in it, as bytes."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield path.relative_to(folder).as_posix(), path.read_bytes()
        if path.suffix == ".zip":
            with zipfile.ZipFile(path) as archive:
                for name in archive.namelist():
                    yield f"{path.name}:{name}", archive.read(name)


def test_names():
    assert default_name("ppo", "CartPole-v1") == "ppo-CartPole-v1"
    assert default_name("dqn", "ALE/Pong-v5") == "dqn-ALE-Pong-v5"
    assert default_name("mine.algos:Best", "package.envs:Maze-v0") == "Best-Maze-v0"


def test_the_files_of_each_kind(staged):
    run, package = staged
    algo = run.read_config()["algo"]["name"]
    expected = set(COMMON)
    if algo in ("ppo", "dqn"):
        expected |= ZOO | {f"{package.name}.zip"} | {f"{package.name}/{name}" for name in IN_ZIP}
    expected |= STATISTICS if algo == "ppo" else set()
    expected |= {"hyperparameters.json", "model.pt"} if algo == "reinforce" else set()
    expected |= {"hyperparameters.json", "q-learning.pkl"} if algo == "q_learning" else set()
    there = {path.relative_to(package.folder).as_posix() for path in package.folder.rglob("*") if path.is_file()}
    (events,) = there - expected
    assert re.fullmatch(r"logs/events\.out\.tfevents\.\d{10}\.rlzoo", events)
    assert there == set(package.files)
    assert set(json.loads((package.folder / "rlzoo" / "info.json").read_text())["package"]["files"]) == there
    assert package.files["README.md"] == (package.folder / "README.md").stat().st_size


def test_results_are_those_of_the_evaluation_and_are_kept_in_the_run(staged):
    run, package = staged
    results = json.loads((package.folder / "results.json").read_text())
    assert results["returns"] == list(package.evaluation.returns)
    assert results["mean_reward"] == pytest.approx(np.mean(results["returns"]))
    assert results["std_reward"] == pytest.approx(np.std(results["returns"]))
    assert results["n_eval_episodes"] == len(results["lengths"]) == len(results["seeds"]) == 3
    assert results["is_deterministic"] is (run.read_config()["algo"]["name"] != "dqn")
    assert {"iqm", "iqm_ci", "result", "eval_datetime"} <= set(results)
    kept = [entry for entry in run.read_results() if entry["source"] == "package"]
    assert [entry["returns"] for entry in kept] == [results["returns"]]
    assert kept[0]["date"] == results["eval_datetime"]


def test_seeds_are_fresh(staged):
    run, package = staged
    assert package.evaluation.seeds == (1_010_000, 1_010_001, 1_010_002)
    before = {seed for entry in run.read_results() if entry["source"] != "package" for seed in entry["seeds"]}
    assert not before & set(package.evaluation.seeds)
    assert "1010000" not in run.evaluations_file.read_text()


def test_rlzoo_plays_the_same_episodes_from_the_published_files(staged, tmp_path):
    run, package = staged
    again = as_run(package, tmp_path / "run")
    checkpoints.verify(again.checkpoint("last"))
    assert again.read_info()["package"]["name"] == package.name
    evaluation = rlzoo.evaluate(again, seeds=package.evaluation.seeds)
    assert evaluation.returns == package.evaluation.returns
    assert evaluation.returns == rlzoo.evaluate(run, seeds=package.evaluation.seeds).returns


def test_the_card_is_a_model_index(staged):
    from huggingface_hub import ModelCard

    run, package = staged
    card = ModelCard.load(package.folder / "README.md")
    results = json.loads((package.folder / "results.json").read_text())
    (score,) = card.data.eval_results
    assert (score.metric_type, score.task_type) == ("mean_reward", "reinforcement-learning")
    assert score.metric_value == f"{results['mean_reward']:.2f} +/- {results['std_reward']:.2f}"
    algo = run.read_config()["algo"]["name"]
    expected = {
        "ppo": ("PPO", "stable-baselines3", "Pendulum-v1", {"stable-baselines3"}),
        "dqn": ("DQN", "stable-baselines3", "SpaceInvadersNoFrameskip-v4", {"stable-baselines3"}),
        "reinforce": ("Reinforce", "rlzoo", "CartPole-v1", {"custom-implementation"}),
        "q_learning": ("QLearning", "rlzoo", "FrozenLake-v1-4x4-no_slippery", {"q-learning", "custom-implementation"}),
    }[algo]
    assert (card.data.model_name, card.data.library_name, score.dataset_name) == expected[:3]
    general = {"deep-reinforcement-learning", "reinforcement-learning", "deep-rl-course", algo}
    assert expected[3] | general | {run.read_config()["env"]["id"]} <= set(card.data.tags)
    assert card.data.license == "mit"
    for name in ("title", "usage", "evaluation", "training", "files"):
        assert card.text.count(f"<!-- rlzoo:begin {name} -->") == 1
    assert card.text.rstrip().endswith("change it again?")
    pickled = [line for line in card.text.splitlines() if "pickle**" in line and line.startswith("| `")]
    assert len(pickled) == {"ppo": 4, "dqn": 3, "reinforce": 1, "q_learning": 2}[algo]


def test_the_same_run_gives_the_same_bytes(staged, tmp_path):
    _, package = staged
    again = rlzoo.package(staged[0], folder=tmp_path / "again", n_episodes=3, video=False)
    first, second = dict(contents(package.folder)), dict(contents(again.folder))
    assert first.keys() == second.keys()
    assert {name for name in first if first[name] != second[name]} <= {"README.md", "results.json"}
    for name in ("README.md", "results.json"):
        dates = [
            json.loads((folder / "results.json").read_text())["eval_datetime"]
            for folder in (package.folder, again.folder)
        ]
        assert first[name].replace(dates[0].encode(), b"") == second[name].replace(dates[1].encode(), b"")
    undo_last_result(staged[0])


def undo_last_result(run):
    run.results_file.write_text(json.dumps(run.read_results()[:-1]))


def test_stable_baselines3_opens_the_zip(ppo, tmp_path):
    import gymnasium
    from stable_baselines3 import PPO
    from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

    for checkpoint in ("last", "200"):
        folder = rlzoo.package(
            ppo, folder=tmp_path / checkpoint, checkpoint=checkpoint, n_episodes=1, video=False
        ).folder
        env = VecNormalize.load(folder / "vec_normalize.pkl", DummyVecEnv([lambda: gymnasium.make("Pendulum-v1")]))
        assert (env.training, env.norm_reward) == (True, True)
        env.training = env.norm_reward = False
        model = PPO.load(folder / "ppo-Pendulum-v1.zip", device="cpu")
        env.seed(1_010_000)
        observation, total = env.reset(), 0.0
        for _ in range(200):
            action, _ = model.predict(observation, deterministic=True)
            observation, reward, _, _ = env.step(action)
            total += float(reward[0])
        expected = json.loads((folder / "results.json").read_text())["returns"]
        assert total == pytest.approx(expected[0], rel=1e-6)
        with zipfile.ZipFile(folder / "ppo-Pendulum-v1.zip") as archive:
            for name in archive.namelist():
                assert archive.read(name) == (folder / "ppo-Pendulum-v1" / name).read_bytes()
        undo_last_result(ppo)


def test_config_json_tells_of_the_model_without_pickle(ppo, dqn, root, tmp_path):
    for run in (ppo, dqn):
        folder = rlzoo.package(run, folder=tmp_path / run.path.parent.name, n_episodes=1, video=False).folder
        text = (folder / "config.json").read_text()
        assert ":serialized:" not in text
        assert " at 0x" not in text
        told = json.loads(text)
        assert told["rlzoo_algo"] == run.read_config()["algo"]["name"]
        assert "Stable-Baselines3" in told["system_info"]
        undo_last_result(run)


def test_the_courses_own_loop_plays_the_table(q_learning, tmp_path):
    import gymnasium

    folder = rlzoo.package(q_learning, folder=tmp_path / "q", n_episodes=3, video=False).folder
    model = pickle.loads((folder / "q-learning.pkl").read_bytes())
    assert set(model) == {
        "env_id", "max_steps", "n_training_episodes", "n_eval_episodes", "eval_seed", "learning_rate", "gamma",
        "max_epsilon", "min_epsilon", "decay_rate", "qtable", "map_name", "slippery",
    }  # fmt: skip
    assert (model["env_id"], model["map_name"], model["slippery"]) == ("FrozenLake-v1", "4x4", False)
    assert (model["max_steps"], model["n_eval_episodes"]) == (99, 3)
    assert (model["learning_rate"], model["gamma"], model["decay_rate"]) == (0.7, 0.95, 0.0005)
    env = gymnasium.make(model["env_id"], is_slippery=False)
    returns = []
    for episode in range(model["n_eval_episodes"]):
        state, _ = env.reset(seed=model["eval_seed"][episode])
        total = 0.0
        for _ in range(model["max_steps"]):
            action = np.argmax(model["qtable"][state][:])
            state, reward, terminated, truncated, _ = env.step(action)
            total += reward
            if terminated or truncated:
                break
        returns.append(total)
    assert returns == json.loads((folder / "results.json").read_text())["returns"]
    undo_last_result(q_learning)


def test_a_networks_weights_are_a_plain_state_dict(reinforce, tmp_path):
    import torch

    folder = rlzoo.package(reinforce, folder=tmp_path / "r", n_episodes=1, video=False).folder
    weights = torch.load(folder / "model.pt", weights_only=True)
    learned = checkpoints.read(reinforce.find_checkpoint()).algorithm.tensors
    for name, theirs in (("fc1", "actor.layers.0"), ("fc2", "actor.layers.2")):
        for kind in ("weight", "bias"):
            assert np.array_equal(weights.pop(f"{name}.{kind}").numpy(), learned[f"{theirs}.{kind}"])
    assert weights == {}
    told = json.loads((folder / "hyperparameters.json").read_text())
    assert {key: told[key] for key in ("h_size", "gamma", "lr", "max_t", "env_id", "state_space", "action_space")} == {
        "h_size": 16, "gamma": 1.0, "lr": 0.01, "max_t": 500, "env_id": "CartPole-v1", "state_space": 4,
        "action_space": 2,
    }  # fmt: skip
    undo_last_result(reinforce)


def test_tensorboard_shows_the_metrics(staged):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    _, package = staged
    read = EventAccumulator(str(package.folder / "logs"), size_guidance={"scalars": 0}).Reload()
    with (package.folder / "rlzoo" / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    expected = {
        name: [(int(row["step"]), pytest.approx(float(row[name]))) for row in rows if row[name]]
        for name in rows[0]
        if name != "step"
    }
    tags = read.Tags()
    assert set(tags.pop("scalars")) == expected.keys()
    assert not any(tags.values())  # no configuration and no pictures
    for name, values in expected.items():
        assert [(event.step, event.value) for event in read.Scalars(name)] == values


def course_leaderboard(card, tag):
    """What the course's leaderboard makes of a card: found by a tag, it takes the first metric of the first result."""
    if tag not in card["tags"]:
        return None
    mean, std = card["model-index"][0]["results"][0]["metrics"][0]["value"].split(" +/- ")
    return float(mean) - float(std)


@pytest.mark.parametrize(
    ("words", "tags", "others"),
    [
        (["algo=q_learning", "env=Taxi"], ["Taxi-v4", "Taxi-v3"], ["Taxi-v2"]),
        (["algo=q_learning", "env=Taxi", "env.kwargs.is_rainy=true"], ["Taxi-v4"], ["Taxi-v3"]),
        (["algo=sarsa", "env=CliffWalking"], ["CliffWalking-v1", "CliffWalking-v0"], []),
        (["algo=cem", "env=LunarLander"], ["LunarLander-v3", "LunarLander-v2"], []),
        (["algo=cem", "env=CartPole"], ["CartPole-v1"], ["Cartpole-v1", "CartPole-v0"]),
    ],
)
def test_the_courses_reader_finds_it_by_the_id_of_its_day(words, tags, others, root, tmp_path):
    run = train(root, *words, "total_timesteps=200", "env.max_steps=50", "eval.freq=0")
    folder = rlzoo.package(run, folder=tmp_path / "a", video=False).folder
    text = (folder / "README.md").read_text()
    card = yaml.safe_load(text.split("---")[1])
    result = json.loads((folder / "results.json").read_text())["result"]
    for tag in tags:
        assert course_leaderboard(card, tag) == pytest.approx(result, abs=0.011)
    assert not {*others} & {*card["tags"]}
    played = card["model-index"][0]["results"][0]["dataset"]
    assert played["type"].startswith(tags[0]) and played["name"] == played["type"]  # what was played, nothing else
    assert all(f"the same environment {older}: only" in text for older in tags[1:])


def test_rl_zoo3_finds_its_settings(dqn, ppo, tmp_path):
    from rlzoo.untrusted.zoo_yaml import read_zoo

    folder = rlzoo.package(dqn, folder=tmp_path / "d", n_episodes=1, video=False).folder
    assert read_zoo(folder / "config.yml") == {
        "buffer_size": 300,
        "env_kwargs": {"frameskip": 1, "repeat_action_probability": 0.0, "max_episode_steps": 160},
        "env_wrapper": ["stable_baselines3.common.atari_wrappers.AtariWrapper"],
        "frame_stack": 4,
        "learning_starts": 110,
        "n_envs": 1,
        "n_timesteps": 120,
        "policy": "CnnPolicy",
    }
    arguments = read_zoo(folder / "args.yml")
    assert arguments["env_kwargs"] == read_zoo(folder / "env_kwargs.yml")
    assert (arguments["algo"], arguments["env"], arguments["seed"]) == ("dqn", "SpaceInvadersNoFrameskip-v4", 0)
    with zipfile.ZipFile(folder / "train_eval_metrics.zip") as archive, archive.open("evaluations.npz") as file:
        measured = np.load(file)
        assert measured["timesteps"].tolist() == [60, 120]
        assert measured["results"].shape == measured["ep_lengths"].shape == (2, 2)
    undo_last_result(dqn)
    folder = rlzoo.package(ppo, folder=tmp_path / "p", n_episodes=1, video=False).folder
    assert read_zoo(folder / "config.yml")["normalize"] is True
    assert read_zoo(folder / "args.yml")["env_kwargs"] is None
    undo_last_result(ppo)


def test_nothing_private_is_published(ppo, tmp_path, monkeypatch):
    token, machine = "marked-token-of-mine", socket.gethostname()
    run = Run(tmp_path / "home-of-ada" / "run")
    shutil.copytree(ppo.path, run.path)
    monkeypatch.setenv("SOME_API_TOKEN", token)
    monkeypatch.chdir(tmp_path)
    values = run.read_config()
    values["env"]["summary"] = f"needs {token}, see {tmp_path}/home-of-ada/notes.txt"
    values["runs_dir"] = str(run.path.parent)
    values["logger"] = {"wandb": {"project": "secret-project"}}
    run.config_file.write_text(yaml.safe_dump(values))
    info = run.read_info()
    words = [*info["words"], f"env.kwargs.api_key={token}", f"init_from={tmp_path}/home-of-ada/old"]
    info |= {"words": words, "owner": {"host": machine, "pid": 1}, "command": f"{sys.prefix}/bin/rlzoo train"}
    run.info_file.write_text(json.dumps(info))
    package = rlzoo.package(run, folder=tmp_path / "out", n_episodes=1, video=True)
    marks = [token, "secret-project", "home-of-ada", str(tmp_path), sys.prefix, machine if len(machine) > 4 else "pid"]
    marks += [name] if len(name := getpass.getuser()) > 4 else []
    for name, data in contents(package.folder):
        for mark in marks:
            assert mark.encode() not in data, (name, mark)
    card = (package.folder / "README.md").read_text()
    assert "needs ***, see notes.txt" in card
    assert "init_from=old" in card


def test_what_would_give_a_secret_away_is_not_written(ppo, tmp_path, monkeypatch):
    """A secret in a pickle cannot be replaced there; this one is a word that every such pickle has."""
    monkeypatch.setenv("MY_PASSWORD", "policy_class")
    before = ppo.results_file.read_bytes()
    with pytest.raises(RlzooError, match="would hold a secret of yours") as caught:
        rlzoo.package(ppo, folder=tmp_path / "new" / "folders" / "out", n_episodes=1, video=False)
    assert caught.value.code == ExitCode.UNSAFE
    assert list(tmp_path.iterdir()) == []
    assert ppo.results_file.read_bytes() == before


def test_a_package_is_replaced_and_keeps_what_its_owner_wrote(q_learning, tmp_path, capsys):
    folder = tmp_path / "mine"
    folder.mkdir()  # an empty one is nobody's
    rlzoo.package(q_learning, folder=folder, n_episodes=2, video=False)
    readme = folder / "README.md"
    readme.write_text(readme.read_text().replace("what should this agent do", "it crosses the lake; what"))
    (folder / "model.pt").unlink(missing_ok=True)
    again = rlzoo.package(q_learning, folder=folder, n_episodes=4, video=False, license="apache-2.0")
    assert "keeps its license, mit" in capsys.readouterr().err
    assert "license: mit" in readme.read_text()
    assert "it crosses the lake; what" in readme.read_text()
    assert "| episodes | 4 |" in readme.read_text()
    assert json.loads((folder / "results.json").read_text())["n_eval_episodes"] == again.evaluation.n_episodes == 4
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(RlzooError, match=r"also holds files that rlzoo did not write.*notes\.txt"):
        rlzoo.package(q_learning, folder=folder, n_episodes=1, video=False)
    undo_last_result(q_learning)
    undo_last_result(q_learning)


def test_what_is_in_the_way_is_refused_and_left_alone(q_learning, ppo, tmp_path):
    full, file, other = tmp_path / "full", tmp_path / "file", tmp_path / "other"
    full.mkdir()
    (full / "thesis.tex").write_text("years of work")
    file.write_text("also work")
    rlzoo.package(q_learning, folder=other, n_episodes=1, video=False)
    undo_last_result(q_learning)
    for folder, expected in (
        (full, "is not a package of rlzoo's"),
        (file, "it is not a folder"),
        (other, "holds the package q_learning"),
    ):
        with pytest.raises(RlzooError, match=expected) as caught:
            rlzoo.package(ppo, folder=folder, video=False)
        assert caught.value.code == ExitCode.STORAGE
    assert (full / "thesis.tex").read_text() == "years of work"
    assert file.read_text() == "also work"


def test_every_problem_is_found_before_the_work(ppo, tmp_path):
    with pytest.raises(ConfigError) as caught:
        rlzoo.package(
            ppo, folder=tmp_path / "a", repo_id="no-owner", license="My License", device="gpu", seeds=[], n_episodes=0
        )
    assert [problem.key for problem in caught.value.problems] == ["n_episodes", "seeds", "device", "repo_id", "license"]
    with pytest.raises(RlzooError, match="no checkpoint 'nope'"):
        rlzoo.package(ppo, folder=tmp_path / "a", checkpoint="nope")
    with pytest.raises(ConfigError, match="is 3, and there are 2 seeds"):
        rlzoo.package(ppo, folder=tmp_path / "a", n_episodes=3, seeds=[1, 2])
    assert list(tmp_path.iterdir()) == []


def test_an_environment_without_pictures_needs_no_film(root, tmp_path):
    run = train(root, "algo=dqn", "env=BitFlipping", "total_timesteps=60", "algo.learning_starts=20", "eval.freq=0")
    package = rlzoo.package(run, folder=tmp_path / "a", n_episodes=1)
    assert "replay.mp4" not in package.files
    assert "replay.mp4" not in (package.folder / "README.md").read_text()


def test_a_strangers_run(ppo, tmp_path):
    """Its zip is not passed on: it is rebuilt from the weights. What it would import is refused."""
    run = Run(tmp_path / "run")
    shutil.copytree(ppo.path, run.path)
    run.config_file.write_text(yaml.safe_dump(run.read_config()))
    run.find_checkpoint().model_zip.write_bytes(b"not a zip")
    package = rlzoo.package(run, folder=tmp_path / "a", n_episodes=1, video=False)
    assert zipfile.is_zipfile(package.folder / f"{package.name}.zip")
    values = run.read_config()
    values["env"]["imports"] = ["strange_module"]
    run.config_file.write_text(yaml.safe_dump(values))
    with pytest.raises(RlzooError, match="strange_module") as caught:
        rlzoo.package(run, folder=tmp_path / "b", n_episodes=1, video=False)
    assert caught.value.code == ExitCode.UNSAFE
    assert not (tmp_path / "b").exists()


def test_a_damaged_zip_of_ones_own_is_not_published(ppo, tmp_path):
    model_zip = ppo.find_checkpoint().model_zip
    good = model_zip.read_bytes()
    try:
        model_zip.write_bytes(good[:-1] + b"x")
        with pytest.raises(RlzooError, match=r"model\.zip is not what was written"):
            rlzoo.package(ppo, folder=tmp_path / "a", n_episodes=1, video=False)
    finally:
        model_zip.write_bytes(good)
    assert list(tmp_path.iterdir()) == []


def test_it_is_evaluated_as_at_the_end_of_its_training(root, tmp_path):
    """The course plays a hundred episodes on the lake: what evaluates and what packages do so too, unless asked."""
    words = ["total_timesteps=2000", "seed=0", "logger=[]", f"runs_dir={root / 'runs'}"]
    run = rlzoo.train("experiment=unit2_frozenlake", *words)
    assert [entry["n_episodes"] for entry in run.read_results()] == [100]
    package = rlzoo.package(run, folder=tmp_path / "a", video=False)
    assert package.evaluation.n_episodes == rlzoo.evaluate(run).n_episodes == 100
    results = json.loads((tmp_path / "a" / "results.json").read_text())
    assert (results["n_eval_episodes"], len(results["seeds"])) == (100, 100)
    assert pickle.loads((tmp_path / "a" / "q-learning.pkl").read_bytes())["n_eval_episodes"] == 100
    assert rlzoo.evaluate(run, n_episodes=3).n_episodes == 3


def test_fixed_seeds_of_the_run_are_its_protocol(root, tmp_path):
    run = train(root, "algo=q_learning", "env=Taxi", "total_timesteps=2000", "eval.seeds=[16,54,165]", "eval.freq=0")
    assert rlzoo.package(run, folder=tmp_path / "a", video=False).evaluation.seeds == (16, 54, 165)
    assert rlzoo.package(run, folder=tmp_path / "a", video=False, n_episodes=5).evaluation.seeds == (
        16,
        54,
        165,
        1010000,
        1010001,
    )
    model = pickle.loads((tmp_path / "a" / "q-learning.pkl").read_bytes())
    assert model["eval_seed"] == [16, 54, 165, 1010000, 1010001]
    assert "map_name" not in model


@pytest.mark.parametrize("algo", ["value_iteration", "td0", "cem", "dqn_scratch", "ppo_scratch"])
def test_other_algorithms_of_our_own(root, tmp_path, algo):
    words = {
        "value_iteration": ["env=FrozenLake", "total_timesteps=20"],
        "td0": ["env=FrozenLake", "total_timesteps=500"],
        "cem": ["env=CartPole", "total_timesteps=500"],
        "dqn_scratch": ["env=CartPole", "total_timesteps=100", "algo.learning_starts=50"],
        "ppo_scratch": ["env=CartPole", "total_timesteps=300", "env.n_envs=2", "algo.batch_size=64"],
    }[algo]
    run = train(root, f"algo={algo}", *words, "eval.freq=0")
    package = rlzoo.package(run, folder=tmp_path / "a", n_episodes=1, video=False)
    learned = {"value_iteration": "q-learning.pkl", "td0": "values.json"}.get(algo, "model.pt")
    assert learned in package.files
    assert len({"q-learning.pkl", "values.json", "model.pt"} & set(package.files)) == 1
    again = as_run(package, tmp_path / "run")
    assert rlzoo.evaluate(again, seeds=package.evaluation.seeds).returns == package.evaluation.returns

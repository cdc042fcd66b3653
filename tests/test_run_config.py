"""A run's stored configuration is checked as a request is, and only what was checked gets this user's signature."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from rlzoo.algos.memory import networks_of
from rlzoo.config import yaml_file
from rlzoo.config.compose import compose
from rlzoo.config.schema import AlgoConfig
from rlzoo.errors import ConfigError, ExitCode, RlzooError
from rlzoo.hub.agents import changed_config
from rlzoo.runs.config import RunConfig
from rlzoo.runs.run import Run
from rlzoo.training import resume
from rlzoo.untrusted import signature as origin


@pytest.fixture
def run(tmp_path: Path) -> Run:
    run = Run.create(tmp_path, algo="ppo", env_id="CartPole-v1", seed=1)
    run.write_config(compose("train", ["algo=ppo", "env=CartPole", "seed=1", "logger=csv"]).values)
    run.write_info({"status": "interrupted"})
    return run


def edit(run: Run, **changes: object) -> None:
    """Change settings by their dotted keys, `__` for a dot, as an editor would: the signature fits no longer."""
    values = run.read_config()
    for key, value in changes.items():
        *sections, name = key.split("__")
        section = values
        for part in sections:
            section = section[part]
        section[name] = value
    run.config_file.write_text(yaml_file.dump(values))


READERS = {
    "play": lambda run: changed_config(run, [], trust=False),
    "load": lambda run: RunConfig.open(run).read(),
    "resume": lambda run: resume.request([f"resume={run.path}"]),
    "train": lambda run: RunConfig.open(run).read(training=True),
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("env__frame_stack", 2_000_000, "at most 64"),
        ("torch_threads", 1_000_000, "at most 1024"),
        ("env__n_envs", 100_000, "at most 4096"),
        ("eval__n_envs", 100_000, "at most 4096"),
        ("eval__final_n_episodes", 10**12, "at most 1000000"),
        ("env__wrappers", {"resize": {"shape": [10**5, 10**5]}}, "at most 2048"),
        ("env__normalize", {"clip_obs": "much"}, "env.normalize.clip_obs: must be a number, not 'much'"),
        ("env__monitor_kwargs", {"info_keywords": 5}, "env.monitor_kwargs"),
        ("algo__n_epochs", 0, "at least 1"),
        ("algo__gamma", 7.0, "at most 1"),
        ("algo__policy_kwargs", {"net": [64]}, "unknown keyword"),
        ("env__summary", "${oc.env:HOME}", "is not allowed"),
    ],
)
def test_what_no_request_may_have_is_refused(reader, key, value, said, run):
    edit(run, **{key: value})
    with pytest.raises(ConfigError) as error:
        READERS[reader](run)
    (problem,) = error.value.problems
    assert key.replace("__", ".") in problem.key and said in str(problem)
    assert re.search(r"config\.yaml:\d+$", problem.where), problem


@pytest.mark.parametrize("reader", READERS)
def test_what_a_request_may_have_is_taken(reader, run):
    READERS[reader](run)
    edit(run, env__n_envs=4, torch_threads=2, algo__policy_kwargs={"net_arch": [32]})
    READERS[reader](run)


@pytest.mark.parametrize(
    ("hyperparams", "key"),
    [
        ({"policy_kwargs": {"net_arch": [60_000, 60_000]}}, "algo.policy_kwargs.net_arch"),
        ({"policy_kwargs": {"net_arch": {"pi": [8], "vf": [60_000, 60_000]}}}, "algo.policy_kwargs.net_arch"),
        ({"policy_kwargs": {"net_arch": [8, 10**9, 8]}}, "algo.policy_kwargs.net_arch"),
        ({"policy_kwargs": {"n_critics": 10**9}}, "algo.policy_kwargs.n_critics"),
        ({"policy_kwargs": {"lstm_hidden_size": 10**9}}, "algo.policy_kwargs.lstm_hidden_size"),
        ({"net_arch": [60_000, 60_000]}, "algo.net_arch"),
    ],
)
def test_a_network_larger_than_its_file_is_not_built(hyperparams, key):
    algo = AlgoConfig("ppo", hyperparams)
    with pytest.raises(RlzooError, match=re.escape(f"{key} describes")) as error, networks_of(100_000, algo, "it"):
        raise AssertionError("it was entered")
    assert error.value.code == ExitCode.UNSAFE


def test_a_parameter_too_many_is_refused_when_it_is_registered():
    import torch

    algo = AlgoConfig("ppo", {"policy_kwargs": {}})
    with networks_of(100_000, algo, "it"):
        torch.nn.Linear(1000, 1000)
    with pytest.raises(RlzooError, match="a larger network"), networks_of(100_000, algo, "it"):
        torch.nn.Linear(1000, 1200)
    with pytest.raises(RlzooError, match="a larger network"), networks_of(100_000, algo, "it"):
        for _ in range(5000):  # small ones take their time too
            torch.nn.Linear(1, 1)
    with networks_of(100_000, AlgoConfig("mine:Class", {}), "it"):
        torch.nn.Linear(1000, 1200)


def test_a_stranger_names_no_places(run):
    """What somebody else's run says of places, and whose weights it began with, is neither used nor signed."""
    edit(run, runs_dir="../outside", n_jobs=7, launcher={"name": "local"}, init_from="/etc/weights.zip")
    _, cfg, _ = resume.request([f"resume={run.path}"])
    assert (cfg.runs_dir, cfg.n_jobs, cfg.init_from) == ("runs", 1, None)
    reproduced = RunConfig.open(run).read(training=True)
    assert (reproduced.runs_dir, reproduced.init_from) == ("runs", None)
    trusted = RunConfig.open(run).read(training=True, trust=True)
    assert trusted.init_from == "/etc/weights.zip" and trusted.runs_dir == "runs"
    run.config_file.write_text(origin.signed(run.read_config_text()))
    own = RunConfig.open(run).read(training=True)
    assert (own.runs_dir, own.n_jobs, own.init_from) == ("../outside", 7, "/etc/weights.zip")


def test_what_is_checked_is_what_is_used(run, monkeypatch):
    """config.yaml is read once: exchanging it in between makes nobody's signature count for another text."""
    texts = iter([run.read_config_text(), run.read_config_text().replace("CartPole-v1", "evil:X-v0")])
    monkeypatch.setattr(Run, "read_config_text", lambda self: next(texts))
    assert RunConfig.open(run).read(training=True).env.id == "CartPole-v1"
    with pytest.raises(RlzooError, match="imports evil"):
        RunConfig.open(run).read(training=True)

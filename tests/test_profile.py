"""`rlzoo profile` says where the time goes, tries what may help, and leaves nothing but its page."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from rlzoo.cli.main import main
from rlzoo.config.compose import compose
from rlzoo.errors import RlzooError
from rlzoo.training import profile
from rlzoo.training.preflight import check

PPO = ["algo=ppo", "env=CartPole", "seed=1"]


def call(file: str, function: str, *calls: object, own: float = 0.0) -> SimpleNamespace:
    """A call that takes `own` seconds besides what it calls."""
    total = own + sum(each.time for each in calls)
    return SimpleNamespace(file_path=file, function=function, time=total, children=list(calls))


def test_time_goes_to_the_part_that_a_call_belongs_to():
    sb3 = "/x/site-packages/stable_baselines3"
    sample = call(f"{sb3}/common/buffers.py", "sample", own=0.5)
    loss = call("/x/torch/nn/functional.py", "smooth_l1_loss", own=1.0)
    emulator = call("/x/ale_py/env.py", "step", own=2.0)
    step = call("/x/rlzoo/envs/vector/in_process.py", "step_wait", emulator, own=0.25)
    played = call("/x/rlzoo/envs/monitor.py", "step", own=0.125)
    evaluation = call("/x/rlzoo/training/callbacks/evaluate.py", "on_step", played, own=0.0625)
    act = call(f"{sb3}/common/policies.py", "predict", own=4.0)
    collect = call(f"{sb3}/common/off_policy_algorithm.py", "collect_rollouts", act, step, evaluation, own=8.0)
    update = call(f"{sb3}/dqn/dqn.py", "train", sample, loss, own=16.0)
    root = call("/x/rlzoo/algos/sb3/adapter.py", "learn", collect, update, own=32.0)
    spent = dict.fromkeys(profile.PARTS, 0.0)
    profile._share_out(root, profile.REST, spent)
    expected = {"environment": 2.25, "policy": 12.0, "buffer": 0.5, "update": 17.0, "evaluation": 0.1875}
    assert spent == {**dict.fromkeys(profile.PARTS, 0.0), **expected, profile.REST: 32.0}


def test_a_training_is_watched_and_changes_are_tried(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(profile, "changes", lambda *_: [(("env.n_envs=2",), "a note"), (("env.n_envs=0",), "")])
    assert main(["profile", *PPO, "env.n_envs=1", "algo.n_steps=64", "algo.batch_size=64", "seconds=2", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert list(found["seconds"]) == list(profile.PARTS)
    assert found["seconds"]["update"] > 0
    assert found["seconds"]["environment"] > 0
    assert found["n_steps"] > 0
    base, doubled, refused = found["tried"]
    assert (base["words"], base["gain"]) == ([], None)
    assert base["rate"] > 0
    assert doubled["gain"] == pytest.approx(doubled["rate"] / base["rate"])
    assert refused["rate"] is None
    assert "n_envs" in refused["note"] or "must be" in refused["note"]
    assert "step_wait" in (tmp_path / "profile.html").read_text()
    assert [path.name for path in tmp_path.iterdir()] == ["profile.html"]


def test_its_page_takes_the_place_of_a_link(tmp_path):
    (tmp_path / "precious").write_text("mine")
    (tmp_path / "profile.html").symlink_to(tmp_path / "precious")
    profile._write(tmp_path / "profile.html", "page")
    assert (tmp_path / "precious").read_text() == "mine" and (tmp_path / "profile.html").read_text() == "page"
    sent = tmp_path / "sent"
    sent.mkdir()
    for name in ("config.yaml", "info.json"):
        (sent / name).write_text("")
    (tmp_path / "elsewhere").mkdir()
    (sent / "videos").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RlzooError, match="leads out of"):
        profile._write(sent / "videos" / "profile.html", "page")


def test_a_rollout_that_lasts_longer_is_not_waited_for(tmp_path):
    config = check(compose("train", [*PPO, "env.n_envs=1", "algo.n_steps=102400", "hyperparams=none"])).config
    spent, n_steps = profile._watch(__import__("pyinstrument"), config, 0.2, tmp_path / "page.html")
    assert 0 < n_steps < 102_400
    assert spent["environment"] > 0 and sum(spent.values()) < 5


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["seconds=no"], "seconds: must be a number from 2 to 3600, not 'no'"),
        (["seconds=1"], "seconds: must be a number from 2 to 3600"),
        (["algo.gamma=2"], "algo.gamma"),
        (["second=3"], "second"),
    ],
)
def test_a_wrong_request_takes_no_time(words, says, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["profile", *PPO, *words]) == 2
    assert says in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_without_pyinstrument_it_says_what_installs_it(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(__import__("sys").modules, "pyinstrument", None)
    assert main(["profile", *PPO]) == 3
    assert 'pip install "hydra-rlzoo[profile]"' in capsys.readouterr().err

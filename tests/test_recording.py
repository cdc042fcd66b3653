"""Films: a frame for the first state and one after each step, the episode's own last state at the end, in time."""

import random

import numpy as np
import pytest
import torch

import rlzoo
from rlzoo.envs.make import build
from rlzoo.errors import ExitCode, RlzooError
from rlzoo.evaluation.record import enlarged, record
from tests.films import difference, read
from tests.system import mujoco_cannot_draw

ON_POLICY = ("algo=ppo", "algo.n_steps=32", "algo.batch_size=32", "algo.n_epochs=1", "total_timesteps=32")
SHORT = ("eval.max_steps=50",)
TABLE = ("algo=q_learning", "total_timesteps=50")
AGENTS = {
    "CartPole": (ON_POLICY, 50),
    "LunarLander": (ON_POLICY, 50),
    "SpaceInvaders": ((*ON_POLICY, "env.n_envs=1"), 15),
    "FrozenLake": ((*TABLE, *SHORT), 1),
    "Taxi": ((*TABLE, *SHORT), 1),
    "HalfCheetah": ((*ON_POLICY, *SHORT), 20),
    "Pixelcopter": (("algo=reinforce", "total_timesteps=50"), 30),
}
"""What each environment's agent is trained with, and the frames per second of its film."""


@pytest.fixture(scope="module")
def agents(tmp_path_factory):
    """The agents, each trained when it is first asked for, for as few steps as there can be."""
    root, trained = tmp_path_factory.mktemp("recording"), {}

    def get(name):
        if name not in trained:
            words = [f"env={name}", *AGENTS[name][0], "hyperparams=none", "seed=0", "device=cpu", "logger=[]"]
            words += ["eval.freq=0", "eval.final_n_episodes=1", f"runs_dir={root}"]
            trained[name] = rlzoo.load(rlzoo.train(*words))
        return trained[name]

    return get


def watch_actions(agent, monkeypatch):
    """The agent's actions, as it takes them."""
    actions = []
    predict = agent.algorithm.predict

    def watched(*arguments, **keywords):
        action, state = predict(*arguments, **keywords)
        actions.append(action[0].copy())
        return action, state

    monkeypatch.setattr(agent.algorithm, "predict", watched)
    return actions


def played_again(agent, seed, actions):
    """What the environment draws of the same actions: its first state and its last three, by the number of steps."""
    cfg = agent.config
    env = build(cfg.env, seed=seed, render_mode="rgb_array", episode_seeds=(seed,), max_steps=cfg.eval.max_steps)
    env.reset(seed=seed)
    pictures, ended = {0: enlarged(env.render())}, False
    for step, action in enumerate(actions, 1):
        assert not ended
        _, _, terminated, truncated, _ = env.step(action)
        if step > len(actions) - 3:
            pictures[step] = enlarged(env.render())
        ended = len(env.get_wrapper_attr("episode_returns")) == 1
        if (terminated or truncated) and not ended:
            env.reset()  # after a lost life the game goes on
    env.close()
    assert ended
    return pictures


@pytest.mark.parametrize("name", AGENTS)
def test_a_film_of_an_episode(name, agents, tmp_path, monkeypatch):
    if name == "HalfCheetah" and mujoco_cannot_draw():
        pytest.skip(mujoco_cannot_draw())
    agent = agents(name)
    sampled = {"deterministic": False} if name == "HalfCheetah" else {}  # else it hardly moves
    with monkeypatch.context() as patch:
        actions = watch_actions(agent, patch)
        recording = record([agent], tmp_path / "film.mp4", **sampled)
    frames, about = read(recording.path)
    assert recording.n_frames == len(frames) == len(actions) + 1 == recording.n_steps + 1
    assert recording.fps == AGENTS[name][1]
    assert about["fps"] == pytest.approx(recording.fps, rel=1e-3)
    assert abs(about["duration"] - len(frames) / recording.fps) <= 1 / recording.fps
    assert (about["codec"], about["pix_fmt"].partition("(")[0]) == ("h264", "yuv420p")
    assert all(side % 2 == 0 for side in about["size"])
    assert max(about["size"]) >= 400

    pictures = played_again(agent, recording.seeds[0], actions)
    assert difference(frames[0], pictures[0]) < 3
    assert difference(frames[-1], pictures[len(actions)]) < 3
    closest = min(pictures, key=lambda step: difference(frames[-1], pictures[step]))
    assert np.array_equal(pictures[closest], pictures[len(actions)])  # the last frame shows the last state

    evaluation = agent.evaluate(seeds=recording.seeds, **sampled)
    assert (recording.returns, recording.lengths) == (evaluation.returns, evaluation.lengths)
    if name == "SpaceInvaders":  # a whole game, of three lives; four frames of the console in a step
        assert not recording.deterministic
        assert recording.lengths[0] > 3.5 * recording.n_steps


def test_the_same_episodes_as_an_evaluation(agents, tmp_path):
    agent = agents("CartPole")
    recording = record([agent], tmp_path / "film.mp4", seeds=[5, 6, 7], deterministic=False)
    evaluation = agent.evaluate(seeds=[5, 6, 7], deterministic=False)
    assert recording.returns == evaluation.returns
    assert recording.lengths == evaluation.lengths
    assert recording.seeds == (5, 6, 7)
    assert not recording.deterministic
    assert recording.n_frames == sum(evaluation.lengths) + 3 == len(read(recording.path)[0])


def test_nobody_elses_random_numbers_are_drawn(agents, tmp_path):
    agent = agents("CartPole")
    random.seed(1)
    np.random.seed(2)
    torch.manual_seed(3)
    expected = random.random(), np.random.random(), torch.rand(1).item()
    random.seed(1)
    np.random.seed(2)
    torch.manual_seed(3)
    record([agent], tmp_path / "film.mp4", n_timesteps=20, deterministic=False)
    assert (random.random(), np.random.random(), torch.rand(1).item()) == expected


@pytest.mark.parametrize("n_timesteps", [1, 9, 10, 11, 25])
def test_a_film_of_so_many_steps(n_timesteps, agents, tmp_path):
    """Episodes of ten steps; the first state of an episode that is not begun is not shown."""
    agent = agents("CartPole")
    config = rlzoo.Agent(
        agent.run, agent.checkpoint, _with_max_steps(agent.config, 10), agent.algorithm, _contents(agent), None
    )  # fmt: skip
    recording = record([config], tmp_path / "film.mp4", n_timesteps=n_timesteps)
    n_begun = -(-n_timesteps // 10)
    assert recording.n_steps == n_timesteps
    assert recording.n_frames == len(read(recording.path)[0]) == n_timesteps + n_begun
    assert recording.returns == (10.0,) * (n_timesteps // 10)


def _with_max_steps(config, max_steps):
    from dataclasses import replace

    return replace(config, eval=replace(config.eval, max_steps=max_steps))


def _contents(agent):
    from rlzoo.runs import checkpoints

    return checkpoints.read(agent.checkpoint, (checkpoints.ALGORITHM,))


def test_what_never_ends_is_cut_and_said(agents, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("rlzoo.evaluation.record.MAX_STEPS", 7)
    recording = record([agents("CartPole")], tmp_path / "film.mp4")
    assert (recording.n_steps, recording.n_frames, recording.returns) == (7, 8, ())
    assert "cut after 7 steps; rlzoo record n_timesteps=… films longer ones" in capsys.readouterr().err


def test_text_stands_above_the_pictures(agents, tmp_path):
    agent = agents("CartPole")
    plain, _ = read(record([agent], tmp_path / "plain.mp4", n_timesteps=5).path)
    titled, _ = read(record([agent], tmp_path / "titled.mp4", n_timesteps=5, overlay=True).path)
    bar = titled[0].shape[0] - plain[0].shape[0]
    assert 20 <= bar <= 32
    assert difference(titled[3][bar:], plain[3]) < 2
    assert difference(titled[3][:bar], titled[0][:bar]) > 0.5  # the step has changed
    assert titled[0][:bar].max() > 200  # there is writing


def test_the_progress_of_a_training(agents, tmp_path):
    agent = agents("CartPole")
    one = record([agent], tmp_path / "one.mp4", seeds=[4])
    both = record([agent, agent], tmp_path / "both.mp4", seeds=[4], captions=["step 1", "step 32"])
    assert both.n_frames == 2 * one.n_frames == len(read(both.path)[0])
    assert both.returns == one.returns * 2
    assert both.checkpoints == ("last", "last")


def test_a_gif_beside_it(agents, tmp_path):
    from PIL import Image

    recording = record([agents("CartPole")], tmp_path / "film.mp4", n_timesteps=20, gif=True)
    assert recording.gif == tmp_path / "film.gif"
    with Image.open(recording.gif) as image:
        seconds = sum(_duration(image, index) for index in range(image.n_frames)) / 1000
        assert image.size == (600, 400)
    assert seconds == pytest.approx(recording.seconds, abs=0.05)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["film.gif", "film.mp4"]


def _duration(image, index):
    image.seek(index)
    return image.info["duration"]


def test_frames_per_second_can_be_chosen(agents, tmp_path):
    recording = record([agents("CartPole")], tmp_path / "film.mp4", n_timesteps=11, fps=7.5)
    frames, about = read(recording.path)
    assert (len(frames), about["fps"]) == (12, 7.5)
    assert about["duration"] == pytest.approx(12 / 7.5, abs=0.02)


def test_an_environment_without_pictures_is_refused_before_anything_is_written(tmp_path):
    words = ("env=BitFlipping", *ON_POLICY, "hyperparams=none", "eval.freq=0", "logger=[]", f"runs_dir={tmp_path}")
    run = rlzoo.train(*words, "eval.final_n_episodes=1")
    with pytest.raises(RlzooError, match="BitFlipping-v0 cannot be drawn as pictures") as caught:
        record([rlzoo.load(run)], tmp_path / "films" / "film.mp4")
    assert caught.value.code == ExitCode.WRONG_REQUEST
    assert not (tmp_path / "films").exists()


def test_an_environment_that_fails_leaves_no_film(agents, tmp_path, monkeypatch):
    from gymnasium.envs.classic_control.cartpole import CartPoleEnv

    step = CartPoleEnv.step

    def failing(self, action):
        if abs(self.state[3]) > 0.5:
            raise ValueError("the pole broke")
        return step(self, action)

    monkeypatch.setattr(CartPoleEnv, "step", failing)
    with pytest.raises(RlzooError, match=r"raised ValueError at step .*the pole broke"):
        record([agents("CartPole")], tmp_path / "film.mp4")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["a:b%03d", "-x", "what? #1", "http:x"])
def test_a_film_has_any_name(name, agents, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    recording = record([agents("CartPole")], f"{name}.mp4", n_timesteps=2, gif=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"{name}.gif", f"{name}.mp4"]
    assert len(read(recording.path.absolute())[0]) == 3

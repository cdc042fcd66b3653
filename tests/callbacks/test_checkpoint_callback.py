"""Checkpoints during training: at boundaries, named by their steps, the newest few and always the last."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from rlzoo.algos.create import create
from rlzoo.config.compose import compose
from rlzoo.config.parse import parse
from rlzoo.config.schema import TrainConfig
from rlzoo.envs import make
from rlzoo.envs.seeding import seed_everything
from rlzoo.protocols import Algorithm, Callback, State
from rlzoo.runs import checkpoints
from rlzoo.runs.run import Run
from rlzoo.training.callbacks import Checkpoints

PPO = (
    "algo=ppo", "env=CartPole", "hyperparams=none", "env.n_envs=2", "algo.n_steps=50", "algo.batch_size=100",
    "algo.n_epochs=1", "algo.policy_kwargs.net_arch=[8]",
)  # fmt: skip


def config(*words: str) -> TrainConfig:
    return parse(compose("train", [*words, "seed=3", "device=cpu"]).values)


def train(cfg: TrainConfig, run: Run, *more: Callback, others=None) -> Algorithm:
    seed_everything(3)
    env = make(cfg.env, n_envs=cfg.env.n_envs, seed=3)
    algorithm = create(cfg.algo, env, seed=3, device="cpu")
    algorithm.learn(cfg.total_timesteps, [*more, Checkpoints(cfg, run, env, others)])
    env.close()
    return algorithm


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run.create(tmp_path, algo="ppo", env_id="CartPole-v1", seed=3)


class Names(Callback):
    """What lies there before every rollout."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.seen: list[tuple[int, list[str]]] = []

    def on_boundary(self, algorithm: Algorithm) -> None:
        self.seen.append((algorithm.num_timesteps, [checkpoint.name for checkpoint in self.run.checkpoints()]))


def test_they_fall_due_in_steps_and_are_written_at_the_next_boundary(run):
    names = Names(run)
    cfg = config(*PPO, "total_timesteps=600", "checkpoint.freq=150", "checkpoint.keep=2", "checkpoint.minutes=0")
    train(cfg, run, names)
    assert names.seen == [  # a rollout is 100 steps: due at 150, 300, 450
        (0, []),
        (100, []),
        (200, []),
        (300, ["200", "last"]),
        (400, ["200", "300", "last"]),
        (500, ["200", "300", "last"]),
        (600, ["300", "500", "last"]),
    ]
    assert [checkpoint.name for checkpoint in run.checkpoints()] == ["300", "500", "last"]
    assert checkpoints.read(run.checkpoint("last")).num_timesteps == 600
    assert run.checkpoint("last").model_zip.is_file() and not run.checkpoint("500").model_zip.exists()


def test_each_holds_the_weights_of_its_step(run):
    weights: dict[int, np.ndarray] = {}

    class Weights(Callback):
        def on_boundary(self, algorithm: Algorithm) -> None:
            state = algorithm.state()
            weights[algorithm.num_timesteps] = np.concatenate([np.ravel(t) for _, t in sorted(state.tensors.items())])

    cfg = config(*PPO, "total_timesteps=400", "checkpoint.freq=100", "checkpoint.keep=9", "checkpoint.minutes=0")
    algorithm = train(cfg, run, Weights())
    weights[400] = np.concatenate([np.ravel(t) for _, t in sorted(algorithm.state().tensors.items())])
    for checkpoint in run.checkpoints():
        contents = checkpoints.read(checkpoint)
        found = np.concatenate([np.ravel(t) for _, t in sorted(contents.algorithm.tensors.items())])
        assert np.array_equal(found, weights[contents.num_timesteps])
    assert [checkpoint.name for checkpoint in run.checkpoints()] == ["100", "200", "300", "last"]


def test_time_makes_them_due_too(run):
    cfg = config(*PPO, "total_timesteps=300", "checkpoint.freq=0", "checkpoint.minutes=1e-9")
    train(cfg, run)
    assert [checkpoint.name for checkpoint in run.checkpoints()] == ["100", "200", "last"]


def test_off_leaves_the_last_alone(run):
    train(config(*PPO, "total_timesteps=300", "checkpoint.freq=0", "checkpoint.minutes=0"), run)
    assert [checkpoint.name for checkpoint in run.checkpoints()] == ["last"]


def test_the_training_is_the_same_with_and_without(run, tmp_path):
    states = []
    for words in (("checkpoint.freq=0", "checkpoint.minutes=0"), ("checkpoint.freq=100",)):
        state = train(config(*PPO, "total_timesteps=400", *words), run).state()
        states.append({name: np.asarray(tensor).tobytes() for name, tensor in state.tensors.items()})
    assert states[0] == states[1]


def test_other_parts_and_statistics_go_in(run):
    class Part:
        def state(self) -> State:
            return State({"x": np.ones(2)}, {"n": 4})

        def restore(self, state: State) -> None: ...

    cfg = config(*PPO, "env=Pendulum", "env.normalize=true", "total_timesteps=200", "checkpoint.freq=100")
    train(cfg, run, others={"part": Part()})
    contents = checkpoints.read(run.checkpoint("last"))
    assert contents.parts["part"].values == {"n": 4}
    assert contents.normalization is not None and contents.normalization.values["obs_count"] > 200


def test_stable_baselines3_opens_the_zip(run):
    import stable_baselines3

    algorithm = train(config(*PPO, "total_timesteps=200"), run)
    model = stable_baselines3.PPO.load(run.checkpoint("last").model_zip, device="cpu")
    observation = np.array([[0.1, 0.2, -0.1, 0.3]], np.float32)
    assert model.num_timesteps == 200
    assert model.predict(observation, deterministic=True)[0] == algorithm.predict(observation, deterministic=True)[0]


FULL = """
    import resource, signal, sys
    from pathlib import Path
    sys.argv = [sys.argv[0], sys.argv[1]]
    from rlzoo.algos.create import create
    from rlzoo.training.callbacks import Checkpoints
    from rlzoo.config.compose import compose
    from rlzoo.config.parse import parse
    from rlzoo.envs import make
    from rlzoo.errors import RlzooError
    from rlzoo.protocols import Callback
    from rlzoo.runs.run import Run

    class Full(Callback):
        def on_step(self, algorithm):
            if algorithm.num_timesteps == 250:
                resource.setrlimit(resource.RLIMIT_FSIZE, (2000, resource.RLIM_INFINITY))
            return True

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    words = {words!r}
    cfg = parse(compose("train", [*words, "seed=3", "total_timesteps=500", "checkpoint.freq=100"]).values)
    env = make(cfg.env, n_envs=2, seed=3)
    algorithm = create(cfg.algo, env, seed=3, device="cpu")
    try:
        algorithm.learn(500, [Full(), Checkpoints(cfg, Run(Path(sys.argv[1])), env)])
    except RlzooError as error:
        print(algorithm.num_timesteps, error.code.name)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="limits file sizes the Unix way")
def test_a_full_disk_warns_keeps_the_last_and_is_an_error_only_at_the_end(run):
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(FULL).replace("{words!r}", repr(PPO)), str(run.path)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout == "500 STORAGE\n"
    assert result.stderr.count("the previous one is as it was; the training continues") == 2
    assert checkpoints.read(run.checkpoint("last")).num_timesteps == 200
    assert {path.name for path in run.checkpoints_dir.iterdir()} == {"100", "200", "last"}


def test_leftovers_of_a_killed_training_are_cleaned_at_the_start(run):
    (run.checkpoints_dir / ".last.00ab.new").mkdir(parents=True)
    train(config(*PPO, "total_timesteps=100"), run)
    assert {path.name for path in run.checkpoints_dir.iterdir()} == {"last"}


def test_state_survives(run):
    cfg = config(*PPO, "checkpoint.freq=100")
    env = make(cfg.env, n_envs=2, seed=3)
    first, second = Checkpoints(cfg, run, env), Checkpoints(cfg, run, env)
    first.restore(State(values={"due": 700}))
    second.restore(State(values=json.loads(json.dumps(first.state().values))))
    env.close()
    assert second.state().values == {"due": 700}

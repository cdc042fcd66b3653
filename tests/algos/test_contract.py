"""What every algorithm promises, run over the whole table: learn, stop, save, load, state, seeds."""

from __future__ import annotations

import copy
import json
import pickle
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from safetensors.torch import save_file
from stable_baselines3.common.vec_env import VecEnv

from rlzoo.algos.create import create
from rlzoo.algos.specs import ALGOS, find_spec
from rlzoo.config.schema import AlgoConfig
from rlzoo.errors import RlzooError
from rlzoo.protocols import Algorithm, Callback, CountsEpisodes, EpisodeRecord, HasWeights, Resumable, State
from rlzoo.registry import load
from rlzoo.untrusted import sb3_zip
from tests.algos.conftest import SB3, Case, case_of
from tests.small import SMALL

MakeEnv = Callable[..., VecEnv]


def trained(case: Case, make_env: MakeEnv, *, seed: int = 0, steps: int | None = None) -> Algorithm:
    algorithm = create(case.config(), case.make(make_env, case.n_envs), seed=seed, device="cpu")
    algorithm.learn(steps or case.steps)
    return algorithm


def actions(algorithm: Algorithm, case: Case, make_env: MakeEnv) -> list[list[float]]:
    """Greedy actions in one environment from a fixed start."""
    env = case.make(make_env)
    env.seed(7)
    observation, state, start, taken = env.reset(), None, np.ones(1, dtype=bool), []
    for _ in range(20):
        masks = np.stack(env.env_method("action_masks")) if find_spec(case.algo).masked else None
        action, state = algorithm.predict(observation, state, start, deterministic=True, action_masks=masks)
        taken.append(np.asarray(action).ravel().tolist())
        observation, _, start, _ = env.step(action)
    return taken


def assert_equal_tensors(one: Mapping[str, torch.Tensor], other: Mapping[str, torch.Tensor]) -> None:
    assert one.keys() == other.keys()
    for name, tensor in one.items():
        assert torch.equal(torch.as_tensor(tensor), torch.as_tensor(other[name])), name


class Recorder(Callback):
    """Writes down what it hears, and ends the training after `limit` steps of the vectorised environment."""

    def __init__(self, limit: int | None = None) -> None:
        self.limit = limit
        self.steps: list[int] = []
        self.boundaries: list[int] = []
        self.events: list[str] = []

    def on_start(self, algorithm: Algorithm) -> None:
        self.events.append("start")

    def on_boundary(self, algorithm: Algorithm) -> None:
        self.boundaries.append(algorithm.num_timesteps)

    def on_step(self, algorithm: Algorithm) -> bool:
        self.steps.append(algorithm.num_timesteps)
        return self.limit is None or len(self.steps) < self.limit

    def on_end(self, algorithm: Algorithm) -> None:
        self.events.append("end")


class Metrics:
    """Keeps every number it is given."""

    def __init__(self) -> None:
        self.rows: list[tuple[int, dict[str, float]]] = []
        self.episodes: list[EpisodeRecord] = []

    def log_episodes(self, episodes: Sequence[EpisodeRecord]) -> None:
        self.episodes += episodes

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        self.rows.append((step, dict(metrics)))

    def close(self) -> None: ...


def test_every_algorithm_has_a_case() -> None:
    assert {name.partition("-")[0] for name in SMALL} == set(ALGOS)


def test_a_saved_and_loaded_agent_acts_the_same(sb3_case: Case, make_env: MakeEnv, tmp_path: Path) -> None:
    algorithm = trained(sb3_case, make_env)
    algorithm.save(tmp_path / "model.zip")
    loaded = sb3_zip.load(tmp_path / "model.zip", env=sb3_case.make(make_env), device="cpu")
    assert loaded.spec == ALGOS[sb3_case.algo]
    assert loaded.num_timesteps == algorithm.num_timesteps
    assert actions(loaded, sb3_case, make_env) == actions(algorithm, sb3_case, make_env)


def test_a_state_is_all_there_is(case: Case, make_env: MakeEnv, tmp_path: Path) -> None:
    """It survives files, and the training that is resumed; the same seed gives the same, another one not."""
    algorithm = trained(case, make_env)
    before = algorithm.state()
    arrays = {name: torch.as_tensor(tensor).clone() for name, tensor in before.tensors.items()}
    save_file(
        {name: torch.as_tensor(tensor) for name, tensor in before.tensors.items()}, tmp_path / "state.safetensors"
    )
    values = json.loads(json.dumps(before.values, allow_nan=False))
    stored = State(load_file(tmp_path / "state.safetensors"), values)  # which refuses tensors that share memory
    acts = actions(algorithm, case, make_env)

    fresh = create(case.config(), case.make(make_env, case.n_envs), seed=1, device="cpu")
    fresh.restore(stored)
    after = fresh.state()
    assert after.values == before.values
    assert_equal_tensors(after.tensors, before.tensors)
    assert fresh.num_timesteps == algorithm.num_timesteps
    assert actions(fresh, case, make_env) == acts

    played = create(case.config(), case.make(make_env), seed=None, device="cpu", inference=True)
    played.restore(stored)
    assert actions(played, case, make_env) == acts

    algorithm.restore(before)
    algorithm.learn(2 * case.steps + 64)
    assert_equal_tensors(before.tensors, arrays)

    again, other = (trained(case, make_env, seed=seed).state().tensors for seed in (0, 4))
    assert_equal_tensors(again, arrays)
    if find_spec(case.algo).family == "planning":  # without chance
        assert_equal_tensors(other, arrays)
        return
    shared = [name for name in arrays if name in other]
    assert any(not torch.equal(arrays[name], torch.as_tensor(other[name])) for name in shared)


def test_state_holds_optimizers(sb3_case: Case, make_env: MakeEnv) -> None:
    names = trained(sb3_case, make_env).state().tensors
    if sb3_case.algo == "ars":
        assert "weights" in names
    else:
        assert any(".optimizer.state." in name for name in names)


@pytest.mark.parametrize("limit", [1, 5])
def test_stops_at_the_step_a_callback_says(case: Case, make_env: MakeEnv, limit: int) -> None:
    stops, sees = Recorder(limit), Recorder()
    algorithm = create(case.config(), case.make(make_env, case.n_envs), seed=0, device="cpu")
    algorithm.learn(case.steps, [stops, sees])
    assert algorithm.num_timesteps == limit * case.n_envs
    assert stops.steps == sees.steps == [n * case.n_envs for n in range(1, limit + 1)]
    assert stops.events == ["start", "end"]


def test_metrics_arrive_under_their_names_and_learning_goes_on(
    case: Case, make_env: MakeEnv, capsys: pytest.CaptureFixture[str]
) -> None:
    metrics = Metrics()
    algorithm = create(case.config(), case.make(make_env, case.n_envs), seed=0, device="cpu")
    algorithm.learn(case.steps, logger=metrics)
    names = {name for _, row in metrics.rows for name in row}
    spec = find_spec(case.algo)
    is_sb3, plays = spec.backend in ("sb3", "sb3_contrib"), spec.family != "planning"
    assert is_sb3 <= ("train/learning_rate" in names)
    assert is_sb3 or ("rollout/ep_rew_mean" if plays else "train/value_change") in names
    assert {name.partition("/")[0] for name in names} <= {"rollout", "train", "time"}
    assert [step for step, _ in metrics.rows] == sorted(step for step, _ in metrics.rows)
    steps, lengths = [step for step, _ in metrics.episodes], [record["l"] for _, record in metrics.episodes]
    assert len(steps) == getattr(algorithm, "n_episodes", 0)
    assert (case.n_envs > 1 and steps == sorted(steps)) or steps == np.cumsum(lengths).tolist()
    assert sum(lengths) <= algorithm.num_timesteps
    assert all(type(value) is float for _, row in metrics.rows for value in row.values())
    assert capsys.readouterr() == ("", "")

    reached = algorithm.num_timesteps
    assert reached >= case.steps
    algorithm.learn(reached)
    assert algorithm.num_timesteps == reached
    recorder = Recorder()
    algorithm.learn(2 * reached, [recorder])
    assert algorithm.num_timesteps >= 2 * reached
    assert recorder.steps[0] == reached + case.n_envs
    if is_sb3:
        assert algorithm.model._total_timesteps == 2 * reached  # type: ignore[attr-defined]  # what schedules run over


def test_boundaries_of_a_rollout(make_env: MakeEnv) -> None:
    recorder = Recorder()
    case = case_of("ppo")
    create(case.config(), case.make(make_env, 2), seed=0, device="cpu").learn(192, [recorder])
    assert recorder.boundaries == [0, 64, 128, 192]  # 32 steps of 2 environments


def test_boundaries_of_ars_are_before_its_random_directions(make_env: MakeEnv) -> None:
    case = case_of("ars")
    algorithm = create(case.config(), case.make(make_env), seed=0, device="cpu")
    generators: list[torch.Tensor] = []

    class Watch(Recorder):
        def on_boundary(self, algorithm: Algorithm) -> None:
            super().on_boundary(algorithm)
            generators.append(torch.get_rng_state())

    recorder = Watch()
    before = torch.get_rng_state()
    algorithm.learn(100, [recorder])
    assert recorder.boundaries[0] == 0
    assert torch.equal(generators[0], before)
    assert len(recorder.boundaries) == 1 + algorithm.model._n_updates  # type: ignore[attr-defined]


def test_an_update_of_ars_that_is_cut_short_changes_nothing(make_env: MakeEnv) -> None:
    case = case_of("ars")
    algorithm = create(case.config(), case.make(make_env), seed=0, device="cpu")
    before = algorithm.state().tensors
    algorithm.learn(100, [Recorder(limit=12)])
    assert_equal_tensors(algorithm.state().tensors, before)


def test_plain_stable_baselines3_opens_the_models(make_env: MakeEnv, tmp_path: Path) -> None:
    entries = {}
    for name in SB3:
        case = case_of(name)
        algorithm = trained(case, make_env)
        algorithm.save(tmp_path / f"{name}.zip")
        env = case.make(make_env)
        env.seed(7)
        observation = env.reset()
        observation = (
            {k: v.tolist() for k, v in observation.items()} if isinstance(observation, dict) else observation.tolist()
        )
        masks = {"action_masks": np.stack(env.env_method("action_masks"))} if ALGOS[case.algo].masked else {}
        env.seed(7)
        action, _ = algorithm.predict(env.reset(), deterministic=True, **masks)
        entries[name] = {
            "class": ALGOS[case.algo].entry_point,
            "observation": observation,
            "masks": masks["action_masks"].tolist() if masks else None,
            "action": action.tolist(),
            "her": name == "dqn-her",
        }
    (tmp_path / "entries.json").write_text(json.dumps(entries))
    result = subprocess.run(
        [sys.executable, "-I", "-W", "error", "-c", _OPEN], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.split() == SB3


_OPEN = """
import json, sys
from importlib import import_module
sys.modules["rlzoo"] = None  # as if it were not installed
import numpy as np
for name, entry in json.load(open("entries.json")).items():
    module, _, attribute = entry["class"].partition(":")
    env = None
    if entry["her"]:  # its replay buffer asks the environment for rewards
        from stable_baselines3.common.envs import BitFlippingEnv
        env = BitFlippingEnv(n_bits=10, max_steps=10)
    model = getattr(import_module(module), attribute).load(name, env=env, device="cpu")
    observation = entry["observation"]
    if isinstance(observation, dict):
        observation = {key: np.array(value, dtype=np.int8) for key, value in observation.items()}
    else:
        observation = np.array(observation, dtype=model.observation_space.dtype)
    masks = {} if entry["masks"] is None else {"action_masks": np.array(entry["masks"])}
    action, _ = model.predict(observation, deterministic=True, **masks)
    assert action.tolist() == entry["action"], (name, action, entry["action"])
    print(name)
"""


def test_a_state_of_another_network_is_refused(make_env: MakeEnv) -> None:
    case = case_of("ppo")
    state = trained(case, make_env).state()
    other = create(case.config(policy_kwargs={"net_arch": [8]}), case.make(make_env), seed=0, device="cpu")
    with pytest.raises(RlzooError, match="does not fit this PPO"):
        other.restore(state)


def test_ars_is_still_plain_ars_to_others() -> None:
    from rlzoo.algos.sb3.ars import StoppableARS

    assert issubclass(StoppableARS, load("sb3_contrib:ARS"))
    assert "__init__" not in vars(StoppableARS)  # models pickle none of its own attributes


def test_masks_are_asked_for(make_env: MakeEnv) -> None:
    with pytest.raises(RlzooError, match=r"action_masks\(\)"):
        create(case_of("maskable_ppo").config(), make_env("CartPole-v1"), seed=0, device="cpu")


TOY = '''
"""Random search: policies drawn anew from one normal distribution, the best of them kept."""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
from annotated_types import Ge, Gt

from rlzoo.algos.search.base import PolicySearch


class RandomSearch(PolicySearch):
    """Tries linear policies at random, and acts by the best so far."""

    VALUES: ClassVar = {"best_return": float}

    def __init__(
        self,
        env,
        *,
        population_size: Annotated[int, Ge(1)] = 10,
        weight_std: Annotated[float, Gt(0)] = 1.0,
        n_eval_episodes: Annotated[int, Ge(1)] = 1,
        seed: int | None = None,
    ) -> None:
        """Begin with actions of zero.

        Args:
            env: its observations are a Box or finite, its actions Discrete or a Box.
            population_size: candidates drawn between two boundaries.
            weight_std: standard deviation of every weight.
            n_eval_episodes: whole episodes for each candidate.
            seed: of the candidates.
        """
        super().__init__(env, n_eval_episodes=n_eval_episodes, seed=seed)
        self.population_size, self.weight_std = population_size, weight_std
        self.best_return = float(np.finfo(np.float32).min)

    def ask(self) -> np.ndarray:
        return self.weight_std * self._rng.standard_normal((self.population_size, self.policy.n_weights))

    def tell(self, candidates: np.ndarray, returns: np.ndarray) -> None:
        best = int(returns.argmax())
        if returns[best] > self.best_return:
            self.weights, self.best_return = candidates[best].copy(), float(returns[best])

    def metrics(self) -> dict[str, float]:
        return {"train/best_return": self.best_return}
'''
"""A whole algorithm of our own; beside it stand a row in the table and a line in `tests/small.py`."""


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Case:
    (tmp_path / "toy_package").mkdir()
    (tmp_path / "toy_package" / "__init__.py").write_text("")
    (tmp_path / "toy_package" / "search.py").write_text(TOY)
    monkeypatch.syspath_prepend(tmp_path)
    algo = AlgoConfig("toy_package.search:RandomSearch", {"policy": "auto", "population_size": 4})
    return Case("toy", replace(case_of("hill_climbing").cfg, algo=algo))


def test_a_new_algorithm_is_one_short_file_and_keeps_the_contract(
    toy: Case, make_env: MakeEnv, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert len(TOY.strip().splitlines()) <= 60
    test_a_state_is_all_there_is(toy, make_env, tmp_path)
    test_stops_at_the_step_a_callback_says(toy, make_env, 5)
    test_metrics_arrive_under_their_names_and_learning_goes_on(toy, make_env, capsys)
    algorithm = create(toy.config(), toy.make(make_env), seed=0, device="cpu")
    assert all(isinstance(algorithm, part) for part in (Resumable, HasWeights, CountsEpisodes))


TABULAR = [
    *((name, "states") for name in ("q_learning", "sarsa", "expected_sarsa", "td0", "monte_carlo", "mc_prediction")),
    *(("dyna_q", f"model_{name}") for name in ("next_state", "pairs", "n_pairs", "seen")),
    *((name, f"episode_{part}") for name in ("monte_carlo", "mc_prediction") for part in ("states", "lengths")),
    ("monte_carlo", "episode_actions"),
    ("sarsa", "chosen"),
    *((name, "policy") for name in ("td0", "mc_prediction", "policy_iteration")),
]


@pytest.mark.parametrize("wrong", ["far", "negative", "float", "shape"])
@pytest.mark.parametrize(("name", "array"), TABULAR)
def test_no_index_of_a_compiled_loop_is_restored_unchecked(
    name: str, array: str, wrong: str, make_env: MakeEnv
) -> None:
    case = case_of(name)
    algorithm = trained(case, make_env)
    state = algorithm.state()
    good = np.atleast_1d(np.array(state.tensors[array]))
    if array.startswith("episode_") and not good.size:  # no episode was begun
        good = np.zeros((len(state.tensors["states"]), 1), dtype=np.int64)
    bad = {
        "far": np.full_like(good, 50_000_000, dtype=np.int64),
        "negative": np.full_like(good, -5, dtype=np.int64),
        "float": good.astype(np.float64),
        "shape": good[None],
    }[wrong]
    fresh = create(case.config(), case.make(make_env, case.n_envs), seed=1, device="cpu")
    with pytest.raises(ValueError, match=array):
        fresh.restore(State({**state.tensors, array: bad}, state.values))


def test_a_model_without_room_for_what_is_unseen_is_refused(make_env: MakeEnv) -> None:
    algorithm = trained(case_of("dyna_q"), make_env)
    state = algorithm.state()
    full = np.full(1, algorithm.q_values.size)  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match="model_n_pairs"):
        algorithm.restore(State({**state.tensors, "model_n_pairs": full}, state.values))


def test_what_was_restored_of_other_environments_is_not_trained(make_env: MakeEnv) -> None:
    case = case_of("q_learning")
    algorithm = trained(case, make_env)
    state = algorithm.state()
    algorithm.restore(State({**state.tensors, "states": np.zeros(case.n_envs + 1, dtype=np.int64)}, state.values))
    with pytest.raises(RlzooError, match="environments") as error:
        algorithm.learn(10_000)
    assert error.value.code == 5


@pytest.mark.parametrize("name", ["reinforce", "actor_critic", "ppo_scratch", "dqn_scratch"])
def test_a_counter_is_not_made_up(name: str, make_env: MakeEnv) -> None:
    case = case_of(name)
    algorithm = trained(case, make_env)
    state = algorithm.state()

    def restore(**values: object) -> None:
        changed = {**state.values, **values}
        algorithm.restore(State(state.tensors, {key: value for key, value in changed.items() if value is not None}))

    for missing in ("num_timesteps", "n_updates", "losses"):
        if name == "ppo_scratch" and missing != "num_timesteps":  # which older checkpoints lack
            restore(**{missing: None})
            continue
        with pytest.raises(KeyError, match=missing):
            restore(**{missing: None})
    for losses in ("text", 3, {"train/loss": "much"}, ["much"]):
        with pytest.raises(ValueError, match=r"losses|could not convert"):
            restore(losses=losses)
    restore()
    assert algorithm.state().values == state.values


@pytest.mark.parametrize(("name", "array"), [("cem", "std"), ("evolution_strategies", "moments")])
def test_arrays_of_another_shape_are_refused(name: str, array: str, make_env: MakeEnv) -> None:
    algorithm = create(case_of(name).config(), case_of(name).make(make_env), seed=0, device="cpu")
    state = algorithm.state()
    with pytest.raises(ValueError, match=f"{array} has shape"):
        algorithm.restore(State({**state.tensors, array: np.ones(1)}, state.values))


@pytest.mark.parametrize("copy_of", [copy.deepcopy, pickle.dumps])
@pytest.mark.parametrize("name", ["ppo_scratch", "reinforce", "actor_critic", "dqn_scratch"])
def test_no_copy_shares_its_weights_with_the_original(
    name: str, copy_of: Callable[[Any], Any], make_env: MakeEnv
) -> None:
    agent = load(ALGOS[name].entry_point)(make_env("CartPole-v1"), seed=0, device="cpu")
    with pytest.raises(TypeError, match=r"restore\(agent.state\(\)\)"):
        copy_of(agent)

"""Settings that are fine alone and may not be together: all pairs of them, and what the algorithms do with them."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from rlzoo.algos.specs import ALGOS
from tests.algos.short_trainings import failure, refusal

SETTINGS: Mapping[str, tuple[Any, ...]] = {
    "algo": (
        *(name for name, spec in ALGOS.items() if spec.family in ("on_policy", "off_policy")),
        *("ars", "cem", "q_learning"),
    ),
    "observation": (
        *("box", "box-int64", "box-2-axes", "image", "image-first", "image-float", "discrete", "multi-discrete"),
        *("multi-binary", "dict", "dict-of-image", "dict-of-box-int64", "goals-box", "goals-box-int64", "goals-image"),
    ),
    "action": ("discrete-2", "box", "box-float64", "box-2-axes", "box-0d", "multi-discrete", "multi-binary"),
    "env.normalize": (False, True, {"norm_obs": False}, {"norm_reward": False}),
    "env.frame_stack": (None, 1, 3),
    "env.vec_env": ("dummy", "subproc"),
    "env.n_envs": (1, 3),
    "replay_buffer_class": (None, "replay", "dict", "her"),
    "action_noise": (None, {"normal": 0.1}, {"ornstein_uhlenbeck": 0.1}),
    "train_freq": (4, [1, "episode"]),
    "n_steps": (None, 3),
    "use_sde": (False, True),
    "optimize_memory_usage": (False, True),
    "replay_buffer_kwargs": ({}, {"handle_timeout_termination": False}),
    "policy_kwargs": ({}, {"normalize_images": False}, {"share_features_extractor": True}, {"n_critics": 3}),
    "gradient_steps": (1, -1),
}


def asked(row: Mapping[str, Any]) -> tuple[str, str, str, dict[str, Any], dict[str, Any]]:
    """What `refusal` and `failure` take."""
    env = {key.removeprefix("env."): value for key, value in row.items() if key.startswith("env.")}
    hyperparams = {key: value for key, value in row.items() if "." not in key}
    name, observation, action = (hyperparams.pop(key) for key in ("algo", "observation", "action"))
    hyperparams = {key: value for key, value in hyperparams.items() if value is not None}
    policy = {"net_arch": [8], "lstm_hidden_size": 8} if name == "ppo_lstm" else {"net_arch": [8]}
    hyperparams["policy_kwargs"] = {**policy, **hyperparams["policy_kwargs"]}
    return name, observation, action, env, hyperparams


def pairs(row: Mapping[str, Any]) -> set[tuple[str, str, str, str]]:
    """Every two settings of a row."""
    said = [(key, json.dumps(value)) for key, value in row.items()]
    return {(*one, *other) for one, other in itertools.combinations(said, 2)}


def covering(rows: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Rows that have among them all pairs that any row has: always the one that adds the most of a few."""
    left = set().union(*map(pairs, rows))
    while left:
        best = max(rows, key=lambda row: len(pairs(row) & left))
        left -= pairs(best)
        yield best


def draw(seed: int, n: int) -> list[dict[str, Any]]:
    """`n` requests that pass the preflight, drawn evenly from all that do."""
    random_numbers, rows = random.Random(seed), []
    while len(rows) < n:
        row = {key: random_numbers.choice(values) for key, values in SETTINGS.items()}
        if not refusal(*asked(row)):
            rows.append(row)
    return rows


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_what_passes_trains_with_every_two_settings_together() -> None:
    rows = list(covering(draw(seed=0, n=1500)))
    failed = [(failure(*asked(row)), row) for row in rows]
    assert [(text, row) for text, row in failed if text] == []


PLAIN: dict[str, Any] = {key: values[0] for key, values in SETTINGS.items()}
HINDSIGHT = {"algo": "sac", "observation": "goals-box", "action": "box", "replay_buffer_class": "her"}


@pytest.mark.parametrize(
    "row",
    [
        {"algo": "sac", "action": "box", "env.normalize": True, "env.frame_stack": 2},
        {"algo": "dqn", "env.normalize": {"norm_obs": False}, "env.frame_stack": 3},
        {"algo": "tqc", "action": "box", "observation": "dict-of-box-2-axes"}
        | {"env.normalize": {"norm_obs_keys": ["b"]}, "env.frame_stack": 2},
        {"algo": "td3", "action": "box-0d", "action_noise": {"normal": 0.1}},
        {"algo": "dqn", "observation": "discrete", "env.normalize": {"norm_obs": False}},
    ],
)
def test_what_a_library_cannot_do_is_refused(row: dict[str, Any]) -> None:
    assert refusal(*asked(PLAIN | row))
    assert failure(*asked(PLAIN | row))


@pytest.mark.parametrize(
    "row",
    [
        {"algo": "dqn", "env.normalize": True, "env.frame_stack": 1},
        {"algo": "ppo", "env.normalize": True, "env.frame_stack": 3},
        {"algo": "a2c", "observation": "discrete", "env.normalize": {"norm_obs": False}},
        {"algo": "sac", "action": "box-2-axes", "action_noise": {"normal": 0.1}, "env.n_envs": 3},
        {"algo": "td3", "action": "box-0d", "action_noise": {"ornstein_uhlenbeck": 0.1}, "env.n_envs": 3},
        {"algo": "dqn", "observation": "image", "env.normalize": {"norm_obs": False}},
        {"algo": "qrdqn", "observation": "dict-of-image", "env.normalize": {"norm_obs_keys": ["b"]}},
        {**HINDSIGHT, "learning_starts": 0},
        {**HINDSIGHT, "learning_starts": 2, "env.n_envs": 3, "buffer_size": 18},
        {**HINDSIGHT, "learning_starts": 3, "train_freq": [1, "episode"]},
    ],
)
def test_what_could_fail_trains(row: dict[str, Any]) -> None:
    assert refusal(*asked(PLAIN | row)) == ""
    assert failure(*asked(PLAIN | row)) == ""

"""Configuration files of strangers are data: rl_zoo3's own constructors are read as such, its expressions parsed."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from rlzoo.algos.schema.types import ACTIVATIONS, OPTIMIZERS
from rlzoo.errors import ExitCode, RlzooError
from rlzoo.registry import load
from rlzoo.untrusted.zoo_yaml import class_word, parse_expression, read_config, read_zoo, schedule


def write(folder: Path, text: str) -> Path:
    path = folder / "config.yml"
    path.write_text(text)
    return path


def test_what_rl_zoo3_writes(tmp_path: Path):
    """The file is made by the very call that rl_zoo3 makes."""
    written = OrderedDict(
        [
            ("batch_size", 64),
            ("env_wrapper", [{"gymnasium.wrappers.TimeLimit": {"max_episode_steps": 100}}]),
            ("learning_rate", "lin_3e-4"),
            ("n_timesteps", 1e5),
            ("normalize", "{'norm_obs': True, 'norm_reward': False}"),
            ("policy", "MlpPolicy"),
            ("policy_kwargs", {"activation_fn": torch.nn.ReLU, "optimizer_class": torch.optim.RMSprop}),
            ("train_freq", (1, "episode")),
            ("seed", None),
            ("normalized", True),
        ]
    )
    found = read_zoo(write(tmp_path, yaml.dump(written)))
    assert found == {
        **written,
        "policy_kwargs": {"activation_fn": "relu", "optimizer_class": "rmsprop"},
        "train_freq": [1, "episode"],
    }
    assert list(found) == list(written)
    assert read_zoo(write(tmp_path, yaml.dump(OrderedDict()))) == {}
    assert read_zoo(write(tmp_path, "")) == {}
    assert read_zoo(write(tmp_path, "{continuous: true}")) == {"continuous": True}


def test_a_runs_configuration_is_plain(tmp_path: Path):
    assert read_config(write(tmp_path, "algo: {name: ppo}\nseed: 3\n")) == {"algo": {"name": "ppo"}, "seed": 3}
    for text in ("a: ${b}", "_target_: x", "a: [{defaults: [b]}]", "a: {hydra: {}}", "a: !!python/tuple [1]", "- 1"):
        with pytest.raises(RlzooError) as error:
            read_config(write(tmp_path, text))
        assert error.value.code == ExitCode.UNSAFE


def test_a_missing_file_says_so(tmp_path: Path):
    with pytest.raises(RlzooError, match="cannot read"):
        read_zoo(tmp_path / "nothing.yml")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("dict(net_arch=[64, 64], activation_fn=nn.ReLU)", {"net_arch": [64, 64], "activation_fn": "relu"}),
        (
            "dict(net_arch=dict(pi=[8], vf=[8]), log_std_init=-2)",
            {"net_arch": {"pi": [8], "vf": [8]}, "log_std_init": -2},
        ),
        ("{'norm_obs': True, 'norm_reward': False}", {"norm_obs": True, "norm_reward": False}),
        (
            "dict(optimizer_class=th.optim.Adam, optimizer_kwargs=dict(eps=1e-5))",
            {"optimizer_class": "adam", "optimizer_kwargs": {"eps": 1e-5}},
        ),
        ("dict(optimizer_class=RMSpropTFLike)", {"optimizer_class": "rmsprop_tf_like"}),
        ("(1, 'episode')", [1, "episode"]),
        (" None", None),
        ("-0.5", -0.5),
    ],
)
def test_expressions(text: str, expected: Any):
    assert parse_expression(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "nn.Linear",
        "os",
        "1 + 1",
        "dict(1)",
        "{**{}}",
        "{1: 2}",
        "b'x'",
        "1j",
        "...",
        "-True",
        "",
        "f()",
        "dict(a=1)(b=2)",
    ],
)
def test_what_is_no_data(text: str):
    with pytest.raises(RlzooError, match="not evaluated") as error:
        parse_expression(text)
    assert error.value.code == ExitCode.UNSAFE


def test_every_class_has_its_word():
    for table in (ACTIVATIONS, OPTIMIZERS):
        for word, reference in table.items():
            found = load(reference)
            assert class_word(f"{found.__module__}.{found.__qualname__}") == word
    assert class_word("th.nn.Tanh") == class_word("nn.Tanh") == class_word("torch.nn.Tanh") == "tanh"
    for name in ("torch.nn.Module", "evil.nn.Tanh", "torch.hub.load", "os.system", ""):
        assert class_word(name) is None


def test_schedules():
    assert schedule("lin_3e-4") == {"linear": 3e-4}
    assert schedule("lin_0.1") == {"linear": 0.1}
    for other in (0.1, "lin_", "lin_x", "exp_0.1", "lin_1;2", None):
        assert schedule(other) == other

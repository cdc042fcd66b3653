"""Environment sections as composition makes them, without composition: a shipped file over what it starts from."""

from pathlib import Path

import pytest

from rlzoo.config import yaml_file
from rlzoo.config.parse import check
from rlzoo.config.schema import EnvConfig

CONF = Path(__file__).parents[2] / "conf" / "env"


def _values(name):
    values = dict(yaml_file.read(CONF / f"{name}.yaml").values)
    bases = [entry for entry in values.pop("defaults", []) if isinstance(entry, str) and entry != "_self_"]
    for base in reversed(bases):
        values = {**_values(base), **values}
    return values


@pytest.fixture
def env_values():
    """`env_values("CartPole", n_envs=2)`: plain values."""
    return lambda name, **changes: {**_values(name), **changes}


@pytest.fixture
def env_config(env_values):
    """`env_config("CartPole", n_envs=2)`: an EnvConfig."""
    return lambda name, **changes: check(EnvConfig, env_values(name, **changes))[0]

"""A dry run's trial: whatever fails in it is a message with exit code 2, as no training has started."""

import sys

import gymnasium
import numpy as np
import pytest

from rlzoo.config.compose import compose
from rlzoo.config.parse import parse
from rlzoo.config.schema import AlgoConfig
from rlzoo.errors import ExitCode, RlzooError
from rlzoo.training.estimate import estimates, trial

FAILS = {}
SWAPPED = gymnasium.spaces.Box(-1, 1, (2,), np.dtype(np.float32).newbyteorder())


class Tried(gymnasium.Env):
    """Fails as `FAILS` says, where it says."""

    action_space = gymnasium.spaces.Discrete(2)

    def __init__(self):
        self.observation_space = FAILS.get("space", gymnasium.spaces.Box(-1, 1, (2,)))
        self.fail("constructor")

    def fail(self, where):
        if where in FAILS:
            FAILS[where]()

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.fail("reset")
        return self.observation_space.low, {}

    def step(self, action):
        self.fail("step")
        return self.observation_space.low, FAILS.get("reward", 0.0), False, False, {}


gymnasium.register("Estimated-v0", Tried)


def raising(error):
    def fail():
        raise error

    return fail


@pytest.fixture
def fail():
    """`fail(step=…)`: the configuration of a training with such an environment, unchecked."""

    def fail(**fails):
        FAILS.update(fails)
        return parse(compose("train", ["algo=a2c", "env=gym", f"env.id={__name__}:Estimated-v0", "device=cpu"]).values)

    yield fail
    FAILS.clear()


@pytest.mark.parametrize(
    ("fails", "words"),
    [
        ({"space": SWAPPED}, "the trial failed: ValueError: given numpy array has byte order"),
        ({"step": raising(ValueError("lost"))}, "raised ValueError at step 4, after 3 restarts: lost (tests/test_e"),
        ({"reset": raising(OSError("lost"))}, "raised OSError in reset after step 0, after 3 restarts: lost (tests"),
        ({"constructor": raising(RuntimeError("lost"))}, "raised RuntimeError while starting: lost (tests/test_estim"),
        ({"step": lambda: sys.exit(0)}, "called sys.exit at step 4, after 3 restarts"),
        (
            {"reward": "much"},
            "step() must return one number as the reward, not the text 'much' (tests/test_estimate.py",
        ),
    ],
)
def test_what_fails_in_a_trial_is_a_wrong_request(fail, fails, words):
    with pytest.raises(RlzooError) as caught:
        estimates(fail(**fails))
    assert words in caught.value.message and "\n" not in caught.value.message
    assert caught.value.code is ExitCode.WRONG_REQUEST


def test_an_interrupt_and_another_exit_code_pass_a_trial_by(fail):
    with pytest.raises(KeyboardInterrupt):
        estimates(fail(step=raising(KeyboardInterrupt())))
    with pytest.raises(RlzooError) as caught:
        estimates(fail(constructor=raising(ModuleNotFoundError("No module named 'sensor'", name="sensor"))))
    assert caught.value.code is ExitCode.MISSING


def test_a_keyword_that_was_taken_out_is_the_default_in_a_trial_too():
    algo = AlgoConfig("ppo", {"gae_lambda": 0.95, "batch_size": 64})
    assert trial(algo, 1) == (algo, 0)

"""What an environment hands over is nobody's but the training's, and plain, or is refused in the contract's words."""

from __future__ import annotations

from pathlib import Path

import pytest

import rlzoo
from rlzoo.config import env_names
from rlzoo.runs import checkpoints
from tests.small import SMALL

TESTS = Path(__file__).parents[1]


def learned(words: tuple[str, ...], tmp_path: Path, *extra: str) -> list[tuple[str, ...]]:
    """What is learned in an environment that reuses what it hands out, and in one that does not."""
    [name] = [word.removeprefix("env=") for word in words if word.startswith("env=")]
    ids = {short: env_id for env_id, short in env_names.short_names().items()}
    env_id = "reusing:Reusing" + {"TaxiMasked": "Masks", "BitFlipping": "Goals"}.get(name, "") + "-v0"
    found = []
    for reuse in ("true", "false"):
        own = [f"env.id={env_id}", f"env.kwargs={{of: {ids[name]}, reuse: {reuse}}}", f"runs_dir={tmp_path / reuse}"]
        own += ["env=gym", "seed=1", "logger=[]", "eval.freq=0", "eval.final_n_episodes=1", *extra]
        run = rlzoo.train(*(word for word in words if word != f"env={name}"), *own)
        found.append((checkpoints.fingerprint(run.checkpoint("last")), run.read_results()[-1]["returns"]))
        assert "restarted" not in run.log_file.read_text()
    return found


EARLY = {
    "ppo": ("env.normalize=true", "env.frame_stack=2"),
    "ppo-subproc": (),
    "ppo_scratch": ("env.frame_stack=3",),
    "maskable_ppo": (),
    "dqn-her": (),
    "sac-noise": ("env.normalize={norm_reward: false}",),
    "dqn_scratch-rainbow": (),
    "q_learning": (),
}
PLANS = ("value_iteration", "policy_iteration")
LATE = [name for name in SMALL if name not in EARLY and SMALL[name][0].partition("=")[2] not in PLANS]


@pytest.mark.parametrize("name", EARLY)
def test_the_same_is_learned_from_an_environment_that_reuses_what_it_hands_out(name, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(TESTS)
    one, other = learned(SMALL[name], tmp_path, *EARLY[name])
    assert one == other


@pytest.mark.slow
@pytest.mark.parametrize("vec_env", ["dummy", "subproc"])
@pytest.mark.parametrize("name", LATE)
def test_every_algorithm_learns_the_same(name, vec_env, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(TESTS)
    one, other = learned(SMALL[name], tmp_path, f"env.vec_env={vec_env}", "env.n_envs=2")
    assert one == other

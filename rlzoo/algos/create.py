"""Builds the algorithm that a configuration names, for an environment."""

from __future__ import annotations

from collections.abc import Mapping
from inspect import signature
from typing import TYPE_CHECKING, Any

from rlzoo.algos.policies import choose_policy
from rlzoo.algos.signatures import find_signature, verify_versions
from rlzoo.algos.specs import AlgoSpec, find_spec
from rlzoo.errors import RlzooError
from rlzoo.protocols import Algorithm
from rlzoo.registry import load
from rlzoo.seeding import seed_everything

if TYPE_CHECKING:
    from gymnasium import Space
    from stable_baselines3.common.vec_env import VecEnv

    from rlzoo.config.schema import AlgoConfig


def create(algo: AlgoConfig, env: VecEnv, *, seed: int | None, device: str, inference: bool = False) -> Algorithm:
    """Build an algorithm.

    Args:
        algo: its name and keywords, checked by `algos.signatures.check`.
        env: what it learns from; its spaces shape the networks.
        seed: seeds Python, NumPy, torch, the environment and its action space; None leaves them alone.
        device: `auto`, `cpu` or `cuda[:i]`.
        inference: it will only predict: its replay or rollout buffer gets the smallest size there is.
    """
    spec = find_spec(algo.name)
    if spec.backend == "custom":
        from rlzoo.algos.custom import create_custom

        return create_custom(spec, algo.hyperparams, env, seed=seed, device=device)
    if spec.backend == "rlzoo":
        return create_own(spec, algo.hyperparams, env, seed=seed, device=device)
    verify_versions()
    from rlzoo.algos.sb3 import SB3Algorithm, model_class

    if spec.masked and not inference:
        check_masks(env)
    values = dict(algo.hyperparams)
    values["policy"] = policy_for(values.get("policy", "auto"), spec, env.observation_space)
    small = {key: size for key, size in SMALLEST[spec.family].items() if inference and key in values}
    keywords = sb3_keywords(spec, values | small, env.action_space)
    if spec.name == "ars" and device == "auto":
        device = "cpu"  # its many small networks only lose time on a GPU
    model = model_class(spec)(env=env, seed=seed, device=device, verbose=0, **keywords)
    for key in small:
        setattr(model, key, values[key])  # what a saved model says it was trained with
    return SB3Algorithm(model, spec)


def create_own(
    spec: AlgoSpec, hyperparams: Mapping[str, Any], env: VecEnv, *, seed: int | None, device: str
) -> Algorithm:
    """Build an algorithm of rlzoo's own; its constructor takes the device if it has networks."""
    from rlzoo.algos.values import resolve

    cls = load(spec.entry_point)
    if seed is not None:
        seed_everything(seed)  # after torch was imported
        env.seed(seed)
    values = resolve(hyperparams, find_signature(spec), policy="", n_actions=1)
    offered = {"seed": seed, "device": device}
    taken = signature(cls).parameters
    algorithm: Algorithm = cls(env, **values, **{key: value for key, value in offered.items() if key in taken})
    return algorithm


def check_masks(env: VecEnv) -> None:
    """Refuse an environment that cannot say which of its actions are valid."""
    from sb3_contrib.common.maskable.utils import is_masking_supported

    if not is_masking_supported(env):
        raise RlzooError(
            "this algorithm needs an environment that marks its valid actions, by a method action_masks()",
            "env=TaxiMasked has them; without masks it is plain ppo",
        )


SMALLEST: Mapping[str, Mapping[str, int]] = {
    "off_policy": {"buffer_size": 1},
    "on_policy": {"n_steps": 2, "batch_size": 2},
    "evolution": {},
}
"""The smallest sizes of buffers that the constructors of each family take without complaint."""


def sb3_keywords(spec: AlgoSpec, values: Mapping[str, Any], action_space: Space) -> dict[str, Any]:
    """The constructor's keywords, with data resolved to objects; `policy` is among them, no longer `auto`."""
    from rlzoo.algos.values import resolve

    policy = values["policy"]
    n_actions = int(action_space.shape[0]) if action_space.shape else 1
    hyperparams = {key: value for key, value in values.items() if key != "policy"}
    return {"policy": policy} | resolve(hyperparams, find_signature(spec), policy, n_actions)


def policy_for(policy: str, spec: AlgoSpec, observation_space: Space) -> str:
    """The name of the policy, chosen by the observation if it is `auto`."""
    from gymnasium.spaces import Dict
    from stable_baselines3.common.preprocessing import is_image_space

    if policy != "auto":
        return policy
    kind = "vector"
    if isinstance(observation_space, Dict):
        kind = "dict"
    elif is_image_space(observation_space):
        kind = "image"
    return choose_policy(tuple(find_signature(spec).policies), kind)

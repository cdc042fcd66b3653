"""Models that Stable-Baselines3 or sb3-contrib saved: rebuilt from rlzoo's own tables, filled with their tensors.

No class, function or path comes from the file. What cannot be read that way is refused, never tried in another way.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlzoo.config.schema import AlgoConfig
from rlzoo.errors import ExitCode, RlzooError, clean
from rlzoo.protocols import State
from rlzoo.untrusted.sb3_data import ModelData, read_data
from rlzoo.untrusted.torch_file import read_tensors
from rlzoo.untrusted.zip import Archive, Limits, refused

if TYPE_CHECKING:
    import gymnasium
    import torch
    from stable_baselines3.common.vec_env import VecEnv

    from rlzoo.algos.sb3.adapter import SB3Algorithm

ENTRIES = frozenset(
    "data pytorch_variables.pth policy.pth policy.optimizer.pth actor.optimizer.pth critic.optimizer.pth "
    "ent_coef_optimizer.pth _stable_baselines3_version system_info.txt".split()
)
"""Every entry that Stable-Baselines3 and sb3-contrib write; the optimizers' are not read."""
MAX_DATA = 8 * 2**20
MAX_TENSORS = 128 * 2**20
MAX_TEXT = 64 * 2**10
VARIABLES = ("log_ent_coef", "ent_coef_tensor")
"""Tensors outside of the policy, in `pytorch_variables.pth`."""
EXTRACTORS = ("pi_features_extractor.", "vf_features_extractor.")


@dataclass(frozen=True)
class SavedModel:
    """A saved model, taken apart.

    Attributes:
        name: the file's.
        data: algorithm, keywords, counters and spaces.
        policy: the policy's tensors.
        variables: learned tensors outside of the policy.
        version: of the Stable-Baselines3 that wrote it, as it says.
        system: what it says about where it was written.
    """

    name: str
    data: ModelData
    policy: dict[str, torch.Tensor]
    variables: dict[str, torch.Tensor]
    version: str
    system: str

    @property
    def algo(self) -> AlgoConfig:
        """The algorithm and the keywords that could be read, as a configuration holds them."""
        return AlgoConfig(self.data.spec.name, dict(self.data.hyperparams))

    @property
    def num_timesteps(self) -> int:
        return int(self.data.counters["num_timesteps"])


def read(path: Path, algo: str | None = None) -> SavedModel:
    """Take a zip of Stable-Baselines3 or sb3-contrib apart; nothing is unpickled, nothing is written.

    Args:
        path: the zip.
        algo: the algorithm it should be of; None finds it out.

    Raises:
        RlzooError: if it holds anything that such a file does not hold (exit code 7), or cannot be opened (5).
    """
    try:
        with path.open("rb") as file:
            archive = Archive(file, path.name, lambda name: name in ENTRIES, Limits())
            policy = _tensors(archive, "policy.pth")
            variables = _tensors(archive, "pytorch_variables.pth") if "pytorch_variables.pth" in archive else {}
            raw = archive.read("data", MAX_DATA)
            texts = [
                clean(archive.read(name, MAX_TEXT).decode("utf-8", "replace")).strip() if name in archive else ""
                for name in ("_stable_baselines3_version", "system_info.txt")
            ]
    except OSError as error:
        raise RlzooError(f"cannot read {str(path)!r}: {error.strerror}", code=ExitCode.STORAGE) from error
    data = read_data(raw, path.name, algo, frozenset(policy))
    known = {name: tensor for name, tensor in variables.items() if name in VARIABLES}
    return SavedModel(path.name, data, policy, known, texts[0][:40], texts[1])


def load(
    path: Path, algo: str | None = None, *, env: VecEnv | None = None, device: str = "auto", inference: bool = True
) -> SB3Algorithm:
    """`read` and `build` together."""
    return build(read(path, algo), env=env, device=device, inference=inference)


def build(
    saved: SavedModel,
    *,
    env: VecEnv | None = None,
    algo: AlgoConfig | None = None,
    device: str = "auto",
    inference: bool = True,
) -> SB3Algorithm:
    """Make the algorithm and give it the saved tensors; its optimizers start fresh.

    Args:
        saved: from `read`.
        env: what it acts in; by default something with the spaces that the file describes, which cannot be stepped.
        algo: the configuration to build from; by default the file's.
        device: `auto`, `cpu` or `cuda[:i]`.
        inference: it will only predict: its buffers get the smallest size there is.

    Raises:
        RlzooError: if the tensors are not those of that algorithm with that configuration and spaces.
    """
    from rlzoo.algos.create import create
    from rlzoo.algos.sb3.adapter import SB3Algorithm
    from rlzoo.envs.seeding import isolated

    described = (saved.data.observation_space, saved.data.action_space)
    if env is None:
        env = _stand_in(*(_known(space, saved.name) for space in described))
    else:
        for space, given in zip(described, (env.observation_space, env.action_space), strict=True):
            _check_space(space, given, saved.name)
    _check_finite(saved)
    config = algo or replace(saved.algo, hyperparams=_hyperparams(saved, env))
    with isolated(0), _at_most(saved):  # building networks draws numbers
        try:
            algorithm = create(config, env, seed=None, device=device, inference=inference)
        except RlzooError:
            raise
        except (AssertionError, RuntimeError, TypeError, ValueError) as error:
            raise refused(saved.name, f"its network cannot be built: {clean(error)[:300]}") from error
    assert isinstance(algorithm, SB3Algorithm)
    _fill(algorithm, saved)
    return algorithm


def _tensors(archive: Archive, name: str) -> dict[str, torch.Tensor]:
    return read_tensors(archive.read(name, MAX_TENSORS), f"{archive.name}/{name}")


def _hyperparams(saved: SavedModel, env: VecEnv) -> dict[str, Any]:
    """The file's keywords, and the constructor's defaults for those that cannot be read."""
    from gymnasium.spaces import Dict

    from rlzoo.algos.schema.check import find_signature
    from rlzoo.algos.schema.space_rules import choose_policy

    signature = find_signature(saved.data.spec)
    values = {key: field.default for key, field in signature.keywords.items() if field.default is not None}
    values |= saved.data.hyperparams
    if isinstance(env.observation_space, Dict):  # whose parts may leave no trace in the names of the tensors
        values["policy"] = choose_policy(tuple(signature.policies), "dict")
    if "ortho_init" in signature.policies[values["policy"]]:  # takes long for large layers, and is overwritten
        values["policy_kwargs"] = {**values["policy_kwargs"], "ortho_init": False}
    return values


def _fill(algorithm: SB3Algorithm, saved: SavedModel) -> None:
    import torch

    fresh = algorithm.state()
    tensors = dict(fresh.tensors)
    own = {name.removeprefix("policy."): tensor for name, tensor in tensors.items() if name.startswith("policy.")}
    own = {name: tensor for name, tensor in own.items() if not name.startswith("optimizer.")}
    given = _with_old_names(saved.policy, own)
    if missing := sorted(set(own) - set(given)) or sorted(set(given) - set(own)):
        raise refused(saved.name, f"its network is another one: {clean(', '.join(missing[:5]))[:300]}")
    for name, tensor in {**{f"policy.{key}": tensor for key, tensor in given.items()}, **saved.variables}.items():
        if name not in tensors and name in VARIABLES:
            continue  # a constant entropy coefficient where the configuration says it is learned, or the reverse
        if tensor.shape != tensors[name].shape or tensor.dtype != tensors[name].dtype:
            shapes = f"{tuple(tensor.shape)} instead of {tuple(tensors[name].shape)}"
            raise refused(saved.name, f"its network is another one: {clean(name)[:100]} is {shapes}")
        tensors[name] = tensor
    if "weights" in tensors:  # those of ARS are the policy's, one after the other
        tensors["weights"] = torch.cat([given[name].flatten() for name in own])
    counters = {key: value for key, value in saved.data.counters.items() if key in fresh.values["counters"]}
    values = {**fresh.values, "counters": {**fresh.values["counters"], **counters}}
    algorithm.restore(State(tensors, values))


def _with_old_names(given: Mapping[str, torch.Tensor], own: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Before Stable-Baselines3 1.7 a shared features extractor was saved once; now it has three names."""
    copies = {
        name: given["features_extractor." + name.removeprefix(prefix)]
        for prefix in EXTRACTORS
        for name in own
        if name.startswith(prefix) and "features_extractor." + name.removeprefix(prefix) in given
    }
    return {**copies, **given}


@contextmanager
def _at_most(saved: SavedModel) -> Iterator[None]:
    """Refuse to build a network with more parameters than the file holds: its sizes are the author's words.

    A parameter is refused when it is registered: its memory is reserved by then, but has never been touched.
    """
    from torch.nn.modules.module import register_module_parameter_registration_hook

    left = [sum(tensor.numel() for tensor in saved.policy.values()), len(saved.policy)]

    def count(_module: Any, _name: str, parameter: Any) -> None:
        left[0] -= parameter.numel()
        left[1] -= 1
        if min(left) < 0:
            raise refused(saved.name, "it describes a larger network than it holds")

    hook = register_module_parameter_registration_hook(count)
    try:
        yield
    finally:
        hook.remove()


def _check_finite(saved: SavedModel) -> None:
    import torch

    for name, tensor in {**saved.policy, **saved.variables}.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise refused(saved.name, f"{clean(name)[:100]} holds numbers that are not finite")


def _stand_in(observation_space: gymnasium.Space, action_space: gymnasium.Space) -> VecEnv:
    """What a policy is built for when there is no environment: it has spaces, and cannot be stepped."""
    import gymnasium
    from stable_baselines3.common.vec_env import DummyVecEnv

    env: gymnasium.Env[Any, Any] = gymnasium.Env()
    env.observation_space, env.action_space = observation_space, action_space
    return DummyVecEnv([lambda: env])


def _known(space: gymnasium.Space | None, name: str) -> gymnasium.Space:
    if space is None:
        raise RlzooError(f"{name!r} does not say its spaces readably", "load it with its environment")
    return space


def _check_space(saved: gymnasium.Space | None, given: gymnasium.Space, name: str) -> None:
    """Compare kind and sizes; an image may have its channels first or last."""
    from rlzoo.envs.spaces import describe, of

    if saved is None:
        return
    one, other = of(saved), of(given)
    same = sorted(one.shape) == sorted(other.shape) if one.is_image else one.shape == other.shape
    if one.kind != other.kind or not same:
        raise RlzooError(f"{name!r} is made for {describe(saved)}, and this environment has {describe(given)}")

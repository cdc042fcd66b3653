"""How to use a published agent: lines that run as they are printed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rlzoo import own_modules
from rlzoo.algos.specs import AlgoSpec, find_spec
from rlzoo.config.parse import dump
from rlzoo.envs.wrappers import WRAPPERS
from rlzoo.hub.formats.rl_zoo3 import env_kwargs
from rlzoo.hub.privacy import portable

if TYPE_CHECKING:
    from rlzoo.evaluation.agent import Agent


MAX_SEEDS = 20
"""Seeds that fit on a line to type; of more episodes only the number is said."""


def shell(repo_id: str, agent: Agent, result: Mapping[str, Any]) -> str:
    """Lines for a terminal; `rlzoo evaluate` plays the episodes of the card."""
    extra = agent.config.env.extra
    extras = ",".join(("hub", *([extra] if extra else [])))
    folder, trust = f"hub/{repo_id}", " trust=true" if foreign_code(agent) else ""
    return "\n".join(
        (
            f'pip install "hydra-rlzoo[{extras}]"',
            f"rlzoo load-from-hub repo_id={repo_id}{trust}",
            f"rlzoo evaluate run={folder}{_episodes(agent, result)}{trust}",
            f"rlzoo enjoy run={folder}{trust}",
        )
    )


def _episodes(agent: Agent, result: Mapping[str, Any]) -> str:
    """The words for the episodes of a result."""
    seeds, greedy = list(result["seeds"]), bool(result["deterministic"])
    actions = "" if greedy == agent.is_deterministic() else f" deterministic={str(greedy).lower()}"
    if 0 < len(seeds) <= MAX_SEEDS:
        return f" 'seeds=[{','.join(map(str, seeds))}]'{actions}"
    return f" n_episodes={result['n_episodes']}{actions}"


def foreign_code(agent: Agent) -> list[str]:
    """Modules and classes that are neither rlzoo's nor a known package's: whoever uses the agent has to have them."""
    return own_modules.named(dump(agent.config))


def python(repo_id: str, name: str, agent: Agent, result: Mapping[str, Any]) -> str:
    """Python that loads the agent and plays it: with Stable-Baselines3 where it is one of its own."""
    spec = find_spec(agent.config.algo.name)
    is_sb3 = spec.backend in ("sb3", "sb3_contrib")
    lines = _sb3(repo_id, name, agent, spec, result) if is_sb3 else _rlzoo(repo_id, agent, result)
    return "\n".join(lines)


def _rlzoo(repo_id: str, agent: Agent, result: Mapping[str, Any]) -> list[str]:
    trust = ", trust=True" if foreign_code(agent) else ""
    return [
        "import rlzoo",
        "",
        f'run = rlzoo.load_from_hub("{repo_id}"{trust})',
        f"evaluation = rlzoo.evaluate(run, seeds={_seeds(list(result['seeds']))}{trust})",
        'print(f"{evaluation.mean_reward:.2f} +/- {evaluation.std_reward:.2f}")',
    ]


def _seeds(seeds: list[int]) -> str:
    first = seeds[0] if seeds else 0
    counting = range(first, first + len(seeds))
    return f"range({first}, {counting.stop})" if len(seeds) > MAX_SEEDS and seeds == list(counting) else str(seeds)


def _sb3(repo_id: str, name: str, agent: Agent, spec: AlgoSpec, result: Mapping[str, Any]) -> list[str]:
    env = agent.config.env
    package, _, cls = spec.entry_point.partition(":")
    evaluation = "sb3_contrib.common.maskable" if spec.masked else "stable_baselines3.common"
    vector = ["DummyVecEnv", *(["VecFrameStack"] if env.frame_stack else [])]
    vector += ["VecNormalize"] if env.normalize is not False else []
    imports = [
        "import gymnasium as gym",
        "from huggingface_hub import hf_hub_download",
        f"from {package} import {cls}",
        f"from {evaluation}.evaluation import evaluate_policy",
        "from stable_baselines3.common.monitor import Monitor",
        f"from stable_baselines3.common.vec_env import {', '.join(sorted(vector))}",
    ]
    setup, inner = _registration(agent)
    body = [f'    env = Monitor(gym.make("{env.id}"{_arguments(env_kwargs(env))}))']
    for wrapper, options in env.wrappers.items():
        module, _, attribute = (WRAPPERS[wrapper].entry_point if wrapper in WRAPPERS else wrapper).partition(":")
        imports.append(f"from {module} import {attribute}")
        body.append(f"    env = {attribute}(env{_arguments(_as_code(wrapper, options))})")
    stacked = [f"env = VecFrameStack(env, {env.frame_stack})"] if env.frame_stack else []
    normalized = [
        'env = VecNormalize.load(hf_hub_download(repo_id, "vec_normalize.pkl"), env)',
        "env.training = env.norm_reward = False",
    ]
    return [
        *sorted(imports + inner, key=_order),
        *setup,
        "",
        f'repo_id = "{repo_id}"',
        "",
        "",
        "def make():",
        *body,
        "    return env",
        "",
        "",
        "env = DummyVecEnv([make])",
        *(normalized if env.normalize is not False else []),
        *stacked,
        f'model = {cls}.load(hf_hub_download(repo_id, "{name}.zip"), device="cpu"{_loading(agent, spec)})',
        f"mean, std = evaluate_policy(model, env, n_eval_episodes={result['n_episodes']}, "
        f"deterministic={bool(result['deterministic'])})",
        'print(f"{mean:.2f} +/- {std:.2f}")',
    ]


def _registration(agent: Agent) -> tuple[list[str], list[str]]:
    """What makes the environment's id known: lines to run, and imports for them."""
    from rlzoo.envs.registration import is_own

    modules = list(agent.config.env.imports)
    lines = [f"gym.register_envs({module})" for module in modules]
    imports = [f"import {module}" for module in modules]
    if is_own(agent.config.env.id):
        imports.append("from rlzoo.envs.registration import register")
        lines.append("register()")
    return (["", *lines] if lines else []), imports


def _loading(agent: Agent, spec: AlgoSpec) -> str:
    """An agent that only plays needs no room for a million steps; one that learned with hindsight wants its goals."""
    if agent.config.algo.hyperparams.get("replay_buffer_class") == "her":
        return ", env=env"
    return ", buffer_size=1" if spec.family == "off_policy" else ""


def _as_code(wrapper: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Lists as the tuples that the wrapper's code wants."""
    published = portable(dict(options))
    return {key: tuple(value) if isinstance(value, list) else value for key, value in published.items()}


def _arguments(values: Mapping[str, Any]) -> str:
    return "".join(f", {key}={value!r}" for key, value in values.items())


def _order(line: str) -> tuple[bool, str]:
    return line.startswith("from"), line.split()[1]

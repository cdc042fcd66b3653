"""The model card: metadata that the Hub and leaderboards read, what people want to know of an agent, and how to use it.

The run may be untrusted: every value of it is written through `escape`, so that the card has the parts that are
written here and no others.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from rlzoo import registry
from rlzoo.algos.specs import AlgoSpec, find_spec
from rlzoo.config import aliases, yaml_file
from rlzoo.config.parse import dump
from rlzoo.envs.wrappers import WRAPPERS
from rlzoo.errors import shorten
from rlzoo.evaluation.evaluate import cut_text, interquartile_text
from rlzoo.hub.card_merge import section
from rlzoo.hub.formats import course
from rlzoo.hub.formats.rl_zoo3 import env_kwargs
from rlzoo.hub.formats.rlzoo import published_config, published_info
from rlzoo.hub.privacy import portable
from rlzoo.redaction import cell, code, fenced, markdown, redact

if TYPE_CHECKING:
    from rlzoo.evaluation.agent import Agent

LONGEST = 300
"""Characters of a value that a card shows; all of it is in the files beside it."""
MAX_SEEDS = 20
"""Seeds that fit on a line to type; of more episodes only the number is said."""
COURSE_TAGS = {
    "q_learning": ("q-learning",),
    "reinforce": ("reinforce", "deep-rl-class"),
    "ppo_scratch": ("ppo",),
}
"""What the Deep RL Course's own cards carry; its leaderboard looks for it."""

REPORT = """\
## Reward report

*For you to fill in: rlzoo leaves it as it is. The questions are those of
[Reward Reports](https://arxiv.org/abs/2204.10817), a form for the choices behind a reward.*

- **Intent**: what should this agent do, for whom, and what is it not for?
- **Reward**: what does the reward measure, what does it leave out, and who chose it?
- **Environment**: how does it differ from where the agent would be used?
- **Failures**: what did you see go wrong, and what would you watch for?
- **Changes**: what was changed since the last version, why, and what would make you change it again?
"""


def text(folder: Path, name: str, agent: Agent, result: Mapping[str, Any], *, repo_id: str | None, license: str) -> str:
    """The README.md of a package.

    Args:
        folder: the other files of the package, which it describes.
        name: of the package.
        agent: the agent.
        result: the evaluation, as results.json has it.
        repo_id: where it will be loaded from; without one the lines name a repository that has to be put in.
        license: of the weights.
    """
    repo_id = repo_id or f"your-name/{name}"
    parts = (
        section("title", _title(folder, agent, result)),
        section("usage", _usage(repo_id, name, agent, result)),
        section("evaluation", _evaluation(result, agent)),
        section("training", _training(folder, agent)),
        section("files", _files(folder, name)),
        REPORT.strip(),
    )
    body = "\n\n".join(parts)
    return f"---\n{metadata(agent, result, license)}\n---\n\n{redact(body)}\n"


def metadata(agent: Agent, result: Mapping[str, Any], license: str) -> str:
    """The YAML at the top, with a model-index."""
    from huggingface_hub import EvalResult, ModelCardData

    spec = find_spec(agent.config.algo.name)
    env = course.env_tag(agent)
    score = EvalResult(
        task_type="reinforcement-learning",
        task_name="reinforcement-learning",
        dataset_type=env,
        dataset_name=env,
        metric_type="mean_reward",
        metric_name="mean_reward",
        metric_value=score_text(result),
        verified=False,
    )
    data = ModelCardData(
        license=license,
        library_name="stable-baselines3" if _is_sb3(spec) else "rlzoo",
        tags=tags(agent),
        model_name=pretty_name(spec),
        eval_results=[score],
    )
    return str(data.to_yaml()).strip()


def tags(agent: Agent) -> list[str]:
    """What the agent is found by."""
    spec = find_spec(agent.config.algo.name)
    found = [
        course.env_tag(agent),
        agent.config.env.id,
        *_older_ids(agent),
        spec.name.rpartition(":")[2],
        *COURSE_TAGS.get(spec.name, ()),
        "deep-reinforcement-learning",
        "reinforcement-learning",
        "deep-rl-course",
        "stable-baselines3" if _is_sb3(spec) else "custom-implementation",
        "rlzoo",
    ]
    return list(dict.fromkeys(found))


def _older_ids(agent: Agent) -> list[str]:
    """Ids that recipes of older versions have for the environment as it was played: readers of the course look there.

    They are the same environment with its default keywords, and no other.
    """
    env = agent.config.env
    return [] if env.kwargs else aliases.older(env.id)


def score_text(result: Mapping[str, Any]) -> str:
    """Mean and standard deviation as leaderboards read them: `200.20 +/- 20.80`."""
    mean, std = (float("nan") if result[key] is None else result[key] for key in ("mean_reward", "std_reward"))
    return f"{mean:.2f} +/- {std:.2f}"


def pretty_name(spec: AlgoSpec) -> str:
    """The name of the algorithm's class, `PPO`: rl_zoo3 finds out from it which algorithm an agent is of."""
    return spec.entry_point.rpartition(":")[2]


def _is_sb3(spec: AlgoSpec) -> bool:
    return spec.backend in ("sb3", "sb3_contrib")


def _title(folder: Path, agent: Agent, result: Mapping[str, Any]) -> str:
    spec, env = find_spec(agent.config.algo.name), agent.config.env
    about = code(spec.entry_point) if spec.backend == "custom" else _sentence(spec.summary)
    episodes = "1 episode" if result["n_episodes"] == 1 else f"{result['n_episodes']} episodes"
    by = {
        "sb3": "by [Stable-Baselines3](https://github.com/DLR-RM/stable-baselines3)",
        "sb3_contrib": "by [sb3-contrib](https://github.com/Stable-Baselines-Team/stable-baselines3-contrib)",
    }
    name, env_id = markdown(pretty_name(spec)), markdown(env.id)
    lines = [
        f"# {name} playing {env_id}",
        "",
        f"A trained **{name}** agent ({about}) in **{env_id}** ({markdown(shorten(portable(env.summary), LONGEST))}).",
        f"Trained for {agent.num_timesteps:,} steps {by.get(spec.backend, 'by rlzoo')}. "
        f"Return of an episode: **{score_text(result)}** over {episodes}.",
    ]
    if spec.paper:
        lines[3] += f" Paper: <{spec.paper}>."
    lines += [_same(old) for old in _older_ids(agent)]
    if (folder / "replay.mp4").is_file():
        lines += [
            "",
            '<video controls loop muted src="replay.mp4" width="480"></video>',
            "",
            "[replay.mp4](replay.mp4)",
        ]
    return "\n".join(lines)


def _same(old: str) -> str:
    alias = aliases.resolve(old)
    assert alias is not None
    return f"It was played in {alias.id}. Recipes of older versions call the same environment {old}: {alias.note}."


def _usage(repo_id: str, name: str, agent: Agent, result: Mapping[str, Any]) -> str:
    algo = agent.config.algo.name
    if ":" in algo:
        return (
            f"## Use it\n\nThe algorithm is its author's own class, {code(algo)}. rlzoo loads no class that a "
            "repository names; the weights are in `rlzoo/checkpoint/algorithm.safetensors`, for who has the class."
        )
    foreign = ", ".join(code(name) for name in _foreign_code(agent))
    needed = f"It needs code that does not come with rlzoo, {foreign}; trust=true lets it run.\n\n" if foreign else ""
    shell = fenced(_shell(repo_id, agent, result), "bash")
    python = fenced(_python(repo_id, name, agent, result), "python")
    return f"## Use it\n\n{needed}{shell}\n\nIn Python:\n\n{python}"


def _shell(repo_id: str, agent: Agent, result: Mapping[str, Any]) -> str:
    """Lines for a terminal; `rlzoo evaluate` plays the episodes of the card."""
    extra = agent.config.env.extra
    extras = ",".join(("hub", *([extra] if extra else [])))
    folder, trust = f"hub/{repo_id}", " trust=true" if _foreign_code(agent) else ""
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


def _foreign_code(agent: Agent) -> list[str]:
    """Modules and classes that are neither rlzoo's nor a known package's: whoever uses the agent has to have them."""
    return registry.modules_named(dump(agent.config))


def _python(repo_id: str, name: str, agent: Agent, result: Mapping[str, Any]) -> str:
    """Python that loads the agent and plays it: with Stable-Baselines3 where it is one of its own."""
    spec = find_spec(agent.config.algo.name)
    lines = _sb3(repo_id, name, agent, spec, result) if _is_sb3(spec) else _rlzoo(repo_id, agent, result)
    return "\n".join(lines)


def _rlzoo(repo_id: str, agent: Agent, result: Mapping[str, Any]) -> list[str]:
    trust = ", trust=True" if _foreign_code(agent) else ""
    return [
        "import rlzoo",
        "",
        f'run = rlzoo.load_from_hub("{repo_id}"{trust})',
        f"evaluation = rlzoo.evaluate(run, seeds={_seeds_code(list(result['seeds']))}{trust})",
        'print(f"{evaluation.mean_reward:.2f} +/- {evaluation.std_reward:.2f}")',
    ]


def _seeds_code(seeds: list[int]) -> str:
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


def _evaluation(result: Mapping[str, Any], agent: Agent) -> str:
    rows = [
        ("mean ± std over episodes", f"{_number(result['mean_reward'])} ± {_number(result['std_reward'])}"),
        ("mean - std", _number(result["result"])),
        ("interquartile mean, 95 % interval", interquartile_text(result)),
        ("median", _number(result["median_reward"])),
        ("lowest, highest", f"{_number(result['min_reward'])}, {_number(result['max_reward'])}"),
        ("mean length", f"{_number(result['mean_length'])} steps"),
        ("episodes", f"{result['n_episodes']}{cut_text(result)}"),
        ("actions", "deterministic" if result["deterministic"] else "sampled"),
        *([("random play", _random(result["random"]))] if "random" in result else []),
        ("checkpoint", f"{cell(result['checkpoint'])}, after {result['num_timesteps']:,} steps"),
        ("steps of the training", f"{result['trained_timesteps']:,}"),
        ("date", str(result["date"])),
    ]
    table = "\n".join(f"| {key} | {value} |" for key, value in rows)
    return (
        f"## Evaluation\n\n| | |\n|---|---|\n{table}\n\n"
        "Raw returns of whole episodes, before any clipping or normalisation. The interval is over episodes of this "
        "one policy, not over training seeds.\n"
        f"Seeds of the episodes: {_seeds(result['seeds'])}. Every return is in [results.json](results.json).\n"
        f"{_selection(agent)}"
    ).rstrip()


def _random(play: Mapping[str, Any]) -> str:
    return f"{_number(play['mean_reward'])} ± {_number(play['std_reward'])} over {play['n_episodes']} episodes"


def _selection(agent: Agent) -> str:
    """How the checkpoint was chosen at the end of the training, with the scores of both."""
    entries = [entry for entry in agent.run.read_results() if entry.get("source") == "train" and entry.get("ships")]
    try:
        return _in_words(entries[-1].get("selection")) if entries else ""
    except (KeyError, TypeError, ValueError, AttributeError, ZeroDivisionError):  # somebody has changed the record
        return ""


def _in_words(selection: Any) -> str:
    if selection is None:
        return "There was no other candidate than the last checkpoint."
    finalist, winner = selection["finalist"], selection["winner"]
    if finalist is None:
        return "At the end of the training no earlier checkpoint played better than the last."
    means = {name: fmean(selection["returns"][name]) for name in ("last", finalist)}
    ships = "the last one" if winner == "last" else f"that of step {int(winner):,}"
    return (
        f"At the end of the training the checkpoint of step {int(finalist):,} had a mean of {means[finalist]:.2f} over "
        f"{len(selection['returns'][finalist])} episodes that nobody had played before, the last one "
        f"{means['last']:.2f} over the same (one-sided sign-flip test: p = {float(selection['p_value']):.2g}, needed "
        f"below {float(selection['level']):.2g}): {ships} ships."
    )


def _training(folder: Path, agent: Agent) -> str:
    info = published_info(agent.run)
    values = published_config(agent)
    shown = {key: values[key] for key in ("algo", "env", "total_timesteps", "seed", "device")}
    parts = ["## Training"]
    if command := _command(agent, info):
        parts.append(fenced(command, "bash"))
    if info["initialised"]:
        parts.append("It began with the weights of another agent.")
    if (folder / "learning_curve.png").is_file():
        parts.append("![Returns during training](learning_curve.png)")
    parts.append("Hyperparameters (all settings are in [config.yaml](config.yaml)):")
    parts.append(fenced(yaml_file.dump(shown), "yaml"))
    parts.append(f"| | |\n|---|---|\n{_circumstances(info)}")
    return "\n\n".join(parts)


def _command(agent: Agent, info: Mapping[str, Any]) -> str:
    import shlex

    words = info["words"]
    if not words:
        return ""
    given = {word.partition("=")[0] for word in words}
    seed = [f"seed={agent.config.seed}"] if "seed" not in given and agent.config.seed is not None else []
    return shlex.join(["rlzoo", "train", *(word for word in words if not word.startswith("n_seeds=")), *seed])


def _circumstances(info: Mapping[str, Any]) -> str:
    versions = info.get("versions")
    rows = {
        "time": _duration(info.get("wall_seconds")),
        "processor": info.get("cpu") and f"{info['cpu']}, {info.get('cpu_count')} cores",
        "GPU": info.get("gpu") or ("none" if "gpu" in info else None),
        "threads of torch": info.get("torch_threads"),
        "system": info.get("platform"),
        "Python": info.get("python"),
        **(versions if isinstance(versions, Mapping) else {}),
    }
    shown = ((cell(shorten(str(text), LONGEST)) for text in row) for row in rows.items() if row[1])
    return "\n".join(f"| {key} | {value} |" for key, value in shown)


def _files(folder: Path, name: str) -> str:
    about = {
        f"{name}.zip": "the agent as Stable-Baselines3 saves it; **holds pickle**",
        f"{name}/": "the same unzipped; **holds pickle** (`data` and the `.pth` files)",
        "vec_normalize.pkl": "the statistics that observations are normalised with; **pickle**",
        "q-learning.pkl": "the table of action values as the Deep RL Course shares it; **pickle**",
        "values.json": "what was learned about states",
        "model.pt": "the weights as a state dict of plain layers, `torch.load(..., weights_only=True)`; pickle that is "
        "read safely",
        "logs/": "the metrics of the training, for TensorBoard",
        "hyperparameters.json": "the settings of the algorithm",
        "config.yml": "the settings in the words of rl_zoo3; so are `args.yml` and `env_kwargs.yml`",
        "train_eval_metrics.zip": "the evaluations during training, as rl_zoo3 reads them",
        "config.yaml": "all settings, as rlzoo reads them",
        "rlzoo/": "weights as safetensors, measurements and versions; what rlzoo loads, **without pickle**",
        "results.json": "the evaluation above, every episode",
        "requirements.txt": "exact versions of the packages that it was evaluated with",
    }
    rows = [f"| {code(file)} | {meaning} |" for file, meaning in about.items() if (folder / file.rstrip("/")).exists()]
    table = "\n".join(rows)
    return (
        f"## Files\n\n| file | what it is |\n|---|---|\n{table}\n\n"
        "Opening a file that holds pickle runs what its author put into it: open it only if you trust them. "
        "`rlzoo load-from-hub` opens none of them."
    )


def _sentence(summary: str) -> str:
    return summary[:1].lower() + summary[1:] if summary[1:2].islower() else summary


def _number(value: float | None) -> str:
    return "not finite" if value is None else f"{value:.2f}"


def _seeds(seeds: list[int]) -> str:
    if len(seeds) > 2 and seeds == list(range(seeds[0], seeds[0] + len(seeds))):
        return f"{seeds[0]} to {seeds[-1]}"
    return ", ".join(map(str, seeds))


def _duration(seconds: Any) -> str:
    if not isinstance(seconds, int | float):
        return ""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{seconds:.1f} s"

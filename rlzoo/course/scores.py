"""The results of agents: of runs on this machine, and of models on the Hub as their cards state them.

The number that counts is the result, mean - std of the returns, as in the Deep RL Course. A run has the result of its
newest evaluation that counts: by `train`, `evaluate` or `package`, of the checkpoint that is asked for, of at least as
many whole episodes as are asked for, on the environment that the run was trained in: what `evaluate
env.kwargs.gravity=-5` found is not a result of the run, and episodes that were counted within a number of steps
(`n_timesteps`) favour short ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rlzoo.config import aliases, env_names
from rlzoo.config import assignments as course
from rlzoo.config.files import read_choice
from rlzoo.config.paths import at_home
from rlzoo.errors import RlzooError, clean, shorten
from rlzoo.hub.listing import PUBLISHED
from rlzoo.runs import lock
from rlzoo.runs.index import Known, Summary, summaries
from rlzoo.runs.run import Run, find_runs

Which = Literal["any", "last", "ships"]

IRRELEVANT = frozenset(
    "env.summary env.extra env.vec_env env.step_timeout env.max_restarts env.observation_space env.action_space"
    " stop.minutes hydra-core omegaconf safetensors".split()
)
"""Settings and packages that change no number of a run."""

LARGEST = 1e300
"""Numbers beyond it are not scores: their difference may not be finite."""

if TYPE_CHECKING:
    from rlzoo.hub.listing import Model


@dataclass(frozen=True)
class Score:
    """The result of one agent.

    Attributes:
        where: the run's path, or `owner/name` on the Hub.
        env: today's id of its environment.
        variant: how its keywords differ from those that rlzoo ships: `is_slippery=false`.
        mean, std: of the returns of `n_episodes` episodes.
        iqm, ci: interquartile mean of the returns and its 95 % interval over these episodes.
        steps: after which its checkpoint was taken.
        trained: steps of the whole training.
        tags: of a model on the Hub.
        settings: what may change the numbers of a run besides its seed, by key.
    """

    where: str
    source: Literal["runs", "hub"]
    algo: str
    env: str
    mean: float
    std: float
    variant: str = ""
    n_episodes: int | None = None
    iqm: float | None = None
    ci: tuple[float, float] | None = None
    seed: int | None = None
    steps: int | None = None
    trained: int | None = None
    checkpoint: str = ""
    deterministic: bool | None = None
    date: str = ""
    tags: tuple[str, ...] = field(default=(), repr=False)
    settings: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)

    @property
    def result(self) -> float:
        return self.mean - self.std

    def to_json(self) -> dict[str, Any]:
        return {key: value for key, value in asdict(self).items() if key != "settings"}


@dataclass(frozen=True)
class LeftOut:
    """A run without a result that counts, and why."""

    where: str
    reason: str
    algo: str = ""
    env: str = ""
    variant: str = ""
    source: Literal["runs", "hub"] = "runs"
    damaged: bool = False
    status: str = ""


def read_runs(
    runs: Sequence[Run], n_episodes: int, checkpoint: Which = "any", known: Known | None = None
) -> tuple[list[Score], list[LeftOut]]:
    """The score of every run that has one; a damaged run is left out and hides no other.

    Args:
        runs: whose.
        n_episodes: episodes that an evaluation must have to count.
        checkpoint: evaluations of which checkpoint count: `last`, the one that `ships`, or `any`.
        known: their summaries, where they have been read.
    """
    scores: list[Score] = []
    left_out: list[LeftOut] = []
    known = summaries(runs) if known is None else known
    for run in runs:
        try:
            found = _read_run(run, known[run.path], n_episodes, checkpoint)
        except RlzooError as error:
            found = LeftOut(str(run.path), error.message, damaged=True)
        except (KeyError, TypeError, ValueError, AttributeError):
            found = LeftOut(str(run.path), "its config.yaml names no algorithm and environment", damaged=True)
        if isinstance(found, Score):
            scores.append(found)
        else:
            left_out.append(found)
    return scores, left_out


def runs_named(named: Sequence[str], runs_dir: str) -> list[Run]:
    """The runs that are named, all those below a folder that is named, or all below `runs_dir`."""
    if not named:
        return runs_below(runs_dir)
    found: dict[Path, Run] = {}
    for text in named:
        folder = at_home(text)
        is_run = (folder / "config.yaml").is_file()
        runs = list(find_runs(folder)) if folder.is_dir() and not is_run else []
        for run in runs or [Run.open(text, runs_dir)]:
            found[run.path.resolve()] = run
    return sorted(found.values(), key=lambda run: run.path.name)


def runs_below(root: Path | str) -> list[Run]:
    """Every run below a folder, the oldest first."""
    return sorted(find_runs(Path(root)), key=lambda run: (run.path.name, str(run.path)))


def read_models(models: Iterable[Model]) -> tuple[list[Score], list[LeftOut]]:
    """The score of every model of the Hub whose card states mean and standard deviation."""
    scores: list[Score] = []
    left_out: list[LeftOut] = []
    for model in models:
        if model.mean is None or model.std is None:
            reason = "its card has no mean_reward of the form 'mean +/- std'"
            left_out.append(LeftOut(model.id, reason, model.algo, *name(model.env), source="hub"))
            continue
        scores.append(
            Score(
                where=model.id,
                source="hub",
                algo=model.algo,
                env=name(model.env)[0],
                variant=name(model.env)[1],
                mean=model.mean,
                std=model.std,
                date=model.date,
                tags=model.tags,
            )
        )
    return scores, left_out


def choose(
    entries: Sequence[Mapping[str, Any]],
    n_episodes: int,
    checkpoint: str | None = None,
    deterministic: bool | None = None,
) -> Mapping[str, Any] | str:
    """The evaluation that counts among a run's, or why there is none.

    Entries lie in the order in which they were made, and `train` writes that of the checkpoint that ships last. Of
    which checkpoint it is matters only if `checkpoint` names one.
    What somebody published about an agent that came from the Hub was not measured here, and does not count.
    """
    entries = [entry for entry in entries if entry.get("source") != PUBLISHED]
    own = played_alike(entries, deterministic) if entries else "it has no evaluation"
    if isinstance(own, str):
        return own
    if checkpoint is not None:
        others = list(dict.fromkeys(str(entry.get("checkpoint")) for entry in own))
        own = [entry for entry in own if entry.get("checkpoint") == checkpoint]
        if not own:
            return f"only its checkpoint {' and '.join(others)} was evaluated, not {checkpoint}"
    episodes = [entry for entry in own if _n_episodes(entry) >= n_episodes]
    if not episodes:
        most = max(map(_n_episodes, own))
        return f"its evaluations have {most} of the {n_episodes} episodes that are asked for"
    finite = [e for e in episodes if _is_finite(e.get("mean_reward")) and _is_finite(e.get("std_reward"))]
    return finite[-1] if finite else "its scores are not finite numbers"


def played_alike(entries: Sequence[Mapping[str, Any]], deterministic: bool | None) -> list[Mapping[str, Any]] | str:
    """The evaluations of a run that were played as its own are, or how the others were.

    Args:
        entries: of the run's index, or of its results.json.
        deterministic: whether its own are played with greedy actions; None takes both.
    """
    actions = "sampled" if deterministic else "deterministic"
    otherwise: tuple[tuple[str, Callable[[Mapping[str, Any]], object]], ...] = (
        ("on a changed environment", lambda entry: entry.get("env")),
        (
            "for a number of steps (n_timesteps), which favours short episodes",
            lambda entry: entry.get("mode") == "timesteps",
        ),
        ("with seeds that repeat", lambda entry: entry.get("n_repeated")),
        (f"with {actions} actions", lambda entry: entry.get("deterministic") is (not deterministic)),
    )
    found = list(entries)
    for how, is_so in otherwise if deterministic is not None else otherwise[:-1]:
        alike = [entry for entry in found if not is_so(entry)]
        if found and not alike:
            return f"it was evaluated only {how}"
        found = alike
    return found


def name(env: str) -> tuple[str, str]:
    """Environment and variant of what the cards of the course's models call theirs."""
    return next((key for key, others in course_envs() if env in others), (env, ""))


def variant_of(env_id: str, env: Mapping[str, Any]) -> str:
    """How an environment's keywords and step limits differ from what rlzoo ships for its id; "" if they do not."""
    own, usual = _task(env), _task(_usual(env_id))
    changed = {key: own.get(key, "default") for key in {*own, *usual} if own.get(key) != usual.get(key)}
    return shorten(", ".join(f"{key}={_yaml(changed[key])}" for key in sorted(changed)), 80)


def trained_timesteps(entry: Mapping[str, Any], entries: Sequence[Mapping[str, Any]]) -> int | None:
    """Steps of the whole training that an evaluation's agent had; None if its record does not say."""
    of_last = [other.get("num_timesteps") for other in entries if other.get("checkpoint") == "last"]
    candidates = [entry.get("trained_timesteps"), *reversed(of_last)]
    return next((steps for steps in candidates if _is_count(steps)), None)


def settings(config: Mapping[str, Any], info: Mapping[str, Any]) -> dict[str, str]:
    """What may change the numbers of a run besides its seed, as far as it says: by dotted key, as text."""
    kept = {key: config.get(key) for key in ("algo", "env", "init_from", "total_timesteps", "stop")}
    flat = dict(_flat(kept, ""))
    for key in ("max_steps", "deterministic"):
        flat[f"eval.{key}"] = (config.get("eval") or {}).get(key)
    versions = info.get("versions")
    flat |= dict(versions) if isinstance(versions, Mapping) else {}
    return {key: _yaml(value) for key, value in flat.items() if key not in IRRELEVANT and value not in (None, {})}


def _flat(value: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for key, child in value.items():
        if isinstance(child, Mapping) and child:
            yield from _flat(child, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", child


def _read_run(run: Run, known: Summary | RlzooError, n_episodes: int, which: Which) -> Score | LeftOut:
    if isinstance(known, RlzooError):
        raise known
    config, entries, info = known.config, known.entries, known.info
    algo, env_id = config["algo"]["name"], config["env"]["id"]
    parts = [config["env"].get(key) or {} for key in ("kwargs", "wrappers")]
    if not (isinstance(algo, str) and isinstance(env_id, str) and all(isinstance(part, dict) for part in parts)):
        raise TypeError
    env_id = aliases.current(env_id)
    variant = variant_of(env_id, config["env"])
    wanted = {"any": None, "last": "last", "ships": _shipped(run)}[which]
    # an agent from elsewhere may have no other checkpoint than its author's best
    checkpoint = wanted if wanted and run.checkpoint(wanted).exists() else None
    entry = choose(entries, n_episodes, checkpoint, plays_deterministically(config))
    if isinstance(entry, str):
        status = shorten(clean(lock.status(run, info)), 20)
        training = "" if entries or status == "finished" else f": its training is {status}"
        return LeftOut(str(run.path), f"{entry}{training}", algo, env_id, variant, status=status)
    ci = entry.get("iqm_ci")
    steps, seed, deterministic = entry.get("num_timesteps"), config.get("seed"), entry.get("deterministic")
    return Score(
        where=str(run.path),
        source="runs",
        algo=algo,
        env=env_id,
        variant=variant,
        mean=float(entry["mean_reward"]),
        std=float(entry["std_reward"]),
        n_episodes=entry["n_episodes"],
        iqm=float(entry["iqm"]) if _is_finite(entry.get("iqm")) else None,
        ci=(float(ci[0]), float(ci[1])) if isinstance(ci, list) and len(ci) == 2 and all(map(_is_finite, ci)) else None,
        seed=seed if _is_count(seed) else None,
        steps=steps if _is_count(steps) else None,
        trained=trained_timesteps(entry, entries),
        checkpoint=str(entry.get("checkpoint", "")),
        deterministic=deterministic if isinstance(deterministic, bool) else None,
        date=str(entry.get("date", "")),
        settings=settings(config, info),
    )


def plays_deterministically(config: Mapping[str, Any]) -> bool | None:
    """Whether the evaluations of a training are played with greedy actions; None if its configuration does not say."""
    asked = (config.get("eval") or {}).get("deterministic")
    if asked == "auto":
        stochastic = config["env"].get("stochastic_eval")
        return not stochastic if isinstance(stochastic, bool) else None
    return asked if isinstance(asked, bool) else None


def _shipped(run: Run) -> str | None:
    found = run.by_default()
    return found[0].name if found else None


def _task(env: Mapping[str, Any]) -> dict[str, Any]:
    limits = {"max_steps": env.get("max_steps"), "time_limit": (env.get("wrappers") or {}).get("time_limit")}
    return {**(env.get("kwargs") or {}), **{key: value for key, value in limits.items() if value is not None}}


@lru_cache(maxsize=256)
def _usual(env_id: str) -> Mapping[str, Any]:
    name = env_names.short_names().get(env_id) or ("atari" if "NoFrameskip" in env_id else None)
    try:
        return read_choice("env", name) if name else {}
    except RlzooError:
        return {}


@lru_cache(maxsize=1)
def course_envs() -> list[tuple[tuple[str, str], tuple[str, ...]]]:
    """The environments of the course's assignments with their older ids, in the order of the units."""
    return list({env_of(assignment): assignment.env_ids[1:] for assignment in course.assignments()}.items())


@lru_cache(maxsize=64)
def env_of(assignment: course.Assignment) -> tuple[str, str]:
    """Environment and variant of an assignment, as scores have them."""
    env_id = assignment.env_ids[0]
    is_shipped = assignment.env not in (None, "gym")
    return env_id, variant_of(env_id, read_choice("env", str(assignment.env)) if is_shipped else {})


def _yaml(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _n_episodes(entry: Mapping[str, Any]) -> int:
    return entry["n_episodes"] if _is_count(entry.get("n_episodes")) else 0


def _is_finite(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < LARGEST


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**18

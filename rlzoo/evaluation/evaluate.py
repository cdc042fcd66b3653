"""Plays whole episodes with a policy and sums them up. The Monitor is the truth: raw scores of whole games."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from rlzoo import console
from rlzoo.errors import RlzooError
from rlzoo.protocols import Evaluation, Policy

if TYPE_CHECKING:
    from stable_baselines3.common.vec_env import VecEnv

LOOK = 100
"""Steps after which the games are counted in any case."""
TRIM = 0.25
"""Share cut from each end for the interquartile mean."""

N_RESAMPLES = 2000
CONFIDENCE = 95.0  # %
MIN_SEEDS = 5
"""Training seeds that an interval over seeds needs; with fewer, their scores themselves are shown."""


COLUMNS = (
    "checkpoint",
    "episodes",
    "mean ± std over episodes",
    "mean - std",
    "median",
    "IQM [95 % CI]",
    "min",
    "max",
    "length",
    "actions",
)
"""Of the table that shows evaluations."""


class Interval(NamedTuple):
    """An interquartile mean with its confidence interval."""

    iqm: float
    low: float
    high: float


@dataclass(frozen=True)
class OverSeeds:
    """The scores of one setting over its training seeds: each is the mean return of one agent's evaluation."""

    means: tuple[float, ...]

    @property
    def mean(self) -> float:
        return math.fsum(self.means) / len(self.means)

    @property
    def std(self) -> float | None:
        """Population standard deviation over seeds, never over episodes; None of a single seed."""
        import numpy as np

        return float(np.std(self.means)) if len(self.means) > 1 else None

    @property
    def interval(self) -> Interval | None:
        """Interquartile mean over seeds with its 95 % bootstrap interval; None below `MIN_SEEDS` seeds."""
        return bootstrap_iqm(self.means) if len(self.means) >= MIN_SEEDS else None

    @property
    def spread(self) -> str:
        """The interval in words, or the seeds' own scores in order where they are too few for one."""
        if self.interval is not None:
            iqm, low, high = self.interval
            return f"IQM {iqm:.2f} [{low:.2f}, {high:.2f}]"
        return ", ".join(f"{mean:.2f}" for mean in sorted(self.means))


def evaluate(
    policy: Policy,
    env: VecEnv,
    *,
    n_episodes: int | None = None,
    n_timesteps: int | None = None,
    seeds: Sequence[int],
    deterministic: bool,
    masked: bool = False,
    should_stop: Callable[[], bool] | None = None,
) -> Evaluation:
    """Play with a policy.

    Returns and lengths are read from each environment's monitor, inside all wrappers: raw scores of whole games, before
    clipping, scaling and life loss. With several environments each plays a fixed share of the episodes (environment i
    of n plays episodes i, i + n, ...), so that short ones are not favoured.

    Args:
        policy: gets the observations as `env` gives them.
        env: an evaluation environment of `envs.make`; it is reset.
        n_episodes: whole episodes to play.
        n_timesteps: environment steps to play instead, over all environments; only episodes that end within them count.
        seeds: episode k is reset with the k-th; later ones get none.
        deterministic: greedy actions instead of sampled ones.
        masked: give the policy the environments' action masks.
        should_stop: asked after every step; True ends the evaluation, with the episodes played so far.

    Raises:
        RlzooError: if no episode ended within `n_timesteps`.
    """
    import numpy as np

    from rlzoo.envs import set_episode_seeds

    if (n_episodes is None) == (n_timesteps is None):
        raise ValueError("give either n_episodes or n_timesteps")
    n_envs = env.num_envs
    shares = [math.inf if n_episodes is None else len(range(index, n_episodes, n_envs)) for index in range(n_envs)]
    playing = {index for index, share in enumerate(shares) if share}  # those with episodes left to play
    set_episode_seeds(env, seeds)
    observations: Any = env.reset()
    states, starts = None, np.ones(n_envs, dtype=bool)
    steps = 0
    while playing:
        masks = {"action_masks": np.stack(env.env_method("action_masks"))} if masked else {}
        actions, states = policy.predict(observations, states, starts, deterministic, **masks)
        observations, _, starts, _ = env.step(actions)
        steps += n_envs
        # a wrapper of somebody's may reset at times and never say that an episode is over
        for index in range(n_envs) if steps % (LOOK * n_envs) == 0 else map(int, starts.nonzero()[0]):
            if len(env.env_method("get_episode_lengths", indices=[index])[0]) >= shares[index]:
                playing.discard(index)
        if (n_timesteps is not None and steps >= n_timesteps) or (should_stop is not None and should_stop()):
            break
    evaluation = _collect(env, shares, seeds, deterministic)
    if n_timesteps is not None and not evaluation.returns and not (should_stop and should_stop()):
        raise RlzooError(f"no episode ended within {steps} steps", "raise n_timesteps, or give n_episodes")
    return evaluation


def _collect(env: VecEnv, shares: Sequence[float], seeds: Sequence[int], deterministic: bool) -> Evaluation:
    """The monitors' records in the order of the episodes' numbers."""
    records = zip(env.env_method("get_episode_rewards"), env.env_method("get_episode_lengths"), strict=True)
    episodes: list[tuple[int, float, int]] = []
    for index, ((returns, lengths), share) in enumerate(zip(records, shares, strict=True)):
        for k, (total, length) in enumerate(zip(returns, lengths, strict=True)):
            if k < share:
                episodes.append((index + k * env.num_envs, float(total), int(length)))
    episodes.sort()
    return Evaluation(
        returns=tuple(total for _, total, _ in episodes),
        lengths=tuple(length for _, _, length in episodes),
        seeds=tuple(int(seeds[number]) for number, _, _ in episodes if number < len(seeds)),
        deterministic=deterministic,
        max_steps=env.env_method("get_cut_at")[0],
    )


def bootstrap_iqm(returns: Sequence[float]) -> Interval:
    """Interquartile mean and its 95 % percentile-bootstrap interval over the episodes of one policy.

    The mean of what is left when a quarter is cut from each end (rounded down, as `scipy.stats.trim_mean` does). The
    interval speaks of these episodes' spread, never of the spread over training seeds (Agarwal et al. 2021,
    https://arxiv.org/abs/2108.13264, resample runs and tasks for that).
    """
    import numpy as np

    scores = np.asarray(returns, dtype=np.float64)  # (n,)
    resampled = np.random.default_rng(0).choice(scores, size=(N_RESAMPLES, len(scores)))
    tail = (100.0 - CONFIDENCE) / 2
    low, high = np.percentile(_trimmed_mean(resampled), [tail, 100.0 - tail])
    return Interval(float(_trimmed_mean(scores[None])[0]), float(low), float(high))


def _trimmed_mean(scores: Any) -> Any:
    """Interquartile mean of every row, (rows, n) -> (rows,)."""
    import numpy as np

    cut = int(TRIM * scores.shape[1])
    return np.sort(scores, axis=1)[:, cut : scores.shape[1] - cut].mean(axis=1)


def summary(evaluation: Evaluation) -> dict[str, Any]:
    """An evaluation's numbers for tables and JSON; what is not a finite number is None.

    `result` is mean - std with the population's standard deviation, the number that the Deep RL Course certifies;
    `iqm_ci` the 95 % interval over episodes of this one policy, which a single one does not have.
    """
    iqm, low, high = bootstrap_iqm(evaluation.returns)
    if len(evaluation.returns) == 1:
        low = high = math.nan
    numbers = {
        "mean_reward": evaluation.mean_reward,
        "std_reward": evaluation.std_reward,
        "result": evaluation.result,
        "median_reward": evaluation.median_reward,
        "iqm": iqm,
        "min_reward": min(evaluation.returns),
        "max_reward": max(evaluation.returns),
        "mean_length": evaluation.mean_length,
    }
    return {
        "n_episodes": evaluation.n_episodes,
        **{name: finite(value) for name, value in numbers.items()},
        "iqm_ci": [finite(low), finite(high)],
        "deterministic": evaluation.deterministic,
        "seeds": list(evaluation.seeds),
        "returns": [finite(value) for value in evaluation.returns],
        "lengths": list(evaluation.lengths),
        **({"n_cut": evaluation.n_cut, "max_steps": evaluation.max_steps} if evaluation.n_cut else {}),
    }


def result_entry(
    evaluation: Evaluation,
    source: str,
    checkpoint: str,
    num_timesteps: int | None,
    trained_timesteps: int | None,
    **details: Any,
) -> dict[str, Any]:
    """An evaluation as results.json keeps it.

    Args:
        evaluation: what was played.
        source: the command that played it.
        checkpoint: its name.
        num_timesteps: environment steps that the checkpoint was trained for; None of what was not trained.
        trained_timesteps: those of the whole training.
        details: what else is to be kept.
    """
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "source": source,
        "checkpoint": checkpoint,
        "num_timesteps": num_timesteps,
        "trained_timesteps": trained_timesteps,
        "mode": "episodes",
        **details,
        **summary(evaluation),
    }


def finite(value: float) -> float | None:
    """The number, or None in place of NaN and infinity, which JSON does not have."""
    return float(value) if math.isfinite(value) else None


def print_results(entries: Sequence[Mapping[str, Any]]) -> None:
    """Print evaluations as a table: raw scores of whole episodes."""
    from rlzoo.console import print_table

    at_random = dict.fromkeys(_row(_of_random_play(entry["random"])) for entry in entries if "random" in entry)
    rows = [*map(_row, entries), *at_random]
    print_table(COLUMNS, rows, title="evaluation: raw scores of whole episodes", turn=True)
    print("Spread and interval are over episodes of this one policy, not over training seeds.")


def checkpoint_text(name: str, steps: int | None, trained: int | None = None) -> str:
    """A checkpoint with its steps, if they are known (0 is not), and those of the whole training where they differ."""
    if not steps:
        return name
    of = f" of {trained:,}" if trained is not None and trained != steps else ""
    return f"{name} ({steps:,}{of} steps)"


def _of_random_play(numbers: Mapping[str, Any]) -> dict[str, Any]:
    return {"checkpoint": "random play", "num_timesteps": None, "deterministic": False, **numbers}


def _row(entry: Mapping[str, Any]) -> tuple[object, ...]:
    trained = entry.get("trained_timesteps")
    name = checkpoint_text(entry["checkpoint"], entry["num_timesteps"], trained if isinstance(trained, int) else None)
    by_steps = " in a number of steps" if entry.get("mode") == "timesteps" else ""
    return (
        f"{name}, ships" if entry.get("ships") else name,
        f"{entry['n_episodes']}{by_steps}{cut_text(entry)}",
        f"{number(entry['mean_reward'])} ± {number(entry['std_reward'])}",
        entry["result"],
        entry["median_reward"],
        interquartile_text(entry),
        entry["min_reward"],
        entry["max_reward"],
        entry["mean_length"],
        "deterministic" if entry["deterministic"] else "sampled",
    )


def interquartile_text(entry: Mapping[str, Any]) -> str:
    """The interquartile mean with its interval, if there is one: a single episode has none."""
    if entry["n_episodes"] == 1 or None in entry["iqm_ci"]:
        return number(entry["iqm"])
    return f"{number(entry['iqm'])} [{', '.join(map(number, entry['iqm_ci']))}]"


def cut_text(entry: Mapping[str, Any]) -> str:
    """How many of an evaluation's episodes had not ended, and how many repeat a seed; empty if none."""
    cut = f", {entry['n_cut']:,} cut after {entry['max_steps']:,} steps" if entry.get("n_cut") else ""
    repeated = len(seeds := entry.get("seeds") or ()) - len(set(seeds))
    return f"{cut}, {repeated:,} with the seed of another" if repeated else cut


def say_cut(evaluation: Evaluation) -> None:
    """Say how many episodes had not ended, if there are any."""
    if evaluation.n_cut:
        of = f"{evaluation.n_cut:,} of {evaluation.n_episodes:,} episodes"
        console.say(f"note: {of} were cut after {evaluation.max_steps:,} steps, before they had ended")


def number(value: float | None) -> str:
    """Two decimals; what was not finite is stored as null."""
    return "not finite" if value is None else f"{value:.2f}"

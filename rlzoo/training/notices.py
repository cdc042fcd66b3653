"""What a request says of itself before it starts that makes learning unlikely: notices, never refusals.

Each is a fact with its number and one line to try. That a request can learn all the same is no contradiction: PPO does
on CartPole with a gamma of 0.5. What an environment shows in random play is not said of rlzoo's own ones, unless the
user has changed what it is about.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from rlzoo.algos.schema.check import find_signature
from rlzoo.algos.schema.tuned_ranges import Ranges, kind_of, ranges, start
from rlzoo.algos.specs import AlgoSpec, find_spec
from rlzoo.envs.baseline import RandomPlay

FAR = 8
"""Times beyond the values of all tuned sets that are worth a word."""
FEW_UPDATES = 8


Facts = Iterator[tuple[str, str]]
"""A fact, and what to try."""


@dataclass(frozen=True)
class Asked:
    """What the rules look at.

    Attributes:
        spec: the algorithm.
        algo: its keywords, those that were left out with their defaults.
        env: the values of the environment.
        total: environment steps of the training.
        play: what is known of random play in it; None if nothing is.
        shipped: whether this is an environment of rlzoo's own, as it comes.
        typed: whether the user wrote the value of a key.
        tuned: where the values of the tuned sets lie.
    """

    spec: AlgoSpec
    algo: Mapping[str, Any]
    env: Mapping[str, Any]
    total: int
    play: RandomPlay | None
    shipped: bool
    typed: Callable[[str], bool]
    tuned: Ranges

    def number(self, keyword: str) -> float | None:
        """The number of a keyword, of a schedule what it starts from; None if there is none."""
        return start(self.algo.get(keyword))

    @property
    def n_envs(self) -> int:
        return int(self.env["n_envs"])

    @property
    def has_network(self) -> bool:
        return self.spec.family in ("on_policy", "off_policy", "evolution")

    def normalizes(self, what: str) -> bool:
        """Whether running statistics scale observations (`norm_obs`) or rewards (`norm_reward`)."""
        chosen = self.env["normalize"]
        return bool(chosen.get(what, True)) if isinstance(chosen, Mapping) else bool(chosen)


Rule = Callable[[Asked], Facts]


def find(
    values: Mapping[str, Any],
    *,
    play: RandomPlay | None,
    shipped: bool,
    typed: Callable[[str], bool],
    tuned: Ranges | None = None,
    rules: Sequence[Rule] = (),
) -> list[str]:
    """Everything that the rules have to say of a request that passed its checks.

    Args:
        values: of the whole request.
        play: see `Asked`, like the others.
        shipped: as above.
        typed: as above.
        tuned: as above; by default those of all shipped sets.
        rules: some of `RULES`, by default all.
    """
    spec = find_spec(str(values["algo"]["name"]))
    if spec.family in ("custom", "planning"):
        return []
    defaults = {key: field.default for key, field in find_signature(spec).keywords.items()}
    asked = Asked(
        spec=spec,
        algo={**defaults, **values["algo"]},
        env=values["env"],
        total=int(values["total_timesteps"]),
        play=play,
        shipped=shipped,
        typed=typed,
        tuned=ranges() if tuned is None else tuned,
    )
    return [f"{fact}; try {attempt}" for rule in rules or RULES for fact, attempt in rule(asked)]


def _outside_tuned(asked: Asked) -> Facts:
    kind = kind_of(asked.spec)
    for keyword, tuned in asked.tuned.get(kind or "", {}).items():
        number = asked.number(keyword)
        if number is None or (kind == "dqn" and keyword == "tau"):  # judged with its interval
            continue
        sets = f"{tuned.n} tuned sets of algorithms of its kind"
        attempt = f"algo.{keyword}={tuned.middle:g}"
        if number > tuned.high * FAR:
            yield f"algo.{keyword} is {number:g}, {_times(number, tuned.high)}the highest of {sets}", attempt
        elif number < tuned.low / FAR:
            yield f"algo.{keyword} is {number:g}, and the lowest of {sets} is {tuned.low:g}", attempt


def _times(number: float, of: float) -> str:
    return f"{number / of:,.0f} times " if of else "above "


def _target_network(asked: Asked) -> Facts:
    interval, tau = asked.number("target_update_interval"), asked.number("tau")
    if interval is None or tau is None or kind_of(asked.spec) != "dqn" or interval / tau <= asked.total / 5:
        return
    what = f"algo.target_update_interval is {interval:,.0f} of {asked.total:,} steps"
    if tau < 1:
        what += f", and algo.tau moves the target network by {tau:g} of the way each time"
    yield what, f"algo.target_update_interval={max(asked.total // 100, 1)}{' algo.tau=1' if tau < 1 else ''}"


def _learning_starts(asked: Asked) -> Facts:
    starts = asked.number("learning_starts")
    if starts is not None and starts > asked.total / 2:
        text = f"algo.learning_starts is {starts:,.0f} of {asked.total:,} steps: more than half of them are random"
        yield text, f"algo.learning_starts={asked.total // 20}"


def _exploration(asked: Asked) -> Facts:
    for keyword in ("exploration_final_eps", "min_epsilon"):
        final = asked.number(keyword)
        if final is not None and final > 0.3:
            yield f"algo.{keyword} is {final:g}: so many actions stay random to the end", f"algo.{keyword}=0.05"


def _buffer(asked: Asked) -> Facts:
    size = asked.number("buffer_size")
    if size is not None and size < 5000 and size < 0.05 * asked.total:
        text = f"algo.buffer_size is {size:,.0f}, {size / asked.total:.1%} of the training's {asked.total:,} steps"
        yield text, f"algo.buffer_size={min(asked.total, 100_000)}"


def _few_updates(asked: Asked) -> Facts:
    """Updates of a policy, from rollouts, from whole episodes of random play's length, or from replay."""
    lengths = asked.play.mean_steps if asked.play is not None else None
    steps, keyword = asked.number("n_steps"), "n_steps"
    candidates = asked.number("n_delta") or asked.number("population_size")
    if asked.spec.family == "on_policy" and steps is not None:
        size = steps * asked.n_envs
        if size > asked.total:
            return  # said where rollouts are checked
    elif asked.spec.family == "on_policy" and (episodes := asked.number("n_episodes_per_update")) and lengths:
        size, keyword = episodes * asked.n_envs * lengths, "n_episodes_per_update"
    elif asked.spec.family == "evolution" and candidates and lengths:
        both_ways = 2 if asked.spec.name == "ars" else 1
        size = candidates * both_ways * (asked.number("n_eval_episodes") or 1) * lengths
        keyword = "n_delta" if both_ways == 2 else "population_size"
    elif asked.spec.family == "off_policy" and (replay := _replayed(asked)):
        if replay.n_updates < FEW_UPDATES:
            text = (
                f"algo.train_freq and algo.gradient_steps make {replay.n_updates:.0f} updates in {asked.total:,} steps"
            )
            yield text, "algo.train_freq=1"
        return
    else:
        return
    n_updates = math.ceil(asked.total / size)
    if n_updates < FEW_UPDATES:
        times = "1 update" if n_updates == 1 else f"{n_updates} updates"
        text = f"algo.{keyword} makes {times} of the policy in {asked.total:,} steps"
        yield text, f"total_timesteps={round(size * 100)}, or a smaller algo.{keyword}"


class _Replay(NamedTuple):
    n_updates: float
    n_samples: float


def _replayed(asked: Asked) -> _Replay | None:
    """Gradient steps of a training that learns from replay, and how many transitions it draws in them."""
    frequency, gradients = asked.algo.get("train_freq"), asked.number("gradient_steps")
    batch, starts = asked.number("batch_size"), asked.number("learning_starts") or 0
    lengths = asked.play.mean_steps if asked.play is not None else None
    if isinstance(frequency, list | tuple):
        count, unit = frequency
        frequency = count if unit == "step" else count * lengths if lengths else None
    if frequency is None or gradients is None or batch is None:
        return None
    each = float(frequency) * asked.n_envs  # environment steps between updates
    n_updates = max(asked.total - starts, 0) / each * (each if gradients < 0 else gradients)
    return _Replay(n_updates, n_updates * batch)


def _learned_once(asked: Asked) -> Facts:
    epochs = asked.number("n_epochs")
    if epochs is not None and epochs < 2:
        yield "algo.n_epochs is 1: every step is learned from once", "algo.n_epochs=4"
    replay = _replayed(asked) if asked.spec.family == "off_policy" else None
    if replay is not None and replay.n_updates >= FEW_UPDATES and replay.n_samples / asked.total < 2:
        text = f"every step is learned from {replay.n_samples / asked.total:.2g} times"
        if asked.n_envs > 1:
            text += f": one update for each step of all {asked.n_envs} environments"
        yield text, "algo.gradient_steps=-1, as many updates as steps"


REQUEST: tuple[Rule, ...] = (
    _outside_tuned,
    _target_network,
    _learning_starts,
    _exploration,
    _buffer,
    _few_updates,
    _learned_once,
)
"""Rules about the request alone."""


def _observation_scale(asked: Asked) -> Facts:
    play = _of(asked, "env.normalize")
    if play is None or not asked.has_network or asked.normalizes("norm_obs") or (play.largest or 0) <= 50:
        return
    where = f"entry {play.largest_entry} of the observation" if play.largest_entry else "the observation"
    text = f"{where} is as large as {play.largest:,.0f} in random play, and nothing scales it"
    yield text, f"env.normalize={'true' if asked.normalizes('norm_reward') else '{norm_reward: false}'}"


def _observation_constant(asked: Asked) -> Facts:
    play = _of(asked)
    if play is None or not play.n_constant:
        return
    if play.n_constant == play.n_entries:
        text = f"the observation never changed in {play.n_steps:,} steps of random play"
        yield text, "to return a new observation in each step"
    elif play.largest is not None and play.n_steps >= 1000 and play.n_constant > 0.25 * play.n_entries:
        names = ", ".join(play.constant) + (", …" if play.n_constant > len(play.constant) else "")
        text = f"{play.n_constant} of {play.n_entries} entries of the observation never changed in {play.n_steps:,} "
        yield f"{text}steps of random play: {names}", "to look whether they should, and to leave them out if not"


def _reward_sparse(asked: Asked) -> Facts:
    play = _of(asked)
    if play is None or play.n_steps == 0:
        return
    n_episodes = max(len(play.episode_steps), 1)
    if play.n_rewarded == 0:
        text = f"no reward but 0 in {play.n_steps:,} steps of random play ({len(play.episode_steps)} episodes)"
    elif play.n_rewarded < 0.002 * play.n_steps and play.n_rewarded_episodes < 0.2 * n_episodes:
        text = f"a reward in {play.n_rewarded} of {play.n_steps:,} steps of random play"
    else:
        return
    yield text, "a reward on the way to the goal, or episodes that begin near it"


def _reward_scale(asked: Asked) -> Facts:
    play, gamma = _of(asked, "env.normalize", "algo.gamma"), asked.number("gamma")
    learns_values = asked.spec.family == "off_policy" or asked.number("vf_coef") is not None
    if play is None or gamma is None or not learns_values or asked.normalizes("norm_reward"):
        return
    known = [discount for discount in play.discounted if float(discount) <= gamma]
    size = play.discounted[known[-1]] if known else 0.0
    if size > 3e3:
        text = f"discounted returns have a mean size of {size:,.0f} in random play, and nothing scales rewards"
        yield text, f"env.normalize={'true' if asked.normalizes('norm_obs') else '{norm_obs: false}'}"


def _cut_short(asked: Asked) -> Facts:
    play = _of(asked)
    if play is None:
        return
    cut = [steps for steps, truncated in zip(play.episode_steps, play.truncated, strict=True) if truncated]
    short = [steps for steps in cut if steps <= 20]
    if len(short) > 0.5 * len(play.episode_steps):
        text = f"{len(short)} of {len(play.episode_steps)} episodes of random play are cut after {max(short)} steps"
        yield f"{text} or less", "a larger step limit: env.max_steps=200"


def _ended_at_once(asked: Asked) -> Facts:
    play = _of(asked)
    n_short = sum(steps == 1 for steps in play.episode_steps) if play is not None else 0
    if play is not None and n_short > 0.5 * len(play.episode_steps):
        text = f"{n_short} of {len(play.episode_steps)} episodes of random play end with their first step"
        yield text, "to look at what step() returns as terminated, unless an episode is one decision"


def _never_ends(asked: Asked) -> Facts:
    play, limit = _of(asked), asked.env["max_steps"]
    if play is not None and not play.episode_steps and play.n_steps >= 2 * (limit or 1000):
        yield f"no episode ended in {play.n_steps:,} steps of random play", "env.max_steps=1000"


def _limit_as_end(asked: Asked) -> Facts:
    play = _of(asked)
    if play is None or asked.spec.family == "evolution" or asked.spec.name in _WHOLE_EPISODES:
        return
    for length in sorted({steps for steps in play.episode_steps if steps >= 50}):
        ends = [cut for steps, cut in zip(play.episode_steps, play.truncated, strict=True) if steps == length]
        if len(ends) >= 8 and not any(ends):
            text = f"{len(ends)} of {len(play.episode_steps)} episodes of random play terminated after {length} steps"
            yield text, f"to truncate where that is a limit of time: env.max_steps={length} does"


_WHOLE_EPISODES = ("reinforce", "monte_carlo", "mc_prediction")
"""They learn from returns, and the value of an episode's last state is never asked for."""


def _no_effect(asked: Asked) -> Facts:
    play = _of(asked)
    if play is not None and play.reacts is False:
        yield "other actions gave the same observations and rewards", "to look for the action in step()"


def _not_reproducible(asked: Asked) -> Facts:
    play = _of(asked)
    if play is not None and play.reproducible is False:
        text = "the same seed and the same actions gave other steps: a run cannot be repeated"
        yield text, "self.np_random for everything random, after super().reset(seed=seed)"


def _action_range(asked: Asked) -> Facts:
    play = _of(asked)
    if play is not None and play.range_used is not None and play.range_used < 1:
        text = f"{play.range_used:.0%} of the range of actions does the same as all of it"
        yield text, "an action space of the range that makes a difference"


def _gamma_short(asked: Asked) -> Facts:
    play, gamma = _of(asked, "algo.gamma"), asked.number("gamma")
    if play is None or play.mean_steps is None or gamma is None or gamma >= 1:
        return
    horizon = 1 / (1 - gamma)
    if horizon < 0.05 * play.mean_steps:
        text = f"algo.gamma={gamma:g} looks {horizon:,.1f} steps ahead, and an episode of random play has "
        yield f"{text}{play.mean_steps:,.0f}", f"algo.gamma={1 - 1 / max(play.mean_steps, 100):.4g}"


PLAYED: tuple[Rule, ...] = (
    _observation_scale,
    _observation_constant,
    _reward_sparse,
    _reward_scale,
    _cut_short,
    _ended_at_once,
    _never_ends,
    _limit_as_end,
    _no_effect,
    _not_reproducible,
    _action_range,
    _gamma_short,
)
"""Rules about what random play has shown."""

RULES = (*REQUEST, *PLAYED)


def _of(asked: Asked, *keys: str) -> RandomPlay | None:
    """The play, unless it is that of a shipped environment of which no key that a rule is about was changed."""
    return None if asked.shipped and not any(map(asked.typed, keys)) else asked.play

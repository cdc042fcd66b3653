"""The range of every number an algorithm takes, by the family that gives it its meaning."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rlzoo.algos.schema.names import SCHEDULES, TEXTS
from rlzoo.algos.schema.types import is_number, named_numbers
from rlzoo.errors import Problem, show


@dataclass(frozen=True)
class Bound:
    """A range of numbers.

    Attributes:
        low: the least.
        high: the most, or None.
        above: `low` itself is outside.
        below: `high` itself is outside.
        also: a number outside of the range with a meaning of its own.
    """

    low: float
    high: float | None = None
    above: bool = False
    below: bool = False
    also: int | None = None

    def holds(self, number: float) -> bool:
        """Whether a number lies inside."""
        if self.also is not None and number == self.also:
            return True
        low = number > self.low if self.above else number >= self.low
        high = self.high is None or (number < self.high if self.below else number <= self.high)
        return low and high

    def __str__(self) -> str:
        low = f"greater than {self.low:g}" if self.above else f"at least {self.low:g}"
        high = "" if self.high is None else f" and {'less than' if self.below else 'at most'} {self.high:g}"
        also = "" if self.also is None else f"{self.also} or "
        return f"{also}{low}{high}"


SHARE = Bound(0, 1)
POSITIVE_SHARE = Bound(0, 1, above=True)
POSITIVE = Bound(0, above=True)
NOT_NEGATIVE = Bound(0)
COUNT = Bound(1)
COUNT_OR_ALL = Bound(1, also=-1)

BOUNDS: dict[tuple[str, str], Bound] = {
    ("*", "learning_rate"): POSITIVE,
    ("*", "gamma"): SHARE,
    ("*", "gae_lambda"): SHARE,
    ("*", "ent_coef"): NOT_NEGATIVE,
    ("*", "vf_coef"): NOT_NEGATIVE,
    ("*", "max_grad_norm"): POSITIVE,
    ("*", "rms_prop_eps"): POSITIVE,
    ("*", "sde_sample_freq"): COUNT_OR_ALL,
    ("*", "stats_window_size"): COUNT,
    ("*", "batch_size"): COUNT,
    ("*", "n_epochs"): COUNT,
    ("*", "n_steps"): COUNT,
    ("*", "clip_range"): POSITIVE,
    ("*", "clip_range_vf"): POSITIVE,
    ("*", "target_kl"): POSITIVE,
    ("off_policy", "buffer_size"): COUNT,
    ("off_policy", "learning_starts"): NOT_NEGATIVE,
    ("off_policy", "tau"): POSITIVE_SHARE,
    ("off_policy", "train_freq"): COUNT,
    ("off_policy", "gradient_steps"): COUNT_OR_ALL,
    ("off_policy", "target_update_interval"): COUNT,
    ("off_policy", "exploration_fraction"): POSITIVE_SHARE,
    ("off_policy", "exploration_initial_eps"): SHARE,
    ("off_policy", "exploration_final_eps"): SHARE,
    ("off_policy", "prioritized_alpha"): SHARE,
    ("off_policy", "prioritized_beta0"): SHARE,
    ("off_policy", "prioritized_eps"): POSITIVE,
    ("off_policy", "policy_delay"): COUNT,
    ("off_policy", "target_policy_noise"): NOT_NEGATIVE,
    ("off_policy", "target_noise_clip"): NOT_NEGATIVE,
    ("off_policy", "top_quantiles_to_drop_per_net"): NOT_NEGATIVE,
    ("evolution", "n_delta"): COUNT,
    ("evolution", "n_top"): COUNT,
    ("evolution", "delta_std"): POSITIVE,
    ("evolution", "n_eval_episodes"): COUNT,
    ("evolution", "population_size"): Bound(1, 1_000_000),
    ("evolution", "min_delta_std"): POSITIVE,
    ("evolution", "max_delta_std"): POSITIVE,
    ("evolution", "shrink_factor"): POSITIVE_SHARE,
    ("evolution", "grow_factor"): Bound(1),
    ("evolution", "initial_temperature"): POSITIVE,
    ("evolution", "min_temperature"): POSITIVE,
    ("evolution", "cooling_rate"): POSITIVE_SHARE,
    ("evolution", "elite_fraction"): POSITIVE_SHARE,
    ("evolution", "extra_noise"): NOT_NEGATIVE,
    ("evolution", "noise_decay"): NOT_NEGATIVE,
    ("evolution", "weight_decay"): NOT_NEGATIVE,
    ("tabular", "learning_rate"): POSITIVE_SHARE,
    ("tabular", "max_epsilon"): SHARE,
    ("tabular", "min_epsilon"): SHARE,
    ("tabular", "decay_rate"): NOT_NEGATIVE,
    ("tabular", "n_planning_steps"): NOT_NEGATIVE,
    ("tabular", "actions"): NOT_NEGATIVE,
    ("planning", "theta"): POSITIVE,
    ("on_policy", "cg_max_steps"): COUNT,
    ("on_policy", "cg_damping"): NOT_NEGATIVE,
    ("on_policy", "line_search_shrinking_factor"): Bound(0, 1, above=True, below=True),
    ("on_policy", "line_search_max_iter"): COUNT,
    ("on_policy", "n_critic_updates"): COUNT,
    ("on_policy", "sub_sampling_factor"): COUNT,
    ("on_policy", "value_learning_rate"): POSITIVE,
    ("on_policy", "n_episodes_per_update"): COUNT,
    ("policy_kwargs", "n_critics"): COUNT,
    ("policy_kwargs", "n_quantiles"): COUNT,
    ("policy_kwargs", "clip_mean"): NOT_NEGATIVE,
    ("policy_kwargs", "lstm_hidden_size"): COUNT,
    ("policy_kwargs", "n_lstm_layers"): COUNT,
    ("policy_kwargs", "batch_norm_momentum"): POSITIVE_SHARE,
    ("policy_kwargs", "batch_norm_eps"): POSITIVE,
    ("policy_kwargs", "renorm_warmup_steps"): NOT_NEGATIVE,
    ("lstm_kwargs", "dropout"): SHARE,
    ("replay_buffer_kwargs", "n_sampled_goal"): COUNT,
    ("features_extractor_kwargs", "features_dim"): COUNT,
    ("features_extractor_kwargs", "cnn_output_dim"): COUNT,
    ("optimizer_kwargs", "betas"): Bound(0, 1, below=True),
    ("optimizer_kwargs", "eps"): NOT_NEGATIVE,
    ("optimizer_kwargs", "alpha"): SHARE,
    ("optimizer_kwargs", "momentum"): NOT_NEGATIVE,
    ("optimizer_kwargs", "momentum_decay"): NOT_NEGATIVE,
    ("optimizer_kwargs", "dampening"): NOT_NEGATIVE,
    ("optimizer_kwargs", "weight_decay"): NOT_NEGATIVE,
    ("action_noise", "sigma"): NOT_NEGATIVE,
    ("action_noise", "theta"): NOT_NEGATIVE,
    ("action_noise", "dt"): POSITIVE,
}
"""Ranges by (family of algorithms or the mapping that a key is in, key); `*` is every family."""

UNBOUNDED = {"alive_bonus_offset", "target_entropy", "log_std_init", "mean", "initial_noise"}
"""Numbers that may be anything."""


def find_bound(group: str, name: str) -> Bound | None:
    """The range of a number; `group` is the algorithm's family or the mapping that the keyword is in."""
    return BOUNDS.get((group, name)) or BOUNDS.get(("*", name))


def check_bounds(key: str, value: Any, group: str) -> list[Problem]:
    """What is out of range in a value of the right form; `key` is its whole dotted key."""
    name = key.rpartition(".")[2]
    if isinstance(value, str):
        return _check_text(key, value, name)
    bound = find_bound(group, name)
    if bound is None:
        return []
    if isinstance(value, Mapping):
        return _check_schedule(key, value, bound)
    numbers = value if isinstance(value, Sequence) else [value]
    wrong = [number for number in numbers if is_number(number) and not bound.holds(number)]
    return [Problem(key, f"must be {bound}, not {show(wrong[0])}")] if wrong else []


def _check_text(key: str, value: str, name: str) -> list[Problem]:
    pattern, words = TEXTS.get(name, (".*", ""))
    problem = Problem(key, f"must be {words}, not {show(value)}")
    if not re.fullmatch(pattern, value, re.DOTALL):
        return [problem]
    if name == "ent_coef" and "_" in value:
        try:
            start = float(value.partition("_")[2])
        except ValueError:
            return [problem]
        if not (is_number(start) and start > 0):
            return [Problem(key, f"must start from a number greater than 0, not {show(value)}")]
    return []


def _check_schedule(key: str, value: Mapping[str, Any], bound: Bound) -> list[Problem]:
    ((name, given),) = value.items()
    if name not in SCHEDULES:
        return []
    numbers = named_numbers(given, SCHEDULES[name])
    problems = []
    ends = {"end": Bound(bound.low, bound.high), "end_fraction": POSITIVE_SHARE}  # it may end at nothing
    for word, number in numbers.items():
        allowed = ends.get(word, bound)
        if name == "exponential" and word in ("start", "end"):
            allowed = POSITIVE
        if not allowed.holds(number):
            problems.append(Problem(key, f"{word} of the schedule {name} must be {allowed}, not {show(number)}"))
    return problems

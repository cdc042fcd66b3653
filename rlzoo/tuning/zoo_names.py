"""What the parameters of rl_zoo3's studies mean here: `rl_zoo3/hyperparams_opt.py` of version 2.9, and older names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

SAME = (
    "learning_rate n_steps batch_size n_epochs gamma gae_lambda clip_range ent_coef vf_coef max_grad_norm"
    " normalize_advantage target_kl n_critic_updates cg_max_steps cg_damping line_search_shrinking_factor"
    " buffer_size learning_starts train_freq tau target_update_interval exploration_fraction exploration_final_eps"
    " top_quantiles_to_drop_per_net n_delta delta_std zero_policy"
).split()
"""Settings of the algorithm under the same name, with the same meaning."""
NET_ARCH = {
    "tiny": [64],
    "small": [64, 64],
    "medium": [256, 256],
    "big": [400, 300],
    "large": [256, 256, 256],
    "verybig": [512, 512, 512],
}
NOISE = {"normal": "normal", "ornstein-uhlenbeck": "ornstein_uhlenbeck"}


def _gradient_steps(params: Mapping[str, Any]) -> int:
    return max(params["train_freq"] // params.get("subsample_steps", 1), 1)


def _action_noise(params: Mapping[str, Any]) -> dict[str, float] | None:
    kind = NOISE.get(str(params["noise_type"]))
    return {kind: float(params["noise_std"])} if kind is not None else None


def _n_top(params: Mapping[str, Any]) -> int:
    return max(int(params["top_frac_size"] * 2 ** params["n_delta_pow"]), 1)


Rule = tuple[str, tuple[str, ...], Callable[[Mapping[str, Any]], Any]]
RULES: tuple[Rule, ...] = (
    *((f"algo.{name}", (name,), lambda params, name=name: params[name]) for name in SAME),
    ("algo.gamma", ("one_minus_gamma",), lambda params: 1 - params["one_minus_gamma"]),
    ("algo.gae_lambda", ("one_minus_gae_lambda",), lambda params: 1 - params["one_minus_gae_lambda"]),
    ("algo.n_steps", ("n_steps_pow",), lambda params: 2 ** params["n_steps_pow"]),
    ("algo.batch_size", ("batch_size_pow",), lambda params: 2 ** params["batch_size_pow"]),
    ("algo.n_delta", ("n_delta_pow",), lambda params: 2 ** params["n_delta_pow"]),
    ("algo.n_top", ("top_frac_size", "n_delta_pow"), _n_top),
    ("algo.gradient_steps", ("train_freq",), _gradient_steps),
    ("algo.action_noise", ("noise_type", "noise_std"), _action_noise),
    ("algo.policy_kwargs.n_quantiles", ("n_quantiles",), lambda params: params["n_quantiles"]),
    ("algo.policy_kwargs.net_arch", ("net_arch",), lambda params: NET_ARCH[params["net_arch"]]),
    ("algo.policy_kwargs.activation_fn", ("activation_fn",), lambda params: params["activation_fn"]),
)
"""A setting here, the parameters that it is made of, and how."""
BESIDES = ("subsample_steps",)
"""Parameters that only go with others."""


def settings(params: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The settings that the parameters of a trial stand for, by dotted key, and the names that mean nothing here."""
    found: dict[str, Any] = {}
    understood = set(BESIDES)
    for key, names, value in RULES:
        if not all(name in params for name in names):
            continue
        try:
            found[key] = value(params)
        except (KeyError, TypeError, ValueError, OverflowError):
            continue  # a value that version 2.9 does not know
        understood.update(names)
    return found, sorted(set(params) - understood)

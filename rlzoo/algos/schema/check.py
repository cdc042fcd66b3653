"""What every algorithm's constructor takes, and whether a configuration fits it; known without importing torch.

The table `signatures.json` is compiled from the installed packages by `rlzoo.algos.schema.compile`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import Any

from rlzoo.algos.schema import combinations
from rlzoo.algos.schema.request import Notice, Request
from rlzoo.algos.schema.space_rules import BY_KIND, observation_kind
from rlzoo.algos.schema.table import table
from rlzoo.algos.schema.types import NOT_HYPERPARAMETERS, WORDS
from rlzoo.algos.specs import AlgoSpec, find_spec
from rlzoo.config import fields
from rlzoo.config.fields import KINDS, Field, Fields
from rlzoo.envs import spaces
from rlzoo.envs.spaces import Space
from rlzoo.errors import Problem, RlzooError
from rlzoo.registry import did_you_mean, load

KINDS.update(WORDS)

CONTRACT = ("learn", "predict", "state", "restore")
"""What a class that is not Stable-Baselines3's has to have: the methods of `rlzoo.protocols.Algorithm`."""

LSTM: Fields = {"bias": Field("bool"), "dropout": Field("float", ge=0, le=1)}
"""What `lstm_kwargs` can say; the sizes of an LSTM have keywords of their own."""


@dataclass(frozen=True)
class Signature:
    """The keywords of an algorithm's constructor, and of everything that it builds.

    Attributes:
        keywords: the constructor's own.
        policies: those of each policy, by the policy's name; empty if they are not known.
    """

    keywords: Fields
    policies: Mapping[str, Fields]

    def nested(self, key: str, values: Mapping[str, Any], keywords: Fields, policy: str) -> Fields | None:
        """The keywords allowed inside the mapping `key`, or None if it is not a mapping of known keywords.

        Args:
            key: for example `policy_kwargs`, or `optimizer_kwargs` inside of it.
            values: the mapping that holds `key`; it names the class that the keywords are for.
            keywords: what `values` can hold.
            policy: the name of the policy.
        """
        if key == "policy_kwargs":
            return self.policies.get(policy)
        if key == "lstm_kwargs":
            return LSTM
        for class_key, kwargs_key, tables in (
            ("replay_buffer_class", "replay_buffer_kwargs", "replay_buffers"),
            ("rollout_buffer_class", "rollout_buffer_kwargs", "rollout_buffers"),
            ("optimizer_class", "optimizer_kwargs", "optimizers"),
            ("features_extractor_class", "features_extractor_kwargs", "features_extractors"),
        ):
            if key == kwargs_key and class_key in keywords:
                fallback = {"replay_buffers": "replay", "rollout_buffers": "rollout"}.get(tables)
                chosen = values.get(class_key) or keywords[class_key].default or fallback
                return part(tables).get(chosen) if isinstance(chosen, str) else None
        return None


@cache
def part(name: str) -> Mapping[str, Fields]:
    """A part of the table: the keywords of `policies`, `optimizers`, `noises` and so on, by name."""
    return {owner: _fields(rows) for owner, rows in table()[name].items()}


def _fields(rows: Mapping[str, Mapping[str, Any]]) -> Fields:
    return {
        name: Field(**{**row, "choices": tuple(row.get("choices", ()))}, required="default" not in row)
        for name, row in rows.items()
    }


@cache
def find_signature(spec: AlgoSpec) -> Signature:
    """The signature of an algorithm: from the table, or read from a user's or a plugin's class (importing it)."""
    if spec.backend == "custom":
        return read_signature(spec)
    row = table()["algorithms"][spec.name]
    policies = {name: part("policies")[reference] for name, reference in row["policies"].items()}
    return Signature(_fields(row["keywords"]), policies)


def read_signature(spec: AlgoSpec) -> Signature:
    """The keywords of a class and of its policies.

    Raises:
        RlzooError: if it cannot be imported, or is neither Stable-Baselines3's nor an `Algorithm`.
    """
    from rlzoo.algos.schema.compile import keywords, keywords_of

    aliases = getattr(load_class(spec), "policy_aliases", {})
    return Signature(keywords_of(spec), {name: keywords(policy, "policy_kwargs") for name, policy in aliases.items()})


def takes_any_keyword(spec: AlgoSpec) -> bool:
    """Whether the constructor has `**kwargs`, so that no keyword can be called unknown."""
    parameters = inspect.signature(load_class(spec)).parameters.values()
    return any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)


def load_class(spec: AlgoSpec) -> Any:
    """The class of a user's or a plugin's algorithm, imported, and torch with it.

    Raises:
        RlzooError: if it cannot be imported, or is neither Stable-Baselines3's nor an `Algorithm`.
    """
    try:
        cls = load(spec.entry_point)
    except RlzooError:
        raise
    except (Exception, SystemExit) as error:  # whatever the user's own module raises
        raise RlzooError(f"importing {spec.entry_point} failed: {type(error).__name__}: {error}") from error
    if not isinstance(cls, type):
        raise RlzooError(f"{spec.entry_point} is not a class")
    missing = [name for name in CONTRACT if not hasattr(cls, name)]
    if not is_sb3(cls) and missing:
        raise RlzooError(
            f"{spec.entry_point} cannot be trained: it has no {', '.join(missing)}",
            "a class of your own extends one of Stable-Baselines3, or follows rlzoo.protocols.Algorithm",
        )
    return cls


def is_sb3(cls: type) -> bool:
    """Whether it is one of Stable-Baselines3's algorithms, or extends one."""
    base = ("stable_baselines3.common.base_class", "BaseAlgorithm")
    return any((each.__module__, each.__name__) == base for each in cls.__mro__)


def check(
    algo: Mapping[str, Any],
    *,
    observation_space: str | None,
    action_space: str | None,
    n_envs: int,
    total_timesteps: int,
    typed: Callable[[str], bool],
    normalized: bool = False,
    stacked: bool = False,
) -> tuple[list[Problem], list[str]]:
    """Check an algorithm's part of a request: every keyword, its type, its range, and what they mean together.

    Args:
        algo: the values under `algo`: `name`, `policy` and the constructor's keywords. Those that are left out have
            the constructor's defaults.
        observation_space: as the algorithm sees it, as text; None if it is not known.
        action_space: as text; None if it is not known.
        n_envs: environments side by side.
        total_timesteps: environment steps of the training.
        typed: whether the user wrote the value of a dotted key, instead of a tuned set that came with rlzoo.
        normalized: whether `env.normalize` is on.
        stacked: whether observations are stacked.

    Returns:
        Every problem, and notices about what is allowed but may surprise.
    """
    problems = check_values(algo, observation_space)
    try:
        spec = find_spec(str(algo.get("name")))
        signature = find_signature(spec)
    except RlzooError:
        return problems, []
    hyperparams = {key: value for key, value in algo.items() if key not in ("name", "policy")}
    policy = algo.get("policy", "auto")
    wrong = {problem.key.split(".")[1] for problem in problems}
    defaults = {key: field.default for key, field in signature.keywords.items()}
    request = Request(
        spec=spec,
        values={key: value for key, value in {**defaults, **hyperparams, "policy": policy}.items() if key not in wrong},
        policies=tuple(signature.policies),
        observation=_space(observation_space),
        action=_space(action_space),
        n_envs=n_envs,
        total_timesteps=total_timesteps,
        typed=typed,
        normalized=normalized,
        stacked=stacked,
    )
    findings = list(combinations.find(request))
    problems += [finding for finding in findings if isinstance(finding, Problem)]
    return problems, [finding.text for finding in findings if isinstance(finding, Notice)]


def _space(text: str | None) -> Space | None:
    """What a text says of a space; nothing if it cannot be read, which is said elsewhere."""
    with suppress(RlzooError):
        return None if text is None else spaces.parse(text)
    return None


def check_values(algo: Mapping[str, Any], observation_space: str | None = None, *, whole: bool = True) -> list[Problem]:
    """Check every keyword of an algorithm by itself: whether there is such a one, its type and its range.

    Args:
        algo: the values under `algo`.
        observation_space: as the algorithm sees it, as text; None if it is not known.
        whole: whether a keyword without a default has to be there.
    """
    try:
        spec = find_spec(str(algo.get("name")))
        signature = find_signature(spec)
    except RlzooError as error:
        return [Problem("algo.name", error.message, error.hint)]
    policy = algo.get("policy", "auto")
    hyperparams = {key: value for key, value in algo.items() if key not in ("name", "policy")}
    if spec.backend == "custom" and takes_any_keyword(spec):
        hyperparams = {key: value for key, value in hyperparams.items() if key in signature.keywords}
    found = _check_keywords(
        "algo", hyperparams, signature.keywords, signature, _policy_for(policy, signature, observation_space)
    )
    missing = [key for key, field in signature.keywords.items() if whole and field.required and key not in algo]
    return [*_check_policy(policy, signature), *found, *(Problem(f"algo.{key}", "has to be given") for key in missing)]


def _check_policy(policy: Any, signature: Signature) -> list[Problem]:
    if isinstance(policy, str) and (policy == "auto" or policy in signature.policies or not signature.policies):
        return []
    allowed = ("auto", *signature.policies)
    message = f"must be one of {', '.join(allowed)}, not {policy!r}{did_you_mean(str(policy), allowed)}"
    others = [name for name, row in table()["algorithms"].items() if str(policy) in row["policies"]]
    return [Problem("algo.policy", message, f"algo={others[0]} has it" if others else "")]


def _policy_for(policy: Any, signature: Signature, observation: str | None) -> str:
    """The policy whose keywords `policy_kwargs` holds; they hardly differ where the observation is not known."""
    if isinstance(policy, str) and policy in signature.policies:
        return policy
    space = _space(observation)
    kind = observation_kind(space) if space is not None else "vector"
    fitting = [name for name in BY_KIND.get(kind, ()) if name in signature.policies]
    return next(iter((*fitting, *signature.policies)), "")


def _check_keywords(
    where: str, values: Mapping[str, Any], keywords: Fields, signature: Signature, policy: str
) -> list[Problem]:
    """Check the mapping of keywords at the key `where`, and every mapping in it."""
    problems = []
    for name, value in values.items():
        key = f"{where}.{name}"
        if name not in keywords:
            problems.append(_unknown(key, name, keywords))
            continue
        wrong = keywords[name].problems(key, value)
        problems += wrong
        nested = signature.nested(name, values, keywords, policy)
        if nested is not None and isinstance(value, Mapping):
            problems += _check_keywords(key, value, nested, signature, policy)
        if "noise" in keywords[name].words and isinstance(value, Mapping) and not wrong:
            problems += _check_noise(key, value)
    return problems


def _check_noise(key: str, value: Mapping[str, Any]) -> list[Problem]:
    ((name, given),) = value.items()
    options = {"mean": 0, **(given if isinstance(given, Mapping) else {"sigma": given})}
    if "sigma" not in options:
        return [Problem(key, f"the noise {name} needs its standard deviation", f"write {{{name}: 0.1}}")]
    return fields.problems(part("noises")[name], options, f"{key}.{name}")


def _unknown(key: str, name: str, keywords: Fields) -> Problem:
    """A keyword that there is not, with what it is elsewhere."""
    problem = fields.unknown(key, name, keywords)
    if key != f"algo.{name}":
        return problem
    if name in NOT_HYPERPARAMETERS:
        return Problem(key, "is not a hyperparameter", NOT_HYPERPARAMETERS[name])
    others = [algo for algo, row in table()["algorithms"].items() if name in row["keywords"]]
    return problem._replace(hint=f"a keyword of {', '.join(others)}") if others and problem.hint else problem


@cache
def verify_versions() -> None:
    """Compare the table with the installed packages, if they are not the versions it was made from.

    Raises:
        RlzooError: with the differences, if a constructor takes other keywords, types or defaults.
    """
    from importlib.metadata import version

    made_from = table()["versions"]
    installed = {package: version(package) for package in made_from}
    if installed == made_from:
        return
    from rlzoo.algos.schema.compile import compile_table

    found = differences(table(), compile_table())
    if found:
        names = ", ".join(f"{package} {number}" for package, number in installed.items())
        expected = ", ".join(f"{package} {number}" for package, number in made_from.items())
        raise RlzooError(
            f"the installed {names} differ from what rlzoo knows: " + "; ".join(found), f"install {expected}"
        )


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """What differs between two tables in the keywords of algorithms, policies and replay buffers."""
    return [
        line
        for part in ("algorithms", "policies", "replay_buffers")
        for line in _differences(old.get(part, {}), new.get(part, {}), "")
    ]


def _differences(old: Any, new: Any, where: str) -> list[str]:
    if not (isinstance(old, dict) and isinstance(new, dict)):
        return [] if old == new else [f"{where} was {old!r}, is {new!r}"]
    dot = f"{where}." if where else ""
    lines = [f"{dot}{key} is gone" for key in old if key not in new]
    lines += [f"{dot}{key} is new" for key in new if key not in old]
    for key in old:
        if key in new:
            lines += _differences(old[key], new[key], f"{dot}{key}")
    return lines

"""Which spaces an algorithm takes: what was found by asking Stable-Baselines3, sb3-contrib and ours for each kind.

`tests/algos/test_space_rules.py` asks them: what is refused here fails there, and what is not refused trains.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass

from rlzoo.algos.schema.request import Findings, Request
from rlzoo.algos.schema.table import table
from rlzoo.algos.specs import ALGOS, AlgoSpec
from rlzoo.envs.spaces import RANK, Space, is_other, quoted
from rlzoo.errors import Problem, RlzooError
from rlzoo.redaction import shell

BY_KIND = {
    "image": ("CnnPolicy", "CnnLstmPolicy"),
    "dict": ("MultiInputPolicy", "MultiInputLstmPolicy"),
    "vector": ("MlpPolicy", "MlpLstmPolicy"),
}
"""Kind of observation to the policies made for it: an image is a uint8 Box of rank 3, a vector anything flat."""
_NAMES = {"image": "images", "dict": "Dict observations", "vector": "flat observations"}

SMALLEST_IMAGE = 36
"""Pixels a side that the convolutions of CnnPolicy need at least."""

GOAL_PARTS = ("achieved_goal", "desired_goal")
NUMBERS = ("Box", "Discrete", "MultiDiscrete", "MultiBinary")
"""Kinds of space whose members are numbers."""
FLATTEN = "'env.wrappers={flatten: {}}' makes a vector of all that is observed"
_FOREIGN = "{kind} %s whose numbers are in the byte order of other machines, or of more than 64 bits"
_PLAIN = "declare a plain dtype: np.float32, np.int64"
_OWN_WRAPPER = "a wrapper of your own around the environment can"

Who = Callable[[AlgoSpec], bool]


def _every(spec: AlgoSpec) -> bool:
    return True


def _networks(spec: AlgoSpec) -> bool:
    return not (spec.backend == "rlzoo" and spec.family == "evolution")


def _sb3(spec: AlgoSpec) -> bool:
    return spec.backend in ("sb3", "sb3_contrib")


def _scaling(spec: AlgoSpec) -> bool:
    """Whether actions between -1 and 1 are stretched to their bounds."""
    return _sb3(spec) and spec.family == "off_policy"


@dataclass(frozen=True)
class Unfit:
    """A kind of space that some algorithms cannot take, though they take others of its class.

    Attributes:
        what: they take no ..., where `kind` stands for the space's.
        holds: of which spaces.
        of: of which algorithms.
        hint: what can be done about it.
    """

    what: str
    holds: Callable[[Space], bool]
    of: Who
    hint: str = ""


def _empty(space: Space) -> bool:
    if space.kind == "Dict":
        return all(_empty(part) for _, part in space.parts)
    return 0 in space.shape or (space.kind == "MultiDiscrete" and not space.shape)


_ACTIONS = (
    Unfit("actions without a number in them", _empty, _every, "give the environment something that can be done"),
    Unfit(
        "continuous actions of whole numbers",
        lambda space: space.trait == "integer",
        _networks,
        "declare them as MultiDiscrete, or as a Box of float32 and round them in step()",
    ),
    Unfit("actions without finite bounds", lambda space: space.trait == "unbounded", _sb3, "give them finite bounds"),
    Unfit("actions that have a single value", lambda space: space.trait == "fixed", _scaling, "leave these out"),
    Unfit(
        "actions whose bounds are infinitely far apart for their type of number",
        lambda space: space.trait == "wide",
        lambda spec: _scaling(spec) or (_sb3(spec) and spec.family == "evolution"),
        "declare them from -1 to 1, and scale them in step()",
    ),
    Unfit(
        "{kind} actions of several axes",
        lambda space: space.trait == "array",
        _sb3,
        "declare them with one axis: MultiDiscrete([2, 3]), MultiBinary(6)",
    ),
    Unfit(
        "{kind} actions",
        lambda space: space.kind == "MultiBinary",
        lambda spec: spec.recurrent,
        "declare them as MultiDiscrete([2, 2])",
    ),
    Unfit(
        "actions counted from another number than 0",
        lambda space: space.start != 0,
        _networks,
        f"{_OWN_WRAPPER} count from 0",
    ),
    Unfit(
        _FOREIGN % "actions",
        lambda space: space.trait == "foreign",
        lambda spec: _scaling(spec) or spec.masked or spec.recurrent,
        _PLAIN,
    ),
)

_OBSERVATIONS = (
    Unfit("{kind} observations", lambda space: space.kind not in NUMBERS, _every),
    Unfit("observations without a number in them", _empty, _sb3),
    Unfit("{kind} observations of nothing", lambda space: space.kind == "MultiDiscrete" and not space.shape, _every),
    Unfit(_FOREIGN % "observations", lambda space: space.trait == "foreign", _every, _PLAIN),
    Unfit("scalars", lambda space: space.kind == "Box" and not space.shape, _networks),
    Unfit("{kind} observations of several axes", lambda space: space.trait == "array", _networks),
    Unfit("{kind} observations", lambda space: space.kind == "MultiDiscrete", lambda spec: spec.recurrent),
    Unfit("observations counted from another number than 0", lambda space: space.start != 0, _networks),
)
"""Of an observation, or of a part of a Dict."""


def _unfit(rows: Sequence[Unfit], space: Space, spec: AlgoSpec) -> Unfit | None:
    return next((row for row in rows if row.holds(space) and row.of(spec)), None)


def _judged(request: Request) -> AlgoSpec | None:
    """The algorithm whose limits hold; of a class of the user's own with Stable-Baselines3's policies, those of PPO."""
    if request.spec.backend != "custom":
        return request.spec
    return ALGOS["ppo"] if request.policies else None


def actions(request: Request) -> Findings:
    """What is wrong with the action space."""
    space, allowed, spec = request.action, request.spec.action_spaces, _judged(request)
    if space is None or spec is None:
        return
    takers = [
        other.name
        for other in ALGOS.values()
        if space.kind in other.action_spaces and not _unfit(_ACTIONS, space, other)
    ]
    others = f"{', '.join(takers)} can learn such actions" if takers else "no algorithm takes such actions"
    if allowed and space.kind not in allowed:
        message = f"{request.spec.name} takes {' or '.join(allowed)} actions, and this environment has {space}"
        hint = others if space.kind in NUMBERS else f"{_OWN_WRAPPER} make a MultiDiscrete or a Box of them"
        yield Problem("algo.name", message, hint)
    elif row := _unfit(_ACTIONS, space, spec):
        what = row.what.format(kind=space.kind)
        message = f"{request.spec.name} takes no {what}, and this environment has {space}"
        yield Problem("algo.name", message, f"{row.hint}; {others}")
    elif space.kind != "Box" and request.get("use_sde"):
        yield Problem("algo.use_sde", f"explores in continuous actions only, and this environment has {space}")
    elif not space.shape and "normal" in (request.get("action_noise") or ()):
        hint = "declare them as a Box of shape (1,), or algo.action_noise={ornstein_uhlenbeck: 0.1}"
        yield Problem("algo.action_noise", f"normal is for actions that have an axis, not {space}", hint)


def observations(request: Request) -> Findings:
    """What is wrong with the observation space."""
    space, allowed, spec = request.observation, request.spec.observation_spaces, _judged(request)
    if space is None or spec is None:
        return
    if allowed and space.kind not in allowed:
        message = f"takes {' or '.join(allowed)} observations, and this environment has {space}"
        yield Problem("algo.name", f"{request.spec.name} {message}", _way_out(space, spec))
        return
    if _empty(space):
        message = (
            f"{request.spec.name} takes no observations without a number in them, and this environment has {space}"
        )
        yield Problem("algo.name", message, "give the environment something that is observed")
        return
    is_dict, unfit, hints = space.kind == "Dict", {}, {}
    for name, part in space.parts if is_dict else (("", space),):
        if row := _unfit(_OBSERVATIONS, part, spec):
            what = row.what.format(kind=part.kind) + (" inside a Dict" if is_dict else "")
            unfit[name] = f"no {what}, and this environment has {f'{quoted(name)}: ' if is_dict else ''}{part}"
            hints[name] = row.hint
        elif is_dict and (reason := _unfit_name(name)):
            unfit[name] = f"no key {quoted(name)} in a Dict, which this environment has: {reason}"
    for name, message in unfit.items():
        hint = hints.get(name) or _way_out(space, spec, unfit)
        yield Problem("env.wrappers", f"{request.spec.name} takes {message}", hint)
    if not unfit:
        yield from _policy(request, space)


def _unfit_name(name: str) -> str:
    """Why torch cannot name a network after a part of a Dict, or nothing."""
    if is_other(name):
        return "it is not text"
    if not name or "." in name:
        return "torch names a network after it, which takes no full stop and at least one letter"
    return "torch has another use for that name" if name in table()["names_of_modules"] else ""


def _way_out(space: Space, spec: AlgoSpec, unfit: Container[str] = ()) -> str:
    """Wrappers by which an algorithm takes what is observed after all."""
    if spec.family in ("tabular", "planning"):
        digits = space.kind == "MultiDiscrete" or (
            space.kind == "Tuple" and all(part.kind == "Discrete" for _, part in space.parts)
        )
        numbers = "'env.wrappers={flatten_index: {}}' makes one number of it"
        return numbers if digits else f"{_OWN_WRAPPER} count what is observed from 0"
    fine = [quoted(name) for name, _ in space.parts if name not in unfit] if space.kind == "Dict" and unfit else []
    kept = shell(f"env.wrappers={{filter: {{filter_keys: [{', '.join(fine)}]}}}}")
    ways = [f"{kept} leaves out the rest"] if fine else []
    if _flattens(space):
        ways.append(FLATTEN)
    return "; ".join(ways) or f"{_OWN_WRAPPER} make an array of one shape of them"


def _flattens(space: Space) -> bool:
    """Whether Gymnasium makes a vector of it, with a number in it at least."""
    if space.kind in ("Dict", "Tuple"):
        parts = [part for _, part in space.parts]
        return any(map(_flattens, parts)) and all(
            _flattens(part) or (_empty(part) and part.kind == "Box") for part in parts
        )
    return space.kind in (*NUMBERS, "Text", "OneOf") and not _empty(space)


def choose_policy(policies: Sequence[str], kind: str) -> str:
    """The policy that `policy: auto` stands for.

    Raises:
        RlzooError: if the algorithm has none for this kind of observation.
    """
    for name in BY_KIND[kind]:
        if name in policies:
            return name
    raise RlzooError(f"there is no policy for {kind} observations", f"it has {', '.join(policies)}")


def observation_kind(observation: Space) -> str:
    """`image`, `dict` or `vector`."""
    return "dict" if observation.kind == "Dict" else "image" if observation.is_image else "vector"


def _policy(request: Request, space: Space) -> Findings:
    """What is wrong with the policy, and with the convolutions that it begins with."""
    kind, policy = observation_kind(space), request.get("policy")
    if request.policies and policy != "auto":
        if isinstance(policy, str) and not _fits(policy, kind, request, space):
            text = f"{policy} is not made for the {_NAMES[kind]} of this environment, {space}"
            yield Problem("algo.policy", text, "algo.policy=auto chooses by the observation")
            return
    elif _networks(request.spec):
        try:
            policy = choose_policy(request.policies or BY_KIND[kind], kind)
        except RlzooError as error:
            yield Problem("algo.policy", f"{request.spec.name}: {error.message}: {space}", f"{error.hint}; {FLATTEN}")
            return
    key, extractor = "algo.policy_kwargs.features_extractor_class", _extractor(request, str(policy))
    if (extractor == "combined") != (kind == "dict") or (extractor == "nature_cnn" and not _is_image(request, space)):
        yield Problem(key, f"{extractor} is not made for {space}", "leave it out: the policy chooses one")
        return
    parts = [part for _, part in space.parts] if kind == "dict" else [space]
    small = [part for part in parts if _is_image(request, part) and min(part.shape[1:]) < SMALLEST_IMAGE]
    if small and extractor in ("combined", "nature_cnn"):
        least = f"images of at least {SMALLEST_IMAGE} x {SMALLEST_IMAGE} pixels"
        first = "" if small[0].is_image else ", their channels first"
        yield Problem("algo.policy", f"{request.spec.name} needs {least}{first}, not {small[0]}", FLATTEN)


def _is_image(request: Request, space: Space) -> bool:
    """Whether convolutions take it: with `normalize_images: false` any Box of three axes, as it is."""
    anything = request.nested("policy_kwargs", "normalize_images") is False
    return space.is_image or (anything and space.kind == "Box" and len(space.shape) == RANK)


def _extractor(request: Request, policy: str) -> str:
    """What the policy begins with."""
    chosen = request.nested("policy_kwargs", "features_extractor_class")
    by_policy = (
        "combined" if policy.startswith("MultiInput") else "nature_cnn" if policy.startswith("Cnn") else "flatten"
    )
    return chosen if isinstance(chosen, str) else by_policy


def _fits(policy: str, kind: str, request: Request, space: Space) -> bool:
    if policy.startswith("MultiInput"):
        return kind == "dict"
    if policy.startswith("Cnn"):
        return _is_image(request, space)
    return kind == "vector" or (kind == "image" and _extractor(request, policy) == "nature_cnn")


def goals(request: Request) -> Findings:
    """What hindsight replay needs: a goal, and what was reached of it, in one form."""
    space = request.observation
    if request.get("replay_buffer_class") != "her" or space is None:
        return
    parts = dict(space.parts)
    forms = [parts.get(name) for name in GOAL_PARTS]
    if None in forms or forms[0] != forms[1]:
        text = f"her needs a Dict whose {' and '.join(GOAL_PARTS)} are alike, not {space}"
        hint = "algo.replay_buffer_class=null, or a goal environment such as env=BitFlipping"
        yield Problem("algo.replay_buffer_class", text, hint)

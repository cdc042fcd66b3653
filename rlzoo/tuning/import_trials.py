"""Puts the best trials of another study into the queue of a study: they are run again, and count like every trial."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlzoo.config import paths
from rlzoo.config.compose import override, with_values
from rlzoo.config.overrides import key_of
from rlzoo.config.parse import check
from rlzoo.config.paths import at_home
from rlzoo.config.tune_schema import TuneImportConfig
from rlzoo.console import print_lines, print_table
from rlzoo.errors import ConfigError, ExitCode, Problem, RlzooError
from rlzoo.tuning.progress import PLACE, StudyProgress
from rlzoo.tuning.queue import QUEUE, Enqueued, values_of
from rlzoo.tuning.request import TuneRequest, plan
from rlzoo.tuning.samplers import name_of
from rlzoo.tuning.search import command
from rlzoo.tuning.space import Space, same
from rlzoo.tuning.space_file import read as read_space
from rlzoo.tuning.storage.read import Snapshot, find_study, is_study, made_sense_of, read_study, study_names
from rlzoo.tuning.storage.store import FILES, Store, explained, problems_of
from rlzoo.tuning.study import begin

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

HEADER = b"SQLite format 3\0"
LOCAL = "sqlite:///"
OWN_WORDS = tuple(field.name for field in fields(TuneImportConfig))
WHERE = "a study's folder, an SQLite file, Optuna's journal, or a database's URL"


@dataclass(frozen=True)
class Found:
    """A trial of another study: its number, its score, and its values by dotted key, `algo.learning_rate`."""

    number: int
    score: float
    settings: Mapping[str, Any]


@dataclass(frozen=True)
class Source:
    """Another study.

    Attributes:
        name: in its storage.
        of: whose it is: `rlzoo`, with the algorithm, or `rl_zoo3`.
        trials: the complete ones, the best first.
        unknown: parameters that mean nothing here.
    """

    name: str
    of: str
    trials: tuple[Found, ...]
    unknown: tuple[str, ...]


def open_source(storage: str, name: str | None) -> Source:
    """Read a study.

    Raises:
        RlzooError: if there is none, or none that can be read, or nothing in it is complete.
    """
    store, known = _place(storage)
    found = read_study(store, name or known or _only(store))
    with made_sense_of(str(store.file)) if store.foreign is not None else nullcontext():
        return _source(found)


def _source(found: Snapshot) -> Source:
    maximize = found.directions[0].name != "MINIMIZE"
    of, space = _space_of(found)
    trials: list[Found] = []
    unknown: set[str] = set()
    for trial in _best(found, maximize):
        if space is not None:
            settings = space.settings(values_of(space, trial))
        else:
            settings, strange = zoo_settings(trial.params)
            unknown.update(strange)
        trials.append(Found(trial.number, trial.values[0], settings))
    if not trials:
        message = f"none of the {len(found.trials)} trials of {found.name} is complete"
        raise RlzooError(message, "there is nothing to begin with")
    return Source(found.name, of, tuple(trials), tuple(sorted(unknown)))


def _place(storage: str) -> tuple[Store, str | None]:
    """The storage, and the study's name where it follows from it."""
    if "://" in storage and not storage.startswith(LOCAL):
        if problems := problems_of(storage):
            raise ConfigError(problems)
        return Store(storage, Path()), None
    path = at_home(storage.removeprefix(LOCAL))
    if path.is_dir() and is_study(path):
        there = find_study(str(path), path.parent, None)
        return there.store, there.name
    kind = next((kind for kind, name in FILES.items() if name == path.name), None)
    if kind is not None and is_study(path.parent):
        return find_study(str(path.parent), path.parent, kind).store, None
    if not path.is_file():
        what = "is not a study's folder" if path.is_dir() else "is not there"
        raise RlzooError(f"storage: {path} {what}", f"storage= takes {WHERE}")
    try:
        with path.open("rb") as file:
            begins = file.read(len(HEADER))
    except OSError as error:
        raise RlzooError(f"{path} cannot be read: {error.strerror}", "is it yours?", ExitCode.STORAGE) from error
    if begins != HEADER and not begins.startswith(b"{"):
        raise RlzooError(f"{path} is neither an SQLite file nor a journal of Optuna's", f"storage= takes {WHERE}")
    return Store("sqlite" if begins == HEADER else "journal", path.parent, foreign=path), None


def _only(store: Store) -> str:
    """The name of the one study of a storage."""
    there = study_names(store)
    if len(there) == 1:
        return there[0]
    listed = ", ".join(there[:10])
    message = f"{len(there)} studies are there: {listed}" if there else "there is no study in that storage"
    raise RlzooError(message, f"from_study={there[0]} names one" if there else f"storage= takes {WHERE}")


def _space_of(study: Snapshot) -> tuple[str, Space | None]:
    """Whose study it is, and the space that it searched, if it is one of ours."""
    request = study.request
    if request is None:
        return "rl_zoo3", None
    space, problems = read_space(request["search_space"], request["train"])
    if problems:
        raise RlzooError(f"the search space of {study.name} cannot be read: {problems[0]}")
    return f"rlzoo tune algo={request['train']['algo']['name']}", space


def _best(study: Snapshot, maximize: bool) -> list[FrozenTrial]:
    complete = [trial for trial in study.trials if trial.state.name == "COMPLETE" and math.isfinite(trial.values[0])]
    return sorted(complete, key=lambda trial: (-trial.values[0] if maximize else trial.values[0], trial.number))


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


def zoo_settings(params: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
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


@dataclass(frozen=True)
class Taken:
    """A trial to begin with.

    Attributes:
        found: in the other study.
        params: what the sampler would have had to draw for it.
        values: by the parameters' names.
        notes: what became of values that cannot be drawn.
        slot: in the study; None if the study has these parameters already, or is not made yet.
    """

    found: Found
    params: Mapping[str, Any]
    values: Mapping[str, Any]
    notes: tuple[str, ...] = ()
    slot: int | None = None


@dataclass(frozen=True)
class Chosen:
    """What of another study can be tried in this one.

    Attributes:
        taken: the best first.
        left_out: trials that may not be tried, by number, and why.
        not_searched: settings of the other study that this one holds fixed.
        not_given: parameters of this one that the other study says nothing of: the sampler draws them.
    """

    taken: tuple[Taken, ...]
    left_out: Mapping[int, str]
    not_searched: tuple[str, ...]
    not_given: tuple[str, ...]


def choose(source: Source, request: TuneRequest, n_best: int) -> Chosen:
    """The best trials that may be tried in the request's space.

    Raises:
        RlzooError: if there is none.
    """
    keys = {parameter.key for parameter in request.space.parameters}
    given = {key for found in source.trials for key in found.settings}
    taken: list[Taken] = []
    left_out: dict[int, str] = {}
    for found in source.trials:
        if len(taken) == n_best:
            break
        one = _fitted(found, request)
        if broken := _broken(one, request):
            left_out[found.number] = "; ".join(broken)
        elif one.params and all(one.params != other.params for other in taken):
            taken.append(one)
    if not taken:
        reason = "; ".join(f"trial {number}: {why}" for number, why in list(left_out.items())[:3])
        message = f"no trial of {source.name} can be tried in this space" + (f": {reason}" if reason else "")
        raise RlzooError(message, "" if given & keys else f"it searched {', '.join(sorted(given)) or 'nothing known'}")
    return Chosen(tuple(taken), left_out, tuple(sorted(given - keys)), tuple(sorted(keys - given)))


@dataclass(frozen=True)
class Imported:
    """What came of an import.

    Attributes:
        source: the other study.
        chosen: what of it can be tried in this one.
        taken: that, with its slots.
        folder: of this study; None for a dry run.
        notes: what the user should hear about.
        command: the one that runs this study.
    """

    source: Source
    chosen: Chosen
    taken: Sequence[Taken]
    folder: Path | None
    notes: Sequence[str]
    command: str

    def as_data(self) -> dict[str, Any]:
        """What was taken and what was not, as plain data."""
        source, chosen = self.source, self.chosen
        return {
            "from": {"study": source.name, "of": source.of, "complete": len(source.trials)},
            "folder": None if self.folder is None else str(self.folder),
            "trials": [
                {
                    "trial": one.found.number,
                    "score": one.found.score,
                    "place": one.slot,
                    "values": dict(one.values),
                    "notes": list(one.notes),
                }
                for one in self.taken
            ],
            "left_out": {str(number): why for number, why in chosen.left_out.items()},
            "unknown": list(source.unknown),
            "not_searched": list(chosen.not_searched),
            "not_given": list(chosen.not_given),
            "command": self.command,
        }

    def show(self) -> None:
        """Print the trials that were taken, and how to run them."""

        def place(one: Taken) -> Any:
            return "" if self.folder is None else "there already" if one.slot is None else one.slot

        rows = [
            (
                one.found.number,
                one.found.score,
                place(one),
                " ".join(f"{k}={v:.4g}" if isinstance(v, float) else f"{k}={v}" for k, v in one.values.items()),
            )
            for one in self.taken
        ]
        of = f"{self.source.of}, {len(self.source.trials)} complete trials"
        title = f"the best of {self.source.name} ({of})"
        print_table(("trial", "score there", "place here", "values"), rows, title=title)
        print_lines(f"to run {'it' if self.folder is None else self.folder}: {self.command}")


def import_trials(words: Sequence[str], *, dry_run: bool = False) -> Imported:
    """Begin a study with the best trials of another one, which is not changed.

    Args:
        words: of `rlzoo tune`, and those of `conf/tune-import.yaml`.
        dry_run: say what would be taken, and write nothing.

    Raises:
        RlzooError: if a word is wrong, the other study cannot be read, or nothing of it can be tried.
    """
    config, request, words = _request(words)
    assert config.storage is not None
    source = open_source(config.storage, config.from_study)
    chosen = choose(source, request, config.n_best)
    taken: Sequence[Taken] = chosen.taken
    folder, notes = None, list(request.notices)
    if not dry_run:
        folder, taken, said = append(request, source, chosen)
        notes += said
    notes += _notes(source, chosen, taken, request)
    return Imported(source, chosen, taken, folder, notes, command(words).strip())


def _request(given: Sequence[str]) -> tuple[TuneImportConfig, TuneRequest, list[str]]:
    """What is to be imported, the request of the study that gets it, and the words of that.

    Raises:
        ConfigError: with everything that is wrong with the words.
    """
    own = [word for word in given if key_of(word) in OWN_WORDS]
    asked = override(paths.root() / "conf" / "tune-import.yaml", own, has_groups=False)
    config, problems = check(TuneImportConfig, asked.values)
    problems = [asked.locate(problem) for problem in (*asked.problems, *problems)]
    if asked.values.get("storage") is None:
        problems.append(Problem("storage", "says where the other study is, and is missing", f"storage= takes {WHERE}"))
    words = [word for word in given if word not in own]
    if config is not None and config.into != "sqlite":
        words.append(f"storage={config.into}")
    try:
        request = plan(words)
    except ConfigError as error:
        raise ConfigError([*problems, *error.problems]) from None
    if name_of(request.config.sampler) == "grid":
        problems.append(Problem("sampler", "grid tries every point of the space: there is nothing to begin with"))
    if problems or config is None:
        raise ConfigError(problems)
    return config, request, words


def _notes(source: Source, chosen: Chosen, taken: Sequence[Taken], request: TuneRequest) -> list[str]:
    """What was not taken as it is."""
    notes = [f"trial {one.found.number}: {'; '.join(one.notes)}" for one in taken if one.notes]
    notes += [f"trial {number} is left out: {why}" for number, why in chosen.left_out.items()]
    if source.unknown:
        notes.append(f"nothing here is meant by: {', '.join(source.unknown)}")
    if chosen.not_searched:
        notes.append(f"this study does not search, and holds fixed: {', '.join(chosen.not_searched)}")
    if chosen.not_given:
        notes.append(f"{source.name} does not say, and the sampler draws: {', '.join(chosen.not_given)}")
    last = max((one.slot for one in taken if one.slot is not None), default=-1)
    if last >= request.config.n_trials:
        notes.append(f"the last of them is tried with n_trials={last + 1} or more")
    return notes


def append(request: TuneRequest, source: Source, chosen: Chosen) -> tuple[Path, list[Taken], list[str]]:
    """Make the study, or take the one that is there, and put the trials behind what it begins with.

    Returns:
        Its folder, the trials with their slots, and what the user should hear about.

    Raises:
        RlzooError: if the study has another request, or its storage fails.
    """
    with closing(begin(request)) as study:
        queue = study.queue
        with queue.store.lock(), explained(queue.store):
            enqueued: Enqueued = dict(queue.user_attrs[QUEUE])
            progress = queue.progress()
            free = _free(enqueued, progress)
            there = [*(each["params"] for each in enqueued.values()), *(trial.params for trial in progress.trials)]
            placed = []
            for one in chosen.taken:
                slot = None if _is_there(one.params, there) else next(free)
                if slot is not None:
                    enqueued[str(slot)] = {
                        "params": dict(one.params),
                        "from": f"{source.name} trial {one.found.number}",
                    }
                placed.append(Taken(one.found, one.params, one.values, one.notes, slot))
            queue.set_user_attr(QUEUE, enqueued)
        return study.folder, placed, list(study.notes)


def _fitted(found: Found, request: TuneRequest) -> Taken:
    """The trial as the space can draw it."""
    parameters = tuple(each for each in request.space.parameters if each.key in found.settings)
    values, notes = Space(parameters).nearest(with_values(request.base, found.settings).values)
    return Taken(found, request.space.raw(values), values, tuple(notes))


def _broken(one: Taken, request: TuneRequest) -> list[str]:
    """The constraints that it does not meet, of those that say nothing of what the sampler is to draw."""
    drawn = {parameter.name for parameter in request.space.parameters} - set(one.values)
    decided = tuple(each for each in request.space.constraints if not each.names & drawn)
    laid = with_values(request.base, request.space.settings(one.values)).values
    return Space(request.space.parameters, decided).broken(one.values, laid)


def _free(enqueued: Enqueued, progress: StudyProgress) -> Iterator[int]:
    """Slots that nothing was put in and no trial was begun in, the lowest first."""
    begun = {trial.user_attrs.get(PLACE) for trial in progress.trials}
    slot = 0
    while True:
        if str(slot) not in enqueued and slot not in begun:
            yield slot
        slot += 1


def _is_there(params: Mapping[str, Any], there: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a trial has these parameters, but for rounding; it may have drawn others besides."""
    return any(all(name in other and same(params[name], other[name]) for name in params) for other in there)

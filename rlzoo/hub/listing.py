"""Agents on the Hub with their scores, read out of the metadata of their cards; and the score of one that is loaded.

A card holds what its author wrote: numbers that nobody checked, and any text. What has no known form is left out, and
nothing is believed further than to be shown: `rlzoo evaluate` measures a score.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from rlzoo.algos.specs import ALGOS, ALIASES
from rlzoo.config import aliases, env_names, yaml_file
from rlzoo.config.files import find as find_file
from rlzoo.config.files import read_choice
from rlzoo.errors import RlzooError, clean, shorten
from rlzoo.hub.failures import misfit
from rlzoo.registry import did_you_mean

if TYPE_CHECKING:
    from rlzoo.hub.formats.source import Source

TAG = "reinforcement-learning"
"""What every agent of the known libraries is tagged with."""
LIMIT = 1000
"""Models that are looked at unless told otherwise: the most downloaded ones."""
PAGE = 500
"""Models of one request."""
MAX_PAGES = 20
"""That a list may have: the Hub may give fewer models at a time than it is asked for."""
FIELDS = ("cardData", "model-index", "tags", "library_name", "downloads", "likes", "lastModified")
"""What the Hub is asked to say of each model."""
PUBLISHED = "published"
"""The source of an entry in results.json that nobody here has measured."""
MAX_EPISODES = 100_000
LONGEST_TEXT = 96
LARGEST = 1e15
"""Numbers beyond it are not scores."""
_NUMBER = r"[+-]?(?:[0-9]{1,15}|[0-9]{1,3}(?:,[0-9]{3}){1,4})(?:\.[0-9]{0,15})?(?:[eE][+-]?[0-9]{1,3})?"
_SCORE = re.compile(rf"\s*({_NUMBER})\s*(?:(?:\+/-|\+-|±)\s*({_NUMBER}))?\s*")


@dataclass(frozen=True)
class Model:
    """One repository.

    Attributes:
        id: `owner/name`.
        algo: rlzoo's name of its algorithm where it has one, else the card's, else "".
        env: the environment's id of today, or the card's own name for it.
        mean, std: of the returns, as the card says; None where it does not say or the text is not a number.
        tags: in small letters, with the name of the library.
        date: of its last change, as the Hub writes it.
    """

    id: str
    algo: str
    env: str
    mean: float | None
    std: float | None
    tags: tuple[str, ...]
    downloads: int
    likes: int
    date: str

    @property
    def result(self) -> float | None:
        """`mean - std`, what the Deep RL Course compares."""
        return None if self.mean is None or self.std is None else self.mean - self.std


@dataclass(frozen=True)
class Published:
    """A score as it was published; what is not said is None.

    Attributes:
        mean_reward, std_reward: over `n_episodes` episodes.
        deterministic: whether its actions were greedy.
        date: when, as it was written.
        env_ids: names of environments that are said anywhere, the likeliest first.
        checkpoint: the name of the checkpoint, where rlzoo published it.
        returns, lengths, seeds: of every episode.
    """

    mean_reward: float | None = None
    std_reward: float | None = None
    n_episodes: int | None = None
    deterministic: bool | None = None
    date: str = ""
    env_ids: tuple[str, ...] = ()
    checkpoint: str = ""
    returns: tuple[float, ...] = ()
    lengths: tuple[int, ...] = ()
    seeds: tuple[int, ...] = ()

    @property
    def text(self) -> str:
        """`200.20 ± 20.80 over 10 episodes`; empty if there is no score."""
        if self.mean_reward is None:
            return ""
        std = "" if self.std_reward is None else f" ± {self.std_reward:.2f}"
        episodes = "" if self.n_episodes is None else f" over {self.n_episodes} episodes"
        return f"{self.mean_reward:.2f}{std}{episodes}"

    def entry(self, checkpoint: str, num_timesteps: int) -> dict[str, Any] | None:
        """An entry for a run's results.json, with the keys of a measured one; None if there is no score."""
        from rlzoo.evaluation.evaluate import summary
        from rlzoo.protocols import Evaluation

        if self.mean_reward is None:
            return None
        head = {"date": self.date, "source": PUBLISHED, "checkpoint": checkpoint, "num_timesteps": num_timesteps}
        if self.returns:
            played = Evaluation(self.returns, self.lengths, self.seeds, deterministic=self.deterministic is not False)
            return {**head, **summary(played)}
        result = None if self.std_reward is None else self.mean_reward - self.std_reward
        unknown = dict.fromkeys(("median_reward", "iqm", "min_reward", "max_reward", "mean_length"))
        return {
            **head,
            "n_episodes": self.n_episodes,
            "mean_reward": self.mean_reward,
            "std_reward": self.std_reward,
            "result": result,
            **unknown,
            "iqm_ci": [None, None],
            "deterministic": self.deterministic,
            "seeds": [],
            "returns": [],
            "lengths": [],
        }


def find_models(
    user: str | None = None,
    tag: str | None = None,
    env: str | None = None,
    algo: str | None = None,
    limit: int = LIMIT,
) -> list[Model]:
    """Agents on the Hub: by environment, within one the best result first, those without a result last.

    Args:
        user: only those of this user or organisation.
        tag: only those with this tag.
        env: only those of this environment: a short name, an id, or an old one.
        algo: only those of this algorithm, as far as their cards tell.
        limit: how many models are looked at.

    Raises:
        RlzooError: if the Hub cannot be reached or refuses, with exit code 6.
    """
    from rlzoo.hub.client import connect

    ids = env_ids(env) if env is not None else (None,)
    api = connect()
    found: dict[str, Model] = {}
    for env_id in ids:
        tags = [name for name in (TAG, tag, env_id) if name]
        for about in _ask(api.endpoint, tags, user, limit):
            model = read(about, ids if env is not None else ())
            if model is not None and (algo is None or model.algo == ALIASES.get(algo, algo)):
                found.setdefault(model.id, model)
    return sorted(found.values(), key=_order)


def env_ids(env: str) -> tuple[str, ...]:
    """The id that `env=` names, and what else cards call the same environment: its old ids, the course's lakes.

    A name that rlzoo does not know is taken for an id.
    """
    if env in env_names.LAKES:
        return (env,)
    name = env_names.name_of(env)
    values = read_choice("env", name) if find_file(f"env/{name}") is not None else {}
    env_id = str(values.get("id", "???"))
    newest = aliases.current(env if env_id == "???" else env_id)
    lakes = (lake for lake, file in env_names.LAKES.items() if file == name)
    return (newest, *(old for old, (new, _) in aliases.SAME.items() if new == newest), *lakes)


def unknown_algo(algo: str) -> str:
    """What to say of a name that is nearly an algorithm's; "" of any other: the Hub has more than rlzoo."""
    near = "" if algo in ALGOS or algo in ALIASES else did_you_mean(algo, (*ALGOS, *ALIASES))
    return f"there is no algorithm {algo!r}{near}" if near else ""


def read(about: Any, wanted: Sequence[str | None] = ()) -> Model | None:
    """A model out of what the Hub says of it; None if that has no known form.

    Args:
        about: one entry of the Hub's list of models.
        wanted: environments, of which the score is taken if the card has several.
    """
    if not isinstance(about, Mapping) or not isinstance(about.get("id"), str):
        return None
    card = about.get("cardData")
    card = card if isinstance(card, Mapping) else {}
    tags = [_text(tag) for tag in _list(about.get("tags")) + _list(card.get("tags")) if isinstance(tag, str)]
    library = card.get("library_name") or about.get("library_name")
    tags += [_text(library)] if isinstance(library, str) else []
    found = list(scores(card.get("model-index") or about.get("model-index")))
    right = [score for score in found if aliases.current(score[1]) in wanted] or found
    name, env, mean, std = right[0] if right else ("", "", None, None)
    if not env:
        env = next((tag for tag in tags if re.fullmatch(r"[\w./-]+-v[0-9]+", tag)), "")
    return Model(
        id=_text(about["id"]),
        algo=_algo(name, tags, about["id"].rpartition("/")[2]),
        env=aliases.current(env),
        mean=mean,
        std=std,
        tags=tuple(dict.fromkeys(tag.lower() for tag in tags)),
        downloads=_count(about.get("downloads")),
        likes=_count(about.get("likes")),
        date=_text(about.get("lastModified") or about.get("createdAt") or ""),
    )


def read_published(source: Source) -> Published:
    """The score of a repository; damaged or missing files leave it unknown, and are noted."""
    said, card = source.keys_and_values("results.json"), _card(source)
    index = card.get("model-index")
    datasets = [result["dataset"] for _, result in results(index) if isinstance(result.get("dataset"), Mapping)]
    named = [said.get("env_id"), *(dataset.get(key) for dataset in datasets for key in ("type", "name"))]
    named += [tag for tag in _list(card.get("tags")) if isinstance(tag, str) and re.search(r"-v\d+$", tag)]
    mean, std = (number(said.get(key)) for key in ("mean_reward", "std_reward"))
    if mean is None:
        mean, std = next(((mean, std) for *_, mean, std in scores(index)), (None, None))
    count = said.get("n_eval_episodes", said.get("n_evaluation_episodes"))
    returns = _numbers(said.get("returns"))
    lengths, seeds = (_counts(said.get(key)) for key in ("lengths", "seeds"))
    whole = len(returns) == len(lengths) > 0
    deterministic = said.get("is_deterministic")
    return Published(
        mean_reward=mean,
        std_reward=std,
        n_episodes=count if type(count) is int and 0 < count <= MAX_EPISODES else None,
        deterministic=deterministic if isinstance(deterministic, bool) else None,
        date=clean(str(said.get("eval_datetime", "")))[:40],
        env_ids=tuple(dict.fromkeys(name for name in named if isinstance(name, str) and 0 < len(name) <= 100)),
        checkpoint=str(said.get("checkpoint", ""))[:20],
        returns=tuple(returns) if whole else (),
        lengths=tuple(lengths) if whole else (),
        seeds=tuple(seeds) if whole else (),
    )


def parse_score(value: Any) -> tuple[float | None, float | None]:
    """Mean and standard deviation of a metric: `"200.00 +/- 20.00"`, `"200.00"` or a number; None for what it lacks."""
    if not isinstance(value, str):
        return number(value), None
    match = _SCORE.fullmatch(value) if len(value) < LONGEST_TEXT else None
    if match is None:
        return None, None
    mean, std = (None if part is None else float(part.replace(",", "")) for part in match.groups())
    if mean is None or not abs(mean) < LARGEST or (std is not None and not 0 <= std < LARGEST):
        return None, None
    return mean, std


def number(value: Any) -> float | None:
    """A number that can be a score; None of anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < LARGEST:
        return None
    return float(value)


def results(index: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every result of a card's model-index, with the name of its model."""
    for entry in _list(index):
        for result in _list(_get(entry, "results")):
            if isinstance(result, Mapping):
                yield _text(_get(entry, "name") or ""), result


def scores(index: Any) -> Iterator[tuple[str, str, float, float | None]]:
    """Every mean reward of a card's model-index: name of the model, environment, mean, std."""
    for name, result in results(index):
        dataset = result.get("dataset")
        env = _get(dataset, "name") or _get(dataset, "type")
        for metric in _list(result.get("metrics")):
            kind = _get(metric, "type") or _get(metric, "name")
            mean, std = parse_score(_get(metric, "value"))
            if kind == "mean_reward" and mean is not None:
                yield name, _text(env or ""), mean, std


def _card(source: Source) -> Mapping[str, Any]:
    """The metadata at the head of README.md."""
    path = source.repository.find("README.md")
    text = "" if path is None else path.read_text(encoding="utf-8", errors="replace").replace("\r\n", "\n")
    match = re.match(r"\s*---\n(.*?)\n---\s*(?:\n|\Z)", text, re.DOTALL)
    if path is None or match is None:
        return {}
    try:
        return yaml_file.parse_text(match[1], path).values
    except RlzooError as error:
        source.assume(f"the metadata of README.md is left out: {error.message[:200]}")
        return {}


def _numbers(values: Any) -> list[float]:
    if not isinstance(values, list) or len(values) > MAX_EPISODES:
        return []
    found = [number(value) for value in values]
    return [value for value in found if value is not None] if None not in found else []


def _counts(values: Any) -> list[int]:
    """Whole numbers from 0; nothing if any is something else."""
    numbers = _numbers(values)
    return values if numbers and all(type(value) is int and value >= 0 for value in values) else []


def _algo(name: str, tags: Sequence[str], repo: str) -> str:
    """The algorithm: what the card calls its model, else a tag, else how the repository's name begins."""
    own = [tag for tag in tags if "_" in tag]  # as rlzoo's cards spell it: ppo_scratch is called PPO in them
    for text in (*own, name, *tags, *_beginnings(repo)):
        spelled = re.sub(r"[ -]", "_", text.lower())
        if spelled in ALGOS or spelled in ALIASES:
            return ALIASES.get(spelled, spelled)
    return name


def _beginnings(repo: str) -> list[str]:
    parts = repo.split("-")
    return ["-".join(parts[:count]) for count in (2, 1)]


def _ask(endpoint: str, tags: Sequence[str], user: str | None, limit: int) -> list[Any]:
    """The Hub's list of models, as plain data.

    `HfApi.list_models` makes objects of it, and ends with an exception at the first card that is not as it expects: a
    single one in anybody's repository would hide all others.
    """
    from huggingface_hub.utils import build_hf_headers

    from rlzoo.hub.client import patiently

    parameters: list[tuple[str, Any]] = [("filter", tag) for tag in tags]
    parameters += [("author", user)] if user else []
    parameters += [("sort", "downloads"), ("limit", min(limit, PAGE)), *(("expand", field) for field in FIELDS)]
    headers = build_hf_headers(library_name="rlzoo")
    return patiently(lambda: list(islice(_pages(f"{endpoint}/api/models", parameters, headers), limit)))


def _pages(url: str, parameters: list[tuple[str, Any]], headers: Mapping[str, str]) -> Iterator[Any]:
    """The entries of a list, page by page; no other server is asked, which would get the token."""
    from huggingface_hub import get_session, hf_raise_for_status

    place: str | None = url
    for _ in range(MAX_PAGES):
        response = get_session().get(place or url, params=parameters or None, headers=headers)
        hf_raise_for_status(response)
        entries = response.json()
        if not isinstance(entries, list):
            raise misfit(url, "it has no list of models")
        yield from entries
        place, parameters = response.links.get("next", {}).get("url"), []
        if place is None or not place.startswith(f"{url}?"):
            return
    raise misfit(url, f"its list has no end after {MAX_PAGES} pages")


def _order(model: Model) -> tuple[Any, ...]:
    result, mean = model.result, model.mean
    return (
        model.env.lower(),
        result is None,
        -(result or 0.0),
        -(mean if mean is not None else -math.inf),
        model.id,
    )


def _get(value: Any, key: str) -> Any:
    return value.get(key) if isinstance(value, Mapping) else None


def _list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list) else []


def _text(value: Any) -> str:
    """One line of untrusted text, without what could steer a terminal."""
    return shorten(" ".join(clean(value).split()), LONGEST_TEXT) if isinstance(value, str) else ""


def _count(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**15 else 0

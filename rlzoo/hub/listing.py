"""Agents on the Hub with their scores, read out of the metadata of their cards; nothing else of them is downloaded.

A card holds what its author wrote: numbers that nobody checked, and any text. What has no known form is left out.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from rlzoo.algos.specs import ALGOS, ALIASES
from rlzoo.config import aliases, env_names
from rlzoo.config.files import find as find_file
from rlzoo.config.files import read_choice
from rlzoo.errors import clean, shorten
from rlzoo.hub.failures import misfit
from rlzoo.registry import did_you_mean

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
LONGEST_TEXT = 96
LARGEST = 1e15
"""Numbers beyond it are no score."""
_NUMBER = r"[+-]?[0-9]{1,15}(?:\.[0-9]{0,15})?(?:[eE][+-]?[0-9]{1,3})?"
_SCORE = re.compile(rf"\s*({_NUMBER})\s*(?:(?:\+/-|\+-|±)\s*({_NUMBER}))?\s*")


@dataclass(frozen=True)
class Model:
    """One repository.

    Attributes:
        id: `owner/name`.
        algo: rlzoo's name of its algorithm where it has one, else the card's, else "".
        env: the environment's id of today, or the card's own name for it.
        mean, std: of the returns, as the card says; None where it does not say or the text is no number.
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
    scores = list(_scores(card.get("model-index") or about.get("model-index")))
    right = [score for score in scores if aliases.current(score[1]) in wanted] or scores
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


def parse_score(value: Any) -> tuple[float | None, float | None]:
    """Mean and standard deviation of a metric: `"200.00 +/- 20.00"`, `"200.00"` or a number; None for what it lacks."""
    if isinstance(value, bool):
        return None, None
    if isinstance(value, int | float):
        return (float(value), None) if abs(value) < LARGEST else (None, None)
    match = _SCORE.fullmatch(value) if isinstance(value, str) and len(value) < LONGEST_TEXT else None
    if match is None:
        return None, None
    mean, std = float(match[1]), None if match[2] is None else float(match[2])
    if not abs(mean) < LARGEST or (std is not None and not 0 <= std < LARGEST):
        return None, None
    return mean, std


def _scores(index: Any) -> Iterator[tuple[str, str, float, float | None]]:
    """Every mean reward of a model-index: name of the model, environment, mean, std."""
    for entry in _list(index):
        for result in _list(_get(entry, "results")):
            dataset = _get(result, "dataset")
            env = _get(dataset, "name") or _get(dataset, "type")
            for metric in _list(_get(result, "metrics")):
                kind = _get(metric, "type") or _get(metric, "name")
                mean, std = parse_score(_get(metric, "value"))
                if kind == "mean_reward" and mean is not None:
                    yield _text(_get(entry, "name") or ""), _text(env or ""), mean, std


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
    single one in a stranger's repository would hide all others.
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
    """One line of a stranger's text, without what could steer a terminal."""
    return shorten(" ".join(clean(value).split()), LONGEST_TEXT) if isinstance(value, str) else ""


def _count(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**15 else 0

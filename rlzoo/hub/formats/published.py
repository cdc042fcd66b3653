"""What a repository says of its agent: the score in results.json or on the card, and the environment's name.

All of it is optional, and none of it is believed further than to be shown: a score is measured by `rlzoo evaluate`.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rlzoo.config import yaml_file
from rlzoo.errors import RlzooError, clean
from rlzoo.hub.formats.repository import Repository

SCORE = re.compile(r"\s*([-+]?[\d.,]+(?:[eE][-+]?\d+)?)\s*(?:(?:\+/-|±)\s*([\d.,]+(?:[eE][-+]?\d+)?))?\s*")
"""`200.20 +/- 20.80`, as the course's leaderboard reads it."""
SOURCE = "published"
"""The source of an entry in results.json that nobody here has measured."""
MAX_EPISODES = 100_000


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
    notes: tuple[str, ...] = field(default=())

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
        head = {"date": self.date, "source": SOURCE, "checkpoint": checkpoint, "num_timesteps": num_timesteps}
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


def read(repository: Repository) -> Published:
    """The score of a repository; damaged or missing files leave it unknown."""
    results, notes = _json(repository, "results.json")
    card, more = _card(repository)
    notes += more
    mean, std = _number(results.get("mean_reward")), _number(results.get("std_reward"))
    card_mean, card_std, card_envs = _of_card(card)
    if mean is None:
        mean, std = card_mean, card_std
    count = results.get("n_eval_episodes", results.get("n_evaluation_episodes"))
    returns, lengths, seeds = (_numbers(results.get(key)) for key in ("returns", "lengths", "seeds"))
    whole = len(returns) == len(lengths) > 0
    deterministic = results.get("is_deterministic")
    said = [results.get("env_id"), *card_envs]
    return Published(
        mean_reward=mean,
        std_reward=std,
        n_episodes=count if type(count) is int and 0 < count <= MAX_EPISODES else None,
        deterministic=deterministic if isinstance(deterministic, bool) else None,
        date=clean(str(results.get("eval_datetime", "")))[:40],
        env_ids=tuple(dict.fromkeys(name for name in said if isinstance(name, str) and 0 < len(name) <= 100)),
        checkpoint=str(results.get("checkpoint", ""))[:20],
        returns=tuple(returns) if whole else (),
        lengths=tuple(int(length) for length in lengths) if whole else (),
        seeds=tuple(int(seed) for seed in seeds) if whole else (),
        notes=tuple(notes),
    )


def read_json(path: Path) -> dict[str, Any]:
    """A JSON file of keys and values.

    Raises:
        ValueError: if it is none.
    """
    try:
        found = json.loads(path.read_bytes().decode("utf-8"))
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if not isinstance(found, dict):
        raise ValueError("it holds no keys and values")
    return found


def _json(repository: Repository, name: str) -> tuple[dict[str, Any], list[str]]:
    path = repository.find(name)
    if path is None:
        return {}, []
    try:
        return read_json(path), []
    except ValueError as error:
        return {}, [f"{name} is left out: {clean(error)[:100]}"]


def _card(repository: Repository) -> tuple[Mapping[str, Any], list[str]]:
    """The metadata at the head of README.md."""
    path = repository.find("README.md")
    if path is None:
        return {}, []
    text = path.read_text(encoding="utf-8", errors="replace").replace("\r\n", "\n")
    match = re.match(r"\s*---\n(.*?)\n---\s*(?:\n|\Z)", text, re.DOTALL)
    if match is None:
        return {}, []
    try:
        return yaml_file.parse_text(match[1], path).values, []
    except RlzooError as error:
        return {}, [f"the metadata of README.md is left out: {error.message[:200]}"]


def _of_card(card: Mapping[str, Any]) -> tuple[float | None, float | None, list[str]]:
    """Mean, standard deviation, and names of environments, of the first result that says a mean reward."""
    env_ids: list[str] = []
    mean = std = None
    for result in _results(card):
        dataset = result.get("dataset")
        if isinstance(dataset, Mapping):
            env_ids += [str(dataset[key]) for key in ("type", "name") if isinstance(dataset.get(key), str)]
        for metric in result.get("metrics") or ():
            if mean is None and isinstance(metric, Mapping) and metric.get("type") == "mean_reward":
                mean, std = _score(metric.get("value"))
    tags = card.get("tags")
    return mean, std, [*env_ids, *(tag for tag in tags or () if isinstance(tag, str) and re.search(r"-v\d+$", tag))]


def _results(card: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    index = card.get("model-index")
    for model in index if isinstance(index, list) else ():
        results = model.get("results") if isinstance(model, Mapping) else None
        for result in results if isinstance(results, list) else ():
            if isinstance(result, Mapping) and isinstance(result.get("metrics"), list | None):
                yield result


def _score(value: Any) -> tuple[float | None, float | None]:
    match = SCORE.fullmatch(value) if isinstance(value, str) and len(value) < 100 else None
    if match is None:
        return _number(value), None
    mean, std = (_number(None if part is None else _float(part)) for part in match.groups())
    return mean, std


def _float(text: str) -> float | None:
    try:
        return float(text.replace(",", ""))
    except ValueError:
        return None


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > 1e18 or not math.isfinite(value):
        return None
    return float(value)


def _numbers(values: Any) -> list[float]:
    if not isinstance(values, list) or len(values) > MAX_EPISODES:
        return []
    found = [_number(value) for value in values]
    return [value for value in found if value is not None] if None not in found else []

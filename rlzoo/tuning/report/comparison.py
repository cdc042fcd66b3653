"""The comparison on fresh seeds at the end of a study, read from the files that it left."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rlzoo.tuning.final import DEFAULTS, FRESH, Candidate, Final
from rlzoo.tuning.intervals import Interval
from rlzoo.tuning.records import read_result
from rlzoo.tuning.trial import trial_seed


@dataclass(frozen=True)
class Comparison:
    """Candidates with the scores that there are so far.

    Attributes:
        candidates: the best mean first.
        n_seeds: scores that each is to have.
    """

    candidates: tuple[Candidate, ...]
    n_seeds: int

    @property
    def done(self) -> bool:
        return all(len(each.scores) >= self.n_seeds for each in self.candidates)

    @property
    def winner(self) -> Candidate | None:
        """The best one, once all have their scores."""
        return self.candidates[0] if self.done else None

    @property
    def gain(self) -> Interval | None:
        """What the winner is better than the defaults by; None while it is not known, or where it is they."""
        if not self.done or all(each.trial is not None for each in self.candidates) or self.candidates[0].seconds:
            return None
        return Final(self.candidates).gain

    def as_data(self) -> dict[str, Any]:
        return {
            "n_seeds": self.n_seeds,
            "done": self.done,
            "candidates": [
                {
                    "label": each.label,
                    "trial": each.trial,
                    "scores": list(each.scores),
                    "mean": each.mean if each.scores else None,
                    "ci": None if each.interval is None else [each.interval.low, each.interval.high],
                    **({"second": each.second} if each.seconds else {}),
                }
                for each in self.candidates
            ],
            "gain": None if self.gain is None else self.gain._asdict(),
        }


def compare(folder: Path, request: Mapping[str, Any], seed: int) -> Comparison | None:
    """What was trained on fresh seeds below `folder`; None if nothing was.

    Results count that were made for this request's budget and score, and judged alike: a study that went on with other
    evaluations leaves the old ones behind.
    """
    search = request["search"]
    n_seeds = int(search.get("final_seeds") or 0)
    second = search.get("second_objective")
    objective = [search.get("objective"), search.get("n_last"), *([second] if second else [])]
    kept: dict[str, list[Mapping[str, Any]]] = {}
    for path in sorted(folder.glob("*/seed*.json")):
        result = read_result(path, folder)
        if result is not None and result["of"].get("objective") == objective:
            kept.setdefault(path.parent.name, []).append(result)
    seeds = [trial_seed(seed, FRESH, k) for k in range(n_seeds)]
    reference = next(iter(kept.get(DEFAULTS, [])), next((each[0] for each in kept.values()), None))
    if reference is None:
        return None
    candidates = []
    for name, results in kept.items():
        alike = {
            each["of"].get("seed"): (float(each["score"]), each.get("second"))
            for each in results
            if _alike(each["of"], reference["of"])
        }
        found = [alike[each] for each in seeds if each in alike]
        scores = tuple(score for score, _ in found)
        seconds = tuple(float(other) for _, other in found if second and isinstance(other, int | float))
        number = name.removeprefix("trial_")
        trial = int(number) if number.isdecimal() else None
        if scores:
            label = DEFAULTS if trial is None else f"trial {trial}"
            candidates.append(Candidate(label, trial, {}, scores, seconds=seconds))
    ranked = sorted(candidates, key=lambda each: (-each.mean, each.trial is not None))
    return Comparison(tuple(ranked), n_seeds) if ranked else None


def _alike(of: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two trainings were judged in the same way; what is searched may differ."""
    same = ("total_timesteps", "eval", "stop")
    return all(of.get(key) == other.get(key) for key in same)

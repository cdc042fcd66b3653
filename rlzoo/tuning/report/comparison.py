"""The comparison on fresh seeds at the end of a study, read from the files that it left."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rlzoo.tuning.final import DEFAULTS, FINALIST, FRESH, Candidate, Final, data_of
from rlzoo.tuning.records import read_finalist, read_result
from rlzoo.tuning.trial import trial_seed


@dataclass(frozen=True)
class Comparison:
    """The race and the comparison with the scores that there are so far.

    Attributes:
        final: who was compared, the best mean first, and who was in the race.
        n_seeds: scores that each of those compared is to have.
        several: there is a second objective, and no winner.
    """

    final: Final
    n_seeds: int
    several: bool

    @property
    def done(self) -> bool:
        """Whether the defaults and somebody else have all their scores."""
        compared = self.final.candidates
        trials = {each.trial for each in compared}
        return None in trials and len(trials) > 1 and all(len(each.scores) >= self.n_seeds for each in compared)

    @property
    def verdict(self) -> str:
        """What it says, in a sentence."""
        if not self.done:
            who = "each is" if self.several else "the winner of the race and the defaults are"
            return f"Not finished: {who} to be trained on {self.n_seeds} seeds."
        if self.several:
            return ""
        sentence = self.final.verdict
        return f"{sentence[0].upper()}{sentence[1:]}."

    def as_data(self) -> dict[str, Any]:
        early = {} if self.done else {"gain": None, "p_value": None, "winner": None}
        return {"n_seeds": self.n_seeds, "done": self.done, **data_of(self.final), **early}


def compare(folder: Path, request: Mapping[str, Any], seed: int) -> Comparison | None:
    """What was trained on fresh seeds below `folder`; None if nothing was.

    Results count that were made for this request's budget and score, and judged alike: a study that went on with other
    evaluations leaves the old ones behind.
    """
    search = request["search"]
    n_seeds = int(search.get("final_seeds") or 0)
    second = search.get("second_objective")
    objective = [search.get("objective"), search.get("n_last"), *([second] if second else [])]
    kept = {stage: _kept(folder, stage, objective) for stage in FRESH}
    reference = next((each for each in kept["seed"].get(DEFAULTS, [])), None)
    reference = reference or next((each[0] for stage in kept.values() for each in stage.values()), None)
    if reference is None:
        return None
    found = {}
    for stage, results in kept.items():
        most = n_seeds if stage == "seed" else max(map(len, results.values()), default=0)
        seeds = [trial_seed(seed, FRESH[stage], k) for k in range(most)]
        alike = {name: [each for each in of if _alike(each["of"], reference["of"])] for name, of in results.items()}
        found[stage] = [each for name, of in alike.items() if (each := _candidate(name, of, seeds)).scores]
    finalist = None if second else read_finalist(folder / FINALIST, folder)
    compared = [each for each in found["seed"] if finalist is None or each.trial in (None, finalist)]
    compared.sort(key=lambda each: (-each.mean, each.trial is not None))
    raced = sorted(found["race"], key=lambda each: (each.trial != finalist, -len(each.scores), -each.mean))
    return Comparison(Final(tuple(compared), tuple(raced)), n_seeds, bool(second)) if compared or raced else None


def _kept(folder: Path, stage: str, objective: Sequence[Any]) -> dict[str, list[Mapping[str, Any]]]:
    """The results of a stage by the folders of the candidates."""
    kept: dict[str, list[Mapping[str, Any]]] = {}
    for path in sorted(folder.glob(f"*/{stage}*.json")):
        result = read_result(path, folder)
        if result is not None and result["of"].get("objective") == objective:
            kept.setdefault(path.parent.name, []).append(result)
    return kept


def _candidate(name: str, results: Sequence[Mapping[str, Any]], seeds: Sequence[int]) -> Candidate:
    """The candidate of a folder, with its scores on these seeds."""
    by_seed = {each["of"].get("seed"): each for each in results}
    found = [by_seed[seed] for seed in seeds if seed in by_seed]
    scores = tuple(float(each["score"]) for each in found)
    seconds = tuple(float(each["second"]) for each in found if isinstance(each.get("second"), int | float))
    number = name.removeprefix("trial_")
    trial = int(number) if number.isdecimal() else None
    label = DEFAULTS if trial is None else f"trial {trial}"
    return Candidate(label, trial, {}, scores, seconds=seconds)


def _alike(of: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two trainings were judged in the same way; what is searched may differ."""
    same = ("total_timesteps", "eval", "stop")
    return all(of.get(key) == other.get(key) for key in same)

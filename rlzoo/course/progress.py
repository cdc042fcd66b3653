"""How far somebody is in the Deep RL Course: for every assignment the best result there is, and what is still to do."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rlzoo.algos.specs import ALGOS
from rlzoo.config import assignments as course
from rlzoo.config.assignments import Assignment
from rlzoo.console import print_lines, print_pairs, print_table, warn
from rlzoo.course.scores import LeftOut, Score, env_of, read_models, read_runs
from rlzoo.evaluation.evaluate import checkpoint_text
from rlzoo.runs.index import summaries
from rlzoo.runs.run import Run

if TYPE_CHECKING:
    from rlzoo.hub.listing import Model

COLUMNS = ("unit", "assignment", "algorithm", "bar", "mean ± std", "mean - std", "state")
SB3_BACKENDS = ("sb3", "sb3_contrib")


@dataclass(frozen=True)
class Standing:
    """One assignment and what was reached in it.

    Attributes:
        state: passed; failed, where every result is below the bar; open, where there is none.
        best: the best result; None if there is none, or a model passes whose card states none.
        where: the run or the model that it is of.
        next: what brings it further; "" if nothing has to.
        stated: the result is what the card of a model on the Hub says; nobody has measured it again.
    """

    assignment: Assignment
    state: Literal["passed", "failed", "open"]
    best: Score | None = None
    where: str = ""
    next: str = ""
    stated: bool = False

    @property
    def title(self) -> str:
        return f"unit {self.assignment.unit}, {self.assignment.title}"

    @property
    def agent(self) -> str:
        """Where the agent is, and what of it was evaluated."""
        best = self.best
        if self.stated or best is None or not best.checkpoint:
            return f"{self.where}{' *' if self.stated else ''}"
        which = checkpoint_text(best.checkpoint, best.steps, best.trained)
        return f"{self.where}: {which}, {best.n_episodes} episodes"

    def cells(self) -> tuple[object, ...]:
        """For people, in the order of `COLUMNS`."""
        assignment, best = self.assignment, self.best
        return (
            assignment.unit,
            assignment.title if assignment.certified else f"({assignment.title})",
            best.algo if best is not None and best.algo else assignment.algo,
            "none" if assignment.bar is None else f"{assignment.bar:g}",
            "" if best is None else f"{best.mean:.2f} ± {best.std:.2f}",
            None if best is None else best.result,
            self.state,
        )

    def as_data(self) -> dict[str, Any]:
        """For programs."""
        assignment, best = self.assignment, self.best
        return {
            "unit": assignment.unit,
            "name": assignment.name,
            "title": assignment.title,
            "certified": assignment.certified,
            "env": assignment.env_ids[0],
            "bar": assignment.bar,
            "state": self.state,
            "result": best.result if best else None,
            "best": best.to_json() if best else None,
            "where": self.where,
            "stated": self.stated,
            "next": self.next,
        }


@dataclass(frozen=True)
class Report:
    """All assignments, and the runs that could not be read."""

    standings: tuple[Standing, ...]
    damaged: tuple[LeftOut, ...] = ()

    @property
    def passed(self) -> tuple[Standing, ...]:
        """The passed ones among those that the certificate counts."""
        return tuple(s for s in self.standings if s.state == "passed" and s.assignment.certified)

    @property
    def level(self) -> course.Level | None:
        return course.level(len(self.passed))

    def as_data(self) -> dict[str, Any]:
        """For programs."""
        return {
            "passed": len(self.passed),
            "of": len(course.certified()),
            "level": self.level.name if self.level else None,
            "assignments": [standing.as_data() for standing in self.standings],
            "damaged": [asdict(left) for left in self.damaged],
        }

    def show(self, written: Sequence[Path], *, wants: bool) -> None:
        """Print it for people; `written` are the files of the certificate, `wants` whether one is asked for."""
        for left in self.damaged:
            warn(f"left out: {left.where}: {left.reason}")
        title = "The Deep RL Course: mean - std over episodes, and the bar for it; (in brackets: not certified)"
        print_table(COLUMNS, [standing.cells() for standing in self.standings], title=title)
        found = [standing for standing in self.standings if standing.where and standing.state != "open"]
        if found:
            print("these are of:")
            print_pairs((standing.title, standing.agent) for standing in found)
        if any(standing.stated for standing in found):
            print("* as the card of a model on the Hub states it; nobody has measured it again")
        n_passed, total = len(self.passed), len(course.certified())
        print_lines(f"{n_passed} of {total} passed ({n_passed / total:.0%}){self._level()}")
        still = [one for one in self.standings if one.state != "passed" and one.assignment.certified]
        if still:
            print("still to do:")
            print_pairs((standing.title, standing.next) for standing in still)
        if written:
            print_lines(f"certificate: {' and '.join(map(str, written))}")
        elif wants:
            missing = course.LEVELS[-1].needed - n_passed
            print_lines(f"no certificate yet: {missing} more {'is' if missing == 1 else 'are'} needed")
        elif self.level is not None:
            print("rlzoo certify name='Ada Lovelace' writes the certificate")

    def _level(self) -> str:
        if self.level is not None:
            return f": {self.level.name}"
        lowest = course.LEVELS[-1]
        return f"; {lowest.needed} ({lowest.share:.0%}) are {lowest.name}, all of them {course.LEVELS[0].name}"


def assess(runs: Iterable[Run] = (), models: Iterable[Model] = (), root: str | None = None) -> Report:
    """Compare runs and models of the Hub with the bars of the course.

    A run counts for an assignment if its environment and algorithm are the assignment's (any algorithm of
    Stable-Baselines3 where the course uses that library) and it was evaluated on at least as many episodes; a model, if
    its card has the assignment's tags and environment. What passes: a result at or above the bar, or any where there is
    no bar. `root` is the folder that all runs were found in, if it is one.
    """
    runs = list(runs)
    known = summaries(runs, root)
    found = {n: read_runs(runs, n, known=known) for n in {a.n_episodes for a in course.assignments()}}
    models = list(models)
    scores, without = read_models(models)
    tags = {model.id: frozenset(model.tags) for model in models}
    standings = []
    for assignment in course.assignments():
        own, unfinished = found[assignment.n_episodes]
        of_runs = [score for score in own if _is_run_of(score, assignment)]
        of_hub = [score for score in scores if _is_model_of(score, tags[score.where], assignment)]
        bare = [left for left in without if _is_model_of(left, tags[left.where], assignment)]
        undone = [left for left in unfinished if not left.damaged and _is_run_of(left, assignment)]
        standing = _standing(assignment, [*of_runs, *of_hub], bare, undone)
        standings.append(replace(standing, stated=standing.where in tags))
    damaged = next(iter(found.values()))[1]
    return Report(tuple(standings), tuple(left for left in damaged if left.damaged))


def command(assignment: Assignment) -> str:
    """The command that trains an assignment; "" where rlzoo cannot."""
    return f"rlzoo train {shlex.join(assignment.words)}" if assignment.words else ""


def _standing(
    assignment: Assignment, scores: Sequence[Score], bare: Sequence[LeftOut], undone: Sequence[LeftOut]
) -> Standing:
    best = max(scores, key=lambda score: (score.result, score.mean), default=None)
    if best is not None and (assignment.bar is None or best.result >= assignment.bar):
        return Standing(assignment, "passed", best, best.where)
    if best is None and bare and assignment.bar is None:
        return Standing(assignment, "passed", None, bare[0].where)
    following = command(assignment) or "not with rlzoo yet; your model on the Hub counts: rlzoo certify user=…"
    if best is not None:
        return Standing(assignment, "failed", best, best.where, following)
    if undone:
        where = undone[-1].where
        evaluate = ("rlzoo", "evaluate", f"run={where}", f"n_episodes={assignment.n_episodes}")
        begun = f"{where} is training" if undone[-1].status == "running" else shlex.join(evaluate)
        return Standing(assignment, "open", None, where, begun)
    return Standing(assignment, "open", next=following)


def _is_run_of(score: Score | LeftOut, assignment: Assignment) -> bool:
    if (score.env, score.variant) != env_of(assignment) or assignment.env is None:
        return False
    if not assignment.any_of_sb3:
        return score.algo == assignment.algo
    return score.algo in ALGOS and ALGOS[score.algo].backend in SB3_BACKENDS


def _is_model_of(score: Score | LeftOut, tags: frozenset[str], assignment: Assignment) -> bool:
    env = env_of(assignment)
    clear = assignment.env_ids[1:] if env[1] else assignment.env_ids  # the id alone does not say which variant
    ids = {env_id.lower() for env_id in clear}
    return set(assignment.tags) <= tags and ((score.env, score.variant) == env or bool(ids & tags))

"""`rlzoo certify`: what was reached in each assignment of the Deep RL Course, and the certificate of a level."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from rlzoo.cli.command import Answer, Call, command
from rlzoo.config import assignments as course
from rlzoo.config.paths import at_home
from rlzoo.config.schema import CertifyConfig
from rlzoo.console import print_lines, print_pairs, print_table, warn
from rlzoo.course import certificate
from rlzoo.course.progress import Report, Standing, assess
from rlzoo.course.scores import runs_below
from rlzoo.errors import Problem, RlzooError
from rlzoo.evaluation.evaluate import checkpoint_text
from rlzoo.runs.run import Run, find_runs

COLUMNS = ("unit", "assignment", "algorithm", "bar", "mean ± std", "mean - std", "state")


def _is_run(word: str) -> bool:
    """A path may hold an equals sign; a setting that is also the name of a folder is a setting."""
    key, equals, _ = word.partition("=")
    return not equals or (not key.isidentifier() and Path(word).exists())


@command(CertifyConfig, apart=_is_run)
def main(call: Call[CertifyConfig]) -> Answer:
    cfg = call.settings.settled(call.options, _cross_problems(call.options, call.apart))
    runs = _runs(call.apart, cfg.runs_dir) if cfg.source != "hub" else []
    models = []
    if cfg.user is not None and cfg.source != "runs":
        from rlzoo.hub.listing import find_models

        models = find_models(user=cfg.user)
    report = assess(runs, models)
    written: tuple[Path, ...] = ()
    if cfg.name is not None and report.level is not None:
        certified = [standing for standing in report.standings if standing.assignment.certified]
        today = datetime.now().astimezone().date()
        written = certificate.write(cfg.name, report.level, certified, at_home(cfg.folder), today)
    return Answer(_json(report, written), lambda: _print(report, written, wants=cfg.name is not None))


def _cross_problems(cfg: CertifyConfig, named: Sequence[str]) -> list[Problem]:
    problems = []
    if cfg.source == "hub" and cfg.user is None:
        problems.append(Problem("source", "hub needs to know whose models count", "user=…"))
    if cfg.source == "runs" and cfg.user is not None:
        problems.append(Problem("user", "has models on the Hub, which source=runs leaves out", "source=auto"))
    if cfg.source == "hub" and named:
        problems.append(Problem("source", f"hub leaves out the run {named[0]}", "source=auto"))
    if cfg.name is not None:
        try:
            certificate.check_name(cfg.name)
        except RlzooError as error:
            problems.append(Problem("name", error.message.removeprefix("name: "), error.hint))
    return problems


def _runs(named: Sequence[str], runs_dir: str) -> list[Run]:
    """The runs that are named, all those below a folder that is named, or all below `runs_dir`."""
    if not named:
        return runs_below(runs_dir)
    found: dict[Path, Run] = {}
    for text in named:
        folder = at_home(text)
        is_run = (folder / "config.yaml").is_file()
        runs = list(find_runs(folder)) if folder.is_dir() and not is_run else []
        for run in runs or [Run.open(text, runs_dir)]:
            found[run.path.resolve()] = run
    return sorted(found.values(), key=lambda run: run.path.name)


def _print(report: Report, written: Sequence[Path], *, wants: bool) -> None:
    for left in report.damaged:
        warn(f"left out: {left.where}: {left.reason}")
    title = "The Deep RL Course: mean - std over episodes, and the bar for it; (in brackets: not certified)"
    print_table(COLUMNS, [_row(standing) for standing in report.standings], title=title)
    found = [standing for standing in report.standings if standing.where and standing.state != "open"]
    if found:
        print("these are of:")
        print_pairs((_named(standing), _agent(standing)) for standing in found)
    if any(standing.stated for standing in found):
        print("* as the card of a model on the Hub states it; nobody has measured it again")
    n_passed, total = len(report.passed), len(course.CERTIFIED)
    print_lines(f"{n_passed} of {total} passed ({n_passed / total:.0%}){_level(report)}")
    still = [one for one in report.standings if one.state != "passed" and one.assignment.certified]
    if still:
        print("still to do:")
        print_pairs((_named(standing), standing.next) for standing in still)
    if written:
        print_lines(f"certificate: {' and '.join(map(str, written))}")
    elif wants:
        missing = course.LEVELS[-1].needed - n_passed
        print_lines(f"no certificate yet: {missing} more {'is' if missing == 1 else 'are'} needed")
    elif report.level is not None:
        print("rlzoo certify name='Ada Lovelace' writes the certificate")


def _named(standing: Standing) -> str:
    return f"unit {standing.assignment.unit}, {standing.assignment.title}"


def _agent(standing: Standing) -> str:
    """Where the agent is, and what of it was evaluated."""
    best = standing.best
    if standing.stated or best is None or not best.checkpoint:
        return f"{standing.where}{' *' if standing.stated else ''}"
    which = checkpoint_text(best.checkpoint, best.steps, best.trained)
    return f"{standing.where}: {which}, {best.n_episodes} episodes"


def _level(report: Report) -> str:
    if report.level is not None:
        return f": {report.level.name}"
    lowest = course.LEVELS[-1]
    return f"; {lowest.needed} ({lowest.share:.0%}) are {lowest.name}, all of them {course.LEVELS[0].name}"


def _row(standing: Standing) -> tuple[object, ...]:
    assignment, best = standing.assignment, standing.best
    return (
        assignment.unit,
        assignment.title if assignment.certified else f"({assignment.title})",
        best.algo if best is not None and best.algo else assignment.algo,
        "none" if assignment.bar is None else f"{assignment.bar:g}",
        "" if best is None else f"{best.mean:.2f} ± {best.std:.2f}",
        None if best is None else best.result,
        standing.state,
    )


def _json(report: Report, written: Sequence[Path]) -> dict[str, Any]:
    return {
        "passed": len(report.passed),
        "of": len(course.CERTIFIED),
        "level": report.level.name if report.level else None,
        "assignments": [
            {
                "unit": s.assignment.unit,
                "name": s.assignment.name,
                "title": s.assignment.title,
                "certified": s.assignment.certified,
                "env": s.assignment.env_ids[0],
                "bar": s.assignment.bar,
                "state": s.state,
                "result": s.best.result if s.best else None,
                "best": s.best.to_json() if s.best else None,
                "where": s.where,
                "stated": s.stated,
                "next": s.next,
            }
            for s in report.standings
        ],
        "damaged": [asdict(left) for left in report.damaged],
        "certificate": [str(path) for path in written],
    }

"""`rlzoo certify`: what was reached in each assignment of the Deep RL Course, and the certificate of a level."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from rlzoo.cli.command import Answer, Call, command
from rlzoo.config.paths import at_home
from rlzoo.config.schema import CertifyConfig
from rlzoo.course import certificate
from rlzoo.course.progress import assess
from rlzoo.course.scores import runs_named
from rlzoo.errors import Problem, RlzooError


def _is_run(word: str) -> bool:
    """A path may hold an equals sign; a setting that is also the name of a folder is a setting."""
    key, equals, _ = word.partition("=")
    return not equals or (not key.isidentifier() and Path(word).exists())


@command(CertifyConfig, apart=_is_run)
def main(call: Call[CertifyConfig]) -> Answer:
    cfg = call.settings.settled(call.options, _cross_problems(call.options, call.apart))
    runs = runs_named(call.apart, cfg.runs_dir) if cfg.source != "hub" else []
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
    data = {**report.as_data(), "certificate": [str(path) for path in written]}
    return Answer(data, lambda: report.show(written, wants=cfg.name is not None))


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

"""`rlzoo validate`: check configuration files, or an environment, and say what is wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import fmean, pstdev
from typing import TYPE_CHECKING, Any

from rlzoo.cli.command import Answer, Entry
from rlzoo.cli.validate import Finding, validate
from rlzoo.console import print_lines, print_table, say
from rlzoo.errors import ConfigError, ExitCode, code_of

if TYPE_CHECKING:
    from rlzoo.cli.main import Arguments


def _validate(arguments: Arguments) -> Answer:
    if any(word.startswith(("env=", "env.")) and "=" in word for word in arguments.words):
        return _environment(arguments.words)
    count, found = validate([Path(word) for word in arguments.words])
    findings = [finding for finding in found if not finding.is_note]
    notices = [f"{finding.file}: {finding.problem}" for finding in found if finding.is_note]
    code = ExitCode.WRONG_REQUEST if findings else ExitCode.DONE
    data = {"files": count, "findings": [_as_data(finding) for finding in findings], "notices": notices}

    def show() -> None:
        for notice in notices:
            say(f"note: {notice}")
        if findings:
            rows = [(finding.file, finding.key, finding.problem, finding.value) for finding in findings]
            print_table(("file", "key", "problem", "value"), rows)
        print_lines(f"{len(findings)} problems in {count} files" if findings else f"{count} files checked, no problems")

    return Answer(data, show, code)


def _as_data(finding: Finding) -> dict[str, Any]:
    return {key: value for key, value in asdict(finding).items() if key != "is_note"}


def _environment(words: Sequence[str]) -> Answer:
    """Everything that can be found out about an environment before it is trained in."""
    from rlzoo.envs.check import Use
    from rlzoo.training.preflight import check_environment

    _, composition, found = check_environment(words, Use(masks=True, goals=True, films=True, checkers=True, plays=True))
    notices = [*composition.notices, *found.notices]
    spaces = {"observation_space": found.observation_space, "action_space": found.action_space, "masked": found.masked}
    play = None if found.play is None else {"returns": found.play.returns, "lengths": found.play.lengths}
    data = {
        "env": found.id,
        **spaces,
        "random": play,
        "problems": [each._asdict() for each in found.problems],
        "notices": notices,
    }

    def show() -> None:
        if found.observation_space is not None:
            masks = ", which action_masks() tells the valid ones of" if found.masked else ""
            print_lines(f"{found.id}: observes {found.observation_space}, acts in {found.action_space}{masks}")
        if found.play is not None and (scores := found.play.returns):
            steps = f"{fmean(found.play.lengths):.0f} steps each"
            print_lines(f"random play: {fmean(scores):.2f} ± {pstdev(scores):.2f} over {len(scores)} episodes, {steps}")
        for notice in notices:
            say(f"note: {notice}")
        if found.problems:
            raise ConfigError(found.problems)
        print_lines("no problems")

    return Answer(data, show, code_of(found.problems) if found.problems else ExitCode.DONE)


main = Entry(_validate)

"""The winner as a tuned set that `rlzoo train` applies by itself: ./hyperparams/<algo>/<env>.yaml."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rlzoo import console
from rlzoo.config import tuned_set, yaml_file
from rlzoo.config.compose import compose
from rlzoo.config.provenance import is_section
from rlzoo.errors import ExitCode, RlzooError
from rlzoo.escape import one_line
from rlzoo.runs.run import write_text
from rlzoo.tuning.final import Candidate, Final, composition_of, search_cost, spent
from rlzoo.tuning.study import Study

SECTIONS = ("total_timesteps", "stop", "env", "algo")
"""What a tuned set says."""


def save(study: Study, final: Final) -> Path | None:
    """Write the winner's tuned set; where the defaults won there is none to write, which is said."""
    winner = final.winner
    if winner.trial is None:
        console.say(f"{final.verdict}: nothing was saved")
        return None
    request = study.request
    algo, env = request.base.choices["algo"], request.base.choices["env"]
    plain = compose("train", [f"algo={algo}", f"env={env}", "hyperparams=none"]).values
    values = composition_of(request, winner.settings, exact=winner.exact).values
    changed = {key: found for key in SECTIONS if (found := _changed(plain[key], values[key], (key,))) is not _SAME}
    difference, left_out = tuned_set.split(changed)
    if left_out:
        names = ", ".join(".".join(key) for key in left_out)
        console.say(f"left out of the tuned set, which holds values only: {names}; it is right only together with them")
    path = Path("hyperparams") / algo / f"{env}.yaml"
    text = f"{_header(study, final, winner)}\n{yaml_file.dump(difference)}"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and path.read_text(encoding="utf-8", errors="replace") == text:
            return path
        if path.exists():
            before = _free(path)
            path.replace(before)
            console.say(f"the tuned set that was there is now {before}")
    except OSError as error:
        raise RlzooError(f"cannot write {path}: {error.strerror}", "is it yours?", ExitCode.STORAGE) from error
    write_text(path, text)
    return path


def _free(path: Path) -> Path:
    """A name for the file that is there now: none that was kept before is lost."""
    names = (path.with_name(f"{path.name}.before{n or ''}") for n in itertools.count())
    return next(name for name in names if not name.exists())


def _header(study: Study, final: Final, winner: Candidate) -> str:
    request, cost = study.request, search_cost(study.claims.ledger())
    config, steps = request.config, request.train.total_timesteps
    what = f"mean of the last {config.n_last} evaluations" if config.objective == "last" else config.objective
    lines = [
        "@package _global_",
        f"source: rlzoo tune, study {request.study}, {winner.label} of {len(study.claims.ledger().finished)} trials",
        f"date: {datetime.now(UTC).date().isoformat()}",
        f"score: {_text(winner)} over {len(winner.scores)} training seeds of {steps:,} steps ({what})",
        f"defaults: {_text(final.defaults)} over the same seeds",
        f"verdict: {final.verdict}",
        f"search: {spent(cost)}, seed {study.seed}",
    ]
    return "".join(f"# {one_line(line)}\n" for line in lines)


def _text(candidate: Candidate) -> str:
    return f"{candidate.mean:.2f} {candidate.spread if candidate.interval else f'({candidate.spread})'}"


_SAME = object()


def _changed(old: Any, new: Any, path: tuple[str, ...]) -> Any:
    """What has to be said for `new` where `old` is said already; mappings that are one value are said whole."""
    if old == new and isinstance(old, bool) == isinstance(new, bool):
        return _SAME
    if not (isinstance(old, Mapping) and isinstance(new, Mapping) and is_section(path)):
        return new
    found = {key: _changed(old.get(key, _SAME), value, (*path, str(key))) for key, value in new.items()}
    return {key: value for key, value in found.items() if value is not _SAME}

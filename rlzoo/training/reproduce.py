"""Trains a run's configuration once more, and compares the numbers of the two."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rlzoo.config.parse import dump
from rlzoo.config.schema import TrainConfig
from rlzoo.console import print_lines, print_table
from rlzoo.errors import ConfigError, RlzooError
from rlzoo.evaluation.evaluate import finite
from rlzoo.redaction import shell
from rlzoo.runs import tables
from rlzoo.runs.compare import (
    NOTHING,
    Changed,
    Difference,
    changed_circumstances,
    compare_tables,
    compare_values,
    difference_rows,
    show,
)
from rlzoo.runs.config import RunConfig
from rlzoo.runs.run import Run
from rlzoo.training.preflight import check_stored

HARMLESS = ("checkpoint", "logger", "signal_grace")
"""Settings that may have changed on a resume without changing a number."""

CURVE_ROWS = 12
"""Evaluations that the table shows at most."""


@dataclass(frozen=True)
class Reproduction:
    """How a run compares with the one it repeats.

    Attributes:
        run: the new run.
        changed: the circumstances that differ.
        parts: metrics, evaluations and the final ones, with the first difference, or None where all is the same.
        curve: steps, mean reward then and now of every evaluation; None where one of them has none.
        max_difference: of the mean rewards, None without a common evaluation.
    """

    run: Run
    changed: tuple[Changed, ...]
    parts: dict[str, Difference | None]
    curve: tuple[tuple[int, float | None, float | None], ...]

    @property
    def identical(self) -> bool:
        return not any(self.parts.values())

    @property
    def max_difference(self) -> float | None:
        return max(
            (abs(then - now) for _, then, now in self.curve if then is not None and now is not None), default=None
        )

    def as_data(self, original: Run) -> dict[str, Any]:
        """For programs."""
        return {
            "run": str(original.path),
            "new_run": str(self.run.path),
            "identical": self.identical,
            "changed": [dataclasses.asdict(changed) for changed in self.changed],
            "parts": {name: difference and dataclasses.asdict(difference) for name, difference in self.parts.items()},
            "curve": [{"step": step, "then": _finite(then), "now": _finite(now)} for step, then, now in self.curve],
            "max_difference": _finite(self.max_difference),
        }

    def show(self, original: Run) -> None:
        """For people."""
        if self.changed:
            print_table(("", "then", "now"), [dataclasses.astuple(changed) for changed in self.changed])
        print_table(("part", "", "first difference (then | now)"), difference_rows(self.parts))
        if self.curve:
            every = -(-len(self.curve) // CURVE_ROWS)
            shown = [row for index, row in enumerate(reversed(self.curve)) if index % every == 0][::-1]
            rows = [(f"{step:,}", then, now) for step, then, now in shown]
            print_table(("step", "then", "now"), rows, title="mean reward")
            print_lines(f"largest difference of {len(self.curve)} evaluations: {show(self.max_difference)}")
        print_lines(f"{'identical' if self.identical else 'not identical'}: {original.path} | {self.run.path}")


def reproduce(run: Run | Path | str, *, into: Path | str | None = None, trust: bool = False) -> Reproduction:
    """Train the configuration of a run, with its seed, into a new run, and compare the two.

    What differs between the circumstances of the two is said before the training begins.

    Args:
        run: a finished run, its directory, `"latest"` or `"algo/env"`.
        into: where the new run is made; by default the `runs_dir` of the old one, of a run not made here `runs`.
        trust: use a run that was not made here although it names modules to import.

    Raises:
        RlzooError: if the run has not finished or its settings changed on the way, or the training fails.
    """
    from rlzoo.console import say, warn
    from rlzoo.runs.info import collect, git_diff
    from rlzoo.training.request import run_job
    from rlzoo.training.train import set_threads

    run = run if isinstance(run, Run) else Run.open(run)
    info = run.read_info()
    cfg = RunConfig.open(run).read(trust=trust, training=True)
    for remark in _check(run, cfg, info):
        warn(remark)
    if into is not None:
        cfg = dataclasses.replace(cfg, runs_dir=str(into))
    set_threads(cfg)  # from here on the threads are those of the training
    then, now = {**info, "git_diff": run.read_git_diff()}, {**collect(), "git_diff": git_diff()}
    changed = differences(then, now)
    say("\n  ".join([f"reproducing {run.path}; not as it was then:", *map(_line, changed)]) if changed else _AS_THEN)
    kept = {key: info.get(key) or [] for key in ("words", "hyperparams", "notices")}
    answer = run_job({"config": dump(cfg), "reproduces": str(run.path.resolve()), **kept})
    new = Run(Path(answer["run"]))
    return Reproduction(new, changed, compare(run, new), curve(run, new))


_AS_THEN = "versions, machine, threads and code are as they were then"


def differences(then: Mapping[str, Any], now: Mapping[str, Any]) -> tuple[Changed, ...]:
    """The circumstances that differ between two records, as far as both tell them."""
    found = changed_circumstances(then, now)
    commits = [str((record.get("git") or {}).get("commit", ""))[:12] for record in (then, now)]
    diffs = [str(record.get("git_diff", "")) for record in (then, now)]
    if commits[0] != commits[1]:
        found.append(Changed("git commit", *map(show, commits)))
    if diffs[0] != diffs[1]:
        found.append(Changed("uncommitted changes", *map(_lines, diffs)))
    return tuple(found)


def compare(first: Run, second: Run) -> dict[str, Difference | None]:
    """The first difference of two runs' metrics, evaluations and, where the first has them, final evaluations."""
    tables = ((first.metrics_file, second.metrics_file), (first.evaluations_file, second.evaluations_file))
    then, now = _final(first), _final(second)
    return {
        **{pair[0].name: compare_tables(*pair) for pair in tables},
        "final evaluation": compare_values(then, now) if then else None,
    }


def curve(first: Run, second: Run) -> tuple[tuple[int, float | None, float | None], ...]:
    """Steps and the mean rewards of both runs at every evaluation that one of them has."""
    means = [
        {row.timesteps: row.mean_reward for row in tables.read_evaluations(run.evaluations_file)}
        for run in (first, second)
    ]
    return tuple((step, means[0].get(step), means[1].get(step)) for step in sorted({*means[0], *means[1]}))


def _check(run: Run, cfg: TrainConfig, info: Mapping[str, Any]) -> list[str]:
    """What makes it doubtful that the run can come out the same; what makes it impossible is refused."""
    if info.get("status") != "finished":
        hint = f"to finish it: rlzoo train {shell(f'resume={run.path}')}"
        raise RlzooError(f"{run.path} has not finished: there is no whole training to compare with", hint)
    changes = [change for resumed in info.get("resumed", []) for change in resumed.get("changes", [])]
    changes = [change for change in changes if change.partition(":")[0].partition(".")[0] not in HARMLESS]
    if changes:
        hint = "train its config.yaml as a new run: a training in one go, which can be reproduced"
        raise RlzooError(f"{run.path} was resumed with other settings on the way: {'; '.join(changes)}", hint)
    if problems := check_stored(cfg):
        raise ConfigError(problems)
    remarks = []
    if not str(info.get("resume", "exact")).startswith("exact"):
        remarks.append(f"this run was interrupted and resumed {info['resume']}: the numbers after that will differ")
    if cfg.stop.minutes is not None:
        remarks.append("stop.minutes ends this training by the clock, not always at the same step")
    return remarks


def _final(run: Run) -> dict[str, dict[str, Any]]:
    """The evaluations at the end of the training, by checkpoint, without their dates."""
    entries = [entry for entry in run.read_results() if entry.get("source") == "train"]
    return {entry["checkpoint"]: {key: value for key, value in entry.items() if key != "date"} for entry in entries}


def _lines(diff: str) -> str:
    digest = hashlib.sha256(diff.encode()).hexdigest()[:8]
    return f"{len(diff.splitlines())} lines of diff ({digest})" if diff else NOTHING


def _line(changed: Changed) -> str:
    return f"{changed.what}: {changed.then} then, {changed.now} now"


def _finite(value: float | None) -> float | None:
    return None if value is None else finite(value)

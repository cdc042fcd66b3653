"""`rlzoo verify-resume`: does a training of this configuration go on exactly? Tried on a short twin, cut by a crash."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlzoo import contained
from rlzoo.config.compose import parse_words
from rlzoo.config.parse import dump, parse
from rlzoo.config.paths import at_home
from rlzoo.config.schema import TrainConfig, VerifyResumeConfig
from rlzoo.console import print_lines
from rlzoo.errors import ConfigError, ExitCode, Problem, RlzooError
from rlzoo.protocols import State
from rlzoo.runs.compare import Difference, compare_states, compare_tables
from rlzoo.runs.config import RunConfig
from rlzoo.runs.run import Run
from rlzoo.signals import BY_SIGNAL
from rlzoo.training.preflight import check_stored
from rlzoo.training.verify_resume import CRASHED, Crash, shorten

if TYPE_CHECKING:
    from rlzoo.cli.main import Arguments
    from rlzoo.launchers.job import JobResult


@dataclass(frozen=True)
class Verification:
    """How the cut twin compares with the uncut one.

    Attributes:
        level: what the half that went on said of itself: `exact`, or what is not, and why.
        total_timesteps: steps of the twin.
        cut_at: the step at which it was cut off.
        resumed_from: the step of the checkpoint that it went on from.
        parts: each part of a training, with the first difference, or None where both are the same byte for byte.
        seconds: wall clock of it all.
    """

    level: str
    total_timesteps: int
    cut_at: int
    resumed_from: int
    parts: dict[str, Difference | None]
    seconds: float

    @property
    def identical(self) -> bool:
        return not any(self.parts.values())


def main(arguments: Arguments) -> int:
    cfg = parse_words("verify-resume", arguments.words, VerifyResumeConfig, has_groups=True)
    run = Run.open(cfg.run, cfg.runs_dir)
    found = verify_resume(run, total_timesteps=cfg.total_timesteps, keep=cfg.keep, trust=cfg.trust)
    if arguments.json:
        parts = {name: difference and dataclasses.asdict(difference) for name, difference in found.parts.items()}
        print(
            json.dumps(
                {"run": str(run.path), "identical": found.identical, **dataclasses.asdict(found), "parts": parts}
            )
        )
    else:
        _print(found)
    return ExitCode.DONE if found.identical else ExitCode.TRAINING_FAILED


def verify_resume(
    run: Run | Path | str, *, total_timesteps: int | None = None, keep: Path | str | None = None, trust: bool = False
) -> Verification:
    """Train a short twin of a run twice, once in one go and once cut off by a crash at about half, and compare them.

    Every half runs in a process of its own.

    Args:
        run: a run, its directory, `"latest"` or `"algo/env"`; only its configuration is used.
        total_timesteps: steps of the twin; by default a few rollouts.
        keep: a new folder to keep both trainings in.
        trust: use a run that was not made here although it names modules to import.

    Raises:
        ConfigError: if `total_timesteps` leaves no room for updates on both sides of the cut.
        RlzooError: if the twin cannot be trained, or cannot go on at all.
    """
    from rlzoo.console import say

    run = run if isinstance(run, Run) else Run.open(run)
    started = time.monotonic()
    cfg = RunConfig.open(run).read(trust=trust, training=True)
    if problems := check_stored(cfg):
        raise ConfigError(problems)
    twin, unit = shorten(cfg, total_timesteps)
    say(f"a twin of {run.path}: {twin.total_timesteps:,} steps, in one go and cut after the first half")
    with _folder(keep) as folder:
        whole, pieces = (_new_run(folder / name, twin) for name in ("whole", "cut"))
        _expect(_train(twin, whole), "the twin could not be trained")
        result = _train(twin, pieces, cut_after=twin.total_timesteps // 2, unit=unit)
        if result.exit_code == ExitCode.DONE:
            hint = f"give it more than {twin.total_timesteps} steps: total_timesteps=…"
            raise RlzooError("the twin ended before it could be cut off", hint, ExitCode.TRAINING_FAILED)
        if result.exit_code != CRASHED:
            _expect(result, "the twin could not be trained")
        _expect(_train(twin, pieces, resume=True), "the twin could not go on")
        info = pieces.read_info()
        return Verification(
            level=str(info.get("resume", "it does not say")),
            total_timesteps=twin.total_timesteps,
            cut_at=info["cut_at"],
            resumed_from=info["resumed"][-1]["from"],
            parts=compare_runs(whole, pieces),
            seconds=round(time.monotonic() - started, 1),
        )


def compare_runs(first: Run, second: Run) -> dict[str, Difference | None]:
    """What two trainings ended with, part by part, and their tables."""
    from rlzoo.runs.checkpoints import ALGORITHM, NORMALIZATION, read

    parts, others = (read(run.checkpoint("last")).parts for run in (first, second))
    replay = [name for name in dict.fromkeys([*parts, *others]) if name.startswith("replay")]
    groups = {"normalisation": [NORMALIZATION], "noise": ["exploration"], "random generators": ["generators"]}
    groups["replay buffer"] = replay
    learned = {
        "weights": [_learned(p[ALGORITHM], optimizers=False) for p in (parts, others)],
        "optimizers": [_learned(p[ALGORITHM], optimizers=True) for p in (parts, others)],
    }
    found = {name: compare_states(*states) for name, states in learned.items()}
    for name, keys in groups.items():
        pairs = [(parts.get(key), others.get(key)) for key in keys if key in parts or key in others]
        if any(state and (state.tensors or state.values) for pair in pairs for state in pair):
            differences = (compare_states(a or State(), b or State()) for a, b in pairs)
            found[name] = next((difference for difference in differences if difference), None)
    for file in (first.metrics_file, first.evaluations_file, first.episodes_file):
        other = second.path / file.name
        if file.is_file() or other.is_file():
            found[file.name] = compare_tables(file, other, but=("seconds",))
    return found


def train_part(part: dict[str, Any]) -> dict[str, Any]:
    """One half of a training, or all of it; what each process is started with. Says nothing: its log has it all."""
    from rlzoo.training.resume import go_on
    from rlzoo.training.train import train

    cfg, run = parse(part["config"]), Run(Path(part["run"]))
    with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stderr(nowhere):
        if part["resume"]:
            go_on(run, cfg)
        else:
            train(cfg, run, [Crash(run, part["cut_after"], part["unit"])] if part["cut_after"] else [])
    return {"run": part["run"]}


@contextlib.contextmanager
def _folder(keep: Path | str | None) -> Iterator[Path]:
    """A folder for both trainings: the user's, or one that goes away."""
    if keep is None:
        with tempfile.TemporaryDirectory(prefix="rlzoo-", ignore_cleanup_errors=True) as name:
            yield Path(name)
        return
    folder = at_home(keep)
    contained.require_way(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError([Problem("keep", f"{folder} is there already", "name a new folder", "command line")])
    yield folder


def _new_run(path: Path, cfg: TrainConfig) -> Run:
    try:
        path.mkdir(parents=True)
    except OSError as error:
        raise RlzooError(f"cannot make {path}: {error.strerror}", code=ExitCode.STORAGE) from error
    run = Run(path)
    run.write_config(dump(cfg))
    run.write_info({"status": "running"})
    return run


def _train(cfg: TrainConfig, run: Run, *, cut_after: int = 0, unit: int = 1, resume: bool = False) -> JobResult:
    """Train in a new process. The jobs come one after the other, so all of them have the same CPU threads."""
    from rlzoo.launchers.job import Job
    from rlzoo.launchers.local import launch

    part = {"config": dump(cfg), "run": str(run.path), "cut_after": cut_after, "unit": unit, "resume": resume}
    job = Job(part, f"{__name__}:{train_part.__name__}")
    return launch([job], options={}, n_jobs=1, runs_dir="")[0]


def _expect(result: JobResult, failure: str) -> None:
    """Raise what went wrong in a process."""
    if result.exit_code == ExitCode.DONE:
        return
    if result.exit_code in BY_SIGNAL:
        raise RlzooError("interrupted", code=ExitCode(result.exit_code))
    known = result.exit_code in set(ExitCode)
    reason = result.error.partition("\n")[0]
    raise RlzooError(
        f"{failure}: {reason}",
        "keep=<folder> keeps its train.log",
        code=ExitCode(result.exit_code) if known else ExitCode.TRAINING_FAILED,
    )


def _learned(state: State, *, optimizers: bool) -> State:
    tensors = {name: array for name, array in state.tensors.items() if ("optimizer" in name) == optimizers}
    return State(tensors, {} if optimizers else state.values)


def _print(found: Verification) -> None:
    from rlzoo.console import print_table

    rows = [(name, "differs" if difference else "same", difference or "") for name, difference in found.parts.items()]
    print_table(("part", "", "first difference (in one go | cut)"), rows)
    print_lines(f"resume: {found.level}")
    cut = f"cut at step {found.cut_at:,} of {found.total_timesteps:,}, went on from {found.resumed_from:,}"
    print_lines(f"{cut}; {found.seconds:.0f} s")
    if found.identical:
        print("identical: a training of this configuration that is cut off goes on as if it had not been")
    elif found.level.startswith("restarted-episodes"):
        print("the environment cannot be put back: give it get_state() and set_state(state), and this can be exact")
    elif found.level == "exact":
        print("it calls itself exact and is not: something draws numbers or reads a clock that no checkpoint knows of,")
        print("the environment most likely; keep=<folder> keeps both trainings to look into")
    else:
        print("a training of this configuration goes on, with other numbers than it would have had without the cut")

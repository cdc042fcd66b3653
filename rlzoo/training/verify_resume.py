"""Can a training be resumed exactly? A short copy of it is trained in one go, and once more, cut off by a crash."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlzoo import contained
from rlzoo.config.parse import dump, parse
from rlzoo.config.paths import at_home
from rlzoo.config.schema import TrainConfig
from rlzoo.console import print_lines, print_table, say
from rlzoo.errors import BY_SIGNAL, ConfigError, ExitCode, Problem, RlzooError
from rlzoo.processes import leaving
from rlzoo.protocols import Algorithm, Callback, State
from rlzoo.runs.compare import Difference, compare_states, compare_tables, difference_rows
from rlzoo.runs.config import RunConfig
from rlzoo.runs.run import Run
from rlzoo.training.preflight import check_stored

if TYPE_CHECKING:
    from rlzoo.launchers.job import JobResult

BOUNDARIES = 4
"""Rollouts that the copy takes at least: two before the cut, two after it."""

LEAST_STEPS = 800
"""Steps that the copy takes at least: short rollouts alone would show no evaluation and hardly an episode's end."""

EVAL_STEPS = 500
"""Length of the copy's evaluation episodes at most."""

CRASHED = 86
"""Exit code of the process that is cut off, which no other end has."""


@dataclass(frozen=True)
class Verification:
    """How the cut copy compares with the uncut one.

    Attributes:
        level: what the resumed half said of itself: `exact`, or what is not, and why.
        total_timesteps: steps of the copy.
        cut_at: the step at which it was cut off.
        resumed_from: the step of the checkpoint that it was resumed from.
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

    def as_data(self) -> dict[str, Any]:
        """For programs."""
        parts = {name: difference and dataclasses.asdict(difference) for name, difference in self.parts.items()}
        return {"identical": self.identical, **dataclasses.asdict(self), "parts": parts}

    def show(self) -> None:
        """For people."""
        print_table(("part", "", "first difference (in one go | cut)"), difference_rows(self.parts))
        print_lines(f"resume: {self.level}")
        cut = f"cut at step {self.cut_at:,} of {self.total_timesteps:,}, resumed from {self.resumed_from:,}"
        print_lines(f"{cut}; {self.seconds:.0f} s", *self._meaning())

    def _meaning(self) -> list[str]:
        if self.identical:
            return ["identical: a training of this configuration that is cut off is resumed as if it had not been"]
        if self.level.startswith("restarted-episodes"):
            fix = "give it get_state() and set_state(state), and this can be exact"
            return [f"the environment cannot be restored: {fix}"]
        if self.level == "exact":
            return [
                "it calls itself exact and is not: something draws numbers or reads a clock that no checkpoint knows"
                " of,",
                "the environment most likely; keep=<folder> keeps both trainings to look into",
            ]
        return ["a training of this configuration can be resumed, but with other numbers than without the cut"]


def verify_resume(
    run: Run | Path | str, *, total_timesteps: int | None = None, keep: Path | str | None = None, trust: bool = False
) -> Verification:
    """Train a short copy of a run twice, once in one go and once cut off by a crash at about half, and compare them.

    Every half runs in a process of its own.

    Args:
        run: a run, its directory, `"latest"` or `"algo/env"`; only its configuration is used.
        total_timesteps: steps of the copy; by default a few rollouts.
        keep: a new folder to keep both trainings in.
        trust: use a run that was not made here although it names modules to import.

    Raises:
        ConfigError: if `total_timesteps` leaves no room for updates on both sides of the cut.
        RlzooError: if the copy cannot be trained, or cannot be resumed at all.
    """
    run = run if isinstance(run, Run) else Run.open(run)
    started = time.monotonic()
    cfg = RunConfig.open(run).read(trust=trust, training=True)
    if problems := check_stored(cfg):
        raise ConfigError(problems)
    short, unit = shorten(cfg, total_timesteps)
    say(f"a short copy of {run.path}: {short.total_timesteps:,} steps, in one go and cut after the first half")
    with _folder(keep) as folder:
        whole, pieces = (_new_run(folder / name, short) for name in ("whole", "cut"))
        _expect(_train(short, whole), "the copy could not be trained")
        result = _train(short, pieces, cut_after=short.total_timesteps // 2, unit=unit)
        if result.exit_code == ExitCode.DONE:
            hint = f"give it more than {short.total_timesteps} steps: total_timesteps=…"
            raise RlzooError("the copy ended before it could be cut off", hint, ExitCode.TRAINING_FAILED)
        if result.exit_code != CRASHED:
            _expect(result, "the copy could not be trained")
        _expect(_train(short, pieces, resume=True), "the copy could not be resumed")
        info = pieces.read_info()
        return Verification(
            level=str(info.get("resume", "it does not say")),
            total_timesteps=short.total_timesteps,
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
    from rlzoo.training.resume import resume_run
    from rlzoo.training.train import train

    cfg, run = parse(part["config"]), Run(Path(part["run"]))
    with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stderr(nowhere):
        if part["resume"]:
            resume_run(run, cfg)
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


def shorten(cfg: TrainConfig, total_timesteps: int | None = None) -> tuple[TrainConfig, int]:
    """The copy's configuration, and the environment steps of one of its rollouts.

    Everything that decides how numbers come about is kept. What is shorter: the training with its schedules, the
    warm-up, the intervals of target networks, evaluations and checkpoints.

    Raises:
        ConfigError: if `total_timesteps` is too small.
    """
    limit = _episode_steps(cfg)
    hyperparams = dict(cfg.algo.hyperparams)
    unit = _rollout_steps(cfg, limit)
    warm_up = 0
    if hyperparams.get("learning_starts"):
        whole_episodes = limit * cfg.env.n_envs if hyperparams.get("replay_buffer_class") == "her" else 0
        warm_up = max(int(hyperparams.get("batch_size") or 0), 100, whole_episodes + 1)
        hyperparams["learning_starts"] = warm_up = min(int(hyperparams["learning_starts"]), warm_up)
    least = BOUNDARIES * max(unit, warm_up)
    if total_timesteps is not None and total_timesteps < least:
        message = (
            f"must be at least {least:,}: two rollouts of {unit:,} steps before and after the cut, and the warm-up"
        )
        raise ConfigError([Problem("total_timesteps", message, "null chooses", "command line")])
    wanted = least if _is_planning(cfg) else max(least, LEAST_STEPS)  # planning may be done after a few sweeps
    total = total_timesteps or math.ceil(wanted / (BOUNDARIES * unit)) * BOUNDARIES * unit
    if hyperparams.get("target_update_interval"):
        hyperparams["target_update_interval"] = min(int(hyperparams["target_update_interval"]), max(1, total // 8))
    evaluation = dataclasses.replace(
        cfg.eval,
        freq=max(1, total // 5) if cfg.frequency(cfg.eval.freq, 10) else 0,
        n_episodes=min(cfg.eval.n_episodes, 2),
        selection_n_episodes=0,
        final_n_episodes=1,
        seeds=None,
        n_envs=min(cfg.eval.n_envs, 2),
        max_steps=min(cfg.eval.max_steps or limit, limit, EVAL_STEPS),
    )
    short = dataclasses.replace(
        cfg,
        algo=dataclasses.replace(cfg.algo, hyperparams=hyperparams),
        init_from=None,
        total_timesteps=total,
        eval=evaluation,
        checkpoint=dataclasses.replace(cfg.checkpoint, freq=total // 4, minutes=0.0),
        stop=dataclasses.replace(cfg.stop, reward=None, episodes=None, minutes=None),
        logger={},
    )
    return short, unit


class Crash(Callback):
    """Ends the process as a crash does, in the middle of the rollout after the first boundary at or after a step."""

    def __init__(self, run: Run, after: int, unit: int) -> None:
        self._run, self._after, self._unit = run, after, unit
        self._at: int | None = None

    def on_boundary(self, algorithm: Algorithm) -> None:
        if self._at is None and algorithm.num_timesteps >= self._after:
            self._at = algorithm.num_timesteps + self._unit // 2

    def on_step(self, algorithm: Algorithm) -> bool:
        if self._at is not None and algorithm.num_timesteps >= self._at:
            self._run.update_info(cut_at=algorithm.num_timesteps)
            leaving.at_once(CRASHED)
        return True


def _is_planning(cfg: TrainConfig) -> bool:
    from rlzoo.algos.specs import find_spec

    return find_spec(cfg.algo.name).family == "planning"


def _rollout_steps(cfg: TrainConfig, limit: int) -> int:
    """Environment steps from one boundary to the next, at most."""
    from rlzoo.algos.specs import find_spec

    hyperparams, family = cfg.algo.hyperparams, find_spec(cfg.algo.name).family
    if family == "evolution":
        tried = 2 * hyperparams["n_delta"] if "n_delta" in hyperparams else hyperparams.get("population_size", 2)
        episodes = int(tried * hyperparams["n_eval_episodes"])
        n_envs = cfg.env.n_envs
        return math.ceil(episodes / n_envs) * n_envs * limit  # the environments play them side by side
    if family == "on_policy":  # actor_critic has neither of these: it learns from every step
        steps = hyperparams.get("n_steps") or hyperparams.get("n_episodes_per_update", 0) * limit or 1
        return int(steps) * cfg.env.n_envs
    frequency = hyperparams.get("train_freq") or 1
    count, what = frequency if isinstance(frequency, list | tuple) else (frequency, "step")
    return int(count) * (limit if what == "episode" else cfg.env.n_envs)


def _episode_steps(cfg: TrainConfig) -> int:
    """The step limit of an episode, or what is taken for one where there is none."""
    from rlzoo.envs.make import make_raw
    from rlzoo.training.train import unlimited_max_steps

    env = make_raw(cfg.env.id, imports=cfg.env.imports, kwargs=cfg.env.kwargs, max_steps=cfg.env.max_steps)
    env.close()
    return int((env.spec and env.spec.max_episode_steps) or unlimited_max_steps(cfg) or 2 * EVAL_STEPS)

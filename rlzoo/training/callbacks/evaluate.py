"""Evaluates the policy while it trains, and keeps candidates. The training is the same with and without it."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from rlzoo import console, contained
from rlzoo.algos.specs import find_spec
from rlzoo.config.schema import TrainConfig
from rlzoo.envs.seeding import episode_seeds, isolated
from rlzoo.errors import ExitCode, RlzooError
from rlzoo.evaluation.evaluate import evaluate, say_cut
from rlzoo.evaluation.selection import N_CANDIDATES
from rlzoo.loggers.csv import CsvTable
from rlzoo.protocols import Algorithm, Callback, Evaluation, MetricLogger, Patience, State
from rlzoo.runs import checkpoints
from rlzoo.runs.run import Checkpoint, Run, candidate_name
from rlzoo.runs.state_files import not_finite

if TYPE_CHECKING:
    from stable_baselines3.common.vec_env import VecEnv


class Evaluations(Callback):
    """Plays `eval.n_episodes` at the first step at or after every multiple of `eval.freq` environment steps.

    It has an environment of its own, seeds of its own for every evaluation, and restores every generator it uses.
    Results go to evaluations.csv and as `eval/...` to the logger. The checkpoints with the best means so far (of equals
    the later ones) are kept as candidates: at the end of the training one of them may turn out to be better than the
    last checkpoint (`rlzoo.evaluation.selection`).

    Attributes:
        last: the newest evaluation, None before the first.
        candidates: mean return of each candidate by its step.
        logger: who else hears of the results.
        cut: whether an evaluation was asked to stop on the way. What comes after that is another training.
    """

    def __init__(
        self,
        cfg: TrainConfig,
        run: Run,
        env: VecEnv,
        logger: MetricLogger | None = None,
        should_stop: Callable[[], bool] | None = None,
    ) -> None:
        self.last: Evaluation | None = None
        self.candidates: dict[int, float] = {}
        self.logger = logger
        self.cut = False
        self._cfg, self._run, self._env = cfg, run, env
        self._should_stop = should_stop
        self._freq = cfg.frequency(cfg.eval.freq, 10)
        self._due = self._freq
        self._eval_env: VecEnv | None = None
        self._table = CsvTable(run.evaluations_file)
        self._told_of_cuts = cfg.eval.max_steps is not None

    def on_step(self, algorithm: Algorithm) -> bool:
        step = algorithm.num_timesteps
        if self._freq and step >= self._due:
            self._due = (step // self._freq + 1) * self._freq
            self._evaluate(algorithm, step)
        return True

    def patience(self, algorithm: Algorithm) -> Patience:
        return Patience(self._due - algorithm.num_timesteps) if self._freq else Patience()

    def on_end(self, algorithm: Algorithm) -> None:
        self.close()

    def falls_due(self, algorithm: Algorithm, within: int) -> bool:
        """Whether an evaluation comes within these many steps."""
        return bool(self._freq) and algorithm.num_timesteps + within >= self._due

    def close(self) -> None:
        """Close the evaluation environment."""
        if self._eval_env is not None:
            self._eval_env.close()
            self._eval_env = None

    def state(self) -> State:
        candidates = [[step, mean] for step, mean in sorted(self.candidates.items())]
        return State(values={"due": self._due, "candidates": candidates, "rows": self._table.rows_on_disk()})

    def restore(self, state: State) -> None:
        self._due = state.values["due"]
        self.candidates = {int(step): float(mean) for step, mean in state.values.get("candidates", ())}
        self._table.truncate(state.values["rows"])
        self._drop(self._run.candidates(), kept=set(self.candidates))

    def _evaluate(self, algorithm: Algorithm, step: int) -> None:
        evaluation = self._play(algorithm, step)
        if evaluation.n_episodes < self._cfg.eval.n_episodes:
            self.cut = True  # the episodes that ended early would not be a fair sample
            return
        self.last = evaluation
        if evaluation.n_cut and not self._told_of_cuts:
            self._told_of_cuts = True
            say_cut(evaluation)
        kept = self._is_candidate(evaluation.mean_reward) and not_finite(algorithm.state()) is None
        self._record(evaluation, step, candidate=kept)
        if kept:
            self._keep(algorithm, evaluation.mean_reward, step)

    def _is_candidate(self, mean: float) -> bool:
        if not self._cfg.eval.selection_n_episodes:
            return False
        return math.isfinite(mean) and (
            len(self.candidates) < N_CANDIDATES or mean >= min(self.candidates.values(), default=-math.inf)
        )

    def _keep(self, algorithm: Algorithm, mean: float, step: int) -> None:
        """Save a candidate; one that is no longer among the best goes, unless a checkpoint on disk counts on it."""
        info = {"mean_reward": mean, "at_boundary": False}
        try:
            checkpoints.save(
                self._run, candidate_name(step), algorithm=algorithm, env=self._env, model_zip=True, info=info
            )
        except RlzooError as error:
            if error.code != ExitCode.STORAGE:
                raise
            console.warn(error)
            return
        best = sorted({**self.candidates, step: mean}.items(), key=lambda item: (item[1], item[0]))
        self.candidates = dict(best[-N_CANDIDATES:])
        found = self._run.candidates()
        if len(found) > N_CANDIDATES:
            self._drop(found, kept={*self.candidates, *self._counted_on()})

    def _drop(self, found: Sequence[Checkpoint], kept: Collection[int]) -> None:
        for candidate in found:
            if int(candidate.name) not in kept:
                checkpoints.remove(candidate)

    def _counted_on(self) -> set[int]:
        """The candidates of the checkpoints on disk, from which the training may be resumed."""
        steps: set[int] = set()
        for checkpoint in self._run.checkpoints():
            with suppress(OSError, ValueError, TypeError, KeyError, RecursionError, RlzooError):
                path = checkpoint.path / "evaluations.json"
                values = json.loads(contained.read(path, checkpoint.path, checkpoints.MAX_JSON))
                steps |= {int(step) for step, _ in values["candidates"]}
        return steps

    def _play(self, algorithm: Algorithm, step: int) -> Evaluation:
        cfg = self._cfg
        seeds = episode_seeds(cfg.eval.seed, step, cfg.eval.n_episodes)
        auto = cfg.eval.deterministic == "auto"
        with isolated(seeds[0], self._env.action_space):
            return evaluate(
                algorithm,
                self._own_env(),
                n_episodes=cfg.eval.n_episodes,
                seeds=seeds,
                deterministic=not cfg.env.stochastic_eval if auto else bool(cfg.eval.deterministic),
                masked=find_spec(cfg.algo.name).masked,
                should_stop=self._should_stop,
            )

    def _own_env(self) -> VecEnv:
        """The evaluation environment, with the training's normalisation statistics of this moment."""
        from rlzoo.envs import make, sync_statistics

        cfg = self._cfg
        if self._eval_env is None:
            n_envs = min(cfg.eval.n_envs, cfg.eval.n_episodes)
            self._eval_env = make(
                cfg.env,
                n_envs=n_envs,
                seed=cfg.eval.seed,
                training=False,
                max_steps=cfg.eval.max_steps,
                unlimited_max_steps=cfg.unlimited_max_steps,
                on_nan=cfg.on_nan,
            )
        sync_statistics(self._env, self._eval_env)
        return self._eval_env

    def _record(self, evaluation: Evaluation, step: int, *, candidate: bool) -> None:
        row: dict[str, Any] = {
            "timesteps": step,
            "mean_reward": evaluation.mean_reward,
            "std_reward": evaluation.std_reward,
            "mean_ep_length": evaluation.mean_length,
            "n_episodes": evaluation.n_episodes,
            "deterministic": evaluation.deterministic,
            "candidate": candidate,
            "returns": json.dumps(evaluation.returns),
            "lengths": json.dumps(evaluation.lengths),
            "seeds": json.dumps(evaluation.seeds),
        }
        try:
            self._table.append(row)
        except OSError as error:
            console.warn(f"the evaluation at step {step:,} is not in {self._table.path}: {error.strerror}")
        if self.logger is not None:
            metrics = {f"eval/{key}": row[key] for key in ("mean_reward", "std_reward", "mean_ep_length")}
            self.logger.log(metrics, step)

"""Evaluates the policy while it trains, and keeps the best. The training is the same with and without it."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from rlzoo import checkpoints, console
from rlzoo.algos.specs import find_spec
from rlzoo.config.schema import TrainConfig
from rlzoo.errors import ExitCode, RlzooError
from rlzoo.evaluation import evaluate
from rlzoo.loggers.csv import CsvTable
from rlzoo.protocols import Algorithm, Callback, Evaluation, MetricLogger, Patience, State
from rlzoo.runs import Run
from rlzoo.seeding import episode_seeds, isolated
from rlzoo.state_files import not_finite

if TYPE_CHECKING:
    from stable_baselines3.common.vec_env import VecEnv


class Evaluations(Callback):
    """Plays `eval.n_episodes` at the first step at or after every multiple of `eval.freq` environment steps.

    It has an environment of its own, seeds of its own for every evaluation, and puts back every generator it uses.
    Results go to evaluations.csv and as `eval/...` to the logger; the best mean so far (the latest of equals) is saved
    as the checkpoint `best`.

    Attributes:
        last: the newest evaluation, None before the first.
        best_mean: the best mean return so far.
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
        self.best_mean = -math.inf
        self.logger = logger
        self.cut = False
        self._cfg, self._run, self._env = cfg, run, env
        self._should_stop = should_stop
        self._freq = cfg.frequency(cfg.eval.freq, 10)
        self._due = self._freq
        self._eval_env: VecEnv | None = None
        self._table = CsvTable(run.evaluations_file)

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
        return State(values={"due": self._due, "best_mean": self.best_mean, "rows": self._table.rows_on_disk()})

    def restore(self, state: State) -> None:
        self._due, self.best_mean = state.values["due"], state.values["best_mean"]
        self._table.truncate(state.values["rows"])

    def _evaluate(self, algorithm: Algorithm, step: int) -> None:
        evaluation = self._play(algorithm, step)
        if evaluation.n_episodes < self._cfg.eval.n_episodes:
            self.cut = True  # the episodes that ended early would not be a fair sample
            return
        self.last = evaluation
        mean = evaluation.mean_reward
        is_best = math.isfinite(mean) and mean >= self.best_mean
        best = is_best and not_finite(algorithm.state()) is None
        self._record(evaluation, step, best=best)
        if best:
            self.best_mean = evaluation.mean_reward
            self._save_best(algorithm, evaluation)

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
                cfg.env, n_envs=n_envs, seed=cfg.eval.seed, training=False, max_steps=cfg.eval.max_steps
            )
        sync_statistics(self._env, self._eval_env)
        return self._eval_env

    def _record(self, evaluation: Evaluation, step: int, *, best: bool) -> None:
        row: dict[str, Any] = {
            "timesteps": step,
            "mean_reward": evaluation.mean_reward,
            "std_reward": evaluation.std_reward,
            "mean_ep_length": evaluation.mean_length,
            "n_episodes": evaluation.n_episodes,
            "deterministic": evaluation.deterministic,
            "best": best,
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

    def _save_best(self, algorithm: Algorithm, evaluation: Evaluation) -> None:
        info = {"mean_reward": evaluation.mean_reward, "at_boundary": False}
        try:
            checkpoints.save(self._run, "best", algorithm=algorithm, env=self._env, model_zip=True, info=info)
        except RlzooError as error:
            if error.code != ExitCode.STORAGE:
                raise
            console.warn(error)

"""The heart: one training from a checked configuration to an evaluated agent in its run directory."""

from __future__ import annotations

import logging
import signal
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from rlzoo.config.parse import dump, fingerprint
from rlzoo.config.schema import TrainConfig
from rlzoo.console import LogFile, LogFormatter
from rlzoo.errors import ExitCode, RlzooError
from rlzoo.protocols import Algorithm, Callback, Evaluation, Pruned, Stateful
from rlzoo.runs import Checkpoint, Run

if TYPE_CHECKING:
    from stable_baselines3.common.vec_env import VecEnv

    from rlzoo.callbacks import Evaluations, Interrupt
    from rlzoo.checkpoints import Contents
    from rlzoo.comparison import Changed

log = logging.getLogger("rlzoo")


def train(
    cfg: TrainConfig,
    run: Run,
    callbacks: Sequence[Callback] = (),
    resume_from: Checkpoint | None = None,
    *,
    trust: bool = False,
    final: bool = True,
) -> Evaluation:
    """Train as `cfg` says, into the directory of `run`.

    Args:
        cfg: a checked configuration whose seed is set.
        run: a new run; its config.yaml and info.json are written.
        callbacks: more callbacks, called after rlzoo's own; one with `log` and `close` hears of the metrics too.
        resume_from: a checkpoint of this run to go on from, one that was written at a boundary.
        trust: that `init_from` may be unpickled, which runs what its author put into it.
        final: False leaves out the evaluation at the end where there was one on the way.

    Returns:
        The final evaluation of the run's best checkpoint (of the last one, if there was no evaluation on the way);
        without a final one the last on the way.

    Raises:
        RlzooError: with exit code 4 if the training fails, after the traceback was written to train.log, or with 130
            or 143 after a signal; what was kept is in the message.
        Pruned: if a callback of a search ended it.
    """
    from rlzoo.callbacks import Interrupt
    from rlzoo.checkpoints import read
    from rlzoo.comparison import NUMBERS, changed_circumstances
    from rlzoo.info import collect, device
    from rlzoo.seeding import seed_everything

    assert cfg.seed is not None
    with Interrupt(cfg.signal_grace) as interrupt, _recorded(run, interrupt):
        set_threads(cfg)
        then = run.read_info()
        run.update_info(**device())
        changed = changed_circumstances(then, collect(), NUMBERS) if resume_from is not None else []
        seed_everything(cfg.seed)
        contents = read(resume_from) if resume_from is not None else None
        with _learner(cfg, run, contents, trust=trust) as (algorithm, env):
            last = _learn(cfg, run, algorithm, env, contents, callbacks, interrupt, changed)
        evaluation = None
        if not interrupt.asked():
            evaluation = last if last is not None and not final else evaluate_final(cfg, run, interrupt.asked)
        if evaluation is None:
            raise _interrupted(run, interrupt.signal)
        return evaluation


@contextmanager
def _learner(
    cfg: TrainConfig, run: Run, contents: Contents | None, *, trust: bool
) -> Iterator[tuple[Algorithm, VecEnv]]:
    """The algorithm and its environment; a new training has the weights and statistics of `init_from`."""
    from rlzoo import init_from
    from rlzoo.algos import memory
    from rlzoo.algos.create import create
    from rlzoo.envs.make import make

    assert cfg.seed is not None
    source = init_from.find(cfg.init_from, cfg.runs_dir) if cfg.init_from and contents is None else None
    gamma = float(cfg.algo.hyperparams.get("gamma") or 0.99)
    statistics = contents.normalization if contents is not None else None
    if source is not None:
        statistics = init_from.statistics(source)
    env = make(cfg.env, n_envs=cfg.env.n_envs, seed=cfg.seed, gamma=gamma, statistics=statistics, on_nan=cfg.on_nan)
    try:
        memory.require(cfg, env.observation_space, env.action_space)
        algorithm = create(cfg.algo, env, seed=cfg.seed, device=cfg.device)
        if source is not None:
            run.update_info(init_from=init_from.fill(algorithm, source, cfg, env, trust=trust))
        yield algorithm, env
    finally:
        env.close()


def _learn(
    cfg: TrainConfig,
    run: Run,
    algorithm: Algorithm,
    env: VecEnv,
    contents: Contents | None,
    callbacks: Sequence[Callback],
    interrupt: Interrupt,
    changed: Sequence[Changed],
) -> Evaluation | None:
    """Learn to the end, with everything that watches, and going on from `contents` if there are any.

    `changed` is what is not as it was when these were written.

    Returns:
        The last evaluation on the way, if there was one.
    """
    from rlzoo.callbacks import Checkpoints, Evaluations, Finite, Progress, Standing, Stop
    from rlzoo.loggers import open_loggers

    first: list[Callback] = [finite := Finite(cfg.on_nan, run, env)]
    standing = None
    if hasattr(algorithm, "begin_episodes"):  # it can go on exactly
        standing = Standing(run, algorithm, env, cfg.total_timesteps, contents, fingerprint(cfg), changed)
        first.append(standing)
    progress = Progress(cfg.total_timesteps, cfg.stop.episodes)
    hearing: list[Any] = [callback for callback in callbacks if hasattr(callback, "log")]
    with open_loggers(cfg.logger, run, dump(cfg), extra=[progress, finite, *hearing]) as logger:
        evaluations = Evaluations(cfg, run, env, logger, should_stop=interrupt.asked)
        with closing(evaluations), closing(progress):
            saved: dict[str, Stateful] = {"evaluations": evaluations, "loggers": logger}
            keep = partial(_worth_keeping, interrupt, evaluations)
            checkpoints = Checkpoints(cfg, run, env, saved, standing, interrupt, keep)
            if contents is not None:
                for name, part in (saved | {"checkpoints": checkpoints}).items():
                    part.restore(contents.parts[name])
            every = [*first, evaluations, checkpoints, Stop(cfg, evaluations), progress, *callbacks]
            with finite.explaining(algorithm):
                interrupt.learn(algorithm, cfg.total_timesteps, every, logger, cut=lambda: evaluations.cut)
    return evaluations.last


def evaluate_final(cfg: TrainConfig, run: Run, should_stop: Callable[[], bool]) -> Evaluation | None:
    """Evaluate the run's `last` and, where there is one, its `best` checkpoint on the fixed evaluation seeds.

    Returns:
        The evaluation of the best one (else of the last), or None if `should_stop` cut it short: what was played up to
        then is no fair sample and is not kept.
    """
    from rlzoo.agent import load
    from rlzoo.evaluation import summary

    evaluation, entries = None, []
    for name in ("last", "best"):
        if not run.checkpoint(name).exists():
            continue
        agent = load(run, name, device=cfg.device, config=cfg)
        evaluation = agent.evaluate(n_episodes=cfg.eval.n_final, n_envs=cfg.eval.n_envs, should_stop=should_stop)
        if should_stop():
            return None
        entries.append(
            {
                "date": datetime.now(UTC).isoformat(timespec="seconds"),
                "source": "train",
                "checkpoint": name,
                "num_timesteps": run.checkpoint(name).num_timesteps,
                **summary(evaluation),
            }
        )
    for entry in entries:
        run.append_result(entry)
    return evaluation


def _worth_keeping(interrupt: Interrupt, evaluations: Evaluations, algorithm: Algorithm) -> bool:
    """Whether a signal might have the training go back to this boundary: from a slow rollout, or an evaluation."""
    return interrupt.slow() or evaluations.falls_due(algorithm, within=2 * interrupt.pace.longest)


def set_threads(cfg: TrainConfig) -> None:
    """Give torch its CPU threads: by default one for an MLP policy on a CPU, where more only cost time."""
    import torch

    if isinstance(cfg.torch_threads, int):
        torch.set_num_threads(cfg.torch_threads)
    elif not torch.cuda.is_available() or cfg.device == "cpu":
        images = "uint8" in (cfg.env.observation_space or "")
        if not images:
            torch.set_num_threads(1)


def cuda_devices() -> int:
    """How many CUDA devices torch sees."""
    import torch

    return torch.cuda.device_count()


@contextmanager
def _recorded(run: Run, interrupt: Interrupt) -> Iterator[None]:
    """Keep info.json's status and train.log true, whatever happens inside."""
    started = time.monotonic()
    handler = LogFile(run.log_file)
    handler.setFormatter(LogFormatter())
    log.addHandler(handler)
    status = "failed"
    try:
        yield
        status = "finished"
    except KeyboardInterrupt:
        status = "interrupted"
        raise _interrupted(run, signal.SIGINT) from None
    except SystemExit:
        status = "interrupted"
        raise
    except Pruned as pruned:
        status = "pruned"
        log.info("%s", pruned)
        raise
    except RlzooError as error:
        status = "interrupted" if error.code in (ExitCode.INTERRUPTED, ExitCode.TERMINATED) else "failed"
        log.error("%s", error)
        raise
    except Exception as error:
        log.error("training failed\n%s", traceback.format_exc())
        raise _failed(error, run) from error
    finally:
        interrupt.deaf = True
        run.update_info(
            status=status,
            finished=datetime.now(UTC).isoformat(timespec="seconds"),
            wall_seconds=round(time.monotonic() - started, 3),
        )
        log.removeHandler(handler)
        handler.close()


def _failed(error: Exception, run: Run) -> RlzooError:
    kept = [checkpoint.name for checkpoint in run.checkpoints()]
    hint = f"the traceback is in {run.log_file}; "
    hint += f"kept: {', '.join(kept)}" if kept else "no checkpoint had been written yet"
    if kept:
        hint += f"; to go on: rlzoo train resume={run.path}"
    return RlzooError(f"training failed: {type(error).__name__}: {error}", hint, ExitCode.TRAINING_FAILED)


def _interrupted(run: Run, number: int | None) -> RlzooError:
    code = ExitCode.INTERRUPTED if number == signal.SIGINT else ExitCode.TERMINATED
    if not run.checkpoints():
        return RlzooError("interrupted before there was anything to save", "start the training anew", code)
    return RlzooError("interrupted; the last checkpoint is kept", f"to go on: rlzoo train resume={run.path}", code)

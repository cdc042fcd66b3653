"""The heart: one training from a checked configuration to an evaluated agent in its run directory."""

from __future__ import annotations

import logging
import signal
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, nullcontext
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from rlzoo import console, errors
from rlzoo.config.parse import dump, fingerprint
from rlzoo.config.paths import short_path
from rlzoo.config.schema import TrainConfig
from rlzoo.console import LogFile, LogFormatter
from rlzoo.envs import spaces
from rlzoo.errors import ExitCode, RlzooError
from rlzoo.evaluation.evaluate import finite
from rlzoo.protocols import Algorithm, Callback, Evaluation, Pruned, Resumable, Stateful
from rlzoo.redaction import shell
from rlzoo.runs.run import Checkpoint, Run, candidate_name

if TYPE_CHECKING:
    from stable_baselines3.common.vec_env import VecEnv

    from rlzoo.runs.checkpoints import Contents
    from rlzoo.runs.compare import Changed
    from rlzoo.training.callbacks import Evaluations, InPlace, Interrupt

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
        resume_from: a checkpoint of this run to resume from, one that was written at a boundary.
        trust: that `init_from` may be unpickled, which runs what its author put into it.
        final: False leaves out the evaluation at the end where there was one on the way.

    Returns:
        The final evaluation of the checkpoint that ships, the last one or `best`; without a final one the last on the
        way.

    Raises:
        RlzooError: with exit code 4 if the training fails, after the traceback was written to train.log, or with 129,
            130 or 143 after a signal; what was kept is in the message.
        Pruned: if a callback of a search ended it.
    """
    from rlzoo.envs.seeding import seed_everything
    from rlzoo.envs.vector.watchdog import last_words
    from rlzoo.runs.checkpoints import read
    from rlzoo.runs.compare import NUMBERS, changed_circumstances
    from rlzoo.runs.info import collect, device
    from rlzoo.training.callbacks import Interrupt

    assert cfg.seed is not None
    given_up = last_words(partial(_give_up, Run(run.path.absolute())))
    with Interrupt(cfg.signal_grace) as interrupt, _recorded(cfg, run, interrupt) as place, given_up:
        run = Run(run.path.absolute())  # whatever becomes of the current folder
        set_threads(cfg)
        then = run.read_info()
        run.update_info(**device())
        changed = changed_circumstances(then, collect(), NUMBERS) if resume_from is not None else []
        seed_everything(cfg.seed)
        contents = read(resume_from) if resume_from is not None else None
        with _learner(cfg, contents, trust=trust) as (algorithm, env, began_with):
            run.update_info(**spaces.declared_by(env), **({"init_from": began_with} if began_with is not None else {}))
            last = _learn(cfg, run, algorithm, env, contents, callbacks, place, interrupt, changed)
        evaluation = None
        if not interrupt.asked():
            evaluation = last if last is not None and not final else evaluate_final(cfg, run, interrupt.asked)
        if evaluation is None:
            raise _interrupted(run, interrupt.signal)
        return evaluation


def rehearse(cfg: TrainConfig, *, trust: bool = False) -> None:
    """Begin with the weights of `init_from` once before there is a run, so that none is left where this cannot be.

    Raises:
        RlzooError: if they are not there, damaged, refused, or do not fit. What fails for another reason is left to the
            training, which records it.
    """
    from rlzoo.envs.seeding import isolated

    try:
        with isolated(0), _learner(cfg, None, trust=trust):
            pass
    except RlzooError:
        raise
    except Exception:
        log.debug("the rehearsal failed", exc_info=True)


def require_environment(cfg: TrainConfig, run: Run) -> None:
    """Make the environment of a run once before that is resumed, so that nothing is written where this cannot be.

    Raises:
        RlzooError: if it cannot be made, or has other spaces than the agent has learned with.
    """
    from rlzoo.envs.make import make
    from rlzoo.envs.seeding import isolated

    with errors.before_work("making the environment"), isolated(0):
        env = make(cfg.env, n_envs=min(2, cfg.env.n_envs), seed=0)
        try:
            spaces.require_same(run.read_info(), env)
        finally:
            env.close()


@contextmanager
def _learner(
    cfg: TrainConfig, contents: Contents | None, *, trust: bool
) -> Iterator[tuple[Algorithm, VecEnv, dict[str, Any] | None]]:
    """The algorithm and its environment; a new training has the weights and statistics of `init_from`.

    With these comes what was taken, for the run's record.
    """
    from rlzoo.algos import memory
    from rlzoo.algos.create import create
    from rlzoo.envs.make import make
    from rlzoo.training import init_from

    assert cfg.seed is not None
    source = init_from.find(cfg.init_from, cfg.runs_dir) if cfg.init_from and contents is None else None
    gamma = float(cfg.algo.hyperparams.get("gamma") or 0.99)
    statistics = contents.normalization if contents is not None else None
    if source is not None:
        statistics = init_from.statistics(source)
    env = make(
        cfg.env,
        n_envs=cfg.env.n_envs,
        seed=cfg.seed,
        gamma=gamma,
        statistics=statistics,
        unlimited_max_steps=unlimited_max_steps(cfg),
        on_nan=cfg.on_nan,
    )
    try:
        memory.require(cfg, env.observation_space, env.action_space)
        known = nullcontext() if contents is None else memory.networks_of(contents.n_bytes, cfg.algo, "its checkpoint")
        with known:
            algorithm = create(cfg.algo, env, seed=cfg.seed, device=cfg.device)
        yield (
            algorithm,
            env,
            None if source is None else init_from.load_weights(algorithm, source, cfg, env, trust=trust),
        )
    finally:
        env.close()


def _learn(
    cfg: TrainConfig,
    run: Run,
    algorithm: Algorithm,
    env: VecEnv,
    contents: Contents | None,
    callbacks: Sequence[Callback],
    place: InPlace,
    interrupt: Interrupt,
    changed: Sequence[Changed],
) -> Evaluation | None:
    """Learn to the end, with everything that watches, and resuming from `contents` if there are any.

    `changed` is what is not as it was when these were written.

    Returns:
        The last evaluation on the way, if there was one.
    """
    from rlzoo.algos.specs import find_spec
    from rlzoo.loggers import open_loggers
    from rlzoo.runs.checkpoints import restoring
    from rlzoo.training.callbacks import Checkpoints, Evaluations, NanGuard, Progress, ResumeState, Stop

    first: list[Callback] = [nan_guard := NanGuard(cfg.on_nan, run, env)]
    resume_state = None
    if isinstance(algorithm, Resumable):
        with nullcontext() if contents is None else restoring(contents):
            resume_state = ResumeState(run, algorithm, env, cfg.total_timesteps, contents, fingerprint(cfg), changed)
        first.append(resume_state)
    progress = Progress(cfg.total_timesteps, cfg.stop.episodes, unit=find_spec(cfg.algo.name).unit)
    hearing: list[Any] = [callback for callback in callbacks if hasattr(callback, "log")]
    with open_loggers(cfg.logger, run, dump(cfg), extra=[progress, nan_guard, *hearing]) as logger:
        evaluations = Evaluations(cfg, run, env, logger, should_stop=interrupt.asked)
        with closing(evaluations), closing(progress):
            saved: dict[str, Stateful] = {"evaluations": evaluations, "loggers": logger}
            keep = partial(_worth_keeping, interrupt, evaluations)
            checkpoints = Checkpoints(cfg, run, env, saved, resume_state, interrupt, keep)
            if contents is not None:
                with restoring(contents):
                    for name, part in (saved | {"checkpoints": checkpoints}).items():
                        part.restore(contents.parts[name])
            every = [place, *first, evaluations, checkpoints, Stop(cfg, evaluations), progress, *callbacks]
            with nan_guard.explaining(algorithm):
                interrupt.learn(algorithm, cfg.total_timesteps, every, logger, cut=lambda: evaluations.cut)
    return evaluations.last


def evaluate_final(cfg: TrainConfig, run: Run, should_stop: Callable[[], bool]) -> Evaluation | None:
    """Choose the checkpoint that ships, and evaluate it and the last one on the fixed evaluation seeds.

    Returns:
        The evaluation of the one that ships, or None if `should_stop` cut it short: what was played up to then is no
        fair sample and is not kept.
    """
    from rlzoo.evaluation.agent import load
    from rlzoo.evaluation.evaluate import result_entry

    selection = _select(cfg, run, should_stop)
    if should_stop():
        return None
    ships = "best" if selection is not None and selection["winner"] != "last" else "last"
    trained = run.checkpoint("last").num_timesteps
    entries = []
    for name in dict.fromkeys(("last", ships)):
        agent = load(run, name, device=cfg.device, config=cfg)
        evaluation = agent.evaluate(n_episodes=cfg.eval.n_final, n_envs=cfg.eval.n_envs, should_stop=should_stop)
        if should_stop():
            return None
        details: dict[str, Any] = {"ships": name == ships, **agent.random_play()}
        details |= {"selection": selection} if name == ships and selection is not None else {}
        steps = run.checkpoint(name).num_timesteps
        entries.append(result_entry(evaluation, "train", name, steps, trained, **details))
    for entry in entries:
        run.append_result(entry)
    return evaluation


def _select(cfg: TrainConfig, run: Run, should_stop: Callable[[], bool]) -> dict[str, Any] | None:
    """Let the candidates play against the last checkpoint; a winner becomes `best`, else there is no `best`.

    Returns:
        What was played, for the record; None if there are no candidates, or `should_stop` cut it short.
    """
    from rlzoo.envs.seeding import episode_seeds
    from rlzoo.evaluation.agent import Agent, load
    from rlzoo.evaluation.selection import N_CANDIDATES, STREAM, choose
    from rlzoo.runs import checkpoints

    last = run.checkpoint("last")
    learned = checkpoints.fingerprint(last)
    means = {found.name: checkpoints.read_manifest(found)["mean_reward"] for found in run.candidates()}
    named = sorted(means, key=lambda name: (means[name], int(name)))[-N_CANDIDATES:]
    candidates = [found for found in run.candidates() if found.name in named]
    candidates = [found for found in candidates if checkpoints.fingerprint(found) != learned]
    seeds = episode_seeds(cfg.eval.seed, STREAM, cfg.eval.selection_n_episodes)
    agents: dict[int, Agent] = {}

    def play(k: int, first: int, n: int) -> Sequence[float]:
        if k not in agents:
            name = "last" if k < 0 else candidate_name(int(candidates[k].name))
            agents[k] = load(run, name, device=cfg.device, config=cfg)
        played = agents[k].evaluate(seeds=seeds[first : first + n], n_envs=cfg.eval.n_envs, should_stop=should_stop)
        if should_stop():
            raise _CutError
        return played.returns

    try:
        choice = choose(play, len(candidates), len(seeds))
    except _CutError:
        return None
    if not choice.n_episodes:
        checkpoints.retract_best(run)
        console.say(f"last ships: {_why_unopposed(cfg, len(candidates))}")
        return None
    names = {-1: "last", **{k: found.name for k, found in enumerate(candidates)}}
    selection = {
        "winner": names[-1 if choice.winner is None else choice.winner],
        "finalist": None if choice.finalist is None else names[choice.finalist],
        "p_value": choice.p_value,
        "level": choice.level,
        "n_episodes": choice.n_episodes,
        "means_on_the_way": {found.name: finite(means[found.name]) for found in candidates},
        "returns": {names[k]: [finite(value) for value in returns] for k, returns in choice.returns.items()},
        "seeds": seeds[: max(map(len, choice.returns.values()))],
    }
    if choice.winner is None:
        checkpoints.retract_best(run)
    else:
        checkpoints.promote(run, candidates[choice.winner], selection)
    console.say(_in_words(selection))
    return selection


def _why_unopposed(cfg: TrainConfig, n_candidates: int) -> str:
    if not cfg.frequency(cfg.eval.freq, 10):
        return "nothing was evaluated on the way (eval.freq=0)"
    if not n_candidates and cfg.eval.selection_n_episodes:
        return "the evaluations on the way nominated no other checkpoint"
    return f"eval.selection_n_episodes={cfg.eval.selection_n_episodes} are too few to show that another is better"


def _in_words(selection: Mapping[str, Any]) -> str:
    """What the selection found, in a line."""
    finalist, winner = selection["finalist"], selection["winner"]
    if finalist is None:
        return "last ships: it plays better than every candidate of the evaluations on the way"
    tested = f"{len(selection['returns'][finalist])} paired episodes, p = {selection['p_value']:.2g}"
    if winner == "last":
        return f"last ships: the candidate of step {int(finalist):,} is not shown to be better ({tested})"
    return f"best ships: step {int(winner):,} is better than last ({tested})"


class _CutError(Exception):
    """The selection was cut short."""


def _worth_keeping(interrupt: Interrupt, evaluations: Evaluations, algorithm: Algorithm) -> bool:
    """Whether a signal might have the training go back to this boundary: from a slow rollout, or an evaluation."""
    return interrupt.slow() or evaluations.falls_due(algorithm, within=2 * interrupt.timer.longest)


def set_threads(cfg: TrainConfig) -> None:
    """Give torch its CPU threads: by default one for an MLP policy on a CPU, where more only cost time."""
    import torch

    if isinstance(cfg.torch_threads, int):
        torch.set_num_threads(cfg.torch_threads)
    elif not torch.cuda.is_available() or cfg.device == "cpu":
        images = "uint8" in (cfg.env.observation_space or "")
        if not images:
            torch.set_num_threads(1)


def unlimited_max_steps(cfg: TrainConfig) -> int | None:
    """Where episodes of training are cut that have no other limit: an algorithm that waits for their end would not end.

    None of an algorithm that learns from steps: the task may well be one that goes on forever.
    """
    values = cfg.algo.hyperparams
    by_episodes = "episode" in str(values.get("train_freq")) or "n_episodes_per_update" in values
    return cfg.unlimited_max_steps if by_episodes or "n_eval_episodes" in values else None


def cuda_devices() -> int:
    """How many CUDA devices torch sees."""
    import torch

    return torch.cuda.device_count()


@contextmanager
def _recorded(cfg: TrainConfig, run: Run, interrupt: Interrupt) -> Iterator[InPlace]:
    """Keep info.json's status and train.log true, whatever happens inside, to the folder too."""
    from rlzoo.training.callbacks import InPlace

    started, before = time.monotonic(), run.read_info().get("wall_seconds", 0.0)  # of the sittings before this one
    place = InPlace(run)
    handler = LogFile(run.log_file)
    handler.setFormatter(LogFormatter())
    log.addHandler(handler)
    status = "failed"
    try:
        yield place
        place.require()
        status = "finished"
    except Pruned as pruned:
        status = "pruned"
        log.info("%s", pruned)
        raise
    except RlzooError as error:
        status = "interrupted" if error.code in errors.BY_SIGNAL else "failed"
        log.error("%s", error)
        if error.code in (ExitCode.WRONG_REQUEST, ExitCode.MISSING):  # which say that nothing was begun
            error.code = ExitCode.TRAINING_FAILED
        if error.code is ExitCode.STORAGE:
            raise _not_written(error, place) from error
        raise
    except BaseException as error:
        if errors.is_foreign(error) and not interrupt.at_once:
            log.error("training failed\n%s", traceback.format_exc())
            raise _failed(error, run) from error
        status = "interrupted"
        if isinstance(error, KeyboardInterrupt) or interrupt.at_once:
            raise _interrupted(run, signal.SIGINT) from None
        raise
    finally:
        interrupt.deaf = True
        try:
            if (there := place.now()) is not None:
                there.update_info(
                    status=status,
                    finished=datetime.now(UTC).isoformat(timespec="seconds"),
                    wall_seconds=round(before + time.monotonic() - started, 3),
                )
                if not there.config_file.is_file():
                    there.write_config(dump(cfg))
        except RlzooError as error:
            raise _not_written(error, place) from error
        finally:
            place.close()
            log.removeHandler(handler)
            handler.close()


def _give_up(run: Run) -> None:
    """The last that is done where an environment cannot even be interrupted."""
    run.update_info(status="failed", finished=datetime.now(UTC).isoformat(timespec="seconds"))
    console.say(_what_is_kept(run) or "no checkpoint had been written yet")


def _failed(error: BaseException, run: Run) -> RlzooError:
    hint = (
        f"the traceback is in {short_path(run.log_file)}; {_what_is_kept(run) or 'no checkpoint had been written yet'}"
    )
    return RlzooError(f"training failed: {errors.said(error)}", hint, ExitCode.TRAINING_FAILED)


def _not_written(error: RlzooError, place: InPlace) -> RlzooError:
    """A disk that is full, say, with what is on it; of a folder that has gone, what it means."""
    there, lost = place.now(), place.lost()
    kept = "nothing is kept" if there is None else _what_is_kept(there if lost else place.run)
    hint = "" if lost else error.hint
    return RlzooError(lost or error.message, "; ".join(filter(None, (hint, kept))), error.code)


def _what_is_kept(run: Run) -> str:
    """The checkpoints and how to resume from them; empty if there are none."""
    kept = [checkpoint.name for checkpoint in run.checkpoints()]
    return f"kept: {', '.join(kept)}; to resume: rlzoo train {shell(f'resume={short_path(run.path)}')}" if kept else ""


def _interrupted(run: Run, number: int | None) -> RlzooError:
    code = errors.code_of_signal(number)
    if not run.checkpoints():
        return RlzooError("interrupted before there was anything to save", "start the training again", code)
    return RlzooError(
        "interrupted; the last checkpoint is kept",
        f"to resume: rlzoo train {shell(f'resume={short_path(run.path)}')}",
        code,
    )

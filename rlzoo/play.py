"""Plays with an agent, or at random: `evaluate`, `enjoy` and `record`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from rlzoo.config.compose import read_keywords
from rlzoo.config.schema import EnjoyConfig, EvaluateConfig, PlayConfig, RecordConfig, TrainConfig, WatchConfig
from rlzoo.envs.check import Use
from rlzoo.errors import ConfigError, Problem
from rlzoo.evaluation.agent import Agent, explained
from rlzoo.hub.agents import changed_config, open_run
from rlzoo.protocols import Evaluation
from rlzoo.runs.run import Checkpoint, Run, folder_name
from rlzoo.training.callbacks.interrupt import leaving_at_once
from rlzoo.training.preflight import check_environment, episode_problems

if TYPE_CHECKING:
    from rlzoo.evaluation.agent import Actor
    from rlzoo.evaluation.record import Recording
    from rlzoo.evaluation.terminal import Episode, Render

FEW = 3
"""So many checkpoints, and fewer, show little of a training."""


def evaluate(  # noqa: PLR0913 - the keys of conf/evaluate.yaml
    run: Run | Path | str | None = None,
    *env_words: str,
    policy: Literal["random"] | None = None,
    env: str | None = None,
    algo: str | None = None,
    file: str | None = None,
    checkpoint: str | None = None,
    n_episodes: int | None = None,
    n_timesteps: int | None = None,
    seeds: Sequence[int] | None = None,
    deterministic: bool | Literal["auto"] = "auto",
    n_envs: int = 1,
    device: str = "auto",
    trust: bool = False,
) -> Evaluation:
    """Play whole episodes with a checkpoint and append the result to the run's results.json.

    Args:
        run: a run, its directory, `"latest"` or `"algo/env"`; a package's folder or a file of weights, which becomes a
            run below `hub/local`. By default the newest run.
        env_words: changes to the run's environment: `"env.kwargs.gravity=-5"`.
        policy: `"random"` instead of a run: every action is equally likely, and nothing is written.
        env: where that acts; or the environment of a package or a file that does not say it.
        algo: the algorithm of a file that does not say it.
        file: the file with the weights, in a package of several.
        checkpoint: `"best"`, `"last"` or a step; by default the last, or `best` if that was shown to be better.
        n_episodes: episodes to play; by default as many as the run's final evaluation has.
        n_timesteps: play this many steps over all environments instead, and count the episodes that ended.
        seeds: one seed for each episode; by default the run's `eval.seeds`, or those that count up from its
            `eval.seed`.
        deterministic: greedy or sampled actions; `"auto"` follows the environment.
        n_envs: environments side by side, each with a fixed share of the episodes.
        device: where the policy runs.
        trust: use a run that was not made here although it names modules to import, and unpickle what the safe
            readers refuse.

    Raises:
        RlzooError: if the run or checkpoint does not exist or is damaged, or the changed environment is wrong or fails.
    """
    cfg = read_keywords(EvaluateConfig, locals(), episode_problems)
    return evaluate_player(open_player(run, cfg, env_words), cfg).evaluation


def enjoy(  # noqa: PLR0913 - the keys of conf/enjoy.yaml
    run: Run | Path | str | None = None,
    *env_words: str,
    policy: Literal["random"] | None = None,
    env: str | None = None,
    algo: str | None = None,
    file: str | None = None,
    checkpoint: str | None = None,
    n_episodes: int = 3,
    n_timesteps: int | None = None,
    seeds: Sequence[int] | None = None,
    deterministic: bool | Literal["auto"] = "auto",
    fps: float | None = None,
    render: Render = "auto",
    device: str = "auto",
    trust: bool = False,
) -> list[Episode]:
    """Watch an agent play; each whole episode's return is printed.

    Args:
        run: a run, its directory, `"latest"` or `"algo/env"`; a package's folder or a file of weights, which becomes a
            run below `hub/local`. By default the newest run.
        env_words: changes to the run's environment: `"env.kwargs.gravity=-5"`.
        policy: `"random"` instead of a run: every action is equally likely.
        env: where that acts; or the environment of a package or a file that does not say it.
        algo: the algorithm of a file that does not say it.
        file: the file with the weights, in a package of several.
        checkpoint: `"best"`, `"last"`, a step, or `"all"`, one after the other; by default the last, or `best`
            if that was shown to be better.
        n_episodes: whole episodes to watch, of each checkpoint.
        n_timesteps: watch this many steps instead, however many episodes they are.
        seeds: one seed for each episode; by default those of the final evaluation.
        deterministic: greedy or sampled actions; `"auto"` follows the environment.
        fps: steps per second; by default what the environment says.
        render: `"window"`, `"terminal"`, or `"none"` for the scores alone; `"auto"` takes the first that there is.
        device: where the policy runs.
        trust: use a run that was not made here although it names modules to import.

    Raises:
        RlzooError: if the run or checkpoint does not exist or is damaged, the environment cannot be drawn like this or
            fails; with exit code 130 on Ctrl-C.
    """
    cfg = read_keywords(EnjoyConfig, locals(), watch_problems)
    return enjoy_player(open_player(run, cfg, env_words), cfg)


def record(  # noqa: PLR0913 - the keys of conf/record.yaml
    run: Run | Path | str | None = None,
    *env_words: str,
    policy: Literal["random"] | None = None,
    env: str | None = None,
    algo: str | None = None,
    file: str | None = None,
    checkpoint: str | None = None,
    n_episodes: int = 1,
    n_timesteps: int | None = None,
    seeds: Sequence[int] | None = None,
    deterministic: bool | Literal["auto"] = "auto",
    fps: float | None = None,
    overlay: bool = False,
    gif: bool = False,
    path: Path | str | None = None,
    device: str = "auto",
    trust: bool = False,
) -> Recording:
    """Film an agent; the film is there once it is whole, and never in part.

    Args:
        run: a run, its directory, `"latest"` or `"algo/env"`; a package's folder or a file of weights, which becomes a
            run below `hub/local`. By default the newest run.
        env_words: changes to the run's environment: `"env.kwargs.gravity=-5"`.
        policy: `"random"` instead of a run: every action is equally likely.
        env: where that acts; or the environment of a package or a file that does not say it.
        algo: the algorithm of a file that does not say it.
        file: the file with the weights, in a package of several.
        checkpoint: `"best"`, `"last"`, a step, or `"all"`: one film of the whole training, with the steps so far above
            the pictures; by default the last, or `best` if that was shown to be better.
        n_episodes: whole episodes to film, of each checkpoint.
        n_timesteps: film this many steps instead, however many episodes they are.
        seeds: one seed for each episode; by default those of the final evaluation.
        deterministic: greedy or sampled actions; `"auto"` follows the environment.
        fps: frames per second; by default 1 for toy texts, 15 for Atari, else what the environment says.
        overlay: write step, reward and return above the pictures.
        gif: also make a GIF.
        path: the film, an `.mp4`; by default `videos/<checkpoint>.mp4` in the run, or `videos/progress.mp4`; of random
            actions `videos/random-<environment>.mp4` here.
        device: where the policy runs.
        trust: use a run that was not made here although it names modules to import.

    Raises:
        RlzooError: if the run or checkpoint does not exist or is damaged, the environment gives no pictures or fails, a
            package or library is missing, or the film cannot be written.
    """
    cfg = read_keywords(RecordConfig, locals(), watch_problems)
    return record_player(open_player(run, cfg, env_words), cfg)


@dataclass(frozen=True)
class Player:
    """Who plays, and where.

    Attributes:
        run: whose checkpoints; None for uniformly random actions.
        config: with the environment that is played in.
        env_words: what was changed of it.
    """

    run: Run | None
    config: TrainConfig
    env_words: tuple[str, ...]

    @property
    def about(self) -> dict[str, Any]:
        """Who it is, for programs."""
        return {"policy": "random"} if self.run is None else {"run": str(self.run.path)}

    def checkpoints(self, name: str | None) -> list[Checkpoint | None]:
        """The checkpoints that `checkpoint=` names, in the order of the training; of those of one step the first."""
        if self.run is None:
            return [None]
        if name != "all":
            return [self.run.find_checkpoint(name)]
        self.run.find_checkpoint()  # there is one, or this says what there is
        by_step: dict[int, Checkpoint | None] = {}
        for found in self.run.checkpoints():
            by_step.setdefault(found.num_timesteps, found)
        return [by_step[step] for step in sorted(by_step)]

    def film(self, name: str) -> Path:
        """Where a film of that name goes, unless a place is named."""
        if self.run is None:
            return Path("videos", f"random-{folder_name(self.config.env.id)}.mp4")
        return self.run.videos_dir / f"{name}.mp4"

    def actor(self, checkpoint: Checkpoint | str | None, cfg: PlayConfig) -> Actor:
        """Who acts at a checkpoint, the one that ships by default; whose it is and how it acts is said."""
        from rlzoo.console import say
        from rlzoo.evaluation import agent

        if self.run is None:
            say(f"uniformly random actions in {self.config.env.id}")
            return agent.Random(self.config)
        name = checkpoint.name if isinstance(checkpoint, Checkpoint) else checkpoint
        loaded = agent.load(self.run, name, device=cfg.device, config=self.config)
        actions = "deterministic" if loaded.is_deterministic(cfg.deterministic) else "sampled"
        say(f"run {self.run.path}, checkpoint {loaded.checkpoint.name}, {actions} actions")
        return loaded


def open_player(
    run: Run | Path | str | None, cfg: EvaluateConfig | WatchConfig, env_words: Sequence[str] = ()
) -> Player:
    """Find out who is to play, before anything is loaded.

    Args:
        run: a run, a package's folder or a file of weights; None is the newest run, or what `policy` says.
        cfg: what else was asked for.
        env_words: changes to the environment.

    Raises:
        RlzooError: if there is no such run, or the environment is wrong.
    """
    if cfg.policy is None:
        opened, words = open_run("latest" if run is None else run, cfg, env_words, trust=cfg.trust)
        opened.find_checkpoint()  # there is one, or this says so before anything else
        return Player(opened, changed_config(opened, words, cfg.trust), tuple(words))
    given = {"run": run, "checkpoint": cfg.checkpoint, "algo": cfg.algo, "file": cfg.file}
    problems = [
        Problem(key, f"is not for policy={cfg.policy}, which is not the agent of a run", "leave one of them out")
        for key, value in given.items()
        if value is not None
    ]
    if cfg.env is None:
        problems.append(Problem("env", "needs a value", f"policy={cfg.policy} env=LunarLander; rlzoo list envs"))
    if problems:
        raise ConfigError(problems)
    words = [f"env={cfg.env}", *env_words]
    return Player(None, _composed(words, films=isinstance(cfg, RecordConfig)), tuple(words))


class Evaluated(NamedTuple):
    """An evaluation, and its entry in results.json."""

    evaluation: Evaluation
    entry: dict[str, Any]


def evaluate_player(player: Player, cfg: EvaluateConfig) -> Evaluated:
    """Play whole episodes; if there is a run, the result is appended to its results.json."""
    from rlzoo.evaluation.evaluate import result_entry

    if player.run is not None:
        player.run.read_results()  # a damaged one is found before the episodes are played
    with leaving_at_once("nothing was recorded"), explained("evaluation"):
        actor = player.actor(cfg.checkpoint, cfg)
        evaluation = actor.evaluate(
            n_episodes=cfg.n_episodes,
            n_timesteps=cfg.n_timesteps,
            seeds=cfg.seeds,
            deterministic=cfg.deterministic,
            n_envs=cfg.n_envs,
        )
    details: dict[str, Any] = {} if cfg.n_timesteps is None else {"mode": "timesteps", "n_timesteps": cfg.n_timesteps}
    details |= {"env": list(player.env_words)} if player.env_words else {}
    details |= {"trusted": True} if cfg.trust else {}
    steps = actor.num_timesteps if isinstance(actor, Agent) else None
    trained = None if player.run is None or steps is None else player.run.trained_timesteps(steps)
    entry = result_entry(evaluation, "evaluate", actor.name, steps, trained, **details, **actor.random_play())
    if player.run is not None:
        player.run.append_result(entry)
    return Evaluated(evaluation, entry)


def enjoy_player(player: Player, cfg: EnjoyConfig) -> list[Episode]:
    """Show the episodes, and print their returns."""
    from rlzoo.evaluation.terminal import watch

    actors = (player.actor(one, cfg) for one in player.checkpoints(cfg.checkpoint))
    with leaving_at_once("the whole episodes are above"), explained("playing"):
        return watch(actors, player.config.env, cfg)


def record_player(player: Player, cfg: RecordConfig) -> Recording:
    """Film the episodes of a checkpoint, or of every checkpoint."""
    from rlzoo.console import say
    from rlzoo.envs import render
    from rlzoo.evaluation import record as film

    checkpoints = player.checkpoints(cfg.checkpoint)
    film.ffmpeg()
    name = "progress" if cfg.checkpoint == "all" or checkpoints[0] is None else checkpoints[0].name
    target = player.film(name) if cfg.path is None else Path(cfg.path)
    captions: list[str] = []
    with leaving_at_once("nothing was recorded"), explained("recording"):
        render.require(player.config.env, "rgb_array", hint="rlzoo evaluate plays without drawing")
        if cfg.checkpoint == "all":
            captions = [f"trained for {one.num_timesteps:,} steps" for one in checkpoints if one is not None]
            if len(checkpoints) <= FEW:
                say(f"this run kept {len(checkpoints)} moments of its training; checkpoint.keep=20 keeps more")
        actors = (player.actor(one, cfg) for one in checkpoints)
        return film.record(
            actors,
            target,
            captions=captions,
            fps=cfg.fps,
            gif=cfg.gif,
            overlay=cfg.overlay,
            n_episodes=cfg.n_episodes,
            n_timesteps=cfg.n_timesteps,
            seeds=cfg.seeds,
            deterministic=cfg.deterministic,
        )


def watch_problems(values: Mapping[str, Any]) -> list[Problem]:
    """What is wrong with the settings of `enjoy` and `record` beyond their types."""
    problems = episode_problems({**values, "n_episodes": None})  # theirs has a default: seeds need not be as many
    path = values.get("path")
    if isinstance(path, str) and not path.endswith(".mp4"):
        problems.append(Problem("path", f"must end in .mp4, not {path!r}", "gif=true also makes a GIF"))
    return problems


def _composed(words: Sequence[str], *, films: bool) -> TrainConfig:
    """The configuration of an environment by name, without any algorithm's settings, checked."""
    from rlzoo.console import say

    cfg, composition, found = check_environment(words, Use(films=films))
    cfg = composition.settled(cfg, found.problems)
    for notice in (*composition.notices, *found.notices):
        say(f"note: {notice}")
    return replace(cfg, env=replace(cfg.env, normalize=False))  # nobody looks at what is observed

"""A trained agent, loaded from a run: its policy, the normalisation it learned with and its environment's settings."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rlzoo import console
from rlzoo.algos.memory import networks_of
from rlzoo.config.fields import Field
from rlzoo.config.schema import TrainConfig
from rlzoo.envs import spaces
from rlzoo.errors import ConfigError, ExitCode, RlzooError, is_foreign, said
from rlzoo.protocols import Algorithm, Evaluation, Policy, State
from rlzoo.runs import checkpoints
from rlzoo.runs.config import RunConfig
from rlzoo.runs.run import Checkpoint, Run

if TYPE_CHECKING:
    import numpy as np
    from gymnasium import Space
    from stable_baselines3.common.vec_env import VecEnv

READ_ATTEMPTS = 3
"""A training may replace the checkpoint while it is being read."""


def load(
    run: Run | Path | str,
    checkpoint: str | int | None = None,
    *,
    device: str = "auto",
    config: TrainConfig | None = None,
    trust: bool = False,
) -> Agent:
    """Load a trained agent; nothing is unpickled.

    Args:
        run: a run, its directory, `"latest"` or `"algo/env"`.
        checkpoint: `"best"`, `"last"` or a step; by default the last, or `best` if that was shown to be better.
        device: where the policy runs: `auto`, `cpu`, `cuda`, `cuda:1`.
        config: the run's configuration with a changed environment; by default the run's own.
        trust: use a run that was not made here although it names modules to import.

    Raises:
        RlzooError: if the run or checkpoint does not exist, is damaged, or does not fit the configuration.
    """
    if wrong := Field("bool").problems("trust", trust):
        raise ConfigError(wrong)
    run = run if isinstance(run, Run) else Run.open(run)
    found, contents = _read(run, None if checkpoint is None else str(checkpoint))
    if config is None:
        config = RunConfig.open(run).read(trust=trust)
    if bool(config.env.normalize) and contents.normalization is None:
        raise RlzooError(f"checkpoint {found.path} lacks the normalisation statistics that its environment needs")
    algorithm, action_space = _build(config, contents, device, run=run, where=f"checkpoint {found.path}")
    return Agent(run, found, config, algorithm, contents, action_space)


def _build(
    config: TrainConfig, contents: checkpoints.Contents, device: str, *, run: Run, where: str
) -> tuple[Algorithm, Space]:
    """The algorithm with the weights of a checkpoint, and its action space."""
    with networks_of(contents.n_bytes, config.algo, where):
        from rlzoo.algos.create import create
        from rlzoo.envs import make
        from rlzoo.envs.seeding import isolated

        with isolated(0):  # building networks draws numbers
            env = make(config.env, n_envs=1, seed=0, training=False, statistics=contents.normalization)
            try:
                algorithm = create(config.algo, env, seed=None, device=device, inference=True)
                try:
                    algorithm.restore(contents.algorithm)
                except (RlzooError, ValueError):
                    spaces.require_same(run.read_info(), env)
                    raise
            finally:
                env.close()
        return algorithm, env.action_space


RAW = ("deterministic", "seeds", "returns", "lengths")
"""Of an evaluation's numbers, what is not kept of random play: it can be played again."""


class Actor:
    """A policy and the environment that it acts in.

    Attributes:
        name: what it is called in tables: `best`, `random`.
        config: with its environment, and how it is evaluated.

    Args:
        name: as above.
        config: as above.
        policy: it takes observations as `make_env` gives them.
        action_space: what it samples from.
        masked: whether it is given the valid actions.
        statistics: of the normalisation that it learned with.
    """

    def __init__(
        self,
        name: str,
        config: TrainConfig,
        policy: Policy,
        action_space: Space,
        *,
        masked: bool,
        statistics: State | None = None,
    ) -> None:
        self.name = name
        self.config = config
        self._policy = policy
        self._action_space = action_space
        self._masked = masked
        self._statistics = statistics

    def make_env(
        self,
        *,
        n_envs: int = 1,
        seed: int = 0,
        render_mode: str | None = None,
        episode_seeds: Sequence[int] | None = None,
        watched: bool = False,
    ) -> VecEnv:
        """The environment it acts in, with frozen normalisation and raw rewards.

        Its observations are normalised already: they are for `Agent.algorithm.predict`, while `Agent.predict` takes
        raw ones. One that is watched or drawn is in this process, whatever `env.vec_env` is.
        """
        from rlzoo.envs import make

        cfg = self.config.env
        if watched or render_mode is not None:
            cfg = replace(cfg, vec_env="dummy")
        if render_mode is not None:
            cfg = replace(cfg, max_restarts=0)  # seen once only
        return make(
            cfg,
            n_envs=n_envs,
            seed=seed,
            training=False,
            statistics=self._statistics,
            render_mode=render_mode,
            episode_seeds=episode_seeds,
            max_steps=self.config.eval.max_steps,
            unlimited_max_steps=self.config.unlimited_max_steps,
            on_nan=self.config.on_nan,
        )

    def is_deterministic(self, deterministic: bool | Literal["auto"] = "auto") -> bool:
        """Whether actions are greedy: as asked, else as the run's `eval.deterministic`, else as its environment is."""
        asked = self.config.eval.deterministic if deterministic == "auto" else deterministic
        return not self.config.env.stochastic_eval if asked == "auto" else asked

    def random_play(self) -> dict[str, Any]:
        """What random play scores in the same environment, as `random` of results.json's entries; {} if not known."""
        if not self.config.eval.random:
            return {}
        from rlzoo.envs.random_play import score
        from rlzoo.evaluation.evaluate import summary

        play = score(asdict(self.config.env), self.config.eval.max_steps)
        if play is None or not play.returns:
            return {}
        numbers = summary(Evaluation(play.returns, play.lengths, (), deterministic=False))
        return {"random": {key: numbers[key] for key in numbers if key not in RAW}}

    def evaluate(
        self,
        *,
        n_episodes: int | None = None,
        n_timesteps: int | None = None,
        seeds: Sequence[int] | None = None,
        deterministic: bool | Literal["auto"] = "auto",
        n_envs: int = 1,
        should_stop: Callable[[], bool] | None = None,
        render_mode: str | None = None,
        watch: Callable[[VecEnv], None] | None = None,
    ) -> Evaluation:
        """Play whole episodes; the caller's random generators are left as they are.

        Args:
            n_episodes: how many; by default as many as the run's final evaluation has.
            n_timesteps: play this many steps over all environments instead, and count the episodes that ended.
            seeds: one seed for each episode; by default the run's `eval.seeds`, then those that count up from its
                `eval.seed`.
            deterministic: greedy or sampled; `"auto"` follows the environment.
            n_envs: environments side by side, each with a fixed share of the episodes.
            should_stop: asked after every step; True ends it with the episodes there are.
            render_mode: how the environment draws; by default it does not.
            watch: is given the environment before it is played.
        """
        from rlzoo.envs.seeding import episode_seeds, isolated
        from rlzoo.evaluation.evaluate import evaluate

        if n_timesteps is not None:
            n_episodes = None
        elif n_episodes is None:
            n_episodes = len(seeds) if seeds else self.config.eval.n_final
        n_seeds = n_timesteps if n_episodes is None else n_episodes
        assert n_seeds is not None
        if not seeds:
            fixed = self.config.eval.seeds or ()
            seeds = [*fixed, *episode_seeds(self.config.eval.seed, None, max(0, n_seeds - len(fixed)))]
        seeds = list(seeds)[:n_seeds]
        with isolated(seeds[0], self._action_space):
            n_envs = n_envs if n_episodes is None else min(n_envs, n_episodes)
            env = self.make_env(n_envs=n_envs, seed=seeds[0], render_mode=render_mode, watched=watch is not None)
            try:
                if watch is not None:
                    watch(env)
                return evaluate(
                    self._policy,
                    env,
                    n_episodes=n_episodes,
                    n_timesteps=n_timesteps,
                    seeds=seeds,
                    deterministic=self.is_deterministic(deterministic),
                    masked=self._masked,
                    should_stop=should_stop,
                )
            finally:
                env.close()


class Agent(Actor):
    """A trained policy with everything that belongs to it.

    Attributes:
        run, checkpoint: where it comes from.
        config: the configuration it was trained with.
        algorithm: what predicts; it takes observations as `make_env` gives them.
        num_timesteps: environment steps it was trained for.
    """

    def __init__(
        self,
        run: Run,
        checkpoint: Checkpoint,
        config: TrainConfig,
        algorithm: Algorithm,
        contents: checkpoints.Contents,
        action_space: Space,
    ) -> None:
        from rlzoo.algos.specs import find_spec

        masked = find_spec(config.algo.name).masked
        super().__init__(
            checkpoint.name, config, algorithm, action_space, masked=masked, statistics=contents.normalization
        )
        self.run = run
        self.checkpoint = checkpoint
        self.algorithm = algorithm
        self.num_timesteps = contents.num_timesteps

    def predict(
        self,
        observation: Any,
        state: tuple[np.ndarray, ...] | None = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool | Literal["auto"] = "auto",
        action_masks: np.ndarray | None = None,
    ) -> tuple[np.ndarray, tuple[np.ndarray, ...] | None]:
        """Actions for raw observations: as the environment's wrappers give them, not normalised.

        Args:
            observation: one observation (*observation_shape) or a batch (n, *observation_shape).
            state: recurrent state of the last call.
            episode_start: (n,), which observations begin an episode.
            deterministic: greedy or sampled; `"auto"` follows the environment.
            action_masks: valid actions, for algorithms that mask.

        Returns:
            One action or a batch of them, and the recurrent state.

        Raises:
            RlzooError: if the environment stacks normalised frames, which raw ones cannot be turned into.
        """
        from rlzoo.envs.vector.normalization import normalize_observation

        if self._statistics is not None and self.config.env.frame_stack is not None:
            raise RlzooError(
                "this agent sees stacks of normalised frames",
                "step agent.make_env() and give its observations to agent.algorithm.predict",
            )
        shown = normalize_observation(observation, self._statistics)
        return self.algorithm.predict(
            shown, state, episode_start, self.is_deterministic(deterministic), action_masks=action_masks
        )


class Uniform:
    """A policy by which every action, of those that are valid, is equally likely.

    Args:
        space: the actions, whose generator it draws from; discrete ones where there are masks.
    """

    def __init__(self, space: Space) -> None:
        self._space = space

    def predict(
        self,
        observation: Any,
        state: tuple[np.ndarray, ...] | None = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = False,
        action_masks: np.ndarray | None = None,
    ) -> tuple[np.ndarray, tuple[np.ndarray, ...] | None]:
        import numpy as np

        assert episode_start is not None
        masks = [None] * len(episode_start) if action_masks is None else action_masks
        return np.stack([np.asarray(spaces.sample(self._space, mask)) for mask in masks]), None


class Random(Actor):
    """What acts at random in the environment of a configuration.

    Args:
        config: with the environment, one of which is made.

    Raises:
        RlzooError: if it cannot be made.
    """

    def __init__(self, config: TrainConfig) -> None:
        from rlzoo.envs import make

        env = make(config.env, n_envs=1, seed=0, training=False)
        try:
            super().__init__(
                "random", config, Uniform(env.action_space), env.action_space, masked=env.has_attr("action_masks")
            )
        finally:
            env.close()

    def is_deterministic(self, deterministic: bool | Literal["auto"] = "auto") -> bool:
        """Never."""
        return False

    def random_play(self) -> dict[str, Any]:
        """It is that itself."""
        return {}


def _read(run: Run, name: str | None) -> tuple[Checkpoint, checkpoints.Contents]:
    """Find and read a checkpoint; where none is named, the next one in place of one that is damaged."""
    if name is not None:
        return _read_again(lambda: run.find_checkpoint(name))
    run.find_checkpoint()  # there is one, or this says what there is
    failed: list[RlzooError] = []
    for index in range(len(run.by_default())):
        try:
            found = _read_again(lambda index=index: run.by_default()[index])  # type: ignore[misc]
        except RlzooError as error:
            failed.append(error)
            continue
        for damage in failed:
            console.warn(f"{damage.message}; taking {found[0].name} instead")
        return found
    raise failed[0]


def _read_again(find: Callable[[], Checkpoint]) -> tuple[Checkpoint, checkpoints.Contents]:
    """Read what `find` finds, again if a training has replaced it meanwhile."""
    for attempt in range(READ_ATTEMPTS):
        found = find()
        try:
            return found, checkpoints.read(found, (checkpoints.ALGORITHM, checkpoints.NORMALIZATION))
        except RlzooError:
            if attempt == READ_ATTEMPTS - 1:
                raise
            time.sleep(0.05)
    raise AssertionError("the last attempt returns or raises")


@contextmanager
def explained(what: str) -> Iterator[None]:
    """What fails in an environment, or in a run's configuration that somebody edited, is no bug of rlzoo's."""
    try:
        yield
    except RlzooError:
        raise
    except BaseException as error:
        if not is_foreign(error):
            raise
        hint = "a changed config.yaml or environment is the usual cause; RLZOO_DEBUG=1 shows the traceback"
        raise RlzooError(f"the {what} failed: {said(error)}", hint, ExitCode.TRAINING_FAILED) from error

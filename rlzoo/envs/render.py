"""What there is to see of an environment: a picture after every step of the agent, and what it is worth in time."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, SupportsFloat

import gymnasium

from rlzoo import errors
from rlzoo.config import aliases
from rlzoo.envs import display, raised, registration
from rlzoo.envs.old_gym import metadata_of
from rlzoo.errors import RlzooError

if TYPE_CHECKING:
    import numpy as np
    from stable_baselines3.common.vec_env import VecEnv

    from rlzoo.config.schema import EnvConfig

MAX_FPS = 60.0
DEFAULT_FPS = 30.0
"""Of environments that do not say theirs."""
TOY_TEXT_FPS = 1.0
"""The Deep RL Course films the toy texts like this; Gymnasium's own 4 is too fast to follow."""
ATARI_FPS = 60.0
"""Of the console; ale-py's `render_fps` says 30 whatever its frame skip."""


class Frame(NamedTuple):
    """What is to be seen.

    Attributes:
        picture: what the environment's `render` gives: (height, width, 3) uint8, text, or None for a window.
        episode: the number of the episode, from 0.
        step: the agent's steps in it so far; 0 for its first state.
        reward: raw reward of this step, before clipping and scaling.
        total: raw return of the episode so far.
        ended: whether the whole episode is over, not a life alone.
    """

    picture: Any
    episode: int
    step: int
    reward: float
    total: float
    ended: bool


class Watched(gymnasium.Wrapper):
    """Shows every state the agent is in, once: the first of an episode, and the one after each of its steps.

    It is put around all other wrappers, inside of the vectorised environment, which never shows an episode's last
    state: that has been reset by then. What counts as an episode is the monitor's business. A lost life that ends the
    agent's own episode therefore adds no picture. The first state of an episode is shown when the agent first acts in
    it, so that nothing is shown of an episode that is not played.

    Args:
        env: an environment of `make`, with its monitor inside.
        show: is given every frame, in order.
    """

    def __init__(self, env: gymnasium.Env, show: Callable[[Frame], None]) -> None:
        super().__init__(env)
        self._show = show
        self._episode = -1
        self._n_ended = 0  # episodes, as the monitor counts them
        self._step = 0
        self._total = 0.0
        self._n_rewards = 0
        self._first: Frame | None = None
        self._frame_skipper = _find_frame_skipper(env)

    def reset(self, **kwargs: Any) -> tuple[Any, dict[str, Any]]:
        result = self.env.reset(**kwargs)
        n_ended = len(self.env.get_wrapper_attr("episode_returns"))
        if self._episode < 0 or n_ended != self._n_ended:
            self._episode, self._n_ended = self._episode + (self._step > 0 or self._episode < 0), n_ended
            self._step, self._total, self._n_rewards = 0, 0.0, 0
            self._take_rewards()  # of a wrapper's own first steps
            self._first = self._frame(0.0, ended=False)
        return result

    def step(self, action: Any) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        if self._first is not None:
            self._show(self._first)
            self._first = None
        result = self.env.step(action)
        self._step += 1
        reward = self._take_rewards()
        ended = result[3] or len(self.env.get_wrapper_attr("episode_returns")) != self._n_ended
        self._show(self._frame(reward, ended=ended, cut=result[2] or result[3]))
        return result

    def _take_rewards(self) -> float:
        """The raw rewards since it was last asked, several where a wrapper repeats actions."""
        rewards = self.env.get_wrapper_attr("rewards")
        new = float(sum(rewards[self._n_rewards :]))
        self._n_rewards = len(rewards)
        self._total += new
        return new

    def _frame(self, reward: float, *, ended: bool, cut: bool = True) -> Frame:
        picture = None if self.env.render_mode in (None, "human") else self.env.render()  # a window draws by itself
        if self._frame_skipper is not None and not cut:
            picture = _as_the_agent_sees(picture, self._frame_skipper)
        return Frame(picture, self._episode, self._step, reward, self._total, ended)


def _find_frame_skipper(env: gymnasium.Env) -> Any:
    """The Atari wrapper that repeats actions, if there is one."""
    layer: Any = env
    while isinstance(layer, gymnasium.Wrapper):
        if type(layer).__name__ == "MaxAndSkipEnv":
            return layer
        layer = layer.env
    return None


def _as_the_agent_sees(picture: Any, skipper: Any) -> Any:
    """With what the frame before the last showed.

    The console draws some things, shots above all, in every second frame only: of every fourth frame alone they would
    be missing all along. The agent's observation is the maximum of two frames for this reason.
    """
    import numpy as np

    before = skipper._obs_buffer[0]
    fits = isinstance(picture, np.ndarray) and picture.shape == before.shape and skipper._skip > 1
    return np.maximum(picture, before) if fits else picture


def watch(env: VecEnv, show: Callable[[Frame], None]) -> None:
    """Show what happens in the one environment of `make`, which has to be in this process."""
    environments = env.unwrapped.envs  # type: ignore[attr-defined]
    environments[0] = Watched(environments[0], show)


def render_modes(cfg: EnvConfig) -> tuple[str, ...] | None:
    """How an environment can draw, as its class declares; None where that cannot be told without making one.

    Raises:
        RlzooError: if the `render_fps` that it declares is not a number of steps a second.
    """
    import numpy as np
    from gymnasium.envs.registration import load_env_creator, spec

    module, _, name = aliases.current(cfg.id).rpartition(":")
    registration.register([*cfg.imports, *([module] if module else [])])
    entry_point = spec(name).entry_point
    creator: Any = load_env_creator(entry_point) if isinstance(entry_point, str) else entry_point
    metadata = metadata_of(creator)
    fps = metadata.get("render_fps", DEFAULT_FPS)
    if fps is not None and not (isinstance(fps, int | float | np.number) and 0 < fps < math.inf):
        where = raised.line_of_class(creator)
        text = f"metadata['render_fps'] of {cfg.id} is {errors.show(fps)}{f' ({where})' if where else ''}"
        raise RlzooError(text, f"it is how many steps are a second, such as {DEFAULT_FPS:g}")
    return tuple(metadata.get("render_modes") or ()) if hasattr(creator, "metadata") else None


def can_draw(cfg: EnvConfig, render_mode: str) -> bool:
    """Whether an environment may be able to draw in this way: it does not declare that it cannot."""
    display.prepare()
    modes = render_modes(cfg)
    return modes is None or render_mode in modes or (render_mode == "human" and "rgb_array" in modes)


def require(cfg: EnvConfig, render_mode: str, *, hint: str) -> None:
    """That an environment can draw in this way.

    Raises:
        RlzooError: if it declares that it cannot, with what it can and the hint.
    """
    if can_draw(cfg, render_mode):
        return
    modes = render_modes(cfg)
    have = f"its render modes are {', '.join(modes)}" if modes else "it declares no render modes"
    what = "pictures" if render_mode == "rgb_array" else "a window" if render_mode == "human" else "text"
    raise RlzooError(f"{cfg.id} cannot be drawn as {what}: {have}", hint)


def pixels(picture: Any) -> np.ndarray:
    """What an environment drew as (height, width, 3) uint8: grey is spread, transparency dropped.

    Raises:
        RlzooError: if it is not a picture.
    """
    import numpy as np

    array = np.asarray(picture)
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or array.shape[2] not in (1, 3, 4) or array.dtype != np.uint8 or 0 in array.shape:
        kind = f"{array.dtype} {array.shape}" if isinstance(picture, np.ndarray) else type(picture).__name__
        hint = "render() has to return (height, width, 3) uint8 in render mode rgb_array"
        raise RlzooError(f"the environment drew no picture but {kind}", hint)
    return np.repeat(array, 3, axis=2) if array.shape[2] == 1 else array[..., :3]


def frames_per_second(env: gymnasium.Env, cfg: EnvConfig, *, toy_text: float | None = TOY_TEXT_FPS) -> float:
    """How many of the agent's steps are a second to a spectator.

    That of toy texts is `toy_text`, unless it is None; otherwise the environment's `render_fps`, at most 60, over the
    frames that a wrapper skips.
    """
    base = env.unwrapped
    module = type(base).__module__
    if module.startswith("gymnasium.envs.toy_text") and toy_text is not None:
        return toy_text
    if module.startswith("ale_py"):
        skip = getattr(base, "_frameskip", 1)
        fps = ATARI_FPS / (max(1, sum(skip) // 2) if isinstance(skip, tuple) else skip)
    else:
        declared = env.metadata.get("render_fps")
        fps = float(declared) if isinstance(declared, int | float) and declared > 0 else DEFAULT_FPS
    return min(fps, MAX_FPS) / frames_skipped(cfg.wrappers)


def frames_skipped(wrappers: Mapping[str, Mapping[str, Any]]) -> int:
    """The environment's steps in one step of the agent."""
    skip = 1
    if "atari" in wrappers:
        skip *= int(wrappers["atari"].get("frame_skip", 4))
    if "frame_skip" in wrappers:
        skip *= int(wrappers["frame_skip"]["num_repeats"])
    return skip

"""What the process does that tries an environment: make it, play a little, and tell what is not as it has to be."""

from __future__ import annotations

import inspect
import pickle
import sys
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from multiprocessing import set_start_method
from pathlib import Path
from types import FrameType
from typing import Any, Literal, NamedTuple

import gymnasium
import numpy as np

from rlzoo import errors, registry
from rlzoo.config.schema import MAX_UNLIMITED, MIN_UNLIMITED
from rlzoo.envs import baseline, check, display, old_gym, raised, registration, returns, spaces, wrappers
from rlzoo.envs.contract import ContractError
from rlzoo.envs.look import RANDOM_PLAY, look_at, outermost_written, own_method, written
from rlzoo.envs.make import has_step_limit, make_raw
from rlzoo.envs.probe import RESET_FACTOR, START_SECONDS, Line
from rlzoo.errors import Problem, RlzooError
from rlzoo.registry import did_you_mean

N_STEPS = 100
"""Steps that are played at most."""
PLAY_SECONDS = 10.0
"""After which no more are played: of an environment that takes a second for each, say."""
MIN_STEPS = 10
GOALS = 8
"""Steps whose goals are asked about at once."""
GOAL_PARTS = ("achieved_goal", "desired_goal")
CLOSE_SECONDS = 10.0
"""How long `close` may take at most: it is no reason not to train."""
_IMPORT = "the import of its modules"
_GYMNASIUM_EXTRAS = {"gymnasium.envs.box2d": "box2d", "gymnasium.envs.mujoco": "mujoco"}


def rehearse(question: Mapping[str, Any], line: Line, spec: Any = None) -> None:
    """Find out what is wrong with an environment, and tell it as the fields of an `EnvCheck`.

    Args:
        question: the section `env`, `env_id`, `makes`, whether it is more than looked up, and `use`, what is done with
            it besides.
        line: where it is told.
        spec: how Gymnasium knows the environment, where only the process knows that started this one.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        rehearsal = Rehearsal(question, line)
        try:
            rehearsal.run(spec)
        except BaseException as error:
            if isinstance(error, Exception) and not raised.line_of(error):
                raise
            rehearsal.tell_raised("the environment", error)  # a property of it, say


class _Step(NamedTuple):
    observation: Any
    reward: float
    info: Mapping[str, Any]


class _EndedError(Exception):
    """The environment raised, which has been told."""


class Rehearsal:
    """One environment, tried from its import to its end."""

    def __init__(self, question: Mapping[str, Any], line: Line) -> None:
        self.env: Mapping[str, Any] = question["env"]
        self.env_id: str = question["env_id"]
        self.makes: bool = question["makes"]
        self.use = check.Use(**question["use"])
        self.line = line
        self.is_known = False  # whether it is of a library, whose lines are its author's
        self.has_problems = self.has_raised = False
        self.foreign = ""  # what to do about a class that is none of Gymnasium's
        self.creator: Any = None  # what makes it, mostly its class
        self.mode: Literal["look", "film", "play", "leave"] = "look"  # at every call, what is returned, or nothing
        self.returned = 0  # the line that the method which is watched returned at
        self._seen: set[tuple[str, str]] = set()
        self._watched: Any = None
        sys.stdout.write = self._heard  # type: ignore[method-assign]

    def run(self, spec: Any) -> None:
        if spec is not None:
            gymnasium.registry.setdefault(spec.id, spec)
        if self.env["vec_env"] == "subproc":
            set_start_method("forkserver" if sys.platform == "linux" else "spawn", force=True)  # as workers have it
        self.line.begin(_IMPORT, self.start_seconds)
        problems = _look_up(self.env_id, self.env) + wrappers.check_own(self.env["wrappers"])
        self.tell_problems(problems)
        if problems or not self.makes:
            return
        self.creator = registration.creator(gymnasium.registry[self.env_id.rpartition(":")[2]].entry_point)
        if (made := self.make()) is None:
            return
        with suppress(_EndedError):
            self.try_out(made)
        with suppress(_EndedError), self.calling("close()", min(CLOSE_SECONDS, self.env["step_timeout"]), grave=False):
            made.close()
        with suppress(_EndedError):
            if self.use.films and not self.has_problems and "rgb_array" in (made.metadata.get("render_modes") or ()):
                self.film()
            if self.use.checkers and not self.has_raised:
                self.run_checkers()

    @property
    def start_seconds(self) -> float:
        return max(START_SECONDS, RESET_FACTOR * float(self.env["step_timeout"]))

    def make(self, render_mode: str | None = None) -> gymnasium.Env | None:
        """The environment, with a look at what it returns directly around what its author wrote."""
        creator = self.creator
        self.is_known = old_gym.is_known(str(getattr(creator, "__module__", "")))
        if inspect.isclass(creator) and not issubclass(creator, gymnasium.Env) and not old_gym.is_old(creator):
            self.foreign = f"it does not inherit from gymnasium.Env: class {creator.__name__}(gymnasium.Env)"
        try:
            with self.calling("__init__()", self.start_seconds, method=creator):
                made = self.make_raw(render_mode)
        except _EndedError:
            return None
        lacks = list(_lacking(made.unwrapped, creator))
        self.tell_problems(lacks)
        return None if lacks else look_at(made, self)

    def make_raw(self, render_mode: str | None = None) -> gymnasium.Env:
        kwargs, max_steps = self.env["kwargs"], self.env["max_steps"]
        return make_raw(self.env_id, kwargs=kwargs, max_steps=max_steps, render_mode=render_mode)

    def try_out(self, made: gymnasium.Env) -> None:
        env = self.wrapped(made)
        if env is None:
            return
        key, observation = "env.frame_stack", spaces.of(env.observation_space)
        try:
            if self.env["frame_stack"]:
                observation = spaces.stacked(observation, int(self.env["frame_stack"]))
            key = "env.wrappers"
            observation = spaces.channels_first(observation)
        except RlzooError as error:
            self.tell_problems([Problem(key, error.message, error.hint)])
            return
        if self.env["vec_env"] == "subproc":
            self.tell_problems(list(_unsent(env, self.where(self.creator))))
        self.line.tell(
            where="" if self.is_known else self.where(self.creator),
            observation_space=str(observation),
            action_space=str(spaces.of(env.action_space, acts=True)),
            masked=env.has_wrapper_attr("action_masks"),
        )
        self.tell_problems(check.check_normalized_space(observation, self.env["normalize"]))
        for notice in _made_notices(made, self.env):
            self.line.tell(notice=notice)
        try:
            self.play(env)
        except Exception as error:  # of a wrapper that is given what the environment must not return
            if isinstance(error, _EndedError) or self.has_problems:
                raise _EndedError from error
            self.tell_raised("step()", error)
        if old := old_gym.said_of(made):
            self.line.tell(notice=f"{self.env_id} {old}")
        self.mode = "leave"
        if self.use.others and not self.has_problems:
            self.make_another(made)
        for name, reference in self.use.asks.items() if not self.has_problems else ():
            with self.calling(f"the look at its {name}", self.start_seconds):
                answer = registry.load(reference)(made, self.env)
            self.line.tell(answer=(name, answer))
        if self.use.plays and not self.has_problems:
            self.play_at_random(made)

    def make_another(self, made: gymnasium.Env) -> None:
        """One beside the first, as a training has them: ports, locks and licences may be there for one only."""
        with self.calling("a second environment beside the first", self.start_seconds, given=self.use.others):
            other = self.make_raw()
            other.reset(seed=1)
        if other.unwrapped is made.unwrapped:
            message = f"{self.env_id} is the same object each time it is made, and a training has several"
            hint = f"make a new one in each call of its entry_point; {self.use.others}"
            self.tell_problems([Problem("env.id", message, hint, self.where(self.creator))])
            return
        with suppress(_EndedError), self.calling("close()", min(CLOSE_SECONDS, self.env["step_timeout"]), grave=False):
            other.close()

    def wrapped(self, env: gymnasium.Env) -> gymnasium.Env | None:
        for name, options in self.env["wrappers"].items():
            try:
                env = wrappers.preview(env, {name: options})
                if ":" in name:
                    env = look_at(env, self)
                if name == "action_masker":
                    env.reset(seed=0)
            except _EndedError:
                raise
            except (Exception, SystemExit) as error:
                text = str(error.args[0]) if error.args else type(error).__name__
                if ":" in name and not isinstance(error, RlzooError):
                    text, _ = raised.in_words("__init__()", error)
                text, where = raised.placed(text, raised.line_of(error))
                where = where or (self.where(registry.load(name)) if ":" in name else "")
                self.tell_problems([Problem(f"env.wrappers.{name}", text, getattr(error, "hint", ""), where)])
                return None
        return env

    def play(self, env: gymnasium.Env) -> None:
        """A few steps of random play, the end of an episode, and the beginning of the next."""
        env.action_space.seed(0)
        env.reset(seed=0)
        begun, n_ended = time.monotonic(), 0
        steps: list[_Step] = []
        keys: set[str] = set()
        for step in range(N_STEPS):
            observation, reward, terminated, truncated, info = env.step(self.action(env))
            steps.append(_Step(observation, float(np.asarray(reward).item()), info))
            if terminated or truncated:
                n_ended, keys = n_ended + 1, keys.union(info)
                if not returns.is_success(info.get("is_success", 0)) and self._is_new("success", "step()"):
                    self.tell_notice(returns.NO_SUCCESS, self.where(written(env, "step")))
                env.reset()
            if step >= MIN_STEPS and time.monotonic() - begun > PLAY_SECONDS:
                break
        env.reset()
        env.step(self.action(env))
        if n_ended:
            for key in self.env["monitor_kwargs"].get("info_keywords", ()):
                if key not in keys:
                    found = ", ".join(sorted(map(str, keys))) or "nothing"
                    at = f"the info that ended {n_ended} episodes has no {key!r}, only {found}"
                    self.line.tell(notice=f"env.monitor_kwargs.info_keywords: {at}")
        if self.use.goals and not self.has_problems:
            self.goals(env, steps[-GOALS:])

    def action(self, env: gymnasium.Env) -> Any:
        """A random action; where masks are asked for, one that is valid."""
        space = env.action_space
        method = own_method(env, "action_masks") if self.use.masks else None
        if method is None:
            return space.sample()
        with self.calling("action_masks()", self.env["step_timeout"], method=method):
            masks = method()
        misfits = list(returns.of_masks(masks, space))
        self.tell_misfits(misfits, method)
        return spaces.sample(space, None if misfits else masks)

    def goals(self, env: gymnasium.Env, steps: list[_Step]) -> None:
        """Ask for the rewards of the goals that these steps had, as hindsight does with others."""
        if not all(isinstance(step.observation, Mapping) and {*GOAL_PARTS} <= {*step.observation} for step in steps):
            return  # it is not an environment of goals, which the algorithm says
        if (method := own_method(env, "compute_reward")) is None:
            self.tell_problems([_missing("compute_reward", returns.COMPUTE_REWARD, self.creator, env.unwrapped)])
            return
        achieved, desired = (np.stack([step.observation[key] for step in steps]) for key in GOAL_PARTS)
        infos = [step.info if self.use.goal_infos else {} for step in steps]
        empty = "" if self.use.goal_infos else ", empty unless algo.replay_buffer_kwargs.copy_info_dict=true"
        given = f"it was given {len(steps)} goals at once and a list of as many infos{empty}"
        with self.calling("compute_reward()", self.env["step_timeout"], method=method, given=given):
            rewards = method(achieved, desired, infos)
        self.tell_misfits(list(returns.of_goal_rewards(rewards, [step.reward for step in steps])), method)

    def film(self) -> None:
        """Make one that draws, and look at a picture of it."""
        self.mode = "film"
        made = self.make(render_mode="rgb_array")
        if made is None:
            return
        try:
            method = written(made, "render")
            for begin in (lambda: made.reset(seed=0), lambda: made.step(made.action_space.sample())):
                begin()
                with self.calling("render()", self.env["step_timeout"], method=method):
                    picture = made.render()
            self.tell_misfits(list(returns.of_render(picture)), method)
        finally:
            with suppress(Exception):
                made.close()

    def run_checkers(self) -> None:
        """What the checkers of others find that has not been said yet."""
        from rlzoo.envs.checkers import check as run

        self.mode = "leave"
        with self.calling("the check by Gymnasium and Stable-Baselines3", self.start_seconds):
            findings = list(run(lambda: outermost_written(self.make_raw())))
        said = {topic for topic, _ in self._seen}
        for finding in findings:
            if not said.intersection(finding.topics()):
                self.tell_notice(f"{finding.text} ({finding.checker})", self.where(self.creator))

    def play_at_random(self, made: gymnasium.Env) -> None:
        """Whole episodes, whose scores are kept for later."""
        from rlzoo.envs.random_play import SECONDS, NotFiniteError, play

        self.mode, self.returned, n_told = "play", 0, len(self._seen)
        self.line.begin(RANDOM_PLAY, RESET_FACTOR * float(self.env["step_timeout"]))
        try:
            found = play(made, self.env["wrappers"], seconds=SECONDS)
        except NotFiniteError as error:
            if not any(topic == "finite" for topic, _ in self._seen):  # of a wrapper
                hint = "no algorithm learns from NaN or infinity, and a training ends there"
                self.tell_misfits([returns.Misfit("finite", f"in random play {error}", hint)], written(made, "step"))
            return
        except BaseException as error:  # who trains has environments that fail now and then made anew
            self.tell_raised(RANDOM_PLAY, error, grave=self.use.checkers or isinstance(error, ContractError))
            return
        finally:
            self.mode = "leave"
        self.line.tell(play=found.as_data())
        if len(self._seen) == n_told:  # else it is to be told again
            baseline.keep(baseline.shape(self.env), found)

    @contextmanager
    def calling(
        self, what: str, seconds: float, *, method: Any = None, grave: bool = True, given: str = ""
    ) -> Iterator[None]:
        """Around a call of what the author wrote: whatever is raised is told, and so is what it does besides.

        Raises:
            _EndedError: in place of what was raised.
        """
        self.returned = 0
        self.line.begin(what, seconds, lambda: self.where(method))
        around, folder = (sys.getprofile(), self._watched), Path.cwd()
        self._watched = getattr(method, "__code__", None)
        sys.setprofile(self._profile if self.mode in ("look", "film") else None)
        try:
            yield
        except _EndedError:
            raise
        except BaseException as error:
            sys.setprofile(None)
            self.tell_raised(what, error, method, grave=grave, given=given)
            raise _EndedError from error
        finally:
            sys.setprofile(around[0])
            self._watched = around[1]
        if Path.cwd() != folder:
            self.notice("folder", what, f"changes the current folder to {Path.cwd()}", method)

    def tell_raised(
        self, what: str, error: BaseException, method: Any = None, *, grave: bool = True, given: str = ""
    ) -> None:
        if self.mode == "film" and display.is_about_screens(error):
            return  # who films looks for one
        at = "env.kwargs" if self.env["kwargs"] and what == "__init__()" else "env.id"
        where = raised.line_of(error)
        is_of_library = not where
        if is_of_library:
            where = errors.author_line(error) or "" if self.is_known else self.where(method)
        if isinstance(error, RlzooError) and not isinstance(error, ContractError):
            message = error.message.removesuffix(f" ({where})")
            self.tell_problems([Problem(at, message, error.hint, where, error.code)])
            return
        self.has_raised = True
        message, hint = raised.in_words(what, error)
        if isinstance(error, ContractError):
            message, where = raised.placed(message, where)
        if what == "__init__()":
            is_written = not (is_of_library or isinstance(error, ContractError))
            said, hint = (message, hint) if is_written else raised.why_not_made(error, method)
            message = f"{self.env_id} cannot be made: {said}"
        if grave:
            self.tell_problems([Problem(at, message, hint or self.foreign or given, where)])
        else:
            self.tell_notice(message, where)

    def tell_misfits(self, misfits: list[returns.Misfit], method: Any) -> None:
        for misfit in misfits:
            if self._is_new(misfit.topic, misfit.part or misfit.message.partition("()")[0]):
                where = self.where(method)
                late = self.mode == "play" and not self.use.checkers  # who trains may train on until then
                if misfit.is_grave and not (misfit.topic == "finite" and (self.use.nan or late)):
                    self.tell_problems([Problem("env.id", misfit.message, misfit.hint, where)])
                else:
                    self.tell_notice(misfit.message, where, misfit.hint)

    def notice(self, topic: str, what: str, text: str, method: Any = None, where: str = "") -> None:
        if self._is_new(topic, what):
            self.tell_notice(f"{what} {text}", where or self.where(method))

    def tell_notice(self, text: str, where: str, hint: str = "") -> None:
        place = f" [{where}]" if where else ""
        self.line.tell(notice=f"{errors.shorten(text, errors.MAX_LINE)}{place}{f': {hint}' if hint else ''}")

    def tell_problems(self, problems: list[Problem]) -> None:
        for problem in problems:
            self.has_problems = True
            self.line.tell(problem=problem._asdict())

    def where(self, method: Any) -> str:
        """The line that a method returned at last, or where it begins."""
        code = getattr(method, "__code__", None)
        if code is not None and errors.distance(code.co_filename) < raised.OF_A_LIBRARY:
            return errors.line_in(code.co_filename, self.returned or code.co_firstlineno)
        # a class, or it has no such method: Gymnasium's own is all it has
        return raised.line_of_class(method if inspect.isclass(method) else type(getattr(method, "__self__", None)))

    def _is_new(self, topic: str, what: str) -> bool:
        is_new = (topic, what) not in self._seen
        self._seen.add((topic, what))
        return is_new

    def _profile(self, frame: FrameType, event: str, _argument: Any) -> None:
        if event == "return" and frame.f_code is self._watched:
            self.returned = frame.f_lineno

    def _heard(self, text: str) -> int:
        """What is printed goes nowhere; where it comes from is told."""
        if self.mode not in ("look", "film") or ("print", self.line.doing) in self._seen:
            return len(text)
        frames = []
        frame: FrameType | None = sys._getframe(1)
        while frame is not None:
            frames.append((frame.f_code.co_filename, frame.f_lineno))
            frame = frame.f_back
        where = errors.author_frame(reversed(frames)) or ""
        self.notice("print", self.line.doing, "prints to standard output", where=where)
        return len(text)


def _unsent(env: gymnasium.Env, where: str) -> Iterator[Problem]:
    """The spaces that an environment cannot hand to another process."""
    for name in ("observation_space", "action_space"):
        try:
            pickle.dumps(getattr(env, name))
        except Exception as error:  # whatever an entry's own code raises
            message = f"{name} cannot be sent to another process: {errors.said(error)}"
            yield Problem("env.id", message, "env.vec_env=dummy has them all in one process", where)


def _lacking(env: gymnasium.Env, creator: Any) -> Iterator[Problem]:
    """The methods that nobody has written of an environment."""
    for name, hint in (("reset", returns.RESET), ("step", f"def step(self, action): ... {returns.STEP}")):
        if getattr(getattr(env, name), "__func__", None) is getattr(gymnasium.Env, name):
            yield _missing(name, hint, creator, env)


def _missing(name: str, hint: str, creator: Any, env: gymnasium.Env) -> Problem:
    """That a class lacks a method, perhaps as its name is misspelt."""
    kind = creator if inspect.isclass(creator) else type(env)
    own = set(dir(kind)).difference(dir(gymnasium.Env))
    return Problem(
        "env.id", f"{kind.__name__} has no {name}(){did_you_mean(name, own)}", hint, raised.line_of_class(kind)
    )


def _made_notices(made: Any, env: Mapping[str, Any]) -> list[str]:
    notices = []
    spec = made.spec
    if not has_step_limit(made) and "time_limit" not in env["wrappers"]:
        limits = f"{MIN_UNLIMITED:,} to {MAX_UNLIMITED:,} steps"
        rule = f"evaluations cut its episodes after as many as the training has, {limits}"
        notices.append(f"{spec.id} has no step limit: {rule}; env.max_steps=… sets another, for training too")
    skip = spec.kwargs.get("frameskip", 4)
    if "atari" in env["wrappers"] and skip != 1:
        notices.append(f"{spec.id} skips frames by itself, and the atari wrapper again: set env.kwargs.frameskip=1")
    return notices


def _look_up(env_id: str, env: Mapping[str, Any]) -> list[Problem]:
    """Whether Gymnasium knows the id, its constructor the keywords, and what it needs is there."""
    prefix, _, name = env_id.rpartition(":")
    key, where = "env.id" if prefix else "env.imports", ""
    modules = [*env["imports"], *([prefix] if prefix else [])]
    try:
        registration.register(modules)
        if (spec := gymnasium.registry.get(name)) is None:
            return [registration.unknown(env_id, env["imports"])]
        limit = spec.max_episode_steps
        if not (env["max_steps"] or limit is None or (isinstance(limit, int) and limit > 0)):
            where = registration.where_registered(name, modules)
            message = f"{name} is registered with max_episode_steps={limit!r}: it is a whole number above 0, or None"
            return [Problem("env.id", message, "env.max_steps=… says another", where)]
        entry_point = spec.entry_point if isinstance(spec.entry_point, str) else ""
        extra = next((extra for module, extra in _GYMNASIUM_EXTRAS.items() if entry_point.startswith(module)), None)
        problems = check.extra_problems(name, extra)
        if "atari" in env["wrappers"] and not entry_point.startswith("ale_py"):
            problems.append(Problem("env.wrappers.atari", f"{name} is not an Atari game"))
        if problems:
            return problems
        key, where = "env.id", registration.where_registered(entry_point, modules)
        return _check_kwargs(spec, env["kwargs"], registration.creator(spec.entry_point))
    except RlzooError as error:
        where = raised.line_of(error) or where
        return [Problem(key, error.message.removesuffix(f" ({where})"), error.hint, where, error.code)]
    except BaseException as error:
        message, hint = raised.in_words(_IMPORT, error)
        return [Problem(key, message, hint, raised.line_of(error))]


def _check_kwargs(spec: Any, kwargs: Mapping[str, Any], creator: Any) -> list[Problem]:
    try:
        parameters = inspect.signature(creator).parameters
    except (TypeError, ValueError):  # written in C
        return []
    if any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters.values()):
        return []
    known = [name for name in parameters if name != "render_mode"]
    return [
        Problem(
            f"env.kwargs.{key}",
            f"is not a keyword of {spec.id}{did_you_mean(key, known)}",
            f"known: {', '.join(known)}" if known else "it takes none",
        )
        for key in kwargs
        if key not in parameters
    ]

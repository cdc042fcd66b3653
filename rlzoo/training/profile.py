"""Where the time of a training goes, and what would make it faster on this machine: `rlzoo profile`."""

from __future__ import annotations

import dataclasses
import importlib
import re
import statistics
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rlzoo import contained
from rlzoo.config.compose import compose
from rlzoo.config.overrides import key_of
from rlzoo.config.schema import TrainConfig
from rlzoo.console import print_lines, print_table, say
from rlzoo.errors import ConfigError, ExitCode, Problem, RlzooError
from rlzoo.protocols import Algorithm, Callback, Pruned
from rlzoo.runs.run import write_text
from rlzoo.training.preflight import Request, check

LEAST, MOST = 2.0, 3600.0
"""Seconds that a profile may take."""
INTERVAL = 0.001
"""Seconds between two looks at what is running."""
ROUNDS = 2
"""How often each change is tried, in turn with the others: a machine is not equally fast all the time."""
REST = "the rest"
PARTS = ("environment", "policy", "buffer", "update", "evaluation", "logging", "checkpoints", REST)
RULES = tuple(
    (part, re.compile(pattern))
    for part, pattern in (
        ("evaluation", r"rlzoo/(training/callbacks/evaluate|evaluation/\w+)\.py"),
        ("checkpoints", r"rlzoo/(training/callbacks/(checkpoint|resume_state)|runs/checkpoints)\.py"),
        ("logging", r"rlzoo/(loggers/\w+|training/callbacks/progress|console)\.py|stable_baselines3/common/logger\.py"),
        (
            "buffer",
            r"stable_baselines3/common/buffers\.py|rlzoo/algos/\w+/\w*replay\w*\.py|sb3_contrib/\S+/buffers\.py",
        ),
        ("environment", r"rlzoo/envs/\S+|(?<!rlzoo/)envs/\S+ step|vec_env/\S+|stable_baselines3/common/monitor\.py"),
        ("update", r"(stable_baselines3|sb3_contrib)/\S+ train|rlzoo/algos/(deep|search|tabular)/\S+ _?update"),
        ("policy", r"\S+ (predict|collect_rollouts|_sample_action|act)|policies\.py"),
    )
)
"""Which part a function belongs to, by "file function"; what it calls belongs to it too, but for `INNER`."""
INNER = {"update": ("buffer",), "policy": ("environment", "buffer", "evaluation", "logging", "checkpoints")}
"""Parts that count for themselves where they are called from another."""


@dataclass(frozen=True)
class Tried:
    """A change of the request, and how fast it trains.

    Attributes:
        words: what is changed; empty of the request itself.
        rate: environment steps per second; None if nothing could be measured.
        gain: by which it is faster.
        note: what else it changes, or why it could not be tried.
    """

    words: tuple[str, ...]
    rate: float | None
    gain: float | None
    note: str


@dataclass(frozen=True)
class Profile:
    """What a while of training was spent on, in seconds of each part, and what was tried."""

    seconds: Mapping[str, float]
    n_steps: int
    page: Path
    tried: Sequence[Tried]

    def as_data(self) -> dict[str, Any]:
        """It as plain data."""
        tried = [dataclasses.asdict(one) for one in self.tried]
        return {"seconds": dict(self.seconds), "n_steps": self.n_steps, "page": str(self.page), "tried": tried}

    def show(self) -> None:
        """Print it for people."""
        total = sum(self.seconds.values())
        parts = [(part, f"{100 * spent / total:.0f} %", spent) for part, spent in self.seconds.items() if spent]
        print_table(("part", "share", "seconds"), parts, title=f"{self.n_steps:,} steps in {total:.1f} s")
        if not self.seconds["evaluation"]:
            print_lines("no evaluation fell into this while")
        rows = [
            (
                " ".join(one.words) or "as it is",
                "" if one.rate is None else f"{one.rate:,.0f}",
                "" if one.gain is None else f"{one.gain:.2f} x",
                one.note,
            )
            for one in self.tried
        ]
        print_table(("change", "steps/s", "gain", "note"), rows, title="tried on this machine, in turn")
        print_lines(f"every call: {self.page}")


def profile(words: Sequence[str], *, seconds: str = "60", page: str = "profile.html") -> Profile:
    """Train for a while, look at what is running, and try changes.

    Args:
        words: the request, as for `rlzoo train`.
        seconds: half of which are for the training, the others for the changes.
        page: where the page with every call goes.

    Raises:
        ConfigError: naming everything that is wrong with the request.
        RlzooError: with exit code 3 if pyinstrument is not installed; if the training fails.
    """
    half = _seconds(seconds) / 2
    request = _request(words)
    try:
        instrument = importlib.import_module("pyinstrument")
    except ImportError:
        hint = 'pip install "hydra-rlzoo[profile]"'
        raise RlzooError("profiling needs pyinstrument", hint, ExitCode.MISSING) from None
    spent, n_steps = _watch(instrument, request.config, half, Path(page))
    return Profile(spent, n_steps, Path(page), _try_all(words, request, half))


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not LEAST <= seconds <= MOST:
        message = f"must be a number from {LEAST:g} to {MOST:g}, not {text!r}"
        raise ConfigError([Problem("seconds", message, where="command line")])
    return seconds


def _request(words: Sequence[str], *more: str) -> Request:
    return check(compose("train", [*words, *more]), n_requests=1)


def _watch(instrument: Any, config: TrainConfig, seconds: float, page: Path) -> tuple[dict[str, float], int]:
    """Train in a folder that does not stay; what only the end of a training does is left out."""
    from rlzoo.config.parse import dump
    from rlzoo.envs.seeding import draw_seed
    from rlzoo.runs.info import collect
    from rlzoo.runs.run import Run
    from rlzoo.training.train import train

    importlib.import_module("rlzoo.algos.sb3.adapter")  # takes seconds, which are no part of a training
    until = _Until(seconds, instrument.Profiler(interval=INTERVAL, async_mode="disabled"))
    with TemporaryDirectory(prefix="rlzoo-profile-") as folder:
        seed = draw_seed() if config.seed is None else config.seed
        local = {name: options for name, options in config.logger.items() if name in ("csv", "tensorboard")}
        ending = dataclasses.replace(config.eval, final_n_episodes=1, selection_n_episodes=0, seeds=None, random=False)
        config = dataclasses.replace(config, seed=seed, runs_dir=folder, logger=local, eval=ending)
        run = Run.create(folder, algo=config.algo.name, env_id=config.env.id, seed=seed)
        run.write_config(dump(config))
        run.write_info({"status": "running", "run": str(run.path), **collect()})
        with suppress(Pruned):
            train(config, run, [until])
    session = until.profiler.last_session
    spent = dict.fromkeys(PARTS, 0.0)
    _share_out(session.root_frame(), REST, spent)
    _write(page, until.profiler.output_html())
    return spent, until.n_steps


class _Until(Callback):
    """Watches a training from its first step, and ends it after some seconds: at its next boundary, if that is near."""

    def __init__(self, seconds: float, profiler: Any) -> None:
        self.profiler = profiler
        self.n_steps = 0
        self._seconds = seconds
        self._began: float | None = None

    def on_start(self, algorithm: Algorithm) -> None:
        self._began = time.monotonic()
        self.profiler.start()

    def on_step(self, algorithm: Algorithm) -> bool:
        assert self._began is not None
        spent = time.monotonic() - self._began
        if spent >= 2 * self._seconds:  # its rollout does not end soon
            self.on_end(algorithm)
            raise Pruned("the time is up")
        return spent < self._seconds

    def on_end(self, algorithm: Algorithm) -> None:
        if self.profiler.is_running:
            self.profiler.stop()
        self.n_steps = algorithm.num_timesteps


def _share_out(frame: Any, part: str, spent: dict[str, float]) -> None:
    """Add the time of a call to the part that it belongs to, and that of what it calls to theirs."""
    name = f"{(frame.file_path or '').replace(chr(92), '/')} {frame.function}"
    own = next((each for each, pattern in RULES if pattern.search(name)), None)
    if own is not None and (part == REST or own in INNER.get(part, ())):
        part = own
    spent[part] += max(0.0, frame.time - sum(child.time for child in frame.children))
    for child in frame.children:
        _share_out(child, part, spent)


def _write(page: Path, text: str) -> None:
    contained.require_way(page)
    try:
        page.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RlzooError(f"cannot write {page}: {error.strerror}", "page=elsewhere.html", ExitCode.STORAGE) from error
    write_text(page, text)  # which takes the place of a link


def changes(config: TrainConfig, n_cpus: int, n_gpus: int) -> list[tuple[tuple[str, ...], str]]:
    """What may make a training faster: words, and what else they change."""
    env = config.env
    learns = "the updates see other data: what is learned changes"
    more = sorted({env.n_envs * 2, 8})
    found: list[tuple[tuple[str, ...], str]] = [((f"env.n_envs={n}",), learns) for n in more if n > env.n_envs]
    if n_cpus > 1 and env.n_envs > 1:
        other = "subproc" if env.vec_env == "dummy" else "dummy"
        found.append(((f"env.vec_env={other}",), "the same numbers"))
    found += [((f"torch_threads={n}",), "the last digits may differ") for n in sorted({1, n_cpus})]
    if n_gpus and config.device != "cpu":
        found.append((("device=cpu",), "the last digits differ"))
    return found


def _try_all(words: Sequence[str], request: Request, seconds: float) -> list[Tried]:
    from rlzoo.launchers.local import available_cpus
    from rlzoo.training.train import cuda_devices

    tries: list[tuple[tuple[str, ...], str]] = [((), "")]
    tries += [(more, note) for more, note in changes(request.config, available_cpus(), cuda_devices())]
    requests: dict[tuple[str, ...], Request | str] = {}
    for more, _ in tries:
        try:
            requests[more] = _request([word for word in words if key_of(word) not in map(key_of, more)], *more)
        except ConfigError as error:
            requests[more] = error.problems[0].message
    able = [more for more, found in requests.items() if isinstance(found, Request)]
    rates: dict[tuple[str, ...], list[float]] = {more: [] for more in able}
    for _ in range(ROUNDS):
        for more in able:
            found = requests[more]
            assert isinstance(found, Request)
            say(f"trying {' '.join(more) or 'it as it is'}")
            rate = measure(found.config, seconds / len(able) / ROUNDS)
            rates[more] += [] if rate is None else [rate]
    base = statistics.median(rates[()]) if rates[()] else None
    tried = []
    for more, note in tries:
        refused = requests[more]
        rate = statistics.median(rates[more]) if rates.get(more) else None
        gain = rate / base if rate is not None and base and more else None
        tried.append(Tried(more, rate, gain, refused if isinstance(refused, str) else note))
    return tried


def measure(config: TrainConfig, seconds: float) -> float | None:
    """Environment steps per second of a training without evaluation, logging or checkpoints; None if it took none."""
    from rlzoo.algos.create import create
    from rlzoo.envs.make import make
    from rlzoo.envs.seeding import seed_everything
    from rlzoo.training.estimate import Clock, trial
    from rlzoo.training.train import set_threads, unlimited_max_steps

    set_threads(config)
    seed_everything(config.seed or 0)
    limit = unlimited_max_steps(config)
    options: dict[str, Any] = {"n_envs": config.env.n_envs, "seed": config.seed or 0, "unlimited_max_steps": limit}
    env = make(config.env, **options, on_nan=config.on_nan)
    try:
        algo, warm_up = trial(config.algo, config.env.n_envs)
        clock = Clock(seconds, warm_up)
        create(algo, env, seed=config.seed or 0, device=config.device).learn(config.total_timesteps, [clock])
    finally:
        env.close()
    return clock.rate

"""Clocks inside a tuning process: which part of it takes how much CPU time, and how many environment steps.

Usage: `python -m benchmarks.tuning_parts FILE MODULE [words ...]` runs a module as `python -m` would and writes the
parts to FILE. A part is what is spent in it and in nothing below it that is a part of its own.
"""

from __future__ import annotations

import functools
import json
import runpy
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

POINTS = {
    "stable_baselines3.ppo.ppo": [("PPO.train", "update"), ("PPO.__init__", "making networks")],
    "stable_baselines3.common.on_policy_algorithm": [("OnPolicyAlgorithm.collect_rollouts", "rollout")],
    "stable_baselines3.common.callbacks": [
        ("BaseCallback.on_step", "callbacks"),
        ("evaluate_policy", "evaluation"),
    ],
    "stable_baselines3.common.vec_env.base_vec_env": [("VecEnv.step", "env")],
    "rlzoo.training.callbacks.evaluate": [("evaluate", "evaluation")],
    "rlzoo.evaluation.agent": [("Agent.evaluate", "evaluation")],
    "rlzoo.tuning.worker": [("run_trial", "rest of a trial")],
    "rl_zoo3.exp_manager": [("ExperimentManager.objective", "rest of a trial")],
    "optuna.study.study": [("Study.optimize", "storage and sampler")],
}
"""Functions that are clocked, by the module in which they are looked up."""


class Clock:
    """CPU seconds by part, each without those below it."""

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()
        self.steps: Counter[str] = Counter()
        self._open = ["start-up and end"]
        self._since = time.process_time()

    def turn(self) -> None:
        """Charge what has passed to the part that is open."""
        now = time.process_time()
        self.seconds[self._open[-1]] += now - self._since
        self._since = now

    def wrap(self, function: Callable[..., Any], part: str) -> Callable[..., Any]:
        @functools.wraps(function)
        def clocked(*args: Any, **kwargs: Any) -> Any:
            self.turn()
            playing = "evaluation" in self._open
            self._open.append(f"{part} of evaluation" if part == "env" and playing else part)
            if part == "env":
                self.steps["evaluation" if playing else "training"] += args[0].num_envs
            try:
                return function(*args, **kwargs)
            finally:
                self.turn()
                self._open.pop()

        return clocked


class Finder(MetaPathFinder):
    """Puts the clocks in when a module has been imported."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name not in POINTS:
            return None
        for finder in sys.meta_path:
            spec = None if finder is self else finder.find_spec(name, path, target)
            if spec is not None and spec.loader is not None:
                load = spec.loader.exec_module

                def exec_module(module: ModuleType, load: Callable[[ModuleType], None] = load) -> None:
                    load(module)
                    self._clocked(module)

                spec.loader.exec_module = exec_module  # type: ignore[method-assign]
                return spec
        return None

    def _clocked(self, module: ModuleType) -> None:
        for path, part in POINTS[module.__name__]:
            owner: Any = module
            *parents, name = path.split(".")
            for parent in parents:
                owner = getattr(owner, parent)
            setattr(owner, name, self._clock.wrap(getattr(owner, name), part))


def main() -> None:
    file, module, *words = sys.argv[1:]
    clock = Clock()
    sys.meta_path.insert(0, Finder(clock))
    sys.argv = [module, *words]
    try:
        with suppress(SystemExit):
            runpy.run_module(module, run_name="__main__", alter_sys=True)
    finally:
        clock.turn()
        parts = {part: round(seconds, 2) for part, seconds in clock.seconds.most_common()}
        Path(file).write_text(json.dumps({"seconds": parts, "environment steps": clock.steps}) + "\n")


if __name__ == "__main__":
    main()

"""Environments that misbehave in one of their methods, in one of eight ways.

The file `misbehave.json` says it: `where` is the method, `how` what happens there, once there is a file like `after`.
All is well without it. The numbers of processes that are forked are in the file `pids`.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any, ClassVar

import gymnasium
import numpy as np
from gymnasium import spaces

METHODS = ("constructor", "reset", "step", "render", "close", "action_masks", "compute_reward")
WAYS = ("raises", "exits", "leaves", "hangs", "prints", "garbage", "reuses", "forks")


class Misbehaving(gymnasium.Env):
    metadata: ClassVar = {"render_modes": ["rgb_array"], "render_fps": 10}
    observation_space: Any = spaces.Box(-1, 1, (3,), np.float32)
    action_space = spaces.Discrete(2)

    def __init__(self, render_mode: str | None = None) -> None:
        self.render_mode = render_mode
        file = Path("misbehave.json").absolute()
        asked = json.loads(file.read_text()) if file.exists() else {}
        self.where, self.how, self.after = (asked.get(key) for key in ("where", "how", "after"))
        self.pids = file.with_name("pids")
        self.kept: dict[str, Any] = {}
        self.t = 0
        if self.misbehaves("constructor"):
            self.observation_space = None

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> Any:
        super().reset(seed=seed)
        self.t = 0
        if self.misbehaves("reset"):
            return 7
        return self.hand("reset", self.look()), self.hand("reset", {"t": self.t})

    def step(self, action: Any) -> Any:
        self.t += 1
        if self.misbehaves("step"):
            return self.look(), None, "no"
        info = self.hand("step", {"t": self.t})
        return self.hand("step", self.look()), 1.0, self.t >= 10, False, info

    def render(self) -> Any:
        picture = np.full((32, 32, 3), self.t, np.uint8)
        return "no picture" if self.misbehaves("render") else self.hand("render", picture)

    def close(self) -> Any:
        return "garbage" if self.misbehaves("close") else None

    def look(self) -> Any:
        return self.np_random.uniform(-1, 1, 3).astype(np.float32)

    def hand(self, method: str, value: Any) -> Any:
        if self.where != method or self.how != "reuses":
            return value
        kept = self.kept.setdefault(str(list(value)) if isinstance(value, dict) else "array", value)
        if isinstance(value, dict):
            kept.update(value)
        else:
            kept[...] = value
        return kept

    def misbehaves(self, method: str) -> bool:
        """Whether the method is to return garbage; all else is done here."""
        if self.where != method or (self.after is not None and not any(Path().glob(self.after))):
            return False
        if self.how == "raises":
            raise ValueError(f"no {method} today")
        if self.how == "exits":
            sys.exit(0)
        if self.how == "leaves":
            os._exit(0)
        if self.how == "hangs":
            time.sleep(10_000)
        if self.how == "prints":
            print("a line of the environment's")
            os.write(1, b"a line of a library's\n")
        if self.how == "forks" and not self.kept:
            self.kept["child"] = True
            if (pid := os.fork()) == 0:
                os.setsid()
                time.sleep(10_000)
                os._exit(0)
            with self.pids.open("a") as file:
                file.write(f"{pid}\n")
        return self.how == "garbage"


class Masked(Misbehaving):
    def action_masks(self) -> Any:
        return "garbage" if self.misbehaves("action_masks") else self.hand("action_masks", np.ones(2, bool))


class Goals(Misbehaving):
    observation_space: Any = spaces.Dict(
        {key: spaces.Box(-1, 1, (3,), np.float32) for key in ("observation", "achieved_goal", "desired_goal")}
    )

    def look(self) -> Any:
        return {key: self.np_random.uniform(-1, 1, 3).astype(np.float32) for key in self.observation_space.spaces}

    def compute_reward(self, achieved: Any, desired: Any, info: Any) -> Any:
        if self.misbehaves("compute_reward"):
            return "garbage"
        return self.hand("compute_reward", -np.linalg.norm(achieved - desired, axis=-1))


gymnasium.register("Misbehaving-v0", Misbehaving)
gymnasium.register("Masked-v0", Masked)
gymnasium.register("Goals-v0", Goals)

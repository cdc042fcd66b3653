"""Environments with real faults: `faults` says what happens to the one whose first reset has that seed, at step `at`.

A recreated environment has another seed, and so no more faults, unless they are of `any` seed. Observations are the
seed and the step of the episode; every step is worth 1, and the tenth ends the episode. With `after` nothing happens as
long as there is no such file or folder: before the training has begun, say.
"""

import multiprocessing
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import gymnasium
import numpy as np


def now(how):
    """Do it."""
    if how == "raise":
        raise ValueError("the arm is out of its range")
    if how == "exit":
        os._exit(3)
    if how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "hang":
        time.sleep(1000)
    if how == "spin":  # for ages, and nothing else of Python runs meanwhile
        re.match(r"(a+)+$", "a" * 60 + "b")
    if how == "slow":
        time.sleep(4)


def calculate(connection):
    connection.send(7)
    time.sleep(1000)


class Rigged:
    """Whoever reads it ends."""

    def __reduce__(self):
        return eval, ("__import__('os')._exit(0)",)


class Faulty(gymnasium.Env):
    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (2,), np.float64)
    action_space = gymnasium.spaces.Discrete(2)

    def __init__(self, faults=None, at=5, where="step", once=None, after=None, child=False):
        self.faults, self.at, self.where, self.once, self.after = faults or {}, at, where, once, after
        self.fault, self.seed, self.n_steps, self.n_resets, self.t = None, None, 0, 0, 0
        self.child = subprocess.Popen(["sleep", "1000"]).pid if child else None
        if where == "constructor":
            self._fail(self.faults["any"])

    def reset(self, *, seed=None, options=None):
        if seed is not None and self.n_resets == 0:
            self.seed, self.fault = seed, self.faults.get(seed, self.faults.get("any"))
        self.n_resets, self.t = self.n_resets + 1, 0
        if self.where == "reset" and self.n_resets == self.at:
            self._fail(self.fault)
        return self._observe(), {}

    def step(self, action):
        self.n_steps, self.t = self.n_steps + 1, self.t + 1
        if self.where == "step" and self.n_steps == self.at:
            self._fail(self.fault)
        return self._observe(), 1.0, self.t == 10, False, {}

    def refuse(self):
        raise ValueError("not this")

    def employ(self):
        """What a process of its own calculates, and how that ends when it is asked to."""
        context = multiprocessing.get_context("fork")
        ours, theirs = context.Pipe()
        process = context.Process(target=calculate, args=(theirs,))
        process.start()
        found = ours.recv()
        process.terminate()
        process.join(60)
        return found, process.exitcode

    def rig(self):
        return Rigged()

    def _observe(self):
        return np.array([self.seed, self.t], np.float64)

    def _fail(self, how):
        if self.after and not Path(self.after).exists():
            return
        if self.once:
            try:
                Path(self.once).touch(exist_ok=False)
            except FileExistsError:
                return
        now(how)


gymnasium.register("Faulty-v0", Faulty)

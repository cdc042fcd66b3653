"""Imported once by the fork server of `launcher=local`: what jobs need is loaded there, not in each of them."""

import contextlib
import importlib
import os
import sys

MODULES = (
    "torch",
    "torch._dynamo",  # else imported at the first optimizer step of every job, with sympy: a second of CPU
    "torch.utils.tensorboard",
    "stable_baselines3",
    "sb3_contrib",
)

if any("multiprocessing.forkserver" in word for word in sys.orig_argv):
    os.setpgid(0, 0)  # a signal to the sweep's process group must not take the server from under its jobs
    for name in MODULES:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)

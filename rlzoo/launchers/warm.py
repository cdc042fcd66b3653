"""Imported once by the fork server of `launcher=local`: what jobs need is loaded there, not in each of them."""

import contextlib
import importlib
import os
import sys

from rlzoo.algos import lazy_dynamo

MODULES = (
    "torch",
    "torch.utils.tensorboard",
    "stable_baselines3",
    "sb3_contrib",
)

if any("multiprocessing.forkserver" in word for word in sys.orig_argv):
    os.setpgid(0, 0)  # a signal to the sweep's process group must not take the server from under its jobs
    lazy_dynamo.install()
    for name in MODULES:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)

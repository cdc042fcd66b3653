"""Imported once by the fork server of `launcher=local`: what jobs need is loaded there, not in each of them."""

import contextlib
import dataclasses
import gc
import importlib
import os
import sys

from rlzoo.algos import lazy_dynamo

MODULES = (
    "rlzoo.training.train",
    "rlzoo.training.callbacks",
    "rlzoo.training.request",
    "rlzoo.algos.create",
    "rlzoo.algos.sb3.adapter",
    "rlzoo.envs.monitor",
    "rlzoo.envs.random_play",
    "rlzoo.envs.snapshot.replay",
    "rlzoo.envs.vector.in_process",
    "rlzoo.envs.vector.nan_guard",
    "rlzoo.envs.vector.restarts",
    "rlzoo.envs.vector.watchdog",
    "rlzoo.evaluation.agent",
    "rlzoo.evaluation.selection",
    "rlzoo.loggers.csv",
    "rlzoo.loggers.tensorboard",
    "rlzoo.runs.info",
    "rlzoo.runs.lock",
    "filelock",
    "gymnasium.envs.classic_control",
    "netrc",
    "numpy.ma",
    "safetensors.numpy",
    "sb3_contrib",
    "torch.utils.serialization.config",
    "torch.utils.tensorboard",
)

if any("multiprocessing.forkserver" in word for word in sys.orig_argv):
    os.setpgid(0, 0)  # a signal to the sweep's process group must not take the server from under its jobs
    lazy_dynamo.install()
    for name in MODULES:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    from rlzoo.config import parse, records
    from rlzoo.config.schema import TrainConfig
    from rlzoo.runs.info import versions

    versions()
    parse.check(TrainConfig, {field.name: {} for field in dataclasses.fields(TrainConfig)})
    for kind in (records.Config, records.Info, records.Moment, list[records.Result]):
        records.problem(kind, None)  # builds what checks files of this kind
    gc.collect()
    gc.freeze()  # jobs share this memory with the server, as long as nothing writes to it

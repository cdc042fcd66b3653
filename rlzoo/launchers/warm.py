"""Imported once by the fork server of `launcher=local`: what jobs need is loaded there, not in each of them."""

import contextlib
import dataclasses
import gc
import importlib
import os
import pkgutil
import sys
from collections.abc import Iterator

from rlzoo.algos import lazy_dynamo

FOLDERS = (
    *("algos", "algos.sb3", "envs", "envs.snapshot", "envs.vector", "evaluation", "loggers", "runs", "training"),
    "training.callbacks",
)
"""Of rlzoo: every file in them, as a training imports most only once it needs them."""
LIBRARIES = (
    "filelock",
    "gymnasium.envs.classic_control",
    "netrc",
    "numpy.ma",
    "safetensors.numpy",
    "sb3_contrib",
    "torch.utils.serialization.config",
    "torch.utils.tensorboard",
)


def modules() -> Iterator[str]:
    """The names of all modules to import."""
    for folder in FOLDERS:
        package = importlib.import_module(f"rlzoo.{folder}")
        yield from (found.name for found in pkgutil.iter_modules(package.__path__, f"{package.__name__}."))
    yield from LIBRARIES


if any("multiprocessing.forkserver" in word for word in sys.orig_argv):
    os.setpgid(0, 0)  # a signal to the sweep's process group must not take the server from under its jobs
    lazy_dynamo.install()
    for name in modules():
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

"""TensorBoard, W&B offline, Trackio and MLflow in a local store: what was logged is there, nothing is left running."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from importlib.util import find_spec
from pathlib import Path

import pytest

from rlzoo.loggers.table import open_loggers
from rlzoo.runs.run import Run

CONFIG = {"algo": {"name": "ppo", "gamma": 0.9}, "seed": 3}


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run.create(tmp_path, algo="ppo", env_id="CartPole-v1", seed=3)


def in_a_process(code: str, *args: str, **environ: str) -> str:
    """Services keep state for a whole process: each is tried in one of its own, without the network's variables."""
    header = """
import json, sys
from pathlib import Path
from rlzoo.loggers.table import open_loggers
from rlzoo.runs.run import Run
CONFIG = {"algo": {"name": "ppo", "gamma": 0.9}, "seed": 3}
def train(name, options, run):
    loggers = open_loggers({name: options}, run, CONFIG)
    assert loggers.names == ("csv", name), loggers.names
    loggers.log({"eval/mean_reward": 21.5, "rollout/ep_len_mean": 10.0}, 1000)
    loggers.log({"eval/mean_reward": 500.0}, 2000)
    loggers.close()
"""
    result = subprocess.run(
        [sys.executable, "-c", header + code, *args], capture_output=True, text=True, env={**os.environ, **environ}
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_tensorboard_scalars_and_config_are_read_back(run):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    before = threading.active_count()
    loggers = open_loggers({"tensorboard": {}}, run, CONFIG)
    loggers.log({"train/loss": 0.5, "time/fps": 800}, 100)
    loggers.log({"train/loss": 0.25}, 200)
    loggers.close()
    assert threading.active_count() == before

    events = EventAccumulator(str(run.tensorboard_dir)).Reload()
    assert [(event.step, event.value) for event in events.Scalars("train/loss")] == [(100, 0.5), (200, 0.25)]
    assert [event.step for event in events.Scalars("time/fps")] == [100]
    (text,) = events.Tensors("config")
    assert b"gamma: 0.9" in text.tensor_proto.string_val[0]


def test_tensorboard_needs_no_torch(run):
    code = """
train("tensorboard", {}, Run(Path(sys.argv[1])))
assert "torch" not in sys.modules
"""
    in_a_process(code, str(run.path))


@pytest.mark.skipif(find_spec("wandb") is None, reason="wandb is not installed")
def test_wandb_offline(run, tmp_path):
    code = """
import time
def records(data):
    # LevelDB's log format after 7 bytes: blocks of 32 KiB, each part with checksum (4), length (2) and type (1)
    start, whole = 7, b""
    while start + 7 <= len(data):
        length, kind = int.from_bytes(data[start + 4:start + 6], "little"), data[start + 6]
        if kind in (1, 2):  # a whole record, or its first part
            whole = b""
        if start + 7 + length > len(data):  # still being written
            return
        whole += data[start + 7:start + 7 + length]
        start += 7 + length
        if 32768 - start % 32768 < 7:
            start += 32768 - start % 32768
        if kind in (1, 4):  # a whole record, or its last part
            yield whole
train("wandb", {"mode": "offline", "tags": ["course"]}, Run(Path(sys.argv[1])))
from wandb.proto import wandb_internal_pb2 as pb
(file,) = (Path(sys.argv[1]) / "wandb").glob("offline-run-*/*.wandb")
rows, config, ended = [], {}, False
deadline = time.monotonic() + 60  # W&B's own process writes the file, a little after finish() has returned
while not ended:
    assert time.monotonic() < deadline, "W&B never wrote the end of the run"
    time.sleep(0.05)
    rows.clear()
    for data in records(file.read_bytes()):
        record = pb.Record(); record.ParseFromString(data)
        if record.HasField("history"):
            rows.append({(i.key or "/".join(i.nested_key)): json.loads(i.value_json) for i in record.history.item})
        if record.HasField("run"):
            config = {i.key: json.loads(i.value_json) for i in record.run.config.update} or config
            name, group = record.run.display_name, record.run.run_group
        ended = ended or record.HasField("exit")
print(json.dumps([rows, config, name, group]))
"""
    environ = {"WANDB_CONFIG_DIR": str(tmp_path), "WANDB_CACHE_DIR": str(tmp_path), "WANDB_API_KEY": "0" * 40}
    rows, config, name, group = json.loads(in_a_process(code, str(run.path), **environ).splitlines()[-1])
    seen = [(row["global_step"], row["eval/mean_reward"]) for row in rows]
    assert seen == [(1000, 21.5), (2000, 500.0)]
    assert config["algo"] == CONFIG["algo"] and config["seed"] == 3
    assert (name, group) == (run.path.name, "ppo/CartPole-v1")


@pytest.mark.skipif(find_spec("trackio") is None, reason="trackio is not installed")
def test_trackio_locally(run, tmp_path):
    code = """
train("trackio", {"project": "lab"}, Run(Path(sys.argv[1])))
import trackio
from trackio.sqlite_storage import SQLiteStorage
(found,) = trackio.Api().runs("lab")
history = SQLiteStorage.get_logs("lab", found.name, run_id=found.id)
print(json.dumps([found.name, found.config, history], default=str))
"""
    environ = {"TRACKIO_DIR": str(tmp_path / "trackio"), "HF_HUB_OFFLINE": "1"}
    out = in_a_process(code, str(run.path), **environ)
    assert len(out.splitlines()) == 1, "the service talks on standard output"
    name, config, history = json.loads(out)
    assert name == run.path.name
    assert config["algo"] == CONFIG["algo"]
    assert [(row["step"], row["eval/mean_reward"]) for row in history] == [(1000, 21.5), (2000, 500.0)]


@pytest.mark.skipif(find_spec("mlflow") is None, reason="mlflow is not installed")
def test_mlflow_in_sqlite(run, tmp_path):
    code = """
uri = "sqlite:///" + sys.argv[2]
train("mlflow", {"tracking_uri": uri, "experiment": "lab"}, Run(Path(sys.argv[1])))
from mlflow import MlflowClient
client = MlflowClient(tracking_uri=uri)
(found,) = client.search_runs([client.get_experiment_by_name("lab").experiment_id])
history = [(m.step, m.value) for m in client.get_metric_history(found.info.run_id, "eval/mean_reward")]
print(json.dumps([found.info.run_name, found.info.status, found.data.params, history]))
"""
    name, status, params, history = json.loads(in_a_process(code, str(run.path), str(tmp_path / "db")).splitlines()[-1])
    assert (name, status) == (run.path.name, "FINISHED")
    assert params == {"algo.name": "ppo", "algo.gamma": "0.9", "seed": "3"}
    assert history == [[1000, 21.5], [2000, 500.0]]


def test_mlflow_parameters_are_flat_keys():
    from rlzoo.loggers.mlflow import flatten

    flat = flatten({"algo": {"gamma": 0.9, "kwargs": {}}, "env": {"kwargs": {"a[0]*": 1}}, "seed": None})
    assert flat == {"algo.gamma": "0.9", "algo.kwargs": "{}", "env.kwargs.a_0__": "1", "seed": "None"}


SECRETS = {
    "CANARY_TOKEN": "canary-token-7391",
    "CANARY_PAT": "canary-pat-7392",
    "CANARY_PW": "canary pw'7393",
    "CANARY_DSN": "https://canary-dsn-key-7394@host/1",
    "CANARY_URL": "postgresql://me:canary-password-7395@host/db",
    "CANARY_PEM": "-----BEGIN THING-----\ncanary-pem-line-7396\n-----END THING-----",
}
UNKNOWN = "hf_canaryOfNoVariable7397"
"""A token in no variable, known by its form."""
PLANTED = {
    "tensorboard": {"flush_seconds": 1},
    "wandb": {"mode": "offline", "tags": ["marker TEXT"]},
    "mlflow": {"tracking_uri": "sqlite:///mlflow.db", "tags": {"marker": "TEXT", "TEXT": "x"}},
    "trackio": {"space_id": None, "private": None},
}
"""Options that are no free text; every other gets the secrets."""


def every_option(name: str, text: str) -> dict:
    """Every option that a logger has, with a text wherever one goes."""
    import inspect

    from rlzoo import registry
    from rlzoo.loggers.table import LOGGERS

    parameters = inspect.signature(registry.load(LOGGERS[name].opener)).parameters.values()
    names = [parameter.name for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY]
    return json.loads(
        json.dumps({option: "TEXT" for option in names} | PLANTED[name]).replace("TEXT", json.dumps(text)[1:-1])
    )


@pytest.mark.parametrize("name", PLANTED)
def test_no_byte_of_a_tracker_holds_a_secret(name, tmp_path):
    """In the command line, the configuration, its keys, every option, a metric's name and the environment."""
    from rlzoo.loggers.table import LOGGERS

    if find_spec(LOGGERS[name].package) is None:
        pytest.skip(f"{name} is not installed")
    parts = ["canary-token-7391", "canary-pat-7392", "canary pw'7393", "canary-dsn-key-7394", "canary-password-7395"]
    parts += ["canary-pem-line-7396", UNKNOWN]
    text = " ".join([*SECRETS.values(), *parts]).replace("\n", " ")
    code = """
import json, sys
from pathlib import Path
from rlzoo.loggers.table import open_loggers
from rlzoo.runs.run import Run
name, options, text = sys.argv[1], json.loads(sys.argv[2]), sys.argv[3]
run = Run.create(Path("runs"), algo="ppo", env_id="CartPole-v1", seed=3)
config = {"marker": "harmless-marker", "env": {"summary": text, "kwargs": {text: text, "list": [text]}}}
loggers = open_loggers({name: options}, run, config)
assert loggers.names == ("csv", name), loggers.names
loggers.log({"harmless-metric": 1.0, "name of " + sys.argv[4]: 2.0}, 10)
loggers.close()
"""
    own = {"HOME": "home", "TRACKIO_DIR": "trackio", "WANDB_CONFIG_DIR": "wb", "WANDB_CACHE_DIR": "wb"}
    environ = {**os.environ, **SECRETS, **{key: str(tmp_path / value) for key, value in own.items()}}
    environ |= {"HF_HUB_OFFLINE": "1", "WANDB_API_KEY": "canary-wandb-key-" + "0" * 23}
    command = [sys.executable, "-c", code, name, json.dumps(every_option(name, " ".join(parts))), text, " ".join(parts)]
    done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    wanted = {"harmless-marker", "harmless-metric"}
    deadline = time.monotonic() + 60  # W&B's own process writes on a little after finish() has returned
    while missing := {marker for marker in wanted if not found_in(tmp_path, marker)}:
        assert time.monotonic() < deadline, f"{name} never wrote {missing}"
        time.sleep(0.2)
    assert [(part, hits) for part in [*parts, "canary-wandb-key"] if (hits := found_in(tmp_path, part))] == []


def found_in(folder: Path, text: str) -> list[str]:
    """The files that hold a text, as it is or as JSON writes it."""
    forms = {text.encode(), json.dumps(text)[1:-1].encode()}
    files = (path for path in folder.rglob("*") if path.is_file())
    return [str(path.relative_to(folder)) for path in files if any(form in path.read_bytes() for form in forms)]

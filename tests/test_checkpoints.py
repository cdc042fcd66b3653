"""Checkpoints: exact round trips, damage that is always seen. (What kills and full disks leave: tests/faults.)"""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import resource
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rlzoo.errors import ExitCode, RlzooError
from rlzoo.protocols import State
from rlzoo.runs import checkpoints
from rlzoo.runs.run import Run


class Learner:
    """Something with a state: what a checkpoint asks of an algorithm."""

    def __init__(self, state: State | None = None, num_timesteps: int = 0) -> None:
        self.num_timesteps = num_timesteps
        self._state = state or State({"weights": np.arange(6.0).reshape(2, 3)}, {"n": num_timesteps})

    def state(self) -> State:
        return self._state

    def save(self, path: Path) -> None:
        path.write_bytes(b"zip of %d" % self.num_timesteps)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run.create(tmp_path, algo="ppo", env_id="CartPole-v1", seed=0)


def save(run: Run, name: str, learner: Any, **options: Any) -> checkpoints.Checkpoint:
    return checkpoints.save(run, name, algorithm=learner, env=None, **options)


def rewrite_manifest(checkpoint: checkpoints.Checkpoint, **changes: Any) -> None:
    """A manifest as somebody else would have written it, its hash included."""
    manifest = json.loads(checkpoint.manifest.read_text()) | changes
    manifest.pop("sha256")
    text = json.dumps(manifest, sort_keys=True).encode()
    checkpoint.manifest.write_text(json.dumps({**manifest, "sha256": hashlib.sha256(text).hexdigest()}))


ARRAYS = {
    "float32": np.array([[1.5, -0.0], [np.pi, 1e-45]], np.float32),
    "float64": np.array([np.nan, np.inf, -np.inf, 5e-324]),
    "float16": np.array([0.1, 65504], np.float16),
    "int64": np.array([2**63 - 1, -(2**63)]),
    "uint8": np.arange(256, dtype=np.uint8).reshape(4, 8, 8),
    "uint64": np.array([2**64 - 1], np.uint64),
    "bool": np.array([True, False, True]),
    "scalar": np.array(2.5),
    "scalar_int": np.int64(7),
    "empty": np.zeros((0, 3), np.float32),
    "transposed": np.arange(6.0).reshape(2, 3).T,
    "strided": np.arange(10)[::3],
    "big_endian": np.array([1, 256], ">i4"),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_come_back_exactly(run, name):
    contents = checkpoints.read(save(run, "last", Learner(), others={"part": State({name: ARRAYS[name]})}))
    found, expected = contents.parts["part"].tensors[name], np.asarray(ARRAYS[name])
    assert found.shape == expected.shape
    assert found.dtype == expected.dtype.newbyteorder("=")
    assert found.tobytes() == expected.astype(found.dtype).tobytes()


TENSORS = {
    "parameter": torch.nn.Parameter(torch.tensor([[0.1, -0.2]])),
    "scalar": torch.tensor(3),
    "bool": torch.tensor([True, False]),
    "empty": torch.zeros(0),
    "transposed": torch.arange(6.0).reshape(2, 3).T,
    "half": torch.tensor([0.1], dtype=torch.float16),
}


@pytest.mark.parametrize("name", TENSORS)
def test_torch_tensors_come_back_exactly(run, name):
    contents = checkpoints.read(save(run, "last", Learner(State({name: TENSORS[name]}))))
    found, expected = torch.as_tensor(contents.algorithm.tensors[name]), TENSORS[name].detach()
    assert found.dtype == expected.dtype and found.shape == expected.shape
    assert torch.equal(found, expected)


def test_tensors_that_share_memory_are_written_each(run):
    shared = torch.arange(4.0)
    state = State({"a": shared, "b": shared, "c": shared[1:3]})
    found = checkpoints.read(save(run, "last", Learner(state))).algorithm.tensors
    assert {name: array.tolist() for name, array in found.items()} == {
        "a": [0.0, 1.0, 2.0, 3.0],
        "b": [0.0, 1.0, 2.0, 3.0],
        "c": [1.0, 2.0],
    }


def test_values_come_back_and_what_cannot_be_kept_is_refused(run):
    values = {"n": 3, "lr": 0.1 + 0.2, "best": -np.inf, "none": None, "list": [1, "é"], "nested": {"on": True}}
    assert checkpoints.read(save(run, "last", Learner(State({}, values)))).algorithm.values == values
    with pytest.raises(TypeError, match="names holds"):
        save(run, "last", Learner(State({"names": np.array(["a"])})))
    assert checkpoints.read(run.checkpoint("last")).algorithm.values == values


def test_the_manifest_names_run_step_time_and_every_file(run):
    checkpoint = save(run, "best", Learner(num_timesteps=1000), model_zip=True, info={"mean_reward": 9.5})
    manifest = json.loads(checkpoint.manifest.read_text())
    assert manifest["run"] == run.path.name
    assert (manifest["num_timesteps"], manifest["mean_reward"], manifest["format"]) == (1000, 9.5, 1)
    assert manifest["time"].endswith("+00:00")
    assert manifest["files"]["model.zip"]["size"] == len(b"zip of 1000")
    on_disk = {path.name for path in checkpoint.path.iterdir()}
    assert on_disk == {*manifest["files"], "manifest.json"}
    assert set(manifest["files"]) == {"algorithm.json", "algorithm.safetensors", "model.zip"}


def test_parts_beside_the_algorithm_come_back(run):
    contents = checkpoints.read(save(run, "1", Learner(), others={"evaluations": State({}, {"best": 1.5})}))
    assert contents.parts["evaluations"].values == {"best": 1.5}
    assert contents.normalization is None


def test_saving_again_replaces_and_leaves_nothing_behind(run):
    for step in (100, 200):
        save(run, "last", Learner(num_timesteps=step))
    assert checkpoints.read(run.checkpoint("last")).num_timesteps == 200
    assert [path.name for path in run.checkpoints_dir.iterdir()] == ["last"]


def test_a_copy_shares_the_files_but_not_the_zip(run):
    last = save(run, "last", Learner(num_timesteps=300), model_zip=True)
    step = save(run, "300", Learner(num_timesteps=300), copy_of=last)
    assert checkpoints.read(step).algorithm.values == {"n": 300}
    assert not step.model_zip.exists()
    assert (step.path / "algorithm.safetensors").samefile(last.path / "algorithm.safetensors")
    save(run, "last", Learner(num_timesteps=400), model_zip=True)
    assert checkpoints.read(step).algorithm.values == {"n": 300}


def test_every_damage_is_seen_and_says_what_else_there_is(run):
    save(run, "1000", Learner(num_timesteps=1000))
    checkpoint = save(run, "last", Learner(num_timesteps=2000), model_zip=True)
    whole = {path: path.read_bytes() for path in checkpoint.path.iterdir()}
    pick, damages = random.Random(0), 0
    for _ in range(200):
        path = pick.choice(sorted(whole))
        data = bytearray(whole[path])
        kind = pick.choice(["flip", "cut", "zero", "delete", "append"])
        at = pick.randrange(len(data))
        if kind == "flip":
            data[at] ^= 1 << pick.randrange(8)
        elif kind == "zero":
            data[at:] = bytes(len(data) - at)
        path.write_bytes({"cut": data[:at], "append": data + b"\0"}.get(kind, bytes(data)))
        if kind == "delete":
            path.unlink()
        if not path.exists() or path.read_bytes() != whole[path]:
            damages += 1
            with pytest.raises(RlzooError, match=re.escape(str(checkpoint.path))) as error:
                checkpoints.read(checkpoint)
            damaged = error.value.code == ExitCode.STORAGE and "1000" in error.value.hint
            assert damaged or "update rlzoo" in error.value.hint
        path.write_bytes(whole[path])
    assert damages > 150  # zeroing what was zero is none
    assert checkpoints.read(checkpoint).num_timesteps == 2000


def test_the_damaged_file_is_named(run):
    checkpoint = save(run, "last", Learner())
    (checkpoint.path / "algorithm.safetensors").unlink()
    with pytest.raises(RlzooError, match=r"damaged: algorithm\.safetensors is missing") as error:
        checkpoints.read(checkpoint)
    assert error.value.hint == "the run has no other"


def test_a_manifest_cannot_point_out_of_its_directory(run):
    checkpoint = save(run, "last", Learner())
    files = json.loads(checkpoint.manifest.read_text())["files"]
    (run.path / "x.safetensors").write_bytes((checkpoint.path / "algorithm.safetensors").read_bytes())
    rewrite_manifest(checkpoint, files={**files, "../../x.safetensors": files["algorithm.safetensors"]})
    with pytest.raises(RlzooError, match=r"damaged: manifest.json: .* must be named as a file in its folder"):
        checkpoints.read(checkpoint)


def test_a_file_full_of_holes_is_not_read(run, monkeypatch):
    """It takes no room where it lies, and an hour to read."""
    checkpoint = save(run, "last", Learner())
    files = json.loads(checkpoint.manifest.read_text())["files"]
    for name, n_bytes in (("model.zip", 2**31 + 1), ("x.safetensors", 2**31 + 1), ("x.json", 2**26), ("x", 2**40)):
        with (checkpoint.path / name).open("wb") as file:
            file.truncate(n_bytes)
        rewrite_manifest(checkpoint, files={**files, name: {"size": n_bytes, "sha256": "0" * 64}})
        for reader in (checkpoints.read, checkpoints.verify):
            with pytest.raises(RlzooError, match=r"larger than any|more than 64 GiB"):
                reader(checkpoint)


def test_a_newer_format_is_refused(run):
    checkpoint = save(run, "last", Learner())
    rewrite_manifest(checkpoint, format=2)
    with pytest.raises(RlzooError, match="written by another rlzoo") as error:
        checkpoints.read(checkpoint)
    assert "has format 2, this rlzoo reads 1" in error.value.hint


def test_pruning_keeps_the_newest_and_what_is_not_ours(run):
    for step in (500, 1000, 9000, 10000):
        save(run, str(step), Learner(num_timesteps=step))
    save(run, "best", Learner(num_timesteps=500))
    foreign = run.checkpoint("500")
    rewrite_manifest(foreign, run="somebody else's")
    (run.checkpoints_dir / "notes").mkdir()
    checkpoints.prune(run, keep=2)
    assert {path.name for path in run.checkpoints_dir.iterdir()} == {"500", "9000", "10000", "best", "notes"}


def test_recovery_finishes_what_was_cut_short_and_cleans_up(run):
    save(run, "last", Learner(num_timesteps=100)).path.rename(run.checkpoints_dir / ".last.00ab.old")
    save(run, "last", Learner(num_timesteps=200)).path.rename(run.checkpoints_dir / ".last.00ab.new")
    (run.checkpoints_dir / ".best.00cd.new").mkdir()
    (run.checkpoints_dir / ".unrelated").mkdir()
    (run.path / f".info.json.{'9' * 30}.tmp").write_text("of no process that could be")
    checkpoints.recover(run)
    assert {path.name for path in run.checkpoints_dir.iterdir()} == {"last", ".unrelated"}
    assert checkpoints.read(run.checkpoint("last")).num_timesteps == 200


DISK_FULL = """
    import resource, signal, sys
    from pathlib import Path
    import numpy as np
    from rlzoo.runs import checkpoints
    from rlzoo.errors import RlzooError
    from rlzoo.protocols import State
    from rlzoo.runs.run import Run

    class Learner:
        num_timesteps = 2
        def state(self):
            return State({"weights": np.zeros(100_000)})
        def save(self, path):
            path.write_bytes(b"zip")

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
    try:
        checkpoints.save(Run(Path(sys.argv[1])), "last", algorithm=Learner(), env=None)
    except RlzooError as error:
        print(error.code.name, error.message)
"""


@pytest.mark.skipif(not hasattr(resource, "RLIMIT_FSIZE"), reason="limits file sizes the Unix way")
def test_a_full_disk_keeps_the_previous_checkpoint(run):
    save(run, "last", Learner(num_timesteps=1))
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(DISK_FULL), str(run.path)], capture_output=True, text=True, check=True
    )
    assert result.stdout.startswith("STORAGE checkpoint last could not be written: ")
    assert "the previous one is as it was" in result.stdout
    assert checkpoints.read(run.checkpoint("last")).num_timesteps == 1
    assert [path.name for path in run.checkpoints_dir.iterdir()] == ["last"]


def test_nothing_is_pickled(run):
    events = []
    sys.addaudithook(lambda event, args: events.append(event) if event.startswith("pickle.") else None)
    checkpoints.read(save(run, "last", Learner(State({"a": torch.ones(3), "b": np.ones(2)}))))
    assert "pickle.find_class" not in events


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="looks up what a file handle belongs to")
def test_nothing_is_named_before_it_is_on_disk(run, monkeypatch):
    """What a power cut would leave: files before the manifest, the manifest before the rename, then the parent."""
    events: list[tuple[str, str]] = []
    fsync, rename = os.fsync, os.rename

    def spy_fsync(handle: int) -> None:
        events.append(("sync", Path(f"/proc/self/fd/{handle}").readlink().name))
        fsync(handle)

    def spy_rename(source: Any, target: Any, **options: Any) -> None:
        events.append(("rename", Path(target).name))
        rename(source, target, **options)

    save(run, "last", Learner(), model_zip=True)
    monkeypatch.setattr(os, "fsync", spy_fsync)
    monkeypatch.setattr(os, "rename", spy_rename)
    checkpoint = save(run, "last", Learner(), model_zip=True)
    files = [name for kind, name in events if kind == "sync" and not name.endswith(".new")]
    assert set(files[:-2]) == set(json.loads(checkpoint.manifest.read_text())["files"])
    assert files[-2:] == ["manifest.json", "checkpoints"]
    kinds = [kind for kind, _ in events]
    renamed = events.index(("rename", "last"))
    assert kinds[: kinds.index("rename")].count("sync") == len(files)  # the folder's own names among them
    assert events[renamed + 1] == ("sync", "checkpoints")
    assert events[kinds.index("rename") - 1][1].endswith(".new")


@pytest.mark.parametrize(("folder", "name"), [("", "last"), ("", "best"), ("candidates/", "64")])
def test_a_checkpoint_that_was_copied_from_another_run_is_named_once(run, tmp_path, capsys, folder, name):
    run.write_info({"run": run.path.name})
    other = Run.create(tmp_path, algo="ppo", env_id="CartPole-v1", seed=1)
    save(other, name, Learner())
    copied = run.checkpoint(folder + name)
    shutil.copytree(other.checkpoint(name).path, copied.path)
    checkpoints.read(copied)
    assert f"{copied.path} was written by another run, '{other.path.name}'" in capsys.readouterr().err
    checkpoints.read(copied)
    assert capsys.readouterr().err == ""


def test_a_run_that_was_renamed_keeps_its_checkpoints(run, tmp_path, capsys):
    run.write_info({"run": run.path.name})
    save(run, "100", Learner())
    renamed = Run(run.path.rename(tmp_path / "mine"))
    save(renamed, "200", Learner())
    for step in ("100", "200"):
        assert checkpoints.read(renamed.checkpoint(step)).manifest["run"] == run.path.name
    checkpoints.prune(renamed, keep=1)
    assert [each.name for each in renamed.checkpoints()] == ["200"]
    assert capsys.readouterr().err == ""

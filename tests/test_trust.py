"""Unpickling happens in one place, after the user has asked for it, and leaves a record."""

from __future__ import annotations

import hashlib
import pickle
from pathlib import Path

import numpy as np
import pytest
from stable_baselines3 import A2C

from rlzoo.errors import ExitCode, RlzooError
from rlzoo.untrusted.unpickle import load_model, unpickle


class Boom:
    def __reduce__(self):
        return (int, ("boom",))


@pytest.mark.parametrize("trust", [False, None, 0, 1, "true", "false"])
def test_only_true_is_consent(trust: object, tmp_path: Path):
    path = tmp_path / "file.pkl"
    path.write_bytes(pickle.dumps(Boom()))
    for read in (lambda: unpickle(path, trust=trust), lambda: load_model(path, "a2c", trust=trust)):
        with pytest.raises(RlzooError, match="can only be opened by unpickling") as error:
            read()
        assert error.value.code == ExitCode.UNSAFE
        assert "trust=true" in error.value.hint


def test_what_was_opened_is_recorded(tmp_path: Path):
    path = tmp_path / "file.pkl"
    path.write_bytes(pickle.dumps({"a": {1, 2}}))
    opened = unpickle(path, trust=True, source="someone/repository@0123abc")
    assert opened.value == {"a": {1, 2}}
    assert opened.record.to_json() == {
        "file": "file.pkl",
        "size": path.stat().st_size,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "source": "someone/repository@0123abc",
    }


def test_a_model_by_its_own_library(tmp_path: Path):
    model = A2C("MlpPolicy", "CartPole-v1", device="cpu", policy_kwargs={"net_arch": [4]})
    model.save(tmp_path / "a2c.zip")
    opened = load_model(tmp_path / "a2c.zip", "a2c", trust=True, device="cpu")
    observations = np.zeros((3, 4), dtype=np.float32)
    assert np.array_equal(
        opened.algorithm.predict(observations, deterministic=True)[0],
        model.predict(observations, deterministic=True)[0],
    )
    assert opened.record.sha256 == hashlib.sha256((tmp_path / "a2c.zip").read_bytes()).hexdigest()


def test_what_cannot_be_opened_says_so(tmp_path: Path):
    with pytest.raises(RlzooError, match="cannot read"):
        unpickle(tmp_path / "nothing.pkl", trust=True)
    (tmp_path / "boom.pkl").write_bytes(pickle.dumps(Boom()))
    with pytest.raises(RlzooError, match="cannot be unpickled: ValueError"):
        unpickle(tmp_path / "boom.pkl", trust=True)
    with pytest.raises(RlzooError, match="cannot be loaded"):
        load_model(tmp_path / "boom.pkl", "a2c", trust=True)

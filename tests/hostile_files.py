"""Hostile files by family of attack, A1 to A20. Every payload that could run touches the file `canary`."""

from __future__ import annotations

import base64
import io
import json
import os
import pickle
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from stable_baselines3 import DQN, PPO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import VecNormalize

MIB = 2**20


@dataclass(frozen=True)
class Attack:
    """A file, what reads it, and whether it has to be refused or may be read because its poison is never looked at."""

    family: str
    name: str
    reader: str
    content: bytes
    refused: bool = True
    options: dict[str, Any] = field(default_factory=dict)


class Calls:
    """Pickles as a call."""

    def __init__(self, function: Callable[..., Any], *args: Any) -> None:
        self.call = (function, args)

    def __reduce__(self):
        return self.call


class Forge:
    """Builds hostile files out of honest ones."""

    def __init__(self, folder: Path) -> None:
        self.canary = folder / "canary"
        self.command = f"touch {self.canary}"
        model = PPO("MlpPolicy", "CartPole-v1", n_steps=8, batch_size=8, policy_kwargs={"net_arch": [8]}, device="cpu")
        model.save(folder / "good.zip")
        model.policy.save(folder / "policy_file.pth")
        with zipfile.ZipFile(folder / "good.zip") as file:
            self.entries = {name: file.read(name) for name in file.namelist()}
        self.good = (folder / "good.zip").read_bytes()
        self.policy_file = (folder / "policy_file.pth").read_bytes()
        env = VecNormalize(make_vec_env("Pendulum-v1"))
        env.reset()
        env.save(str(folder / "good.pkl"))
        self.statistics = (folder / "good.pkl").read_bytes()
        dqn = DQN("MlpPolicy", "CartPole-v1", buffer_size=10, device="cpu")
        dqn.save_replay_buffer(folder / "buffer.pkl")
        self.buffer = (folder / "buffer.pkl").read_bytes()
        self.evil = pickle.dumps(Calls(os.system, self.command))
        self.q_learning = pickle.dumps({"env_id": "FrozenLake-v1", "qtable": np.zeros((16, 4))}, protocol=4)

    @property
    def fields(self) -> dict[str, Any]:
        fields: dict[str, Any] = json.loads(self.entries["data"])
        return fields

    def serialized(self, **shadow: Any) -> dict[str, Any]:
        return {":type:": "<class 'function'>", ":serialized:": base64.b64encode(self.evil).decode(), **shadow}

    def zip(self, compress: bool = False, **entries: bytes | None) -> bytes:
        """The good zip with some entries replaced (`policy_pth=` for policy.pth), added or left out (None)."""
        changed = {name.replace("_pth", ".pth").replace("_txt", ".txt"): value for name, value in entries.items()}
        buffer = io.BytesIO()
        with zipfile.ZipFile(
            buffer, "w", zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED, compresslevel=1
        ) as file:
            for name, content in {**self.entries, **changed}.items():
                if content is not None:
                    file.writestr(name, content)
        return buffer.getvalue()

    def data(self, **changes: Any) -> bytes:
        return self.zip(data=json.dumps({**self.fields, **changes}).encode())

    def text(self, text: str) -> bytes:
        return self.zip(data=text.encode())

    def kwargs(self, **policy_kwargs: Any) -> bytes:
        return self.data(policy_kwargs={"net_arch": [8], **policy_kwargs})

    def named(self, *names: str, mode: int | None = None) -> bytes:
        """The good zip with further entries."""
        buffer = io.BytesIO(self.good)
        with zipfile.ZipFile(buffer, "a") as file:
            for name in names:
                entry = zipfile.ZipInfo(name)
                if mode is not None:
                    entry.create_system, entry.external_attr = 3, mode << 16
                file.writestr(entry, b"/etc/passwd")
        return buffer.getvalue()

    def torch_zip(self, description: bytes, storages: dict[str, bytes] | None = None, compress: bool = False) -> bytes:
        """A file of torch with this pickle as its description."""
        buffer = io.BytesIO()
        with zipfile.ZipFile(
            buffer, "w", zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED, compresslevel=1
        ) as file:
            file.writestr("archive/data.pkl", description)
            file.writestr("archive/byteorder", b"little")
            for name, content in (storages or {}).items():
                file.writestr(f"archive/data/{name}", content)
            file.writestr("archive/version", b"3\n")
        return buffer.getvalue()


def tensors(**named: torch.Tensor) -> bytes:
    buffer = io.BytesIO()
    torch.save(OrderedDict(named), buffer)
    return buffer.getvalue()


def tensor_description(count: int, shape: tuple[int, ...], strides: tuple[int, ...]) -> bytes:
    """What torch writes about a dictionary with one tensor of floats."""

    def tuple_of(numbers: tuple[int, ...]) -> bytes:
        return b"(" + b"".join(b"\x8a\x08" + struct.pack("<q", number) for number in numbers) + b"t"

    text = [f"X{''}".encode() + struct.pack("<I", len(word)) + word for word in (b"storage", b"0", b"cpu", b"weight")]
    storage = b"(" + text[0] + b"ctorch\nFloatStorage\n" + text[1] + text[2] + tuple_of((count,))[1:-1] + b"tQ"
    call = b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + b"K\x00" + tuple_of(shape) + tuple_of(strides)
    return b"\x80\x02}" + text[3] + call + b"\x89ccollections\nOrderedDict\n)RtRs."


def attacks(folder: Path) -> Iterator[Attack]:
    forge = Forge(folder)
    for family in (_code, _words, _archives, _bombs, _smuggling, _texts, _damage):
        yield from family(forge)


def _code(forge: Forge) -> Iterator[Attack]:
    """A1 to A6: pickles that run something."""
    poisoned = forge.serialized()
    fields = forge.fields
    for key in ("learning_rate", "policy_class", "observation_space", "clip_range", "_last_obs"):
        value = {**fields[key], ":serialized:": poisoned[":serialized:"]} if isinstance(fields[key], dict) else poisoned
        yield Attack("A1", key, "model", forge.data(**{key: value}), refused=False)
    yield Attack("A2", "unknown", "model", forge.data(innocent=poisoned), refused=False)
    yield Attack("A2", "dunder", "model", forge.data(__class__=poisoned, __reduce__=poisoned), refused=False)
    yield Attack("A2", "nested", "model", forge.data(ep_info_buffer=[{"deep": poisoned}]), refused=False)
    yield Attack("A2", "kwargs", "model", forge.kwargs(innocent=poisoned), refused=False)
    yield Attack("A2", "extractor", "model", forge.kwargs(features_extractor_class=poisoned))
    big = pickle.dumps({"weight": Calls(bytearray, 10**12)}, protocol=2)
    files = {
        "zip": forge.torch_zip(pickle.dumps(Calls(os.system, forge.command), protocol=2)),
        "value": forge.torch_zip(pickle.dumps({"weight": Calls(os.system, forge.command)}, protocol=2)),
        "pickle": forge.evil,
        "protocol_0": f"cos\nsystem\n(S'{forge.command}'\ntR.".encode(),
        "allowed_by_torch": forge.torch_zip(big),
        "module": _saved(torch.nn.Linear(2, 2)),
    }
    for name, content in files.items():
        yield Attack("A3", name, "model", forge.zip(policy_pth=content))
    yield Attack("A3", "variables", "model", forge.zip(pytorch_variables_pth=files["zip"]))
    states = {
        "system": forge.evil,
        "eval": pickle.dumps({"obs_rms": Calls(eval, f"__import__('os').system({forge.command!r})")}, protocol=4),
        "import": pickle.dumps(Calls(__import__, "antigravity"), protocol=4),
        "load": pickle.dumps(Calls(np.load, str(forge.canary)), protocol=4),
        "text": f"cos\nsystem\n(S'{forge.command}'\ntR.".encode(),
        "inst": f"(S'{forge.command}'\nios\nsystem\n.".encode(),
        "attribute": b"\x80\x04\x8c\x05numpy\x8c\x12f2py.compile_helper\x93.",
        "extension": b"\x80\x02\x82\x01.",
        "memo": b"\x80\x02]r\xff\xff\xff\x7f.",
        "length": b"\x80\x04\x8e" + struct.pack("<Q", 2**40) + b"x.",
        "hash": b"\x80\x02}" + _nested_tuples(60) + b"K\x01s.",
        "object_array": pickle.dumps({"qtable": np.array([{}], dtype=object)}, protocol=4),
    }
    for name, content in states.items():
        for reader in ("vec_normalize", "q_learning"):
            yield Attack("A4", f"{name}_{reader}", reader, content)
    yield Attack("A4", "inside", "vec_normalize", forge.statistics[:-1] + forge.evil)
    yield Attack("A5", "buffer", "vec_normalize", forge.buffer)
    yield Attack("A5", "evil", "q_learning", forge.evil)
    yield Attack("A5", "entry", "model", forge.named("replay_buffer.pkl"))
    yield Attack("A5", "without_trust", "unpickle", forge.evil, options={"trust": False})
    for trust in ("false", "true", 1, None):
        yield Attack("A5", f"trust_{trust}", "unpickle", forge.evil, options={"trust": trust})
    yield Attack("A6", "policy_file", "model", forge.policy_file)
    yield Attack("A6", "policy_tensors", "tensors", forge.policy_file)
    yield Attack("A6", "as_policy", "model", forge.zip(policy_pth=forge.policy_file))
    yield Attack("A6", "evil", "tensors", _saved({"state_dict": {}, "data": Calls(os.system, forge.command)}))
    yield Attack("A6", "without_trust", "load_model", forge.good, options={"trust": False})


def _words(forge: Forge) -> Iterator[Attack]:
    """A7 and A8: YAML tags, and expressions where data should be."""
    touch = forge.command
    tags = {
        "apply": f"a: !!python/object/apply:os.system ['{touch}']",
        "new": f"a: !!python/object/new:subprocess.Popen [['touch', '{forge.canary}']]",
        "module": "a: !!python/module:antigravity ''",
        "name": "a: !!python/name:os.system ''",
        "torch_name": "a: !!python/name:torch.hub.load ''",
        "object": "a: !!python/object:subprocess.Popen {args: [touch]}",
        "ordered": "!!python/object/apply:collections.OrderedDict\n"
        f"- - - a\n    - !!python/object/apply:os.system ['{touch}']",
        "ordered_state": f"!!python/object/apply:collections.OrderedDict {{args: [], state: {{a: '{touch}'}}}}",
        "tuple": f'a: !!python/tuple [!!python/object/apply:eval [\'__import__("os").system("{touch}")\']]',
        "custom": "a: !eval 1",
        "key": "!!python/name:os.system '': 1",
    }
    for name, text in tags.items():
        for reader in ("zoo", "config"):
            yield Attack("A7", f"{name}_{reader}", reader, text.encode())
    for name, text in {
        "target": "env: {_target_: os.system}",
        "hydra": "hydra: {run: {dir: /tmp}}",
        "secret": "seed: ${oc.env:HF_TOKEN}",
        "nested": "env: {wrappers: {a: {b: [x, {_partial_: true}]}}}",
    }.items():
        yield Attack("A7", name, "config", text.encode())
    expressions = (
        f"__import__('os').system('{touch}')",
        f"dict(net_arch=__import__('os').system('{touch}'))",
        "().__class__.__base__.__subclasses__()",
        "[x for x in range(10**9)]",
        "lambda p: p",
        "9**9**9**9",
        "'a' * 10**10",
        "f'{__import__(\"os\")}'",
        "dict(activation_fn=os.system)",
        "dict(activation_fn=nn.ReLU.__init__.__globals__)",
        "dict(**{'a': open('/etc/passwd')})",
        "nn.Module",
        "(" * 5000 + ")" * 5000,
        "-" * 4000 + "1",
        "(a := 1)",
        "dict([1])",
    )
    for index, text in enumerate(expressions):
        yield Attack("A8", f"expression_{index}", "expression", text.encode())
    zoo = f"normalize: \"__import__('os').system('{touch}')\"\npolicy_kwargs: 'dict(a=eval(\"1\"))'\n"
    yield Attack("A8", "texts", "zoo", zoo.encode(), refused=False)
    yield Attack("A8", "class", "model", forge.kwargs(activation_fn="<class 'os.system'>"))
    yield Attack("A8", "dotted", "model", forge.kwargs(activation_fn="<class 'torch.nn.modules.os.system'>"))
    yield Attack("A8", "extractor", "model", forge.kwargs(features_extractor_class="<class 'antigravity.Extractor'>"))
    schedule = {**forge.serialized(), "value_schedule": f"ConstantSchedule(val=__import__('os').system('{touch}'))"}
    yield Attack("A8", "schedule", "model", forge.data(clip_range=schedule), refused=False)


def _archives(forge: Forge) -> Iterator[Attack]:
    """A14: zip files that write elsewhere, or that two readers would see differently."""
    yield Attack("A14", "above", "model", forge.named("../evil"))
    yield Attack("A14", "absolute", "model", forge.named("/tmp/evil"))
    yield Attack("A14", "backslash", "model", forge.named("..\\evil"))
    yield Attack("A14", "folder", "model", forge.named("data/"))
    yield Attack("A14", "link", "model", _renamed(forge.named("evil", mode=0o120777), b"evil", b"link"))
    yield Attack("A14", "device", "model", _marked(forge.good, 0o060666))
    yield Attack("A14", "link_of_data", "model", _marked(forge.good, 0o120777))
    yield Attack("A14", "twice", "model", _renamed(forge.named("datb"), b"datb", b"data"))
    yield Attack("A14", "nul", "model", _renamed(forge.named("datab"), b"datab", b"data\0"))
    at = forge.good.index(b"policy.pth")
    yield Attack("A14", "local_name", "model", forge.good[:at] + b"POLICY.pth" + forge.good[at + 10 :])
    start = at - 30
    yield Attack("A14", "local_method", "model", _patched(forge.good, start + 8, struct.pack("<H", 8)))
    yield Attack("A14", "local_crc", "model", _patched(forge.good, start + 14, b"abcd"))
    yield Attack("A14", "local_flags", "model", _patched(forge.good, start + 6, struct.pack("<H", 1)))
    yield Attack("A14", "before", "model", b"#!/bin/sh\n" + forge.good)
    yield Attack("A14", "after", "model", forge.good + b"trailing")
    yield Attack("A14", "two_archives", "model", forge.good + forge.good)
    yield Attack("A14", "overlap", "model", _overlapping(forge.good))
    yield Attack("A14", "inner_name", "model", forge.zip(policy_pth=_inner(forge, "archive/../../evil")))
    yield Attack("A14", "inner_code", "model", forge.zip(policy_pth=_inner(forge, "archive/constants.pkl")))


def _bombs(forge: Forge) -> Iterator[Attack]:
    """A15: little that becomes much."""
    zeros = bytes(1024 * MIB)
    yield Attack("A15", "policy", "model", forge.zip(compress=True, policy_pth=zeros))
    yield Attack("A15", "data", "model", forge.zip(compress=True, data=b" " * (16 * MIB)))
    yield Attack("A15", "system_info", "model", forge.zip(compress=True, system_info_txt=zeros[: 16 * MIB]))
    yield Attack("A15", "optimizer", "model", forge.zip(compress=True, **{"policy.optimizer_pth": zeros[: 16 * MIB]}))
    yield Attack(
        "A15", "inner", "model", forge.zip(policy_pth=forge.torch_zip(b"}.", {"0": zeros[: 16 * MIB]}, compress=True))
    )
    del zeros
    yield Attack("A15", "largest", "model", _largest(forge), refused=False)
    wide = forge.torch_zip(tensor_description(4, (10**6, 10**6), (0, 0)), {"0": bytes(16)})
    yield Attack("A15", "strides", "model", forge.zip(policy_pth=wide))
    for name, (count, shape, strides) in {
        "storage": (10**9, (4,), (1,)),
        "shape": (4, (10**9,), (1,)),
        "outside": (4, (2,), (10,)),
    }.items():
        content = forge.torch_zip(tensor_description(count, shape, strides), {"0": bytes(16)})
        yield Attack("A15", name, "model", forge.zip(policy_pth=content))
    yield Attack("A15", "entries", "model", forge.named(*(f"entry{index}" for index in range(20_000))))
    names = {f"{index}": b"" for index in range(20_000)}
    yield Attack("A15", "inner_entries", "model", forge.zip(policy_pth=forge.torch_zip(b"}.", names)))
    yield Attack("A15", "json_depth", "model", forge.text("[" * 200_000))
    yield Attack("A15", "json_objects", "model", forge.text('{"a":' * 100_000))
    yield Attack("A15", "json_number", "model", forge.text('{"gamma": ' + "9" * 1_000_000 + "}"))
    yield Attack("A15", "json_lists", "model", forge.text("[" + "[]," * 2_700_000 + "[]]"))
    for name, kwargs in {
        "wide": {"net_arch": [10**9]},
        "both": {"net_arch": [200_000, 200_000]},
        "many": {"net_arch": [8] * 100_000},
        "pair": {"net_arch": {"pi": [10**9, 10**9], "vf": [8]}},
    }.items():
        yield Attack("A15", f"network_{name}", "model", forge.kwargs(**kwargs))
    box = forge.fields["observation_space"]
    yield Attack("A15", "space", "model", forge.data(observation_space={**box, "_shape": [10**5, 10**5]}))
    yield Attack("A15", "space_axes", "model", forge.data(observation_space={**box, "_shape": [1] * 10_000}))
    yield Attack(
        "A15",
        "wide_space",
        "model",
        forge.data(observation_space={**box, "_shape": [2**22], "low": "[0.]", "high": "[1.]"}),
    )
    many = forge.data(action_space={**forge.fields["action_space"], "n": "99999999"})
    yield Attack("A15", "actions", "model", many)
    huge = b"\x80\x04" + b"]\x94" * 1_000_000 + b"."
    yield Attack("A15", "instructions", "vec_normalize", huge)
    yield Attack("A15", "sized", "vec_normalize", bytes(65 * MIB))
    word = pickle.dumps({"qtable": np.zeros((16, 4)), "laughs": "MARK"}, protocol=4)
    laughs = word.replace(b"\x8c\x04MARK\x94", _nested_tuples(60))
    yield Attack("A15", "laughs", "q_learning", laughs)
    shaped = forge.q_learning.replace(b"K\x10K\x04", b"K\xffK\xff")
    yield Attack("A15", "array_shape", "q_learning", shaped)
    alias = "a: &a [x,x,x,x,x,x,x,x]\n" + "".join(
        f"{chr(98 + i)}: &{chr(98 + i)} [{','.join(['*' + chr(97 + i)] * 8)}]\n" for i in range(9)
    )
    for reader in ("zoo", "config"):
        for name, text in {
            "alias": alias,
            "depth": "a: " + "[" * 3000,
            "braces": "{a: " * 20_000,
            "size": "a: " + "x" * 300_000,
            "keys": "? " * 20_000,
            "number": "a: " + "9" * 100_000 if reader == "zoo" else "a: [" + "[" * 60_000,
        }.items():
            yield Attack("A15", f"yaml_{name}_{reader}", reader, text.encode())


def _smuggling(forge: Forge) -> Iterator[Attack]:
    """A16: plain values that do harm later."""
    text = forge.entries["data"].decode()
    for name, changes in {
        "epochs": {"n_epochs": 10**9},
        "steps": {"n_steps": 10**12},
        "batch": {"batch_size": 10**300},
        "type": {"gamma": "0.99"},
        "boolean": {"gamma": True},
        "list": {"gamma": [0.99]},
        "negative": {"n_steps": -5},
        "expression": {"ent_coef": "__import__('os')"},
        "architecture": {"policy_kwargs": {"net_arch": "[8]"}},
        "layers": {"policy_kwargs": {"net_arch": [8.5]}},
        "kwargs": {"policy_kwargs": "net_arch"},
        "timesteps": {"num_timesteps": -1},
        "counter": {"_n_updates": "many"},
        "progress": {"_current_progress_remaining": 10**6},
        "sizes": {"policy_kwargs": {"net_arch": [True]}},
    }.items():
        yield Attack("A16", name, "model", forge.data(**changes))
    for word in ("NaN", "Infinity", "1e999"):
        yield Attack("A16", word, "model", forge.text(text.replace('"gamma": 0.99', f'"gamma": {word}')))
    yield Attack("A16", "twice", "model", forge.text(text.replace('"gamma": 0.99', '"gamma": 0.99, "gamma": 0.9')))
    yield Attack("A16", "name", "model", forge.data(rlzoo_algo="os:system", policy_class="os"))
    harmless = {
        "tensorboard_log": str(forge.canary),
        "seed": -1,
        "verbose": 10**9,
        "device": "cuda:99",
        "_logger": {"dir": str(forge.canary)},
        "processes": 10**9,
    }
    yield Attack("A16", "ignored", "model", forge.data(**harmless), refused=False)
    state = torch.load(io.BytesIO(forge.entries["policy.pth"]), weights_only=True)
    for name, value in (("nan", float("nan")), ("infinity", float("inf"))):
        poisoned = {key: torch.full_like(tensor, value) for key, tensor in state.items()}
        yield Attack("A16", f"weights_{name}", "model", forge.zip(policy_pth=tensors(**poisoned)))
    doubled = {key: tensor.double() for key, tensor in state.items()}
    yield Attack("A16", "dtype", "model", forge.zip(policy_pth=tensors(**doubled)))
    yield Attack("A16", "extra", "model", forge.zip(policy_pth=tensors(**state, more=torch.zeros(2))))
    yield Attack("A16", "missing", "model", forge.zip(policy_pth=tensors(**dict(list(state.items())[:-1]))))
    infinite = pickle.dumps({"qtable": np.zeros((2, 2)), "gamma": object}, protocol=4)
    yield Attack("A16", "value", "q_learning", infinite)
    at = forge.statistics.index(b"norm_obs\x94") + len(b"norm_obs\x94")
    yield Attack("A16", "statistics", "vec_normalize", forge.statistics[:at] + b"N" + forge.statistics[at + 1 :])


def _texts(forge: Forge) -> Iterator[Attack]:
    """A17: text that steers a terminal."""
    escape = "\x1b]0;owned\x07\x1b[2J\x1b[31m[red]\u202egnp\x9b1m\r\x08"
    yield Attack("A17", "system", "model", forge.zip(system_info_txt=escape.encode()), refused=False)
    yield Attack("A17", "version", "model", forge.zip(_stable_baselines3_version=escape.encode()), refused=False)
    yield Attack("A17", "field", "model", forge.data(**{f"{escape}field": forge.serialized()}), refused=False)
    yield Attack("A17", "entry", "model", forge.named(f"{escape}evil"))
    yield Attack("A17", "keyword", "model", forge.kwargs(**{f"{escape}word": 1}), refused=False)
    yield Attack("A17", "value", "model", forge.data(ent_coef=escape))
    yield Attack("A17", "tensor", "model", forge.zip(policy_pth=tensors(**{escape: torch.zeros(2)})))
    name = "\x80\x04\x8c\x03os\x1b\x8c\x07sys\x1b[2J\x93.".encode("latin1")
    yield Attack("A17", "global", "vec_normalize", name)
    yield Attack("A17", "tag", "zoo", b"a: !!python/name:os.%1B[2J ''")
    yield Attack("A17", "expression", "expression", f"'{escape}' + 1".encode())


def _damage(forge: Forge) -> Iterator[Attack]:
    """A20: broken files, which must not make anybody try another way of reading."""
    rng = np.random.default_rng(0)
    zoo = b"!!python/object/apply:collections.OrderedDict\n- - - batch_size\n    - 64\n  - - policy\n    - MlpPolicy\n"
    for reader, good in {
        "model": forge.good,
        "vec_normalize": forge.statistics,
        "q_learning": forge.q_learning,
        "tensors": forge.entries["policy.pth"],
    }.items():
        for cut in (0, 1, len(good) // 3, len(good) - 1):
            yield Attack("A20", f"cut_{cut}_{reader}", reader, good[:cut])
        for index in range(15):
            damaged = bytearray(good)
            for at in rng.integers(0, len(good), 1 + index % 3):
                damaged[at] ^= 1 << int(rng.integers(8))
            yield Attack("A20", f"flip_{index}_{reader}", reader, bytes(damaged), refused=False)
        yield Attack("A20", f"noise_{reader}", reader, rng.bytes(2000))
    for index in range(15):
        damaged = bytearray(zoo)
        damaged[int(rng.integers(len(zoo)))] = int(rng.integers(256))
        yield Attack("A20", f"flip_{index}_zoo", "zoo", bytes(damaged), refused=False)
    yield Attack("A20", "without_policy", "model", forge.zip(policy_pth=None))
    yield Attack("A20", "without_data", "model", forge.zip(data=None))
    yield Attack(
        "A20", "legacy_policy", "model", forge.zip(policy_pth=_saved(OrderedDict(a=torch.zeros(2)), legacy=True))
    )
    yield Attack("A20", "tensors_then_code", "model", forge.zip(policy_pth=forge.entries["policy.pth"] + forge.evil))


def _saved(value: Any, legacy: bool = False) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer, _use_new_zipfile_serialization=not legacy)
    return buffer.getvalue()


def _nested_tuples(depth: int) -> bytes:
    """Tuples of two equal tuples each: quick to write down, and endless to hash or to walk."""
    return b")q\x64" + b"".join(b"h" + bytes([100 + i]) + b"\x86q" + bytes([101 + i]) for i in range(depth))


def _largest(forge: Forge) -> bytes:
    """A network of 100 MiB that unpacks from little more than a hundredth of it: as much as is allowed."""
    state = torch.load(io.BytesIO(forge.entries["policy.pth"]), weights_only=True)
    wide = 5000
    state["mlp_extractor.policy_net.0.weight"] = torch.zeros(wide, 4)
    state["mlp_extractor.policy_net.0.bias"] = torch.zeros(wide)
    state["mlp_extractor.policy_net.2.weight"] = torch.zeros(wide, wide)
    state["mlp_extractor.policy_net.2.weight"][:80] = torch.randn(80, wide)
    state["mlp_extractor.policy_net.2.bias"] = torch.zeros(wide)
    state["action_net.weight"] = torch.zeros(2, wide)
    kwargs = {"net_arch": {"pi": [wide, wide], "vf": [8]}}
    data = json.dumps({**forge.fields, "policy_kwargs": kwargs}).encode()
    return forge.zip(compress=True, data=data, policy_pth=tensors(**state))


def _patched(content: bytes, at: int, new: bytes) -> bytes:
    return content[:at] + new + content[at + len(new) :]


def _renamed(content: bytes, old: bytes, new: bytes) -> bytes:
    return content.replace(old, new)


def _marked(content: bytes, mode: int) -> bytes:
    """Give the first entry, `data`, the mode of something that is not a file."""
    at = _directory(content)
    assert content[at + 46 :].startswith(b"data")
    return _patched(_patched(content, at + 5, b"\x03"), at + 38, struct.pack("<L", mode << 16))


def _overlapping(content: bytes) -> bytes:
    """Let the second entry of the table of contents be where the first is."""
    first = _directory(content)
    second = content.index(b"PK\x01\x02", first + 4)
    return _patched(content, second + 42, content[first + 42 : first + 46])


def _directory(content: bytes) -> int:
    """Where the table of contents begins."""
    at: int = struct.unpack("<L", content[-6:-2])[0]
    return at


def _inner(forge: Forge, name: str) -> bytes:
    buffer = io.BytesIO(forge.entries["policy.pth"])
    with zipfile.ZipFile(buffer, "a") as file:
        file.writestr(name, b"evil")
    return buffer.getvalue()

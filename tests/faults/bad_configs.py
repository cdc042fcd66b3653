"""Sixty bad requests, twelve of each kind, and what the command has to say about each."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from rlzoo.config import yaml_file
from rlzoo.config.compose import compose
from rlzoo.errors import ExitCode

RUN = "runs/ppo/CartPole-v1/20260101-000000_seed1_abcd"
"""A run of PPO that bad requests resume."""
CHILD = (
    "import sys; from rlzoo.cli.main import main; code = main(sys.argv[1:]); "
    "sys.exit(code + 64 * ('torch' in sys.modules))"
)
"""The command in an interpreter of its own; 64 on its exit code say that torch was imported."""


@dataclass(frozen=True)
class Bad:
    """A request with one mistake.

    Attributes:
        name: what is wrong.
        words: of `rlzoo train`.
        key: the key that is named; empty where a file is no YAML and has no keys.
        text: a part of what is said: the range, the kind, or the name that was meant.
        where: the file and line that is named.
        files: of the user, by path.
        code: the exit code.
    """

    name: str
    words: str
    key: str
    text: str
    where: str = "command line"
    files: dict[str, str | bytes] = field(default_factory=dict)
    code: ExitCode = ExitCode.WRONG_REQUEST


@dataclass(frozen=True)
class Said:
    """What the command did: exit code, standard error, CPU seconds, whether torch was imported, what is new on disk."""

    code: int
    text: str
    cpu: float
    torch: bool
    made: list[str]


def _env(name: str, text: str, where: str, content: str | bytes, key: str = "") -> Bad:
    return Bad(name, "env=Mine", key, text, f"conf/env/Mine.yaml{where}", {"conf/env/Mine.yaml": content})


def _tuned(name: str, text: str, where: str, content: str | bytes, key: str = "") -> Bad:
    place = "hyperparams/ppo/CartPole.yaml"
    return Bad(name, "algo=ppo env=CartPole", key, text, place + where, {place: content})


_HEAD = "defaults: [gym, _self_]\nid: CartPole-v1\n"
SYNTAX = [
    _env("a tab", "a tab", ":3:1", f"{_HEAD}\tsummary: x\n"),
    _env("two colons", "mapping values are not allowed", ":3:11", f"{_HEAD}summary: a: b\n"),
    _tuned("an unclosed quote", "unexpected end of stream", ":2:11", "algo:\n  policy: 'MlpPolicy\n"),
    _env("an unclosed bracket", "expected ',' or ']'", ":4:8", f"{_HEAD}imports: [a, b\nsummary: x\n"),
    _tuned("a key twice", "the key 'gamma' appears twice", ":3:3", "algo:\n  gamma: 0.9\n  gamma: 0.8\n"),
    _tuned("a wrong indent", "did not find expected key", ":3:2", "algo:\n  gamma: 0.9\n n_steps: 8\n"),
    _env("a byte order mark of UTF-16", "is not UTF-8 text", "", _HEAD.encode("utf-16")),
    _tuned("a NUL", "control characters are not allowed", "", b"algo:\n  gamma: \x00\n"),
    _env("a binary file", "is not UTF-8 text", "", bytes(range(128, 256))),
    _env("an empty file", "begin it with `defaults: [gym, _self_]`", "", "", key="env"),
    _tuned("a list at the top", "must hold keys and values, not a list", "", "- algo\n- env\n"),
    _tuned("an alias", "aliases (*name) are not allowed", ":1:7", "algo: &a {gamma: 0.9}\neval: *a\n"),
]
UNKNOWN = [
    Bad("a letter missing", "algo.learning_rat=1e-3", "algo.learning_rat", "'learning_rate'"),
    Bad("a letter more", "total_timestepss=5000", "total_timestepss", "'total_timesteps'"),
    Bad("letters exchanged", "eval.ferq=5", "eval.ferq", "'freq'"),
    Bad("a section misspelt", "chekpoint.freq=5", "chekpoint", "'checkpoint'"),
    Bad("of another section", "learning_rate=1e-3", "learning_rate", "'algo.learning_rate'"),
    Bad("nested too deeply", "env.eval.freq=5", "env.eval", "is not a known setting"),
    Bad("a hyphen", "algo.batch-size=64", "algo.batch-size", "'batch_size'"),
    _tuned(
        "British spelling",
        "'normalize_advantage'",
        ":2",
        "algo:\n  normalise_advantage: true\n",
        "algo.normalise_advantage",
    ),
    _env("American spelling", "'normalize'", ":3", f"{_HEAD}normalise: true\n", "env.normalise"),
    _tuned("of another algorithm", "unknown keyword", ":2", "algo:\n  buffer_size: 5\n", "algo.buffer_size"),
    _tuned(
        "inside of policy_kwargs",
        "'net_arch'",
        ":3",
        "algo:\n  policy_kwargs:\n    net_arc: [8]\n",
        "algo.policy_kwargs.net_arc",
    ),
    _env(
        "of a wrapper",
        "'max_steps'",
        ":5",
        f"{_HEAD}wrappers:\n  time_feature:\n    max_step: 84\n",
        "env.wrappers.time_feature",
    ),
]
TYPES = [
    Bad("text for a number", "algo.learning_rate=fast", "algo.learning_rate", "must be a number or a schedule"),
    Bad("a quoted number", "algo.learning_rate='1e-4'", "algo.learning_rate", "write the number without quotes"),
    Bad("a list for one value", "total_timesteps=[5000]", "total_timesteps", "must be a whole number"),
    Bad("a truth value for a number", "algo.n_steps=true", "algo.n_steps", "must be a whole number, not true"),
    Bad("null", "total_timesteps=null", "total_timesteps", "must be a whole number, not null"),
    _tuned("NaN", "must be a number, not nan", ":2", "algo:\n  gamma: .nan\n", "algo.gamma"),
    _tuned("infinity", "must be a number or a schedule", ":2", "algo:\n  learning_rate: .inf\n", "algo.learning_rate"),
    _tuned("a quoted whole number", "without quotes", ":2", "algo:\n  n_steps: '128'\n", "algo.n_steps"),
    _env("a fraction for a count", "must be a whole number", ":3", f"{_HEAD}n_envs: 2.5\n", "env.n_envs"),
    Bad("negative zero", "algo.learning_rate=-0.0", "algo.learning_rate", "must be greater than 0, not -0.0"),
    _tuned("a huge number", "must be a whole number", ":2", f"algo:\n  n_steps: 1{'0' * 400}\n", "algo.n_steps"),
    _env("a mapping for a list", "must be a list", ":3", f"{_HEAD}imports: {{a: 1}}\n", "env.imports"),
]
RANGES = [
    Bad("gamma 2", "algo.gamma=2", "algo.gamma", "must be at least 0 and at most 1, not 2"),
    _tuned(
        "a negative learning rate", "must be greater than 0", ":2", "algo:\n  learning_rate: -1\n", "algo.learning_rate"
    ),
    Bad("n_steps 0", "algo.n_steps=0", "algo.n_steps", "must be at least 1, not 0"),
    Bad(
        "a batch beyond the buffer",
        "algo=dqn algo.buffer_size=32 algo.batch_size=64",
        "algo.batch_size",
        "is 64, more than the 32",
    ),
    Bad(
        "a batch that leaves one step",
        "algo=ppo_lstm algo.n_steps=65 env.n_envs=1 algo.batch_size=64 hyperparams=none",
        "algo.batch_size",
        "64 leaves one step",
    ),
    Bad("no buffer", "algo=dqn algo.buffer_size=0", "algo.buffer_size", "must be at least 1, not 0"),
    Bad("a buffer of 10^12", "algo=dqn algo.buffer_size=1e12", "algo.buffer_size", "GiB"),
    Bad("negative steps", "total_timesteps=-5", "total_timesteps", "must be at least 1, not -5"),
    Bad("no evaluation to stop at", "eval.freq=0 stop.reward=100", "stop.reward", "set eval.freq"),
    Bad("tau 2", "algo=sac env=Pendulum algo.tau=2", "algo.tau", "greater than 0 and at most 1, not 2"),
    Bad(
        "no step to learn from",
        "algo=dqn total_timesteps=500 algo.learning_starts=500",
        "algo.learning_starts",
        "would never learn",
    ),
    _tuned(
        "a negative clip range",
        "must be greater than 0, not -0.2",
        ":2",
        "algo:\n  clip_range: -0.2\n",
        "algo.clip_range",
    ),
]
CROSS = [
    Bad("DQN on a Box", "algo=dqn env=Pendulum", "algo.name", "a2c, ddpg, ppo", "conf/algo/dqn.yaml:3"),
    Bad(
        "SAC on Discrete",
        "algo=sac env=CartPole",
        "algo.name",
        "a2c, dqn, ppo",
        "conf/algo/sac.yaml:3",
    ),
    Bad("CnnPolicy on vectors", "algo.policy=CnnPolicy", "algo.policy", "algo.policy=auto chooses"),
    _tuned("an LSTM with PPO", "algo=ppo_lstm", ":2", "algo:\n  policy: MlpLstmPolicy\n", "algo.policy"),
    Bad(
        "masks nobody gives",
        "algo=maskable_ppo env=CartPole",
        "env.id",
        "env=TaxiMasked has them",
        "conf/env/CartPole.yaml:3",
    ),
    Bad("HER without goals", "algo=dqn algo.replay_buffer_class=her", "algo.replay_buffer_class", "env=BitFlipping"),
    Bad("an environment misspelt", "env=LunarLandr", "env", "did you mean 'LunarLander'"),
    _env("an old version", "use env=Hopper", ":2", "defaults: [gym, _self_]\nid: Hopper-v3\n", "env.id"),
    Bad(
        "an extra that is missing",
        "env=Mine",
        "env.imports",
        "needs the module not_there_robotics",
        "conf/env/Mine.yaml:3",
        {"conf/env/Mine.yaml": f"{_HEAD}imports: [not_there_robotics]\n"},
        ExitCode.MISSING,
    ),
    Bad("an unknown algorithm", "algo=pppo", "algo", "did you mean 'ppo'"),
    _env("an unknown wrapper", "'flatten'", ":3", f"{_HEAD}wrappers: {{flaten: {{}}}}\n", "env.wrappers.flaten"),
    Bad(
        "to resume as another algorithm",
        f"resume={RUN} algo.name=a2c",
        "algo.name",
        "cannot change when a run is resumed",
    ),
]
KINDS = {"syntax": SYNTAX, "unknown keys": UNKNOWN, "types": TYPES, "ranges": RANGES, "cross checks": CROSS}


def lay_out(case: Bad, folder: Path) -> None:
    """Write what the case needs: the user's files, and the run where it resumes one."""
    files = dict(case.files)
    if "resume=" in case.words:
        files[f"{RUN}/config.yaml"] = yaml_file.dump(compose("train", ["algo=ppo", "env=CartPole"]).values)
        files[f"{RUN}/info.json"] = '{"status": "interrupted"}'
    for place, content in files.items():
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        (folder / place).write_bytes(content if isinstance(content, bytes) else content.encode())


def ask(case: Bad, folder: Path) -> Said:
    """Give the request to the real command in a new interpreter."""
    lay_out(case, folder)
    before = {str(path) for path in folder.rglob("*")}
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-c", CHILD, "train", *case.words.split()]
    with subprocess.Popen(
        command, cwd=folder, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, env=environment
    ) as child:
        assert child.stderr is not None
        text = child.stderr.read().decode()
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    made = sorted({str(path) for path in folder.rglob("*")} - before)
    cpu = usage.ru_utime + usage.ru_stime
    return Said(child.returncode % 64, text, cpu, child.returncode >= 64, made)


def judge(case: Bad, said: Said) -> list[str]:
    """What is wrong with what was said."""
    lines = said.text.splitlines()
    named = f"  {case.key}: " if case.key else "  "
    head = lines[1] if len(lines) > 1 else ""
    wrong = {
        f"exit code {said.code}, not {case.code}": said.code != case.code,
        "not one problem": lines[:1] != ["rlzoo: 1 problem with this request:"] or len(lines) > 3,
        f"the key {case.key} is not named": not (head.startswith(named) or head.startswith(f"  {case.key}.")),
        f"{case.where} is not named": case.where not in head,
        f"{case.text!r} is not said": case.text not in said.text,
        "torch was imported": said.torch,
        f"made {said.made}": bool(said.made),
    }
    return [f"{case.name}: {what}\n{said.text}" for what, is_so in wrong.items() if is_so]

"""The commands: one row each, from which their help, their options and the functions of `rlzoo` follow.

What a row does not say, its module does: `rlzoo/cli/commands/<name>.py` has a `main` made by `cli.command.command`, and
`conf/<name>.yaml` has its keys with their defaults and meanings. Standard library only.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

FLAGS = {"--json": "json", "-m": "multirun", "--dry-run": "dry_run", "--cfg": "config"}
"""Options that only some commands take, and the field of `Arguments` that each sets."""


class Row(NamedTuple):
    """One command.

    Attributes:
        summary: one line, most with an example.
        usage: the words that it takes.
        options: those of `FLAGS` that it takes.
        about: what neither of these says.
        function: the function of `rlzoo` that does the same, as `"module:function"`; empty if there is none.
        composes: the request that its words compose with groups, `train` or `tune`; empty for words without groups.
        own: words that belong to one call, never to the configuration that a run keeps, with their meanings.
    """

    summary: str
    usage: str
    options: tuple[str, ...] = ("--json",)
    about: str = ""
    function: str = ""
    composes: str = ""
    own: Mapping[str, str] = MappingProxyType({})


COMMANDS = {
    "train": Row(
        "train an agent: rlzoo train algo=dqn env=SpaceInvaders",
        "[group=choice ...] [key=value ...]",
        options=("-m", "--dry-run", "--cfg"),
        function="rlzoo.training.request:train",
        composes="train",
        own={
            "resume": "a run to resume; auto resumes the newest unfinished run of this request, or starts one",
            "trust": "true opens what init_from names, or resumes a run of others, which may run their code",
        },
    ),
    "tune": Row(
        "search hyperparameters: rlzoo tune algo=ppo env=CartPole n_trials=40 workers=2",
        "[group=choice ...] [key=value ...] [search_space.key=value ...]",
        options=("--dry-run", "--json"),
        function="rlzoo.tuning.search:tune",
        composes="tune",
    ),
    "tune report": Row(
        "what a study found, as a page with pictures: rlzoo tune report study=ppo-CartPole",
        "[study=...] [key=value ...]",
    ),
    "tune import": Row(
        "begin with the best trials of another study: rlzoo tune import storage=x.db algo=ppo env=Pong",
        "storage=... [from_study=...] [words of rlzoo tune ...]",
        options=("--dry-run", "--json"),
        about="""\
The words of rlzoo tune say which study is to begin with them; it is made, or gets them behind what it begins with. They
are run again and count like every trial: scores of another task, budget or seed are not believed. Studies of rl_zoo3
are taken too; a value outside of the search space becomes the closest one inside.""",
    ),
    "evaluate": Row(
        "play whole episodes with a trained agent: rlzoo evaluate run=latest",
        "[run=...] [key=value ...] [env.key=value ...]",
        function="rlzoo.play:evaluate",
    ),
    "enjoy": Row(
        "watch an agent play: rlzoo enjoy run=latest",
        "[run=...] [key=value ...] [env.key=value ...]",
        options=(),
        function="rlzoo.play:enjoy",
    ),
    "record": Row(
        "film an agent: rlzoo record run=latest",
        "[run=...] [key=value ...] [env.key=value ...]",
        function="rlzoo.play:record",
    ),
    "package": Row(
        "put everything to share an agent with into a folder: rlzoo package run=latest folder=my-agent",
        "[run=...] [folder=...] [key=value ...]",
        function="rlzoo.hub.package:package",
    ),
    "push-to-hub": Row(
        "share an agent on the Hugging Face Hub: rlzoo push-to-hub run=latest repo_id=me/ppo-CartPole-v1",
        "repo_id=user/name [run=...] [key=value ...]",
        function="rlzoo.hub.push:push_to_hub",
    ),
    "load-from-hub": Row(
        "get an agent from the Hugging Face Hub: rlzoo load-from-hub repo_id=sb3/ppo-CartPole-v1",
        "repo_id=user/name [key=value ...]",
        function="rlzoo.hub.pull:load_from_hub",
    ),
    "leaderboard": Row(
        "agents in order of their scores: rlzoo leaderboard env=CartPole",
        "[env=...] [key=value ...]",
        about="""\
The number that counts is mean - std. A run stands with its newest evaluation of at least n_episodes episodes on its own
environment: the one at the end of its training, or a later one by evaluate, package or push-to-hub.""",
    ),
    "certify": Row(
        "the assignments of the Deep RL Course, and the certificate: rlzoo certify name='Ada Lovelace'",
        "[run ...] [key=value ...]",
        about="""\
Words without `=` are runs, or folders with runs in them. A run counts with its newest evaluation of enough episodes
(`rlzoo evaluate run=… n_episodes=100`), a model of the Hub with what its card states.""",
    ),
    "doctor": Row(
        "what is installed and what is missing, each with the line that fixes it",
        "[runs_dir=...]",
        about="""\
Packages are loaded to see whether they work, which takes some seconds. The exit code is 3 if something is broken or
missing that every command needs; runs_dir= says where runs are to be written.""",
    ),
    "profile": Row(
        "where the time of a training goes, and what makes it faster here: rlzoo profile algo=dqn env=SpaceInvaders",
        "[group=choice ...] [key=value ...]",
        about="""\
Half of the seconds it trains, in a folder that does not stay, and looks a thousand times a second at what is running;
in the other half it tries changes in turn: more environments, processes, threads, the device. Run it with nothing
beside it.""",
        composes="train",
        own={
            "seconds": "how long all of it takes, 60 if not given",
            "page": "where the page with every call goes, profile.html if not given",
        },
    ),
    "reproduce": Row(
        "train a run's configuration once more and compare the curves: rlzoo reproduce run=latest",
        "[run=...] [key=value ...]",
    ),
    "verify-resume": Row(
        "whether a run's training can be resumed exactly, tried on a short copy: rlzoo verify-resume run=latest",
        "[run=...] [key=value ...]",
    ),
    "list": Row(
        "what there is: rlzoo list algos | envs | hyperparams | experiments | runs | hub",
        "algos | envs | hyperparams | experiments | runs | hub [key=value ...]",
        about="""\
envs takes algo= (those with a tuned set for it) and family=atari, hyperparams algo= and env=, runs runs_dir=, status=,
algo= and env=; hub takes user=, tag=, env=, algo= and n= (models to show, 20), and shows the scores that the models'
cards state, the best of each environment first. Columns that a screen has no room for are left out: wide=true shows all
of them. On a pipe every entry is one line, divided by tabs.""",
    ),
    "show": Row(
        "an algorithm: rlzoo show algo=ppo; a learned table: show run=latest; a request: show algo=ppo env=Pong",
        "algo=name | run=... [checkpoint=...] | [group=choice ...] [key=value ...]",
        about="""\
algo=name alone explains an algorithm: what it is, its paper, the file to read, every hyperparameter with its default,
its range and its meaning, the environments with a tuned set. run= shows the table of values that a run has learned, and
as a map where states are its cells; it takes checkpoint= and runs_dir= besides. Any other words are put together as
`rlzoo train` would, and every value of the result is shown with the file and line it came from.""",
        composes="train",
    ),
    "validate": Row(
        "check configuration files, rlzoo's own or yours, or an environment of yours by playing it",
        "[path ...] | env=... [env.*=value ...]",
        about="""\
Without words it checks all files, rlzoo's and yours, with paths those. env= and env.* name an environment as for `rlzoo
train`: it is made and played for some steps in a process of its own, with its pictures, action masks and the rewards of
its goals where it has them, and the environment checkers of Gymnasium and Stable-Baselines3 look at it too.""",
    ),
}
"""Every command. A name of two words is a command that the second word makes of the first."""


def functions() -> dict[str, str]:
    """The functions of `rlzoo` that commands have, by name."""
    return {name.replace("-", "_").replace(" ", "_"): row.function for name, row in COMMANDS.items() if row.function}

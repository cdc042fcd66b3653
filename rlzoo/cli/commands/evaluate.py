"""`rlzoo evaluate`: play whole episodes with a checkpoint of a run, on its own environment or a changed one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rlzoo.cli.commands.playing import KNOWN, WHO, Player, explained, player, split, who
from rlzoo.config.compose import parse_words
from rlzoo.config.parse import check
from rlzoo.config.schema import EvaluateConfig
from rlzoo.console import print_lines
from rlzoo.errors import ConfigError, ExitCode
from rlzoo.protocols import Evaluation
from rlzoo.runs.run import Run
from rlzoo.training.preflight import episode_problems

if TYPE_CHECKING:
    from rlzoo.cli.main import Arguments


def main(arguments: Arguments) -> int:
    from rlzoo.cli.commands.results import print_results

    env_words, others = split(arguments.words)
    cfg = parse_words("evaluate", others, EvaluateConfig, episode_problems)
    asked = {key: value for key, value in asdict(cfg).items() if key not in WHO}
    found = player(env_words=env_words, **who(cfg, arguments.words))
    _, entry = _play(found, checkpoint=cfg.checkpoint, trust=cfg.trust, **asked)
    if arguments.json:
        by = {"run": str(found.run.path)} if found.run is not None else {"policy": cfg.policy}
        print(json.dumps({**by, **entry}, allow_nan=False))
        return ExitCode.DONE
    print_results([entry])
    print_lines("nothing was written" if found.run is None else f"appended to {found.run.results_file}")
    return ExitCode.DONE


def evaluate(  # noqa: PLR0913 - the keys of conf/evaluate.yaml
    run: Run | Path | str | None = None,
    *env_words: str,
    policy: Literal["random"] | None = None,
    env: str | None = None,
    algo: str | None = None,
    file: str | None = None,
    checkpoint: str | None = None,
    n_episodes: int | None = None,
    n_timesteps: int | None = None,
    seeds: Sequence[int] | None = None,
    deterministic: bool | Literal["auto"] = "auto",
    n_envs: int = 1,
    device: str = "auto",
    trust: bool = False,
) -> Evaluation:
    """Play whole episodes with a checkpoint and append the result to the run's results.json.

    Args:
        run: a run, its directory, `"latest"` or `"algo/env"`; a package's folder or a file of weights, which becomes a
            run below `hub/local`. By default the newest run.
        env_words: changes to the run's environment: `"env.kwargs.gravity=-5"`.
        policy: `"random"` instead of a run: every action is equally likely, and nothing is written.
        env: where that acts; or the environment of a package or a file that does not say it.
        algo: the algorithm of a file that does not say it.
        file: the file with the weights, in a package of several.
        checkpoint: `"best"`, `"last"` or a step; by default the last, or `best` if that was shown to be better.
        n_episodes: episodes to play; by default as many as the run's final evaluation has.
        n_timesteps: play this many steps over all environments instead, and count the episodes that ended.
        seeds: one seed for each episode; by default the run's `eval.seeds`, or those that count up from its
            `eval.seed`.
        deterministic: greedy or sampled actions; `"auto"` follows the environment.
        n_envs: environments side by side, each with a fixed share of the episodes.
        device: where the policy runs.
        trust: use a run that was not made here although it names modules to import, and unpickle what the safe
            readers refuse.

    Raises:
        RlzooError: if the run or checkpoint does not exist or is damaged, or the changed environment is wrong or fails.
    """
    said: dict[str, Any] = {"policy": policy, "env": env, "algo": algo, "file": file}
    found = player(run, env_words, checkpoint=checkpoint, trust=trust, **said)
    asked: dict[str, Any] = {"n_episodes": n_episodes, "n_timesteps": n_timesteps, "seeds": seeds}
    asked |= {"deterministic": deterministic, "n_envs": n_envs, "device": device}
    return _play(found, checkpoint=checkpoint, trust=trust, **asked)[0]


def _play(
    found: Player, *, checkpoint: str | None, trust: bool, seeds: Sequence[int] | None, **asked: Any
) -> tuple[Evaluation, dict[str, Any]]:
    """The evaluation, and its entry in results.json, which is appended if there is a run."""
    import numpy as np

    from rlzoo.evaluation.agent import Agent
    from rlzoo.evaluation.evaluate import summary
    from rlzoo.training.callbacks.interrupt import leaving_at_once

    seeds = None if seeds is None else np.asarray(seeds).tolist()
    values = {**KNOWN, "checkpoint": checkpoint, "trust": trust, "seeds": seeds, **asked}
    if problems := [*check(EvaluateConfig, values)[1], *episode_problems(values)]:
        raise ConfigError(problems)
    if found.run is not None:
        found.run.read_results()  # a damaged one is found before the episodes are played
    device, n_timesteps = asked.pop("device"), asked["n_timesteps"]
    with leaving_at_once("nothing was recorded"), explained("evaluation"):
        actor = found.actor(checkpoint, device, asked["deterministic"])
        asked["n_episodes"] = len(seeds) if seeds else asked["n_episodes"]
        evaluation = actor.evaluate(seeds=seeds, **asked)
    agent = actor if isinstance(actor, Agent) else None
    entry: dict[str, Any] = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "source": "evaluate",
        "checkpoint": actor.name,
        "num_timesteps": None if agent is None else agent.num_timesteps,
        "trained_timesteps": None if agent is None else agent.run.trained_timesteps(agent.num_timesteps),
        "mode": "episodes" if n_timesteps is None else "timesteps",
        **({"n_timesteps": n_timesteps} if n_timesteps is not None else {}),
        **({"env": list(found.env_words)} if found.env_words else {}),
        **({"trusted": True} if trust else {}),
        **summary(evaluation),
    }
    if agent is not None:
        agent.run.append_result(entry)
    return evaluation, entry

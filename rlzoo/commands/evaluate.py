"""`rlzoo evaluate`: play whole episodes with a checkpoint of a run, on its own environment or a changed one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rlzoo.commands.playing import changed_config, explained
from rlzoo.config import overrides, paths
from rlzoo.config.compose import override
from rlzoo.config.parse import check
from rlzoo.config.schema import EvaluateConfig
from rlzoo.console import print_lines
from rlzoo.errors import ConfigError, ExitCode, Problem
from rlzoo.preflight import device_problems
from rlzoo.protocols import Evaluation
from rlzoo.runs import Run

if TYPE_CHECKING:
    from rlzoo.cli import Arguments


def main(arguments: Arguments) -> int:
    from rlzoo.commands.results import print_results

    env_words = [word for word in arguments.words if overrides.key_of(word).startswith("env.")]
    request = override(paths.root() / "conf" / "evaluate.yaml", [w for w in arguments.words if w not in env_words])
    cfg, problems = check(EvaluateConfig, request.values)
    if request.problems or problems or cfg is None:
        raise ConfigError([request.locate(problem) for problem in (*request.problems, *problems)])
    run = Run.open(cfg.run, cfg.runs_dir)
    evaluate(
        run,
        *env_words,
        checkpoint=cfg.checkpoint,
        n_episodes=cfg.n_episodes,
        n_timesteps=cfg.n_timesteps,
        seeds=cfg.seeds,
        deterministic=cfg.deterministic,
        n_envs=cfg.n_envs,
        device=cfg.device,
        trust=cfg.trust,
    )
    entry = run.read_results()[-1]
    if arguments.json:
        print(json.dumps({"run": str(run.path), **entry}, allow_nan=False))
        return ExitCode.DONE
    print_results([entry])
    print_lines(f"appended to {run.results_file}")
    return ExitCode.DONE


def evaluate(
    run: Run | Path | str,
    *env_words: str,
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
        run: a run, its directory, `"latest"` or `"algo/env"`.
        env_words: changes to the run's environment: `"env.kwargs.gravity=-5"`.
        checkpoint: `"best"`, `"last"` or a step; by default the last, or `best` if that was shown to be better.
        n_episodes: episodes to play; by default as many as the run's final evaluation has.
        n_timesteps: play this many steps over all environments instead, and count the episodes that ended.
        seeds: one seed for each episode; by default the run's `eval.seeds`, or those that count up from its
            `eval.seed`.
        deterministic: greedy or sampled actions; `"auto"` follows the environment.
        n_envs: environments side by side, each with a fixed share of the episodes.
        device: where the policy runs.
        trust: use a run that was not made here although it names modules to import.

    Raises:
        RlzooError: if the run or checkpoint does not exist or is damaged, or the changed environment is wrong or fails.
    """
    import numpy as np

    from rlzoo.agent import load
    from rlzoo.callbacks.interrupt import leaving_at_once
    from rlzoo.console import say
    from rlzoo.evaluation import summary

    run = run if isinstance(run, Run) else Run.open(run)
    run.find_checkpoint()  # there is one, or this says so before anything else
    cfg = changed_config(run, env_words, trust)
    seeds = None if seeds is None else np.asarray(seeds).tolist()
    settings = {"checkpoint": checkpoint, "n_episodes": n_episodes, "n_timesteps": n_timesteps, "seeds": seeds}
    settings |= {"deterministic": deterministic, "n_envs": n_envs, "device": device, "trust": trust}
    _, problems = check(EvaluateConfig, {"run": str(run.path), "runs_dir": "", **settings})
    if not problems:
        problems += device_problems(device)
    if seeds == []:
        problems.append(Problem("seeds", "is empty", "null takes the run's own"))
    if problems:
        raise ConfigError(problems)
    run.read_results()  # a damaged one is found before the episodes are played
    with leaving_at_once("nothing was recorded"), explained("evaluation"):
        agent = load(run, checkpoint, device=device, config=cfg)
        found = agent.checkpoint
        greedy = agent.is_deterministic(deterministic)
        say(f"run {run.path}, checkpoint {found.name}, {'deterministic' if greedy else 'sampled'} actions")
        evaluation = agent.evaluate(
            n_episodes=len(seeds) if seeds else n_episodes,
            n_timesteps=n_timesteps,
            seeds=seeds,
            deterministic=greedy,
            n_envs=n_envs,
        )
    entry: dict[str, Any] = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "source": "evaluate",
        "checkpoint": found.name,
        "num_timesteps": agent.num_timesteps,
        "trained_timesteps": run.trained_timesteps(agent.num_timesteps),
        "mode": "episodes" if n_timesteps is None else "timesteps",
        **({"n_timesteps": n_timesteps} if n_timesteps is not None else {}),
        **({"env": list(env_words)} if env_words else {}),
        **({"trusted": True} if trust else {}),
        **summary(evaluation),
    }
    run.append_result(entry)
    return evaluation

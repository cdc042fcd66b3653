"""Run directories with results of given numbers, written as a training writes them, without training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rlzoo.runs.run import Run


def entry(mean: Any, std: Any, n: Any = 10, *, source: str = "train", checkpoint: str = "best", **more: Any) -> dict:
    numbers = {"mean_reward": mean, "std_reward": std, "n_episodes": n, "iqm": mean, "iqm_ci": [mean, mean]}
    start = {"date": "2026-11-20T10:00:00+00:00", "source": source, "checkpoint": checkpoint, "num_timesteps": 1000}
    return {**start, **numbers, "deterministic": True, **more}


def make_run(
    root: Path, algo: str, env_id: str, entries: list[dict], *, seed: int = 0, kwargs: dict | None = None, **more: Any
) -> Run:
    run = Run.create(root, algo=algo, env_id=env_id, seed=seed)
    run.write_config({"algo": {"name": algo}, "env": {"id": env_id, "kwargs": kwargs or {}}, "seed": seed, **more})
    run.write_info({"status": "finished"})
    for made in entries:
        run.append_result(made)
    return run

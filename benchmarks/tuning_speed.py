"""`rlzoo tune` beside rl_zoo3's own tuning: trials per CPU hour, and what one worker and two finish in an hour.

Usage: `python -m benchmarks.tuning_speed --zoo FOLDER [--chunks 4] [--trials 3] [--pruner none]`. FOLDER holds rl_zoo3
(`pip install --no-deps --target FOLDER rl_zoo3==2.9.2 pytablewriter seaborn`); it is found before what is installed
here, so that torch, Stable-Baselines3, gymnasium and numpy are the same files on both sides. A chunk is one process of
each side with the same trials, in turn: `rlzoo tune` draws them at random from a space that both have, and they are put
into the queue of rl_zoo3's study, whose code is unchanged. Counted is the CPU time of the process and its children.
A last process of each side runs the first chunk again with clocks inside (`parts`). The result is written to
`results/tuning_speed.json`.

`python -m benchmarks.tuning_speed --workers --steps 250000 --trials 6` runs the same study with one worker and with two
on CartPole, in turn (`--chunks` times), and measures wall time: for an idle machine and trials of a minute or more.
Where other processes take more than a few percent of the machine, it says so instead of a number.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
from contextlib import suppress
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

HERE = Path(__file__).parents[1]
RESULTS = HERE / "benchmarks" / "results" / "tuning_speed.json"
N_EVALUATIONS, N_EPISODES = 10, 5
SPACE = {
    "learning_rate": "{type: float, low: 1.0e-5, high: 2.0e-3, log: true}",
    "n_steps": "{type: power_of_two, low: 32, high: N_STEPS}",
    "batch_size": "{type: power_of_two, low: BATCH, high: 1024}",
    "n_epochs": "{type: choice, values: [1, 5, 10, 20]}",
    "gamma": "{type: one_minus, low: 1.0e-4, high: 0.03}",
    "gae_lambda": "{type: one_minus, low: 1.0e-4, high: 0.1}",
    "clip_range": "{type: choice, values: [0.1, 0.2, 0.3, 0.4]}",
    "ent_coef": "{type: float, low: 1.0e-8, high: 0.1, log: true}",
    "max_grad_norm": "{type: float, low: 0.3, high: 2.0}",
}
"""rl_zoo3's, with the bounds of the two numbers that say how long a trial takes given on the command line."""
FIRST = {
    "learning_rate": 3e-4, "log2_n_steps": 5, "log2_batch_size": 9, "n_epochs": 1, "one_minus_gamma": 0.01,
    "one_minus_gae_lambda": 0.05, "clip_range": 0.2, "ent_coef": 1e-3, "max_grad_norm": 0.5, "net_arch": "tiny",
    "activation_fn": "tanh",
}  # fmt: skip
"""The one trial of a process that is to show what starting takes."""
LOAD = 0.05
"""Share of the machine that others may take while wall time is measured."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--zoo", type=Path, help="folder in which rl_zoo3 is installed")
    parser.add_argument("--chunks", type=int, default=4, help="processes of each side")
    parser.add_argument("--trials", type=int, default=3, help="trials of a process")
    parser.add_argument("--steps", type=int, default=16_384, help="environment steps of a trial")
    parser.add_argument(
        "--n-envs", type=int, default=16, help="environments side by side; both have 16 for LunarLander"
    )
    parser.add_argument("--smallest-batch", type=int, default=16)
    parser.add_argument("--pruner", choices=["none", "median"], default="none")
    parser.add_argument("--evaluations", type=int, default=N_EVALUATIONS, help="evaluations of a trial")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", action="store_true", help="one worker beside two, by wall time")
    arguments = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        if arguments.workers:
            keep("workers", workers(arguments.steps, arguments.trials, arguments.chunks))
        else:
            name = f"pruner {arguments.pruner}, {arguments.evaluations} evaluations, {arguments.n_envs} environments"
            keep(name, beside(arguments))


def keep(name: str, result: dict[str, Any]) -> None:
    results = json.loads(RESULTS.read_text()) if RESULTS.is_file() else {}
    results[name] = result
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    print(json.dumps({key: value for key, value in result.items() if key != "trials"}, indent=1))


class Side:
    """One of the two programs, in processes of its own.

    Attributes:
        cpu: CPU seconds of each process.
    """

    def __init__(self, name: str, arguments: argparse.Namespace, study: str) -> None:
        self.name, self.study, self.cpu = name, study, []
        self._arguments = arguments
        self._environment = dict(os.environ)
        paths = [HERE] if name == "rlzoo" else [arguments.zoo.absolute(), sysconfig.get_path("purelib"), HERE]
        self._environment["PYTHONPATH"] = os.pathsep.join(map(str, paths))

    def run(self, n_trials: int, *, parts: str = "", steps: int = 0) -> float:
        """CPU seconds of a process that runs trials, up to `n_trials` in all (rl_zoo3: so many more)."""
        words = [sys.executable, "-W", "ignore"]
        words += ["-m", "benchmarks.tuning_parts", parts] if parts else ["-m"]
        words += self._ours(n_trials, steps) if self.name == "rlzoo" else self._zoo(n_trials, steps)
        with Path(f"{self.study}.log").open("ab") as log:
            process = subprocess.Popen(words, env=self._environment, stdout=log, stderr=log)
            _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        return usage.ru_utime + usage.ru_stime

    def _ours(self, n_trials: int, steps: int) -> list[str]:
        given = self._arguments
        steps = steps or given.steps
        bounds = {"N_STEPS": steps // given.n_envs, "BATCH": given.smallest_batch}
        space = []
        for key, text in SPACE.items():
            for name, value in bounds.items():
                text = text.replace(name, str(value))
            space.append(f"search_space.{key}={text}")
        return [
            "rlzoo", "tune", "algo=ppo", "env=LunarLander", "hyperparams=none", f"env.n_envs={given.n_envs}", *space,
            f"total_timesteps={steps}", f"eval.freq={steps // given.evaluations}", f"eval.n_episodes={N_EPISODES}",
            "objective=last", "n_last=1", f"n_trials={n_trials}", f"study={self.study}", "sampler=random",
            f"pruner={given.pruner}", "enqueue=[]", "top_k=0", "device=cpu", "torch_threads=1", f"seed={given.seed}",
        ]  # fmt: skip

    def _zoo(self, n_trials: int, steps: int) -> list[str]:
        given = self._arguments
        return [
            "rl_zoo3.train", "--algo", "ppo", "--env", "LunarLander-v3", "--optimize-hyperparameters",
            "-n", str(steps or given.steps), "--n-trials", str(n_trials), "--n-evaluations", str(given.evaluations),
            "--eval-episodes", str(N_EPISODES), "--n-jobs", "1", "--sampler", "random", "--pruner", given.pruner,
            "--storage", self.storage, "--study-name", self.study, "--num-threads", "1", "--device", "cpu",
            "-params", f"n_envs:{given.n_envs}", "--no-optim-plots", "--seed", str(given.seed),
            "-f", f"{self.study}-logs",
        ]  # fmt: skip

    @property
    def storage(self) -> str:
        path = Path("studies", self.study, "study.db") if self.name == "rlzoo" else Path(f"{self.study}.db")
        return f"sqlite:///{path}"

    def trials(self) -> list[Any]:
        """Its trials that were trained, in order."""
        import optuna

        from rlzoo.tuning.progress import state

        study = optuna.load_study(study_name=self.study, storage=self.storage)
        return [trial for trial in study.trials if state(trial) in ("complete", "pruned")]


def enqueue(zoo: Side, trials: list[dict[str, Any]]) -> None:
    """Put trials of ours at the head of rl_zoo3's study."""
    import optuna

    study = optuna.create_study(study_name=zoo.study, storage=zoo.storage, direction="maximize", load_if_exists=True)
    for params in trials:
        study.enqueue_trial(zoo_params(params))


def zoo_params(params: dict[str, Any]) -> dict[str, Any]:
    """Parameters of a trial of ours by rl_zoo3's names."""
    names = {"log2_n_steps": "n_steps_pow", "log2_batch_size": "batch_size_pow"}
    return {names.get(key, key): value for key, value in params.items()}


def beside(arguments: argparse.Namespace) -> dict[str, Any]:
    """Both sides on the same trials, chunk by chunk."""
    ours, zoo = Side("rlzoo", arguments, "ours"), Side("rl_zoo3", arguments, "zoo")
    cpu: dict[str, list[float]] = {"rlzoo": [], "rl_zoo3": []}
    for chunk in range(1, arguments.chunks + 1):
        cpu["rlzoo"].append(ours.run(chunk * arguments.trials))
        enqueue(zoo, [trial.params for trial in ours.trials()[-arguments.trials :]])
        cpu["rl_zoo3"].append(zoo.run(arguments.trials))
        print(f"chunk {chunk}: {cpu['rlzoo'][-1]:.1f} and {cpu['rl_zoo3'][-1]:.1f} CPU seconds", flush=True)
    pairs = list(zip(ours.trials(), zoo.trials(), strict=True))
    assert all(zoo_params(a.params) == b.params for a, b in pairs), "the trials are not the same"
    begun = {side.name: started(side.name, arguments) for side in (ours, zoo)}
    parts = {side.name: measured_parts(side.name, arguments, pairs) for side in (ours, zoo)}
    return {
        **circumstances(arguments),
        **rates(cpu, begun, len(pairs)),
        "parts of the first chunk once more, CPU seconds": parts,
        "trials": [{"params": a.params, "rlzoo": a.value, "rl_zoo3": b.value} for a, b in pairs],
    }


def rates(cpu: dict[str, list[float]], begun: dict[str, float], n_trials: int) -> dict[str, Any]:
    total = {name: sum(seconds) for name, seconds in cpu.items()}
    warm = {name: total[name] - len(cpu[name]) * begun[name] for name in cpu}
    chunks = [b / a for a, b in zip(cpu["rlzoo"], cpu["rl_zoo3"], strict=True)]
    return {
        "trials per CPU hour": {name: round(3600 * n_trials / total[name], 1) for name in cpu},
        "times rl_zoo3": round(total["rl_zoo3"] / total["rlzoo"], 3),
        "times rl_zoo3, median of chunks": round(statistics.median(chunks), 3),
        "trials per CPU hour without start-up": {name: round(3600 * n_trials / warm[name], 1) for name in cpu},
        "times rl_zoo3 without start-up": round(warm["rl_zoo3"] / warm["rlzoo"], 3),
        "start-up, CPU seconds": {name: round(seconds, 2) for name, seconds in begun.items()},
        "CPU seconds of chunks": {name: [round(each, 2) for each in seconds] for name, seconds in cpu.items()},
    }


def started(name: str, arguments: argparse.Namespace) -> float:
    """CPU seconds of a process with one trial of one short rollout: the least of three."""
    found = []
    for k in range(3):
        side = Side(name, arguments, f"{name}-start-{k}")
        if name == "rl_zoo3":
            enqueue(side, [FIRST])
        found.append(side.run(1, steps=32 * arguments.n_envs))
    return min(found)


def measured_parts(name: str, arguments: argparse.Namespace, pairs: list[Any]) -> dict[str, Any]:
    side = Side(name, arguments, f"{name}-parts")
    trials = [a.params for a, _ in pairs[: arguments.trials]]
    if name == "rl_zoo3":
        enqueue(side, trials)
    side.run(len(trials), parts=f"{name}.json")
    found = json.loads(Path(f"{name}.json").read_text())
    before = [pair[name == "rl_zoo3"].value for pair in pairs[: len(trials)]]
    return {**found, "same scores as before": [trial.value for trial in side.trials()] == before}


def circumstances(arguments: argparse.Namespace) -> dict[str, Any]:
    return {
        "task": "PPO of Stable-Baselines3 on LunarLander-v3, random sampler, SQLite, one thread, greedy evaluations, "
        "none after the training, no fresh seeds for the best",
        **{key: getattr(arguments, key) for key in ("n_envs", "steps", "evaluations", "pruner", "seed")},
        "episodes of an evaluation": N_EPISODES,
        "trials": arguments.chunks * arguments.trials,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the end",
        "versions": {name: version(name) for name in ("torch", "stable_baselines3", "gymnasium", "numpy", "optuna")},
    }


def workers(steps: int, n_trials: int, repeats: int) -> dict[str, Any]:
    """The same study with one worker and with two, in turn; its trials differ in a number that takes no time."""
    runs: dict[str, list[dict[str, float]]] = {"1": [], "2": []}
    for repeat in range(repeats):
        for n_workers in runs:
            runs[n_workers].append(timed_study(n_workers, f"workers-{n_workers}-{repeat}", steps, n_trials))
            print(f"{n_workers} workers: {runs[n_workers][-1]}", flush=True)
    others = max(run["share of others"] for run in runs["1"] + runs["2"])
    result: dict[str, Any] = {
        "task": f"PPO on CartPole, {steps} steps a trial, {n_trials} trials, one thread",
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "runs": runs,
    }
    if others > LOAD:
        said = f"not measurable under load: others took up to {others:.0%} of the machine, at most {LOAD:.0%} may be"
        return {**result, "times one worker": said}
    for name in ("trials per hour", "trials per hour without start-up"):
        rates = {n: statistics.median(run[name] for run in found) for n, found in runs.items()}
        result[f"two workers over one, {name}"] = round(rates["2"] / rates["1"], 3)
    return result


def timed_study(n_workers: str, study: str, steps: int, n_trials: int) -> dict[str, float]:
    fixed = {"n_steps": 256, "batch_size": 64, "n_epochs": 10}
    words = [sys.executable, "-m", "rlzoo", "tune", "algo=ppo", "env=CartPole", "hyperparams=none"]
    words += [f"algo.{key}={value}" for key, value in fixed.items()]
    searched = "n_steps batch_size n_epochs gamma gae_lambda clip_range ent_coef max_grad_norm net_arch activation_fn"
    words += [f"search_space.{key}=null" for key in searched.split()] + ["search_space.constraints=null"]
    words += [f"total_timesteps={steps}", f"n_trials={n_trials}", f"workers={n_workers}", f"study={study}", "seed=1"]
    words += ["sampler=random", "pruner=none", "enqueue=[]", "top_k=0", "device=cpu", "torch_threads=1"]
    began, busy = time.monotonic(), machine_seconds()
    with Path(f"{study}.log").open("wb") as log:
        process = subprocess.Popen(words, env={**os.environ, "PYTHONPATH": str(HERE)}, stdout=log, stderr=log)
        own = watched(process)
    assert process.returncode == 0, Path(f"{study}.log").read_text()
    seconds, busy = time.monotonic() - began, machine_seconds() - busy
    records = [json.loads(path.read_text()) for path in Path("studies", study, "trials").glob("*.json")]
    times = [datetime.fromisoformat(record[key]) for record in records for key in ("began", "ended")]
    return {
        "seconds": round(seconds, 1),
        "seconds of a trial": round(statistics.median(record["seconds"] for record in records), 1),
        "trials per hour": round(3600 * n_trials / seconds, 2),
        "trials per hour without start-up": round(3600 * n_trials / (max(times) - min(times)).total_seconds(), 2),
        "share of others": round(max(0.0, busy - own) / (seconds * (os.cpu_count() or 1)), 3),
    }


def watched(process: subprocess.Popen[bytes]) -> float:
    """Wait for a process; CPU seconds of it and all below it, to within the half second between two looks."""
    import psutil

    taken: dict[int, float] = {}
    while process.poll() is None:
        with suppress(psutil.Error):
            root = psutil.Process(process.pid)
            for each in (root, *root.children(recursive=True)):
                with suppress(psutil.Error):
                    taken[each.pid] = each.cpu_times().user + each.cpu_times().system
        time.sleep(0.5)
    return sum(taken.values())


def machine_seconds() -> float:
    """CPU seconds that all processes of this machine have taken since it started."""
    import psutil

    times = psutil.cpu_times()
    return sum(times) - times.idle - getattr(times, "iowait", 0.0) - getattr(times, "guest", 0.0)


if __name__ == "__main__":
    main()

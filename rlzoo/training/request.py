"""A request to train: composed, checked, and carried out here or by a launcher, as a new run or one that is resumed."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rlzoo.config.compose import Composition, compose, expand_jobs
from rlzoo.config.overrides import key_of
from rlzoo.config.parse import dump, parse
from rlzoo.config.quoting import unquoted
from rlzoo.console import print_lines, print_table, say
from rlzoo.envs import probe
from rlzoo.errors import ConfigError, ExitCode, Problem, RlzooError
from rlzoo.evaluation.evaluate import print_results
from rlzoo.redaction import redact_values
from rlzoo.runs.config import RunConfig
from rlzoo.runs.run import Run, write_text
from rlzoo.training import resume
from rlzoo.training.preflight import Request, check, find_problems

AUTO = "auto"
"""`resume=auto` resumes the newest unfinished run of the same configuration, or starts one."""

OWN_WORDS = ("resume", "trust")
"""Words that belong to one call of the command, never to the configuration that a run keeps."""

MAX_SEEDS = 1000
"""Seeds that `n_seeds` trains at most."""


def train(*words: str) -> Run:
    """Train one agent, as `rlzoo train` does.

    Args:
        words: settings as on the command line: `"algo=ppo"`, `"env=CartPole"`, `"seed=1"`.

    Returns:
        The run: its directory, results and checkpoints.

    Raises:
        ConfigError: naming everything that is wrong with the request; nothing was started or written.
        RlzooError: if the training fails; its run directory says how far it came.
    """
    own, rest = split(words)
    if own.get("resume", AUTO) != AUTO:
        return resume_named(words).run
    requests = check_all(plan(rest, multirun=False))
    if len(requests) > 1:
        raise RlzooError("rlzoo.train trains one agent", "call it once for each seed, or use: rlzoo train n_seeds=…")
    return train_one(requests[0], own).run


@dataclass(frozen=True)
class Trained:
    """A run, and the evaluations that its training added; None if it had finished before."""

    run: Run
    evaluations: list[dict[str, Any]] | None

    def show(self) -> None:
        """Print it for people."""
        if self.evaluations is not None:
            print_results(self.evaluations)
            print_lines(f"run: {self.run.path}")


def resume_named(words: Sequence[str]) -> Trained:
    """Resume the run that `resume=` names; the other words change its settings."""
    run, cfg, changes = resume.request(words)
    before = len(run.read_results())
    return Trained(run, run.read_results()[before:] if resume.resume_run(run, cfg, changes) else None)


def train_one(request: Request, own: Mapping[str, str]) -> Trained:
    """Train a request here."""
    done = run_job(job_of(request, own))
    return Trained(Run(Path(done["run"])), done["result"]["evaluations"])


def split(words: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """The words that are not settings of a training, by key, and all others."""
    own = {key_of(word): unquoted(word.partition("=")[2]) for word in words if key_of(word) in OWN_WORDS}
    if own.get("trust", "false") not in ("true", "false"):
        raise ConfigError([Problem("trust", f"must be true or false, not {own['trust']!r}", where="command line")])
    return own, [word for word in words if key_of(word) not in OWN_WORDS]


def plan(words: Sequence[str], *, multirun: bool, resumes: bool = False) -> list[Composition]:
    """Compose every job that the words ask for: the combinations of a sweep, and each of `n_seeds` seeds.

    With `resumes`, jobs have to be such that each finds its own run again.
    """
    jobs, problems = expand_jobs(words) if multirun else ([list(words)], [])
    if problems:
        raise ConfigError(problems)
    compositions = [compose("train", job) for job in jobs]
    seeded = [each for composition in compositions for each in _with_seeds(composition)]
    if resumes and len(seeded) > 1 and any(composition.values.get("seed") is None for composition in compositions):
        message = "is null, but resume=auto tells the runs of several jobs by their seeds"
        raise ConfigError([compositions[0].locate(Problem("seed", message, "give one: seed=0"))])
    return seeded


def _with_seeds(composition: Composition) -> list[Composition]:
    n_seeds, seed = (_whole(composition.values.get(key)) for key in ("n_seeds", "seed"))
    if type(n_seeds) is not int or n_seeds <= 1 or (seed is not None and type(seed) is not int):
        return [composition]  # one job, or a mistake that the check will name
    if n_seeds > MAX_SEEDS:
        raise ConfigError([composition.locate(Problem("n_seeds", f"must be at most {MAX_SEEDS}, not {n_seeds}"))])
    if seed is None:
        from rlzoo.envs.seeding import draw_seed

        seed = draw_seed() // 2
    own = [*composition.words, "n_seeds=1"]
    return [compose("train", [*own, f"seed={seed + index}"]) for index in range(n_seeds)]


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


@probe.once()
def check_all(compositions: Sequence[Composition]) -> list[Request]:
    """Check every job before the first starts.

    Raises:
        ConfigError: with the problems of all jobs, each said once.
    """
    requests: list[Request] = []
    problems: dict[str, Problem] = {}
    for composition in compositions:
        try:
            requests.append(check(composition, n_requests=len(compositions)))
        except ConfigError as error:
            for problem in error.problems:
                problems.setdefault(str(problem), problem)
    if problems:
        raise ConfigError(list(problems.values()))
    return requests


def show_plan(requests: Sequence[Request], *, trust: bool) -> None:
    """Print every job's configuration, tuned sets, memory and estimated time; nothing is written."""
    from rlzoo.training.estimate import estimates
    from rlzoo.training.train import rehearse

    for index, request in enumerate(requests):
        if len(requests) > 1:
            print_lines(f"--- job {index + 1} of {len(requests)}")
        config = request.config
        if config.init_from is not None:
            rehearse(dataclasses.replace(config, seed=config.seed or 0), trust=trust)
        print_lines(*as_yaml(dump(config)).split("\n"))
        tuned = request.composition.hyperparams
        print_lines(f"tuned hyperparameters: {', '.join(tuned) if tuned else 'none: algorithm defaults'}")
        print_lines(*estimates(config))
    print("every check passed; nothing was started or written")


def show_config(compositions: Sequence[Composition]) -> None:
    """Print every job's configuration, as composed.

    Raises:
        ConfigError: if one cannot be composed.
    """
    problems = {str(p): p for c in compositions for p in map(c.locate, c.problems)}
    if problems:
        raise ConfigError(list(problems.values()))
    print_lines(*"---\n".join(as_yaml(c.values) for c in compositions).removesuffix("\n").split("\n"))


def origins(words: list[str]) -> tuple[Composition, list[dict[str, Any]]]:
    """A request as composed, and a row of every value: its key, the value without secrets, where it comes from."""
    composition = compose("train", words)
    composition.settled((), composition.problems)
    rows = [
        {"key": ".".join(path), "value": redact_values({path[-1]: value})[path[-1]], "from": str(origin or "")}
        for path, value, origin in composition.tree.leaves()
    ]
    return composition, rows


def show_origins(composition: Composition, rows: Sequence[Mapping[str, Any]]) -> ExitCode:
    """Print what `origins` found, notices and problems; the exit code says whether the request could run."""
    print_table(("key", "value", "from"), [(row["key"], _text(row["value"]), row["from"]) for row in rows])
    _, problems, notices = find_problems(composition, make_env=False)
    for notice in (*composition.notices, *notices):
        say(f"note: {notice}")
    for problem in problems:
        say(f"problem: {composition.locate(problem)}", style="red")
    return ExitCode.WRONG_REQUEST if problems else ExitCode.DONE


def _text(value: object) -> str:
    return json.dumps(value) if value is None or isinstance(value, bool | dict | list) else str(value)


def as_yaml(values: Mapping[str, Any]) -> str:
    """A configuration as its file says it, without secrets."""
    import yaml

    return str(yaml.safe_dump(redact_values(values), sort_keys=False, allow_unicode=True))


def job_of(request: Request, own: Mapping[str, str] | None = None) -> dict[str, Any]:
    """A request and the command's own words as plain data that can be sent to another process or machine."""
    from rlzoo.training import init_from

    composition = request.composition
    return {
        **(own or {}),
        "config": dump(request.config),
        "init_from": init_from.pinned(request.config),
        "words": list(composition.words),
        "hyperparams": list(composition.hyperparams),
        "notices": list(request.notices),
    }


def run_job(job: dict[str, Any]) -> dict[str, Any]:
    """Create the run of a job, or find the one to resume, and train it; the entry point of every launcher."""
    import rlzoo.algos.sb3.adapter  # noqa: F401  # takes seconds, in which a signal leaves no run behind yet
    from rlzoo.envs.seeding import draw_seed
    from rlzoo.runs import lock
    from rlzoo.runs.info import collect, git_diff
    from rlzoo.training.train import rehearse
    from rlzoo.training.train import train as train_run

    cfg = parse(job["config"])
    if job.get("resume") == AUTO:
        found = resume.find_unfinished(cfg)
        if found is not None:
            stored = RunConfig.open(found)
            before = parse(stored.file.values)  # but for the seed, and which weights were the newest, as asked for now
            begun_with = before.init_from if stored.is_own else job.get("init_from", cfg.init_from)
            resume.resume_run(found, dataclasses.replace(cfg, seed=before.seed, init_from=begun_with))
            return _answer(found)
        say("resume=auto: no unfinished run of this configuration, starting one")
    cfg = dataclasses.replace(cfg, init_from=job.get("init_from", cfg.init_from))
    if cfg.seed is None:
        cfg = dataclasses.replace(cfg, seed=draw_seed())
        say(f"seed: {cfg.seed} (drawn)")
    assert cfg.seed is not None
    trust = job.get("trust") == "true"
    if cfg.init_from is not None:
        rehearse(cfg, trust=trust)
    run = Run.create(cfg.runs_dir, algo=cfg.algo.name, env_id=cfg.env.id, seed=cfg.seed)
    run.write_config(dump(cfg))
    details: dict[str, Any] = {key: job[key] for key in ("words", "hyperparams", "notices", "reproduces") if key in job}
    run.write_info({"status": "running", "run": run.path.name, **details, **collect()})
    if diff := git_diff():
        write_text(run.git_diff_file, diff)
    say(f"run: {run.path}")
    with lock.held(run):
        train_run(cfg, run, trust=trust)
    return _answer(run)


def _answer(run: Run) -> dict[str, Any]:
    return {"run": str(run.path), "result": {"evaluations": run.read_results()}}

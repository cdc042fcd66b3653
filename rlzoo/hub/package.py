"""The folder that is published: an agent evaluated and filmed, in the forms that others and rlzoo itself read.

Everything is made in a hidden folder beside the target, which takes its place once it is whole.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rlzoo import console, contained
from rlzoo.algos import specs
from rlzoo.config.compose import read_keywords
from rlzoo.config.paths import at_home
from rlzoo.config.schema import PackageConfig
from rlzoo.envs import render
from rlzoo.errors import ConfigError, ExitCode, Problem, RlzooError
from rlzoo.evaluation.agent import explained, load
from rlzoo.evaluation.evaluate import result_entry
from rlzoo.evaluation.record import record
from rlzoo.hub import card, privacy
from rlzoo.hub.agents import open_run
from rlzoo.hub.card_merge import license_of, merge
from rlzoo.hub.client import check_repo_id
from rlzoo.hub.formats import rlzoo
from rlzoo.hub.formats.read import local_source
from rlzoo.hub.formats.source import write_json
from rlzoo.protocols import Evaluation
from rlzoo.runs.run import Run, folder_name
from rlzoo.training.callbacks.interrupt import leaving_at_once
from rlzoo.training.preflight import episode_problems

if TYPE_CHECKING:
    from rlzoo.evaluation.agent import Agent

FRESH = 1_000_000
"""The evaluation's seeds count up from the run's `eval.seed` and this: nothing was trained or chosen on them."""

LICENSE = re.compile(r"[a-z0-9][a-z0-9.-]*")


@dataclass(frozen=True)
class Staged:
    """A folder ready to be published.

    Attributes:
        folder: where it is.
        name: of the package, `ppo-CartPole-v1`.
        repo_id: what its card says where to load it from.
        files: every file's size in bytes, by its path below the folder.
        evaluation: what its results are from.
        checkpoint: the checkpoint it was made of.
    """

    folder: Path
    name: str
    repo_id: str | None
    files: dict[str, int]
    evaluation: Evaluation
    checkpoint: str

    def lines(self) -> list[str]:
        """The files with their sizes, those of the folder itself before those of the folders in it."""
        files = sorted(self.files.items(), key=lambda item: ("/" in item[0], item[0].lower()))
        width = max(map(len, self.files))
        total = f"{len(files)} files, {readable_size(sum(self.files.values()))}"
        rows = [f"  {name:{width}}  {readable_size(size):>9}" for name, size in files]
        return [f"{self.folder}/", *rows, f"{self.name}: {total}"]


def readable_size(n_bytes: int) -> str:
    """`1.5 MiB`."""
    for unit, size in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if n_bytes >= size:
            return f"{n_bytes / size:.1f} {unit}"
    return f"{n_bytes} B"


def default_name(algo: str, env_id: str) -> str:
    """`<algo>-<env id>` as others name agents: `ALE/Pong-v5` becomes `ALE-Pong-v5`, `module:Env-v0` only `Env-v0`."""
    return folder_name(f"{algo.rpartition(':')[2]}-{env_id.rpartition(':')[2]}")


def name_of(run: Run) -> str:
    """The name of the package of a run."""
    values = run.read_config()
    return default_name(str(values["algo"]["name"]), str(values["env"]["id"]))


def package(  # noqa: PLR0913 - the keys of conf/package.yaml
    run: Run | Path | str,
    *,
    env: str | None = None,
    algo: str | None = None,
    file: str | None = None,
    folder: Path | str | None = None,
    repo_id: str | None = None,
    checkpoint: str | None = None,
    n_episodes: int | None = None,
    seeds: Sequence[int] | None = None,
    deterministic: bool | Literal["auto"] = "auto",
    video: bool = True,
    license: str = "mit",
    device: str = "auto",
    trust: bool = False,
) -> Staged:
    """Evaluate and film an agent, and put everything to share it with into a folder.

    Args:
        run: a run, its directory, `"latest"` or `"algo/env"`; a package's folder or a file of weights.
        env: the environment of a package or a file that does not say it.
        algo: the algorithm, likewise.
        file: the file with the weights, in a package of several.
        folder: where to, by default `packages/<algo>-<environment>`; a package of the same name that was made there
            before is replaced, and what its owner wrote into its README.md is kept.
        repo_id: the repository it is for, which its card names.
        checkpoint: `"best"`, `"last"` or a step; by default the last, or `best` if that was shown to be better.
        n_episodes: episodes of the evaluation; by default as many as the run's final evaluation has.
        seeds: one seed for each episode; by default the run's `eval.seeds`, or fresh ones that count up from its
            `eval.seed` + 1,000,000.
        deterministic: greedy or sampled actions; `"auto"` follows the environment.
        video: film one episode.
        license: of the weights, as the Hub writes it; a README.md that is kept keeps its own.
        device: where the policy runs.
        trust: use a run that was not made here although it names modules to import.

    Raises:
        RlzooError: if there is no such run or checkpoint, something is in the way at `folder`, a package that is needed
            is missing, or a step fails. `folder` is then as it was.
    """
    cfg = read_keywords(PackageConfig, locals(), package_problems)
    opened, _ = open_run(run, cfg, trust=trust)
    return package_run(opened, cfg)


def package_run(run: Run, cfg: PackageConfig) -> Staged:
    """Make the folder that is published of a run; see `package`."""
    folder = Path("packages") / name_of(run) if cfg.folder is None else Path(cfg.folder)
    if local_source(run) == at_home(folder).resolve():
        hint = "choose another place with folder="
        raise RlzooError(f"{folder} is the package that is read", hint, ExitCode.STORAGE)
    with leaving_at_once("nothing was packaged"), explained("packaging"):
        return _stage(run, at_home(folder), cfg)


def _stage(run: Run, folder: Path, cfg: PackageConfig) -> Staged:
    run.find_checkpoint(cfg.checkpoint)
    run.read_results()  # a damaged one is found before the episodes are played
    name = name_of(run)
    _require_packages(video=cfg.video)
    published = rlzoo.require_free(folder, name)
    kept = license_of(published)
    if kept not in (None, cfg.license):
        console.say(f"{folder}/README.md keeps its license, {kept}; a change is made in the file itself")
    agent = load(run, cfg.checkpoint, device=cfg.device, trust=cfg.trust)
    video = cfg.video and render.can_draw(agent.config.env, "rgb_array")
    if cfg.video and not video:
        console.say(f"note: {agent.config.env.id} draws no pictures (render mode rgb_array): there will be no film")
    greedy = agent.is_deterministic(cfg.deterministic)
    actions = "deterministic" if greedy else "sampled"
    console.say(f"run {run.path}, checkpoint {agent.checkpoint.name}, {actions} actions")
    with contained.replacing(folder, hint="choose another place with folder=") as new:
        evaluation = agent.evaluate(seeds=_seeds(agent, cfg.n_episodes, cfg.seeds), deterministic=greedy)
        steps, details = agent.num_timesteps, {"trusted": True} if cfg.trust else {}
        details |= agent.random_play()
        trained = run.trained_timesteps(steps)
        result = result_entry(evaluation, "package", agent.checkpoint.name, steps, trained, **details)
        _write_agent(new, name, agent, evaluation)
        _write_results(new, result)
        if video:  # the first episode, as it was played
            _film(new / "replay.mp4", agent, evaluation)
        rlzoo.write(new, name, agent)
        text = card.text(new, name, agent, result, repo_id=cfg.repo_id, license=cfg.license)
        (new / "README.md").write_text(merge(published, text), encoding="utf-8", newline="")
        rlzoo.write_list(new)
        privacy.refuse_leaks(new, run.path.parent)
        run.append_result(result)
    return Staged(folder, name, cfg.repo_id, _sizes(folder), evaluation, agent.checkpoint.name)


def _film(path: Path, agent: Agent, evaluation: Evaluation) -> None:
    try:
        record([agent], path, n_episodes=1, seeds=evaluation.seeds[:1], deterministic=evaluation.deterministic)
    except RlzooError as error:
        raise RlzooError(error.message, "video=false packages without a film", error.code) from error
    except Exception as error:
        message = f"the film failed: {type(error).__name__}: {str(error).partition(chr(10))[0]}"
        raise RlzooError(message, "video=false packages without one", ExitCode.TRAINING_FAILED) from error


def package_problems(values: Mapping[str, Any]) -> list[Problem]:
    """What is wrong with a request beyond its types, before anything is opened."""
    problems = episode_problems(values)
    repo_id, license = values["repo_id"], values["license"]
    if isinstance(repo_id, str) and (wrong := check_repo_id(repo_id)) is not None:
        problems.append(wrong)
    elif isinstance(repo_id, str) and "/" not in repo_id:
        problems.append(Problem("repo_id", f"{repo_id!r} names no owner", f"repo_id=owner/{repo_id}"))
    if isinstance(license, str) and not LICENSE.fullmatch(license):
        hint = "mit, apache-2.0, cc-by-4.0, other: https://huggingface.co/docs/hub/repositories-licenses"
        problems.append(Problem("license", f"{license!r} is not an identifier of the Hub's", hint))
    return problems


def _require_packages(*, video: bool) -> None:
    wanted = {"huggingface_hub": "hub", **({"imageio_ffmpeg": "video"} if video else {})}
    missing = {package: extra for package, extra in wanted.items() if find_spec(package) is None}
    if not missing:
        if find_spec("matplotlib") is None:
            console.say('without matplotlib there is no learning curve: pip install "hydra-rlzoo[plot]"')
        return
    hint = f'pip install "hydra-rlzoo[{",".join((*missing.values(), "plot"))}]"'
    hint += "; or video=false" if "imageio_ffmpeg" in missing else ""
    raise ConfigError(
        [Problem("", f"the package {name!r} is not installed", hint, code=ExitCode.MISSING) for name in missing]
    )


def _seeds(agent: Agent, n_episodes: int | None, seeds: Sequence[int] | None) -> list[int]:
    from rlzoo.envs.seeding import episode_seeds

    if seeds is not None:
        return [int(seed) for seed in seeds]
    fixed = list(agent.config.eval.seeds or ())
    n = n_episodes or agent.config.eval.n_final
    return [*fixed[:n], *episode_seeds(agent.config.eval.seed + FRESH, None, n - len(fixed[:n]))]


def _write_agent(folder: Path, name: str, agent: Agent, evaluation: Evaluation) -> None:
    """The agent in the forms of other tools."""
    from rlzoo.hub.formats import course, rl_zoo3, sb3

    if specs.find_spec(agent.config.algo.name).backend in ("sb3", "sb3_contrib"):
        sb3.write_model(folder, name, agent)
        rl_zoo3.write(folder, agent)
    else:
        course.write(folder, agent, evaluation)
    if agent.config.env.normalize is not False:
        sb3.write_statistics(folder / "vec_normalize.pkl", agent)


def _write_results(folder: Path, result: dict[str, Any]) -> None:
    """results.json with the keys that other tools write first."""
    common = {
        "mean_reward": result["mean_reward"],
        "std_reward": result["std_reward"],
        "is_deterministic": result["deterministic"],
        "n_eval_episodes": result["n_episodes"],
        "eval_datetime": result["date"],
    }
    ours = {key: value for key, value in result.items() if key not in ("date", "source", "deterministic", "trusted")}
    write_json(folder / "results.json", common | ours)


def _sizes(folder: Path) -> dict[str, int]:
    paths = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): path.stat().st_size for path in paths}

"""A run: the directory that a training leaves behind. Every file name in it is spelled here."""

from __future__ import annotations

import json
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rlzoo import console, contained
from rlzoo.config import aliases, env_names, files, yaml_file
from rlzoo.config.paths import at_home
from rlzoo.errors import ExitCode, RlzooError, clean
from rlzoo.redaction import redact_values
from rlzoo.untrusted import signature

STATUSES = ("running", "finished", "interrupted", "failed", "pruned")
CHECKPOINT = re.compile(r"(\d+|best|last)\Z")
MAX_BYTES = 8 * 2**20
"""Of a run's small files; much larger ones are not what rlzoo wrote."""
MAX_DIGITS = 18
"""Of a step that is asked for."""
LEFTOVER = re.compile(r"\.(\d+|best|last)\.[0-9a-f]+\.(new|old)\Z")
CANDIDATES = "candidates"
_WRITTEN: dict[tuple[int, int] | None, str] = {}
"""The text of each info.json that this process has written, by the folder that it is in, whatever that is called."""
TEMPORARY = re.compile(r"\.[a-z]+\.(?:yaml|json|csv)\.(\d{1,9})\.tmp\Z")


@dataclass(frozen=True)
class Checkpoint:
    """A directory with the weights, statistics and counters of one moment of a run."""

    path: Path

    @property
    def name(self) -> str:
        """`best`, `last` or the step; also of one whose replacement was cut short: `.last.1a2b3c.old`."""
        return self.path.name.split(".")[1] if self.path.name.startswith(".") else self.path.name

    @property
    def manifest(self) -> Path:
        return self.path / "manifest.json"

    @property
    def model_zip(self) -> Path:
        return self.path / "model.zip"

    def exists(self) -> bool:
        return self.manifest.is_file()

    @property
    def num_timesteps(self) -> int:
        return int(self._moment()["num_timesteps"])

    @property
    def was_selected(self) -> bool:
        """Whether it was shown to be better than the last checkpoint of its run, on episodes of that test alone.

        One that does not say it, because its manifest is damaged, counts as such: whoever reads it will say so.
        """
        try:
            return bool(self._moment().get("selected"))
        except RlzooError:
            return True

    def _moment(self) -> dict[str, Any]:
        from rlzoo.config.records import Moment

        found: dict[str, Any] = _read_json(self.manifest, self.path, Moment)
        return found


@dataclass(frozen=True)
class Run:
    """Paths and metadata of a run directory; nothing here trains or imports torch."""

    path: Path

    @classmethod
    def create(cls, root: Path | str, *, algo: str, env_id: str, seed: int) -> Run:
        """Make a new, empty run directory `<root>/<algo>/<env id>/<UTC time>_seed<seed>_<id>`."""
        parent = Path(root) / folder_name(algo) / folder_name(env_id)
        contained.require_way(parent)
        stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
        try:
            parent.mkdir(parents=True, exist_ok=True)
            while True:
                path = parent / f"{stamp}_seed{seed}_{secrets.token_hex(3)}"
                try:
                    path.mkdir()
                except FileExistsError:
                    continue
                return cls(path)
        except OSError as error:
            raise RlzooError(
                f"cannot make a run directory in {parent}: {error.strerror}",
                "choose another place with runs_dir=",
                ExitCode.STORAGE,
            ) from error

    @classmethod
    def open(cls, text: Path | str, root: Path | str = "runs") -> Run:
        """The run that `run=` names: a directory, `latest`, or `algo/env` (its newest run), env as an id or as typed.

        A directory may be named as it lies below `root`, unless there is one of that name here.

        Raises:
            RlzooError: if there is no such run, with the ones that exist.
        """
        path = at_home(text)
        below = [] if ".." in path.parts else [Path(root) / path]
        for folder in (path, *below):
            if (folder / "config.yaml").is_file() and (folder / "info.json").is_file():
                contained.require_way(folder)
                contained.require_whole(folder)
                return cls(folder)
        found = list(find_runs(_folder(str(text), Path(root)))) or _typed(str(text), Path(root))
        newest = max(found, key=lambda run: run.path.name, default=None)
        if newest is None:
            newest_known = max((run.path for run in find_runs(Path(root))), key=lambda path: path.name, default=None)
            hint = f"newest run: {newest_known}" if newest_known else f"there are no runs under {root}"
            if path.exists():
                looked_for = "a run has config.yaml and info.json, a package a model's zip, q-learning.pkl or model.pt"
                raise RlzooError(f"{path} is not a run, and no package", f"{looked_for}; {hint}")
            raise RlzooError(f"there is no run {str(text)!r}", f"{hint}; name its folder, 'latest' or algo/env")
        contained.require_whole(newest.path)
        return newest

    @property
    def name(self) -> str:
        """What its checkpoints call it: the name that its folder was made with, whatever it is called now."""
        with suppress(RlzooError):
            return str(self.read_info().get("run", self.path.name))
        return self.path.name

    @property
    def config_file(self) -> Path:
        return self.path / "config.yaml"

    @property
    def info_file(self) -> Path:
        return self.path / "info.json"

    @property
    def git_diff_file(self) -> Path:
        """What was uncommitted when the training began; not there if nothing was."""
        return self.path / "git.diff"

    @property
    def results_file(self) -> Path:
        return self.path / "results.json"

    @property
    def metrics_file(self) -> Path:
        return self.path / "metrics.csv"

    @property
    def timings_file(self) -> Path:
        return self.path / "timings.csv"

    @property
    def evaluations_file(self) -> Path:
        return self.path / "evaluations.csv"

    @property
    def episodes_file(self) -> Path:
        """Every whole training episode; not there before the first has ended."""
        return self.path / "episodes.csv"

    @property
    def monitor_file(self) -> Path:
        """The same as Stable-Baselines3 writes it; not there unless it was asked for."""
        return self.path / "monitor.csv"

    @property
    def log_file(self) -> Path:
        return self.path / "train.log"

    @property
    def lock_file(self) -> Path:
        return self.path / ".lock"

    @property
    def tensorboard_dir(self) -> Path:
        return self.path / "tensorboard"

    @property
    def videos_dir(self) -> Path:
        return self.path / "videos"

    @property
    def checkpoints_dir(self) -> Path:
        return self.path / "checkpoints"

    def checkpoint(self, name: str) -> Checkpoint:
        """The checkpoint `best`, `last` or of a step; it need not exist yet."""
        return Checkpoint(self.checkpoints_dir / name)

    def checkpoints(self) -> list[Checkpoint]:
        """Every whole checkpoint: steps in order, then best and last.

        Where a training was killed while it replaced `best` or `last`, the new one is taken if it was complete, else
        the old one.
        """
        found = {path.name: Checkpoint(path) for path in self.checkpoints_dir.glob("*") if CHECKPOINT.match(path.name)}
        whole = {name: checkpoint for name, checkpoint in found.items() if checkpoint.exists()}
        for leftover in self.leftovers():
            if leftover.name in ("best", "last") and leftover.exists():
                whole.setdefault(leftover.name, leftover)
        steps = sorted((name for name in whole if name.isdecimal()), key=int)
        return [whole[name] for name in (*steps, *(name for name in ("best", "last") if name in whole))]

    def candidates(self) -> list[Checkpoint]:
        """Checkpoints that evaluations on the way have nominated, named by their steps, in their order."""
        paths = [path for path in (self.checkpoints_dir / CANDIDATES).glob("*") if path.name.isdecimal()]
        found = [Checkpoint(path) for path in sorted(paths, key=lambda path: int(path.name))]
        return [candidate for candidate in found if candidate.exists()]

    def trained_timesteps(self, at_least: int = 0) -> int:
        """Steps of the whole training so far: those of the newest checkpoint on disk, or `at_least`."""
        found = [at_least]
        for checkpoint in self.checkpoints():
            with suppress(RlzooError):  # a damaged one: whoever reads it will say so
                found.append(checkpoint.num_timesteps)
        return max(found)

    def stamps(self) -> list[list[int]]:
        """What changes, for every file that says how a run stands, when that is changed, replaced or moved away."""
        found: list[list[int]] = []
        for name in ("config.yaml", "info.json", "results.json", "checkpoints", "checkpoints/last/manifest.json"):
            found.append([])
            with suppress(OSError):  # it is not there
                status = os.stat(f"{self.path}/{name}")  # noqa: PTH116 - there may be thousands
                found[-1] += [status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino]
        return found

    def leftovers(self, folder: str = ".") -> list[Checkpoint]:
        """Directories that a killed training was still writing or removing, complete or not; new ones first."""
        found = [path for path in (self.checkpoints_dir / folder).glob(".*") if LEFTOVER.match(path.name)]
        return [Checkpoint(path) for path in sorted(found, key=lambda path: (path.suffix == ".old", path.name))]

    def by_default(self) -> list[Checkpoint]:
        """The checkpoints in the order in which they are taken if none is named.

        That is `best` where it was shown to be better than `last`, then `last`, then the newest steps. A `best` without
        such a test, as older versions of rlzoo wrote it, comes after all of them.
        """
        existing = {checkpoint.name: checkpoint for checkpoint in self.checkpoints()}
        steps = [step for step in existing if step.isdecimal()]
        names = ["last", *reversed(steps)]
        if "best" in existing:
            names.insert(0 if existing["best"].was_selected else len(names), "best")
        return [existing[name] for name in names if name in existing]

    def temporaries(self) -> list[Path]:
        """Small files that a killed process was still writing; its number is in their names."""
        import psutil

        found = [(path, TEMPORARY.match(path.name)) for path in self.path.glob(".*.tmp")]
        numbered = [(path, int(match[1])) for path, match in found if match]
        return [path for path, pid in numbered if pid == os.getpid() or not psutil.pid_exists(pid)]

    def find_checkpoint(self, name: str | None = None) -> Checkpoint:
        """The checkpoint of that name, or the nearest to that step; by default the first of `by_default`."""
        existing = {checkpoint.name: checkpoint for checkpoint in self.checkpoints()}
        existing |= {candidate_name(int(candidate.name)): candidate for candidate in self.candidates()}
        steps = [step for step in existing if step.isdecimal()]
        if name is None:
            if found := self.by_default():
                return found[0]
        elif name in existing:
            return existing[name]
        elif name.isdecimal() and len(name) <= MAX_DIGITS and steps:
            nearest = min(steps, key=lambda step: abs(int(step) - int(name)))
            console.say(f"there is no checkpoint of step {int(name):,}; the nearest is {int(nearest):,}")
            return existing[nearest]
        none = "it has none; was it stopped before the first was written?"
        have = f"it has: {', '.join(existing)}" if existing else none
        what = "no checkpoint" if name is None else f"no checkpoint {name!r}"
        raise RlzooError(f"run {self.path} has {what}", have)

    def write_config(self, values: dict[str, Any]) -> None:
        """Write config.yaml, without secrets, and signed: it is this user's own."""
        write_text(self.config_file, signature.signed(yaml_file.dump(redact_values(values))))

    def is_own(self) -> bool:
        """Whether its config.yaml was written by this user, as it is."""
        return signature.is_own(self.read_config_text())

    def read_config(self) -> dict[str, Any]:
        """Its values, to look at; `run_config.RunConfig` checks all of them, for whoever builds what they ask for."""
        from rlzoo.config.records import Config, problem

        values = self.parse_config(self.read_config_text()).values
        if wrong := problem(Config, values):
            raise contained.damaged(self.config_file, wrong)
        return values

    def read_config_text(self) -> str:
        return _read_text(self.config_file, self.path)

    def parse_config(self, text: str) -> yaml_file.YamlFile:
        """The values and lines of its config.yaml, of which this is the text."""
        try:
            return yaml_file.parse_text(text, self.config_file)
        except RlzooError as error:
            raise contained.damaged(self.config_file, clean(error.message.splitlines()[0])) from error

    def write_info(self, info: dict[str, Any]) -> None:
        text = json.dumps(redact_values(info), indent=2, default=str, ensure_ascii=False)
        text = text.encode(errors="replace").decode()  # a word may be no text at all
        write_text(self.info_file, text + "\n")
        _WRITTEN[_identity(self.path)] = text

    def read_info(self) -> dict[str, Any]:
        from rlzoo.config.records import Info

        info: dict[str, Any] = _read_json(self.info_file, self.path, Info)
        return info

    def update_info(self, **changes: Any) -> None:
        """Change some of it; what this process wrote there before and has been lost since is written anew."""
        try:
            info = self.read_info()
        except RlzooError as error:
            text = _WRITTEN.get(_identity(self.path)) if error.code is ExitCode.STORAGE else None
            if text is None:
                raise
            console.warn(f"{error.message}; it is written anew")
            info = json.loads(text)
        self.write_info({**info, **changes})

    def read_git_diff(self) -> str:
        """What was uncommitted; empty where nothing was."""
        return _read_text(self.git_diff_file, self.path) if self.git_diff_file.is_file() else ""

    def append_result(self, entry: dict[str, Any]) -> None:
        """Add a dated evaluation to results.json."""
        entries = self.read_results()
        write_text(self.results_file, json.dumps([*entries, redact_values(entry)], indent=2, allow_nan=False) + "\n")

    def read_results(self) -> list[dict[str, Any]]:
        from rlzoo.config.records import Result

        if not self.results_file.is_file():
            return []
        entries: list[dict[str, Any]] = _read_json(self.results_file, self.path, list[Result])
        try:
            json.dumps(entries, allow_nan=False)
        except ValueError:
            raise contained.damaged(self.results_file, "it holds numbers that are not finite") from None
        return entries


def find_runs(root: Path) -> Iterator[Run]:
    """Every run under `root`, in no particular order; sweeps' and downloads' own folders (`.name`) are left out.

    What lies within a run is not looked into. Paths are text, as there may be thousands.
    """
    waiting = [os.fspath(root)]
    while waiting:
        folder = waiting.pop()
        entries: list[os.DirEntry[str]] = []
        with suppress(OSError):  # as good as empty to everybody
            entries += os.scandir(folder)
        if any(entry.name == "config.yaml" for entry in entries) and os.path.isfile(f"{folder}/info.json"):  # noqa: PTH113
            yield Run(Path(folder))
            if folder != os.fspath(root):
                continue
        shown = (entry for entry in entries if not entry.name.startswith("."))
        waiting += [entry.path for entry in shown if entry.is_dir(follow_symlinks=False)]


def _folder(text: str, root: Path) -> Path:
    """Where the runs lie that `latest`, `algo` or `algo/env` names; a folder that cannot be for any other text."""
    if text == "latest":
        return root
    algo, _, env_id = text.rstrip("/").partition("/")
    named = bool(algo.strip(".")) and not {".", ".."} & set(Path(text).parts) and not Path(text).is_absolute()
    return root / folder_name(algo) / folder_name(aliases.current(env_id)) if named else root / ".none"


def _typed(text: str, root: Path) -> list[Run]:
    """The runs of `algo/env` where `env` is what was typed, a short name: `ppo/Pendulum` of `env=Pendulum`."""
    algo, _, env = text.rstrip("/").partition("/")
    if not env or "/" in env or _folder(algo, root) == root / ".none":
        return []
    found = []
    name = env_names.name_of(env)
    for run in find_runs(_folder(algo, root)):
        with suppress(RlzooError):  # a damaged one is no answer
            words = run.read_info().get("words")
            typed = [str(word)[4:] for word in words if str(word).startswith("env=")] if isinstance(words, list) else []
            if any(word == env or env_names.name_of(word) == name for word in typed):
                found.append(run)
    return found


def _identity(folder: Path) -> tuple[int, int] | None:
    """What a folder keeps when it is moved; None if it is not there."""
    try:
        found = folder.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def candidate_name(step: int) -> str:
    """The name of a candidate's checkpoint, for `Run.checkpoint`."""
    return f"{CANDIDATES}/{step}"


def folder_name(env_id: str) -> str:
    """An environment id or an algorithm as a folder name: `ALE/Pong-v5` becomes `ALE-Pong-v5`."""
    return re.sub(r"[^\w.-]", "-", files.composed(env_id))


def _read_text(path: Path, home: Path) -> str:
    try:
        return contained.read(path, home, MAX_BYTES).decode("utf-8")
    except ValueError as error:
        raise contained.damaged(path, clean(error)) from error
    except OSError as error:
        raise contained.damaged(path, error.strerror or str(error)) from error


def _read_json(path: Path, home: Path, kind: Any) -> Any:
    """The content of a JSON file, whose fields are as `kind` of `config.records` has them."""
    from rlzoo.config.records import problem

    text = _read_text(path, home)
    try:
        content = json.loads(text)
    except ValueError as error:
        raise contained.damaged(path, clean(str(error).splitlines()[0])) from error
    except RecursionError:
        raise contained.damaged(path, "it is nested too deeply") from None
    if wrong := problem(kind, content):
        raise contained.damaged(path, wrong)
    return content


def write_text(path: Path, text: str) -> None:
    """Replace a small file as a whole: a reader sees the old text or the new one, never a part."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with contained.opened(temporary, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise RlzooError(f"cannot write {path}: {error.strerror}", "free some space", ExitCode.STORAGE) from error

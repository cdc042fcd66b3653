"""Reads files of strangers under an audit hook: `python hostile_child.py jobs.json results.json`.

A job is `{"reader": ..., "file": ..., "algo": ...}`. Nothing may be looked up by pickle, started, connected or written;
whatever is tried is noted and stopped.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from pathlib import Path
from typing import Any

FORBIDDEN = (
    "pickle.find_class",
    "os.system",
    "subprocess.Popen",
    "os.exec",
    "os.posix_spawn",
    "os.spawn",
    "os.fork",
    "os.startfile",
    "os.remove",
    "os.rename",
    "os.mkdir",
    "os.rmdir",
    "os.link",
    "os.symlink",
    "os.chmod",
    "os.truncate",
    "shutil",
    "socket.connect",
    "socket.getaddrinfo",
    "urllib.Request",
    "ctypes.dlopen",
    "webbrowser.open",
)

armed = False
events: list[str] = []


def hook(event: str, args: tuple[Any, ...]) -> None:
    if not armed:
        return
    writes = event == "open" and len(args) > 2 and isinstance(args[2], int) and args[2] & (os.O_WRONLY | os.O_RDWR)
    if writes or event.startswith(FORBIDDEN):
        events.append(f"{event} {args!r}"[:200])
        raise PermissionError(event)


def peak_mib() -> float:
    """The most memory that this program has had; `ru_maxrss` also counts the process that it was forked from."""
    status = Path("/proc/self/status")
    if status.exists():
        return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM")) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main(jobs_file: str, results_file: str) -> None:
    sys.dont_write_bytecode = True
    resource.setrlimit(resource.RLIMIT_AS, (16 * 2**30, 16 * 2**30))  # a bomb ends as an error
    sys.addaudithook(hook)

    import numpy as np
    import torch
    from stable_baselines3 import PPO

    from rlzoo.errors import RlzooError
    from rlzoo.untrusted import pickle_files, sb3_zip, zoo_yaml
    from rlzoo.untrusted import torch_file as tensors
    from rlzoo.untrusted import unpickle as trust

    torch.set_num_threads(1)

    def model(path: Path, job: dict[str, Any]) -> Any:
        saved = sb3_zip.read(path, job.get("algo"))
        algorithm = sb3_zip.build(saved, device="cpu")
        report = {
            "algo": saved.data.spec.name,
            "hyperparams": saved.data.hyperparams,
            "num_timesteps": algorithm.num_timesteps,
            "texts": [saved.version, saved.system, *saved.data.not_read],
        }
        if "observations" in job:
            observations = np.load(job["observations"])
            for kind in (True, False):
                torch.manual_seed(3)
                np.random.seed(3)
                actions, _ = algorithm.predict(observations, deterministic=kind)
                report[f"actions {kind}"] = np.asarray(actions).tolist()
        return report

    def vec_normalize(path: Path, job: dict[str, Any]) -> Any:
        state = pickle_files.read_vec_normalize(path)
        return {name: np.asarray(tensor).tolist() for name, tensor in state.tensors.items()} | state.values

    def q_learning(path: Path, job: dict[str, Any]) -> Any:
        found = pickle_files.read_q_learning(path)
        return found.values | {"qtable": found.qtable.tolist()}

    readers = {
        "model": model,
        "vec_normalize": vec_normalize,
        "q_learning": q_learning,
        "tensors": lambda path, job: sorted(tensors.read_tensors(path.read_bytes(), path.name)),
        "zoo": lambda path, job: zoo_yaml.read_zoo(path),
        "config": lambda path, job: zoo_yaml.read_config(path),
        "expression": lambda path, job: zoo_yaml.parse_expression(path.read_text(encoding="utf-8")),
        "stable_baselines3": lambda path, job: str(PPO.load(path, device="cpu")),
        "unpickle": lambda path, job: repr(trust.unpickle(path, trust=job["trust"])),
        "load_model": lambda path, job: repr(trust.load_model(path, "ppo", trust=job["trust"])),
    }
    results = []
    jobs = json.loads(Path(jobs_file).read_text())
    if jobs:
        readers[jobs[0]["reader"]](Path(jobs[0]["file"]), jobs[0])  # imports what is imported on first use
    global armed
    for job in jobs:
        print(job.get("family"), job.get("name"), flush=True)  # the last one is to blame for a crash
        events.clear()
        start, result = time.process_time(), dict(job)
        armed = True
        try:
            result["value"] = readers[job["reader"]](Path(job["file"]), job)
            result["outcome"] = "read"
        except RlzooError as error:
            result["outcome"], result["error"], result["code"] = "refused", str(error), int(error.code)
        except BaseException as error:
            result["outcome"], result["error"] = "crashed", f"{type(error).__name__}: {error}"[:500]
        finally:
            armed = False
        result["seconds"] = time.process_time() - start
        result["events"] = list(events)
        result["mib"] = peak_mib()
        results.append(result)
    Path(results_file).write_text(json.dumps(results, default=str))


if __name__ == "__main__":
    main(*sys.argv[1:])

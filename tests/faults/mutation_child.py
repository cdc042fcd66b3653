"""Composes and checks mutated configurations in one process: `python mutation_child.py SEED FIRST COUNT FOLDER`.

An audit hook notes and stops whatever is written, started, connected or imported by name. What went wrong is printed as
JSON. A case that takes more than five seconds of CPU time is a hang; one that never comes back ends the process.
"""

from __future__ import annotations

import faulthandler
import json
import os
import random
import resource
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import Any

FORBIDDEN = (
    *("pickle.find_class", "os.system", "subprocess.Popen", "os.exec", "os.posix_spawn", "os.spawn", "os.fork"),
    *("os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.chmod", "os.truncate", "shutil"),
    *("socket.connect", "socket.getaddrinfo", "urllib.Request", "webbrowser.open", "ctypes.dlopen"),
)
NOT_IMPORTED = ("torch", "stable_baselines3", "sb3_contrib", "canary_module")
MAX_CPU = 5.0
MAX_MESSAGE = 60_000
CANARY_VALUE = "the-canary-that-no-message-shows"

armed = False
events: list[str] = []


class Hang(BaseException):
    """A case took too long."""


def hook(event: str, args: tuple[Any, ...]) -> None:
    if not armed:
        return
    writes = event == "open" and len(args) > 2 and isinstance(args[2], int) and args[2] & (os.O_WRONLY | os.O_RDWR)
    imports = event == "import" and str(args[0]).partition(".")[0] in NOT_IMPORTED
    if writes or imports or event.startswith(FORBIDDEN):
        events.append(f"{event} {args!r}"[:200])
        raise PermissionError(event)


def over(_signal: int, _frame: Any) -> None:
    raise Hang


def look_at(case: Any) -> str:
    """Compose and check one case; returns what is wrong with what was accepted, or nothing."""
    from rlzoo.config import yaml_file
    from rlzoo.config.compose import compose, expand_jobs, override
    from rlzoo.config.parse import check, dump, parse
    from rlzoo.config.schema import TrainConfig
    from rlzoo.errors import ConfigError
    from rlzoo.training import preflight

    if case.run:
        composition = override(Path(case.run), case.words)
        config, problems = check(TrainConfig, composition.values)
        if composition.problems or problems or config is None:
            raise ConfigError([composition.locate(problem) for problem in (*composition.problems, *problems)])
    else:
        expand_jobs(case.words)
        composition = compose("train", case.words)
        if names_a_module(composition.values):
            return ""
        config = preflight.check(composition, make_env=False).config
    if CANARY_VALUE in str(composition.values):
        return "the secret was read"
    text = yaml_file.dump(dump(config))
    again = yaml_file.dump(dump(parse(yaml_file.parse_text(text, Path("config.yaml")).values)))
    return "" if again == text else "is read back as something else"  # as text: NaN is not equal to itself


def names_a_module(values: dict[str, Any]) -> bool:
    """Whether a user's own class is asked for, which the check imports: that is what `algo.name=module:Class` means."""
    algo = values.get("algo")
    return isinstance(algo, dict) and ":" in str(algo.get("name"))


def judge(error: Any) -> str:
    """What is wrong with the way a case was refused, or nothing."""
    text = str(error)
    if not text.strip() or len(text) > MAX_MESSAGE:
        return f"a message of {len(text)} characters"
    if CANARY_VALUE in text:
        return "the message shows the secret"
    bad = [character for character in text if not (character.isprintable() or character in "\n\t\u00a0")]
    return f"a message with {bad[0]!r}" if bad else ""


def run(case: Any, folder: Path) -> tuple[str, str]:
    """Outcome and what is wrong with it."""
    global armed
    from rlzoo.errors import RlzooError

    for place, content in case.files.items():
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        (folder / place).write_bytes(content)
    os.chdir(folder)
    before = sorted(str(path) for path in folder.rglob("*"))
    events.clear()
    signal.setitimer(signal.ITIMER_PROF, MAX_CPU)
    armed = True
    try:
        wrong, outcome = look_at(case), "accepted"
    except RlzooError as error:
        wrong, outcome = judge(error), "refused"
    except Hang:
        wrong, outcome = f"took more than {MAX_CPU} s\n{traceback.format_exc()[-1500:]}", "hung"
    except BaseException:
        wrong, outcome = traceback.format_exc()[-1500:], "crashed"
    finally:
        armed = False
        signal.setitimer(signal.ITIMER_PROF, 0)
    if events:
        wrong = f"{wrong}\n{events}"
    if sorted(str(path) for path in folder.rglob("*")) != before:
        wrong = f"{wrong}\nfiles were made or removed"
    return outcome, wrong


def peak_mib() -> float:
    """The most memory that this program has had; `ru_maxrss` also counts the process that it was forked from."""
    status = Path("/proc/self/status")
    if status.exists():
        return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM")) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main(seed: str, first: str, count: str, folder: str) -> None:
    from tests.faults import mutation_tables, mutations

    sys.dont_write_bytecode = True
    faulthandler.dump_traceback_later(120, exit=True)
    resource.setrlimit(resource.RLIMIT_AS, (4 * 2**30, 4 * 2**30))
    signal.signal(signal.SIGPROF, over)
    os.environ[mutation_tables.SECRET] = CANARY_VALUE
    home = Path(folder).resolve()
    (home / "canary_module.py").write_text("Thing = 1\n")
    sys.path.append(str(home))
    cases = mutations.seeds()
    warm = home / "warm"
    warm.mkdir()
    good = 0
    for case in cases:  # this also imports what is imported on first use
        good += run(case, warm) == ("accepted", "")
        for place in case.files:
            (warm / place).unlink()
    assert good > 0.9 * len(cases), f"only {good} of {len(cases)} are good before they are mutated"
    sys.addaudithook(hook)
    counts = {"accepted": 0, "refused": 0, "hung": 0, "crashed": 0}
    findings = []
    slowest = 0.0
    start = time.process_time()
    for number in range(int(first), int(first) + int(count)):
        faulthandler.dump_traceback_later(120, exit=True)
        rng = random.Random(f"{seed}-{number}")
        case = mutations.mutate(rng.choice(cases), rng)
        own = home / str(number)
        own.mkdir()
        began = time.process_time()
        outcome, wrong = run(case, own)
        slowest = max(slowest, time.process_time() - began)
        counts[outcome] += 1
        if wrong:
            files = {place: repr(content[:3000]) for place, content in case.files.items()}
            found = {"number": number, "seed": case.name, "words": case.words, "files": files}
            findings.append({"outcome": outcome, "wrong": wrong, **found})
        os.chdir(home)
    report = {
        **counts,
        "cpu_seconds": round(time.process_time() - start, 1),
        "slowest": round(slowest, 2),
        "mib": round(peak_mib()),
        "torch": "torch" in sys.modules,
        "canary": "canary_module" in sys.modules,
        "findings": findings,
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main(*sys.argv[1:])

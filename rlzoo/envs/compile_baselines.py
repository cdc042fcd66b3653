"""Plays every shipped environment at random and writes `random_play.json`; what it is for: `rlzoo.envs.baseline`.

Run as `python -m rlzoo.envs.compile_baselines` after a change of an environment, of its settings or of those that a
tuned set gives it; it takes a quarter of an hour. Names behind it play only these anew, `--check` plays none and says
which have no row: those are played when somebody first trains in them.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from rlzoo.config import files
from rlzoo.config.compose import compose
from rlzoo.envs.baseline import TABLE, shape
from rlzoo.envs.make import make_raw
from rlzoo.envs.random_play import play

MAX_STEPS = 1_000_000
"""What is shipped is played to the end of every episode."""


def shapes() -> Iterator[tuple[str, dict[str, Any], list[str]]]:
    """Name, shape and modules of every environment that a shipped file sets up, each shape once."""
    requests = [["hyperparams=none", f"env={name}"] for name in files.options("env")]
    sets = [name.partition("/") for name in files.options("hyperparams")]
    requests += [[f"algo={algo}", f"env={env}"] for algo, _, env in sets if env != "atari"]
    requests += [[f"experiment={name}"] for name in files.options("experiment")]
    found: list[dict[str, Any]] = []
    for words in requests:
        composition = compose("train", words)
        env = composition.values["env"]
        is_shipped = env["id"] != "???" and not composition.problems
        if is_shipped and (each := json.loads(json.dumps(shape(env)))) not in found:
            found.append(each)
            yield composition.choices["env"], each, env["imports"]


def row(name: str, found: dict[str, Any], imports: Sequence[str]) -> dict[str, Any]:
    """An environment's row of the table."""
    env = make_raw(found["id"], imports=imports, kwargs=found["kwargs"], max_steps=found["max_steps"])
    try:
        return {"env": name, "shape": found, "play": play(env, found["wrappers"], max_steps=MAX_STEPS).as_data()}
    finally:
        env.close()


def main(names: Sequence[str]) -> None:
    """Write the table."""
    if list(names) == ["--check"]:
        played = [each["shape"] for each in json.loads(TABLE.read_text())]
        missing = sorted({name for name, found, _ in shapes() if found not in played})
        sys.exit(f"run `python -m rlzoo.envs.compile_baselines {' '.join(missing)}`" if missing else 0)
    before = json.loads(TABLE.read_text()) if names and TABLE.is_file() else []
    old = {json.dumps(each["shape"]): each for each in before if each["env"] not in names}
    rows = []
    for name, found, imports in shapes():
        known = old.get(json.dumps(found))
        rows.append(known or row(name, found, imports))
        TABLE.write_text("[\n" + ",\n".join(map(json.dumps, rows)) + "\n]\n")
        if known is None:
            print(f"{name}: {len(rows[-1]['play']['returns'])} episodes", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])

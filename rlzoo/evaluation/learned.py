"""What a tabular algorithm has learned: values of actions or states as a table, and as a map where there is one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rlzoo import contained
from rlzoo.console import print_lines, print_table
from rlzoo.errors import RlzooError
from rlzoo.evaluation.evaluate import finite
from rlzoo.redaction import shell
from rlzoo.runs.config import RunConfig
from rlzoo.runs.run import Run

if TYPE_CHECKING:
    import numpy as np

    from rlzoo.envs.games.grid import Grid

MOST_ROWS = 64
"""States that are all shown: those of a lake of 8 x 8. Of more, the first and the last `FEW`."""
FEW = 10
MOST_ACTIONS = 1000
"""Columns that a terminal's table is laid out for; one with more belongs to none of our algorithms."""
LARGE = 1e9
"""What is written with a power of ten from there on."""
KINDS = {"q_values": (2, "f"), "v_values": (1, "f"), "policy": (1, "i")}
"""The arrays that a table is read from: how many dimensions they have, and of what kind their numbers are."""
ALIKE, ANY = "·", "?"


@dataclass(frozen=True)
class Learned:
    """A table of a checkpoint.

    Attributes:
        run: what it is of, and the same for the other four.
        q_values: what every action is worth, (n_states, n_actions); None of an algorithm that learns of states alone.
        v_values: what every state is worth, (n_states,), where the algorithm keeps that.
        policy: (n_states,), the action that the agent takes; -1 is any.
        grid: the map, where the states are its cells.
    """

    run: str
    checkpoint: str
    num_timesteps: int
    algo: str
    env: str
    q_values: np.ndarray | None
    v_values: np.ndarray | None
    policy: np.ndarray
    grid: Grid | None

    def as_data(self) -> dict[str, Any]:
        """The whole table for programs."""
        q_values = None if self.q_values is None else [[finite(one) for one in row] for row in self.q_values]
        v_values = None if self.v_values is None else [finite(one) for one in self.v_values]
        grid = self.grid
        return {
            **{name: getattr(self, name) for name in ("run", "checkpoint", "num_timesteps", "algo", "env")},
            "n_states": len(self.policy),
            "n_actions": None if self.q_values is None else self.q_values.shape[1],
            "q_values": q_values,
            "v_values": v_values,
            "policy": self.policy.tolist(),
            "grid": grid and _grid_as_data(self, grid),
        }

    def show(self) -> None:
        """For people."""
        moment = f"checkpoint {self.checkpoint} after {self.num_timesteps:,} steps"
        n_states = len(self.policy)
        states = list(range(n_states)) if n_states <= MOST_ROWS else [*range(FEW), *range(n_states - FEW, n_states)]
        policy = self.policy[states]
        if self.q_values is None:
            assert self.v_values is not None
            what, columns = "what states are worth to this policy", ["state", "value", "action"]
            cells = _texts(self.v_values[states, None])
            rows = [[str(k), *row, _action(self, action)] for k, row, action in zip(states, cells, policy, strict=True)]
        else:
            what = "what actions are worth in every state, the one that is taken with a star"
            columns = ["state", *(_action(self, action) for action in range(self.q_values.shape[1]))]
            cells = _texts(self.q_values[states], policy)
            rows = [[str(k), *row] for k, row in zip(states, cells, strict=True)]
        if len(states) < n_states:
            rows.insert(FEW, ["…"] * len(columns))
        print_lines(f"{self.run}: {self.algo} in {self.env}, {moment}", "", f"{what}:")
        print_table(columns, rows)
        if len(states) < n_states:
            print_lines(f"{n_states - 2 * FEW} of the {n_states} states are left out; --json has them all")
        if self.grid is not None:
            _print_map(self, self.grid)


def read(run: Run, checkpoint: str | None = None) -> Learned:
    """The table of a checkpoint of a run. Nothing of the run is executed where it is not the user's own.

    Raises:
        RlzooError: if there is no such checkpoint, or it holds no table.
    """
    import numpy as np

    from rlzoo.runs import checkpoints
    from rlzoo.runs.state_files import as_numpy

    values = run.read_config()
    algo, env = str(values["algo"]["name"]), str(values["env"]["id"])
    found = run.find_checkpoint(checkpoint)
    contents = checkpoints.read(found, (checkpoints.ALGORITHM,))
    arrays = {name: as_numpy(name, tensor) for name, tensor in contents.algorithm.tensors.items() if name in KINDS}
    if "policy" in arrays and arrays["policy"].dtype.kind != "i":
        del arrays["policy"]  # of a class of one's own, say: probabilities
    q_values, v_values, policy = (arrays.get(name) for name in KINDS)
    if q_values is None and v_values is None:
        message = f"{run.path} has learned no table: {algo} learns the weights of a policy or a network"
        raise RlzooError(message, f"rlzoo record {shell(f'run={run.path}')} shows what it does")
    if wrong := _misfit(arrays):
        raise contained.damaged(found.path, wrong)
    if policy is None:
        policy = np.argmax(arrays["q_values"], axis=1)
    grid = _grid(run, len(policy))
    return Learned(str(run.path), found.name, contents.num_timesteps, algo, env, q_values, v_values, policy, grid)


def _grid_as_data(learned: Learned, grid: Grid) -> dict[str, Any]:
    drawn = ["".join(row) for row in _in_rows(_drawn(learned, grid), grid)]
    return {"shape": list(grid.shape), "arrows": grid.arrows, "map": drawn}


def _misfit(arrays: Mapping[str, np.ndarray]) -> str:
    """What no algorithm can have learned together: arrays of other states, or actions that are none; else nothing."""
    for name, array in arrays.items():
        if (array.ndim, array.dtype.kind) != KINDS[name] or not array.size:
            return f"{name} is an array of shape {array.shape} and type {array.dtype}"
    n_states = {name: len(array) for name, array in arrays.items()}
    if len(set(n_states.values())) > 1:
        return "its arrays are of different numbers of states: " + ", ".join(f"{k} {n}" for k, n in n_states.items())
    n_actions = arrays["q_values"].shape[1] if "q_values" in arrays else MOST_ACTIONS
    if n_actions > MOST_ACTIONS:
        return f"it has {n_actions} actions in a state, more than {MOST_ACTIONS}"
    if "policy" in arrays:
        policy = arrays["policy"]
        return "" if policy.min() >= -1 and policy.max() < n_actions else f"policy has actions beyond {n_actions - 1}"
    return "" if "q_values" in arrays else "it has no policy that its values are of"


def _grid(run: Run, n_states: int) -> Grid | None:
    """The map of the run's environment; None if it has none, cannot be made, or is not the user's own to run."""
    from rlzoo.envs.games.grid import find_grid
    from rlzoo.envs.make import make_raw

    try:
        cfg = RunConfig.open(run).read().env
        env = make_raw(cfg.id, imports=cfg.imports, kwargs=cfg.kwargs)
    except Exception:  # an environment's own failure too: the table is shown all the same
        return None
    try:
        return None if cfg.wrappers else find_grid(env, n_states)
    finally:
        env.close()


def _print_map(learned: Learned, grid: Grid) -> None:
    drawn = _drawn(learned, grid)
    if learned.v_values is not None:
        worth = [text for row in _texts(learned.v_values[:, None]) for text in row]
        print_lines("what states are worth, as a map:", *(f"  {' '.join(row)}" for row in _in_rows(worth, grid)), "")
    print_lines("what is done, as a map:", *(f"  {' '.join(row)}" for row in _in_rows(drawn, grid)), "")
    meant = {
        ", ".join(dict.fromkeys(grid.ends.values())): "the end of an episode",
        ALIKE: "all actions are worth the same, as where it has never been",
        ANY: "any action",
    }
    print_lines(*(f"  {sign} {meaning}" for sign, meaning in meant.items() if sign[:1] in drawn))


def _drawn(learned: Learned, grid: Grid) -> list[str]:
    """A sign for every state: where the episode is over, the map's own; else what is done."""
    drawn = []
    for state, action in enumerate(learned.policy.tolist()):
        alike = learned.q_values is not None and bool((learned.q_values[state] == learned.q_values[state, 0]).all())
        sign = ANY if action < 0 else ALIKE if alike else grid.arrows.get(action, str(action))
        drawn.append(grid.ends.get(state, sign))
    return drawn


def _in_rows(cells: list[str], grid: Grid) -> list[list[str]]:
    n_columns = grid.shape[1]
    return [cells[start : start + n_columns] for start in range(0, len(cells), n_columns)]


def _texts(values: np.ndarray, taken: np.ndarray | None = None) -> list[list[str]]:
    """Numbers of one width; with a star behind the one in the column that is taken in its row."""
    texts = [[f"{value:.3f}" if abs(value) < LARGE else f"{value:.3g}" for value in row] for row in values.tolist()]
    width = max(len(text) for row in texts for text in row)
    if taken is None:
        return [[text.rjust(width) for text in row] for row in texts]
    return [
        [text.rjust(width) + ("*" if action == taken[state] else " ") for action, text in enumerate(row)]
        for state, row in enumerate(texts)
    ]


def _action(learned: Learned, action: int) -> str:
    """`2 →`, or the number alone where nobody knows where it leads."""
    arrow = learned.grid.arrows.get(int(action), "") if learned.grid is not None else ""
    return "any" if action < 0 else f"{action} {arrow}".strip()

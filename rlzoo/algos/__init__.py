"""Algorithms: which there are, what they take, and how one is made. Importing this imports no torch."""

from rlzoo.algos.create import create
from rlzoo.algos.memory import buffer_bytes
from rlzoo.algos.specs import ALGOS, AlgoSpec, all_specs, find_spec

__all__ = ["ALGOS", "AlgoSpec", "all_specs", "buffer_bytes", "create", "find_spec"]

"""Algorithms: which there are, what they take, and how one is made. Importing this imports no torch."""

from rlzoo.algos.create import create
from rlzoo.algos.specs import ALGOS, AlgoSpec, find_spec

__all__ = ["ALGOS", "AlgoSpec", "create", "find_spec"]

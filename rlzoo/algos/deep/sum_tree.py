"""A binary tree of sums: draws an index in proportion to its priority in a logarithmic number of steps."""

from __future__ import annotations

import numpy as np


class SumTree:
    """Priorities of `n` indices, and their sums by pairs, fours, eights, ... up to the total.

    Schaul et al. 2016, appendix B.2.1. Every sum is that of its two children, added anew, so it depends on the
    priorities alone and not on how they came about.

    Attributes:
        nodes: node 1 is the total, node k the sum of nodes 2k and 2k + 1, index i is node `first + i`.
        first: where the indices begin.
    """

    def __init__(self, n: int) -> None:
        self.n = n
        self.depth = max(n - 1, 0).bit_length()
        self.first = 1 << self.depth
        self.nodes = np.zeros(2 * self.first)

    @property
    def total(self) -> float:
        return float(self.nodes[1])

    @property
    def leaves(self) -> np.ndarray:
        """The priorities, (n,): a view, after whose change `rebuild` is due."""
        return self.nodes[self.first : self.first + self.n]

    def set(self, indices: np.ndarray, priorities: np.ndarray | float) -> None:
        """Give indices (k,) these priorities (k,), none negative; of an index that is named twice the last counts."""
        nodes = self.nodes
        at = indices + self.first
        nodes[at] = priorities
        for _ in range(self.depth):
            at = at >> 1
            nodes[at] = nodes[2 * at] + nodes[2 * at + 1]

    def find(self, masses: np.ndarray) -> np.ndarray:
        """The indices (k,) at which the running sum of the priorities passes `masses` (k,), each 0 to the total.

        An index without priority is never found.
        """
        nodes, masses = self.nodes, masses.copy()
        at = np.ones(len(masses), dtype=np.int64)
        for _ in range(self.depth):
            at *= 2
            left = nodes[at]
            right = (masses >= left) & (nodes[at + 1] > 0)  # by rounding, a mass can lie beyond the last priority
            masses -= np.where(right, left, 0.0)
            at += right
        return at - self.first

    def rebuild(self) -> None:
        """Add up all sums from the priorities."""
        for level in range(self.depth - 1, -1, -1):
            start = 1 << level
            pairs = self.nodes[2 * start : 4 * start]
            self.nodes[start : 2 * start] = pairs[::2] + pairs[1::2]

"""Which policy network fits which observation."""

from __future__ import annotations

from collections.abc import Sequence

from rlzoo.errors import RlzooError

BY_KIND = {
    "image": ("CnnPolicy", "CnnLstmPolicy"),
    "dict": ("MultiInputPolicy", "MultiInputLstmPolicy"),
    "vector": ("MlpPolicy", "MlpLstmPolicy"),
}
"""Kind of observation to the policies made for it: an image is a uint8 Box of rank 3, a vector anything flat."""


def choose_policy(policies: Sequence[str], kind: str) -> str:
    """The policy that `policy: auto` stands for.

    Raises:
        RlzooError: if the algorithm has none for this kind of observation.
    """
    for name in BY_KIND[kind]:
        if name in policies:
            return name
    raise RlzooError(f"there is no policy for {kind} observations", f"it has: {', '.join(policies)}")

"""What the environment checkers of Gymnasium and Stable-Baselines3 say of an environment, one line for each finding."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import gymnasium

from rlzoo.errors import words_of

_OUTSIDE = "within the observation space|contained"
_TOPICS = {
    "shape": rf"shape|keys? (in|of)|not match the|{_OUTSIDE}",
    "dtype": rf"dtype|data type|np\.array|numpy array|{_OUTSIDE}",
    "bounds": rf"bounds?\b|(lower|upper) |{_OUTSIDE}",
    "finite": rf"\bNaN|\binf\b|\bInf|{_OUTSIDE}",
    "reward": r"reward",
    "terminated": r"terminated|\bdone\b",
    "truncated": r"truncated",
    "info": r"\binfo\b",
    "reset": r"\breset\b",
    "step": r"\bstep\b",
}
"""What a line is about, as `returns.Misfit.topic`."""
_NOT_FOR_AUTHORS = r"different from the unwrapped version|is now ignored|alternative render modes"


class Finding(NamedTuple):
    """What a checker said, and whose it is. That an environment fails a check of it need not matter here."""

    checker: str
    text: str

    def topics(self) -> set[str]:
        """What it is about."""
        return {topic for topic, pattern in _TOPICS.items() if re.search(pattern, self.text)}


def check(make: Callable[[], gymnasium.Env]) -> Iterator[Finding]:
    """Run both checkers, each on an environment of its own."""
    from gymnasium.utils.env_checker import check_env
    from stable_baselines3.common.env_checker import check_env as check_for_sb3

    yield from _run("gymnasium's check_env", lambda env: check_env(env, skip_render_check=True), make)
    yield from _run("Stable-Baselines3's check_env", lambda env: check_for_sb3(env, skip_render_check=True), make)


def _run(name: str, check: Callable[[gymnasium.Env], Any], make: Callable[[], gymnasium.Env]) -> Iterator[Finding]:
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        env = make()
        try:
            check(env)
        except Exception as error:
            warnings.warn(words_of(error) or type(error).__name__, stacklevel=1)
        finally:
            env.close()
    for text in dict.fromkeys(_line(warning.message) for warning in heard):
        if not re.search(_NOT_FOR_AUTHORS, text):
            yield Finding(name, text)


def _line(said: Any) -> str:
    text = re.sub(r"\x1b\[[\d;]*m|(See )?https?://\S+( for more info\.?)?", "", str(said))
    return " ".join(text.removeprefix("WARN: ").split())

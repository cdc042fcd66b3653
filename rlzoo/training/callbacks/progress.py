"""Shows how far a training is: a live bar on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rlzoo import console
from rlzoo.protocols import Algorithm, Callback, Finishes, Patience

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

REFRESH = 0.1  # s between redraws of the bar
LINE_STEPS = 0.1  # share of the training after which a line is due ...
LINE_PAUSE = 2.0  # s ... but no sooner than this,
LINE_SECONDS = 30.0  # s and no later than this
SPEED_WINDOW = 20.0  # s over which the speed is taken at least, and ...
SPEED_STEPS = 0.1  # ... the share of the training: an evaluation takes its part, and learning may start late


class Progress(Callback):
    """Watches the steps, or what else is counted, as a callback, and the returns as a metric logger.

    Attributes:
        ep_rew_mean: the mean return of recent training episodes.
        best: the best mean return of an evaluation.

    Args:
        total_timesteps: where the training ends,
        n_episodes: or after so many episodes, whichever comes first.
        unit: what is counted.
    """

    def __init__(self, total_timesteps: int, n_episodes: int | None = None, *, unit: str = "steps") -> None:
        self.ep_rew_mean: float | None = None
        self.best: float | None = None
        self._total, self._n_episodes, self._unit = total_timesteps, n_episodes, unit
        self._played = 0  # episodes so far
        self._bar: Bar | None = None
        self._marks: deque[tuple[float, int]] = deque()  # (seconds, steps), oldest first
        self._drawn_at = self._line_at = -math.inf
        self._line_share = 0.0

    def on_start(self, algorithm: Algorithm) -> None:
        now, step = time.monotonic(), self._count(algorithm)
        self._marks = deque([(now, step)])
        self._drawn_at = self._line_at = now
        self._line_share = self._done(step)
        if console.is_live():
            self._bar = _bar(self._n_episodes or self._total)
            self._bar.start()

    def on_step(self, algorithm: Algorithm) -> bool:
        now = time.monotonic()
        if now - self._drawn_at >= REFRESH:
            self._drawn_at = now
            self._update(now, self._count(algorithm))
        return True

    def patience(self, algorithm: Algorithm) -> Patience:
        return Patience()

    def on_end(self, algorithm: Algorithm) -> None:
        now, step = time.monotonic(), self._count(algorithm)
        if isinstance(algorithm, Finishes) and algorithm.done:
            self._total = step
        self._mark(now, step)
        self._draw(step)
        self._say(now, step)
        self.close()

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        self.ep_rew_mean = metrics.get("rollout/ep_rew_mean", self.ep_rew_mean)
        evaluation = metrics.get("eval/mean_reward")
        if evaluation is not None and (self.best is None or evaluation >= self.best):
            self.best = evaluation

    def close(self) -> None:
        """Leave the terminal as it was, whatever happened."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def text(self, step: int) -> str:
        """Where the training is, in one line."""
        speed = self._speed()
        parts = [f"{step:,}/{self._total:,} {self._unit} ({min(1, step / self._total):.0%})"]
        if self._n_episodes is not None:
            parts = [f"{step:,} {self._unit}, {self._played:,}/{self._n_episodes:,} episodes ({self._done(step):.0%})"]
        if speed:
            parts.append(f"{speed:,.0f} {self._unit}/s")
            if left := self._left(step, speed):
                parts.append(f"{left} left")
        parts += [f"{name} {value:.2f}" for name, value in self._scores().items()]
        return " | ".join(parts)

    def _count(self, algorithm: Algorithm) -> int:
        """Those of the unit so far; episodes are noted if they matter."""
        if self._n_episodes is not None:
            self._played = algorithm.n_episodes
        return algorithm.num_timesteps

    def _done(self, step: int) -> float:
        """The share of the training that is over."""
        by_episodes = self._played / self._n_episodes if self._n_episodes else 0.0
        return min(1.0, max(step / self._total, by_episodes))

    def _left(self, step: int, speed: float) -> str:
        """Time to the end if the rest takes steps, and these time, as those so far; empty at the end."""
        done = self._done(step)
        if not 0 < done < 1:
            return ""
        steps = self._total - step if self._n_episodes is None else step / done - step
        return _duration(steps / speed)

    def _update(self, now: float, step: int) -> None:
        self._mark(now, step)
        self._draw(step)
        passed = now - self._line_at
        if passed >= LINE_SECONDS or (
            passed >= LINE_PAUSE and self._done(step) - self._line_share > LINE_STEPS - 1e-9 and self._done(step) < 1
        ):
            self._say(now, step)

    def _mark(self, now: float, step: int) -> None:
        self._marks.append((now, step))
        enough = step - SPEED_STEPS * self._total
        while len(self._marks) > 2 and now - self._marks[1][0] > SPEED_WINDOW and self._marks[1][1] <= enough:
            self._marks.popleft()

    def _speed(self) -> float | None:
        """Those of the unit per second of late, None while unknown."""
        if len(self._marks) < 2:
            return None
        (since, first), (now, last) = self._marks[0], self._marks[-1]
        return (last - first) / (now - since) if now > since and last > first else None

    def _scores(self) -> dict[str, float]:
        scores = {"return": self.ep_rew_mean, "best evaluation": self.best}
        return {name: value for name, value in scores.items() if value is not None}

    def _draw(self, step: int) -> None:
        if self._bar is None:
            return
        speed = self._speed()
        fields: dict[str, Any] = {
            "speed": f"{speed:,.0f} {self._unit}/s" if speed else "",
            "left": f"{left} left" if speed and (left := self._left(step, speed)) else "",
            "scores": "  ".join(f"{name} {value:.2f}" for name, value in self._scores().items()),
        }
        task = self._bar.task_ids[0]
        self._bar.update(task, total=self._total, completed=min(step, self._total), refresh=True, **fields)

    def _say(self, now: float, step: int) -> None:
        """A plain line: on the screen unless there is a bar, in the log always."""
        self._line_at, self._line_share = now, self._done(step)
        if self._bar is None:
            console.say(self.text(step))
        else:
            console.log.info(self.text(step))


def _bar(total: int) -> Bar:
    """A bar that is redrawn only when it is told to: no thread of its own."""
    from rich.progress import BarColumn, MofNCompleteColumn, TaskProgressColumn, TextColumn
    from rich.progress import Progress as Bar

    bar = Bar(
        BarColumn(bar_width=24),
        TaskProgressColumn(),
        MofNCompleteColumn(),
        *(TextColumn(f"{{task.fields[{name}]}}", markup=False) for name in ("speed", "left", "scores")),
        console=console.stderr(),
        auto_refresh=False,
        redirect_stdout=console.stdout().is_terminal,
    )
    bar.add_task("training", total=total, speed="", left="", scores="")
    return bar


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minutes:02d}m"
    return f"{minutes}m{rest:02d}s" if minutes else f"{rest}s"

"""The certificate of a level of the Deep RL Course, drawn as one page of A4: a private souvenir, as PDF and PNG.

It says that rlzoo made it from the results that it lists: nobody but its owner has issued it.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlzoo import __version__, contained
from rlzoo.algos.specs import ALGOS
from rlzoo.config.assignments import Level, certified
from rlzoo.config.paths import at_home
from rlzoo.config.schema import CertifyConfig
from rlzoo.console import warn
from rlzoo.course.progress import Report, Standing, assess
from rlzoo.course.scores import runs_named
from rlzoo.errors import ExitCode, Problem, RlzooError
from rlzoo.evaluation.plot import plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STEM = "deep-rl-course-certificate"
WIDTH, HEIGHT = 297.0, 210.0  # mm, A4 landscape
MM_PER_INCH = 25.4
DPI = 200
INK, NAVY, GOLD, MUTED, PAPER = "#22262e", "#17294d", "#a9853f", "#6d7078", "#fffdf8"
SERIF = ("STIXGeneral", "DejaVu Serif", "DejaVu Sans")
LONGEST_NAME = 80
NAME_SIZE = 46.0  # points, smaller where the name is longer than the line
NAME_WIDTH = 215.0  # mm
ALGORITHMS = {"q_learning": "Q-learning", "ppo_scratch": "PPO from scratch", "maskable_ppo": "maskable PPO"}
"""Algorithms whose names are not written in capitals."""
MONTHS = (
    "January February March April May June July August September October November December".split()
)  # whatever the locale


def certify(cfg: CertifyConfig, named: Sequence[str]) -> tuple[Report, tuple[Path, ...]]:
    """What was reached in each assignment, and the files of the certificate, if one is asked for and earned."""
    runs = runs_named(named, cfg.runs_dir) if cfg.source != "hub" else []
    models = []
    if cfg.user is not None and cfg.source != "runs":
        from rlzoo.hub.listing import find_models

        models = find_models(user=cfg.user)
    report = assess(runs, models, None if named else cfg.runs_dir)
    if cfg.name is None or report.level is None:
        return report, ()
    counted = [standing for standing in report.standings if standing.assignment.certified]
    return report, write(cfg.name, report.level, counted, at_home(cfg.folder), datetime.now().astimezone().date())


def certify_problems(cfg: CertifyConfig, named: Sequence[str]) -> list[Problem]:
    """What is wrong with a request beyond its types."""
    problems = []
    if cfg.source == "hub" and cfg.user is None:
        problems.append(Problem("source", "hub needs to know whose models count", "user=…"))
    if cfg.source == "runs" and cfg.user is not None:
        problems.append(Problem("user", "has models on the Hub, which source=runs leaves out", "source=auto"))
    if cfg.source == "hub" and named:
        problems.append(Problem("source", f"hub leaves out the run {named[0]}", "source=auto"))
    if cfg.name is not None:
        try:
            check_name(cfg.name)
        except RlzooError as error:
            problems.append(Problem("name", error.message.removeprefix("name: "), error.hint))
    return problems


def write(name: str, level: Level, standings: Sequence[Standing], folder: Path, day: date) -> tuple[Path, Path]:
    """Draw the certificate as `deep-rl-course-certificate.pdf` and `.png`; those that are there are replaced.

    Args:
        name: whom it is for, in any script that the fonts of this machine have.
        level: what was reached.
        standings: all assignments that the certificate counts.
        folder: where it is written; made if it is not there.
        day: the date on it.

    Raises:
        RlzooError: if matplotlib is missing (exit code 3), the name is none, or the folder cannot be written (5).
    """
    name = check_name(name)
    figure = draw(name, level, standings, day)
    paths = (folder / f"{STEM}.pdf", folder / f"{STEM}.png")
    about = {"Title": f"Certificate of {level.name}", "Author": f"rlzoo {__version__}", "Subject": name}
    contained.require_way(folder / STEM)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _style():
            for path in paths:
                temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
                try:
                    kind = path.suffix[1:]
                    figure.savefig(temporary, format=kind, dpi=DPI, metadata=about, facecolor=PAPER)
                    temporary.replace(path)
                finally:
                    temporary.unlink(missing_ok=True)
    except OSError as error:
        message = f"cannot write the certificate into {folder}: {error.strerror}"
        raise RlzooError(message, "choose another place with folder=", ExitCode.STORAGE) from error
    return paths


def check_name(name: str) -> str:
    """The name on one line.

    Raises:
        RlzooError: if it is empty, too long, or has characters that are not printed.
    """
    name = " ".join(name.split())
    if not name or len(name) > LONGEST_NAME or not name.isprintable():
        raise RlzooError(f"name: must be 1 to {LONGEST_NAME} printable characters", "name='Ada Lovelace'")
    return name


def draw(name: str, level: Level, standings: Sequence[Standing], day: date) -> Figure:
    """The page; texts are never read as formulas.

    Raises:
        RlzooError: if matplotlib is missing.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        message = "the certificate needs the package matplotlib"
        raise RlzooError(message, 'pip install "hydra-rlzoo[plot]"', ExitCode.MISSING) from None

    with _style():
        figure = Figure(figsize=(WIDTH / MM_PER_INCH, HEIGHT / MM_PER_INCH), facecolor=PAPER)
        FigureCanvasAgg(figure)
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set_xlim(0, WIDTH)
        axes.set_ylim(0, HEIGHT)
        axes.axis("off")
        n_passed = sum(standing.state == "passed" for standing in standings)
        _frame(axes)
        _heading(axes, name, level, n_passed)
        _table(axes, standings)
        _foot(axes, standings, n_passed, day)
    return figure


def _frame(axes: Axes) -> None:
    """A double border with ornaments of crossed waves in its corners."""
    import numpy as np
    from matplotlib.patches import Rectangle

    for margin, color, width in ((8.0, NAVY, 1.6), (10.2, GOLD, 0.5)):
        size = (WIDTH - 2 * margin, HEIGHT - 2 * margin)
        axes.add_patch(Rectangle((margin, margin), *size, fill=False, edgecolor=color, linewidth=width))
    t = np.linspace(0, np.pi / 2, 240)
    for x, y, right, up in ((12.5, 12.5, 1, 1), (284.5, 12.5, -1, 1), (12.5, 197.5, 1, -1), (284.5, 197.5, -1, -1)):
        for middle, swing, waves, color in ((15.0, 2.6, 8, GOLD), (7.8, 1.5, 8, NAVY)):
            for phase in np.linspace(0, 2 * np.pi, 9)[:-1]:
                radius = middle + swing * np.sin(waves * t + phase)
                axes.plot(x + right * radius * np.cos(t), y + up * radius * np.sin(t), color=color, lw=0.3, alpha=0.8)
    _rosette(axes, WIDTH / 2, 118, (30.0, 44.0, 58.0, 72.0), swing=11.0, waves=18, alpha=0.09)


def _rosette(
    axes: Axes, x: float, y: float, radii: Sequence[float], *, swing: float, waves: int, alpha: float = 1.0
) -> None:
    import numpy as np

    t = np.linspace(0, 2 * np.pi, 1200)
    for middle in radii:
        for phase in np.linspace(0, 2 * np.pi, 13)[:-1]:
            radius = middle + swing * np.sin(waves * t + phase)
            axes.plot(x + radius * np.cos(t), y + radius * np.sin(t), color=GOLD, lw=0.35, alpha=alpha)


def _heading(axes: Axes, name: str, level: Level, n_passed: int) -> None:
    middle = WIDTH / 2
    _text(axes, middle, 187, _spaced("THE DEEP REINFORCEMENT LEARNING COURSE"), size=10.5, color=GOLD)
    _text(axes, middle, 171, f"Certificate of {level.name.capitalize()}", size=37, color=NAVY)
    _text(axes, middle, 156.5, "presented to", size=13.5, color=MUTED, style="italic")
    _name(axes, name, middle, 141)
    _rule(axes, middle, 129.5)
    all_of = "every one of" if n_passed == len(certified()) else f"{n_passed} of"
    who = f"who has passed {all_of} the {len(certified())} assignments of the course"
    _text(axes, middle, 121.5, who, size=13.5, style="italic")
    rule = "A result is the mean of the returns of whole episodes minus their standard deviation."
    _text(axes, middle, 115, rule, size=9.5, color=MUTED, style="italic")


def _name(axes: Axes, name: str, x: float, y: float) -> None:
    """As large as fits on the line."""
    fonts = fonts_for(name)
    label = _text(axes, x, y, name, size=NAME_SIZE, style="italic", family=fonts)
    axes.figure.canvas.draw()
    width = label.get_window_extent().width / axes.bbox.width * WIDTH
    label.set_fontsize(NAME_SIZE * min(1.0, NAME_WIDTH / max(width, 1.0)))


def _rule(axes: Axes, x: float, y: float) -> None:
    for side in (-1, 1):
        axes.plot([x + side * 3, x + side * 58], [y, y], color=GOLD, lw=0.7)
    axes.plot([x], [y], marker="D", markersize=3.6, color=GOLD)


def _table(axes: Axes, standings: Sequence[Standing]) -> None:
    """The results, small: one line for each assignment."""
    left, right, top, step = 37.0, 260.0, 104.0, 4.25
    places = (left, left + 12, left + 66, left + 120, left + 156, right - 24, right)
    heads = ("unit", "assignment", "environment", "algorithm", "asked for", "mean ± std", "result")
    sides = ["left"] * 5 + ["right"] * 2
    for x, head, side in zip(places, heads, sides, strict=True):
        _text(axes, x, top, head, size=8, color=GOLD, ha=side, style="italic")
    axes.plot([left, right], [top - 2.5] * 2, color=GOLD, lw=0.6)
    for row, standing in enumerate(standings):
        color = INK if standing.state == "passed" else MUTED
        for x, cell, side in zip(places, _cells(standing), sides, strict=True):
            _text(axes, x, top - 5.6 - row * step, cell, size=8.2, color=color, ha=side)
    axes.plot([left, right], [top - 4.0 - len(standings) * step] * 2, color=GOLD, lw=0.6)


def _cells(standing: Standing) -> tuple[str, ...]:
    assignment, best = standing.assignment, standing.best
    title = assignment.title[0].upper() + assignment.title[1:]
    algo = best.algo if best is not None and best.algo in ALGOS else assignment.algo  # a card may say anything
    algo = algo if "(" in algo else ALGORITHMS.get(algo, algo.replace("_", " ").upper())
    asked = "a trained agent" if assignment.bar is None else f"result ≥ {assignment.bar:g}"
    spread, result = "", "passed" if standing.state == "passed" else "open"
    if best is not None:
        spread, result = f"{_number(best.mean)} ± {_number(best.std)}", _number(best.result)
    numbers = (text.replace("-", "\N{MINUS SIGN}") for text in (asked, spread, result))
    return assignment.unit, title, assignment.env_ids[0], algo, *numbers


def _number(value: float) -> str:
    return f"{value:.2f}" if abs(value) < 1e7 else f"{value:.3g}"


def _foot(axes: Axes, standings: Sequence[Standing], n_passed: int, day: date) -> None:
    _seal(axes, WIDTH / 2, 31.5, n_passed)
    for x, text, what in (
        (72.0, f"{day.day} {MONTHS[day.month - 1]} {day.year}", "date"),
        (WIDTH - 72.0, f"rlzoo {__version__}", "made by"),
    ):
        _text(axes, x, 33, text, size=13)
        axes.plot([x - 27, x + 27], [28.6, 28.6], color=GOLD, lw=0.5)
        _text(axes, x, 25.6, what, size=8, color=MUTED, style="italic")
    stated = ", some of them as stated on the Hub" if any(standing.stated for standing in standings) else ""
    notice = f"A private souvenir, made by rlzoo from the listed results{stated}. Not issued by Hugging Face."
    _text(axes, WIDTH / 2, 13.6, notice, size=7, color=MUTED)


def _seal(axes: Axes, x: float, y: float, n_passed: int) -> None:
    """A rosette of waves around how many assignments were passed."""
    from matplotlib.patches import Circle

    _rosette(axes, x, y, (11.6,), swing=2.0, waves=16)
    axes.add_patch(Circle((x, y), 9.4, facecolor=NAVY, edgecolor=GOLD, linewidth=0.9))
    axes.add_patch(Circle((x, y), 8.5, fill=False, edgecolor=GOLD, linewidth=0.4))
    _text(axes, x, y + 0.9, f"{n_passed} of {len(certified())}", size=12.5, color=PAPER)
    _text(axes, x, y - 3.9, _spaced("PASSED"), size=4.6, color=GOLD)


def _text(axes: Axes, x: float, y: float, text: str, **style: Any) -> Any:
    options: dict[str, Any] = {"ha": "center", "va": "center", "color": INK, "parse_math": False} | style
    return axes.text(x, y, text, **options)


def _spaced(text: str) -> str:
    """Capitals set apart, by thin spaces."""
    return "\u2009".join(text.replace(" ", "\u2002"))


def fonts_for(name: str) -> list[str]:
    """Font families that together have every character of a name; what no font here has is said."""
    from matplotlib import font_manager
    from matplotlib.ft2font import FT2Font

    families = list(SERIF)
    lacking = {char for char in name if not char.isspace()}
    for family in SERIF:
        lacking -= _characters(FT2Font(font_manager.findfont(family)))
    for entry in font_manager.fontManager.ttflist if lacking else ():
        if "LastResort" in entry.fname or entry.name in families:
            continue
        try:
            has = lacking & _characters(FT2Font(entry.fname))
        except (OSError, RuntimeError):
            continue
        if has:
            families.append(entry.name)
            lacking -= has
        if not lacking:
            break
    if lacking:
        text = " ".join(sorted(lacking))
        warn(f"no font on this machine has {text}: the certificate shows boxes (fonts-noto has most scripts)")
    return families


def _characters(font: Any) -> set[str]:
    return {chr(code) for code in font.get_charmap()}


@contextmanager
def _style() -> Iterator[None]:
    """Whole fonts in the PDF, so that its text can be searched; what no font has was said already."""
    with plain({"font.family": list(SERIF), "pdf.fonttype": 42}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        yield

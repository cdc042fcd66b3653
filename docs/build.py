"""Makes `docs/algorithms/` from docstrings, `conf/algo/*.yaml` and the measured curves: `make docs`.

A page of each algorithm of rlzoo's own, and a table of all. Edit what they are made from, never the pages. Only a curve
that changed is drawn again; that takes matplotlib.
"""

from __future__ import annotations

import ast
import csv
import hashlib
import inspect
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from rlzoo.algos.explain import Explanation, as_yaml, explain
from rlzoo.algos.schema.compile import sections
from rlzoo.algos.schema.types import NOT_HYPERPARAMETERS
from rlzoo.algos.specs import ALGOS, AlgoSpec
from rlzoo.registry import load

ROOT = Path(__file__).resolve().parents[1]
PAGES = ROOT / "docs" / "algorithms"
CURVES = ROOT / "benchmarks" / "results" / "curves"
UP = "../.."
"""From a page to the root."""
MADE = "<!-- Made by `make docs` from {}: edit that, not this. -->"

BLUE = "#0072B2"  # of Okabe and Ito's palette, which the colour-blind can tell apart


@dataclass(frozen=True)
class Measured:
    """A curve as it lies in `benchmarks/results/curves/`: what its comments say, and the points of every seed."""

    about: dict[str, str]
    column: str
    seeds: dict[int, list[tuple[int, float]]]

    @property
    def label(self) -> str:
        """What is measured, in words."""
        return self.column.replace("_", " ")


def main() -> None:
    """Write every page and draw the curves that changed."""
    os.chdir(ROOT)
    PAGES.mkdir(exist_ok=True)
    for name, text in pages().items():
        (PAGES / name).write_text(text)
    for path in sorted(CURVES.glob("*.csv")):
        picture = PAGES / f"{path.stem}.png"
        if path.stem in ALGOS and not is_drawn_from(picture, path):
            draw(path, picture)
            print(f"drew {picture.relative_to(ROOT)}")


def pages() -> dict[str, str]:
    """The text of every page, by its file name. The working directory has to be the repository."""
    own = {f"{spec.name}.md": page(spec) for spec in ALGOS.values() if spec.backend == "rlzoo"}
    return {"README.md": index(), **own}


def index() -> str:
    """The table of all algorithms."""
    lines = [
        MADE.format("`rlzoo/algos/specs.py`"),
        "# Algorithms",
        "",
        "`rlzoo show algo=<name>` explains each on the command line: paper, file to read, every hyperparameter.",
    ]
    titles = {
        "rlzoo": ("rlzoo's own", "One file each, to be read from top to bottom, with its measured curve."),
        "sb3": ("Stable-Baselines3", "Explained in its [documentation](https://stable-baselines3.readthedocs.io)."),
        "sb3_contrib": ("sb3-contrib", "Explained in its [documentation](https://sb3-contrib.readthedocs.io)."),
    }
    for backend, (title, sentence) in titles.items():
        lines += ["", f"## {title}", "", sentence, "", *head("`algo=`", "what it is", "actions", "paper")]
        for spec in ALGOS.values():
            if spec.backend == backend:
                name = f"[{spec.name}]({spec.name}.md)" if backend == "rlzoo" else spec.name
                aliases = "".join(f", {alias}" for alias in spec.aliases)
                paper = f"<{spec.paper}>" if spec.paper.startswith("https://") else spec.paper
                cells = (f"{name}{aliases}", spec.summary, ", ".join(spec.action_spaces), paper)
                lines.append(row(cells))
    return "\n".join([*lines, ""])


def page(spec: AlgoSpec) -> str:
    """The page of one algorithm of rlzoo's own."""
    about = explain(spec.name)
    tree = ast.parse((ROOT / about.file).read_text(encoding="utf-8"))
    title, _, rest = (ast.get_docstring(tree) or "").partition("\n")
    lines = [
        MADE.format(f"`{about.file}` and `{about.settings}`"),
        f"# {spec.name}",
        "",
        escape(title),
        "",
        *escaped(rest),
    ]
    lines += ["", *facts(about), "", "## Train it", "", "```sh"]
    width = max(map(len, about.commands))
    lines += [f"{command:{width}}  # {what}" for command, what in about.commands.items()]
    lines += ["```", "", *measured_section(spec.name), "## Hyperparameters", ""]
    lines += [f"They are set as `algo.<key>=…`; their defaults lie in [{about.settings}]({UP}/{about.settings}).", ""]
    lines += head("key", "default", "range", "meaning")
    for one in about.hyperparameters:
        lines.append(row((f"`{one.name}`", f"`{as_yaml(one.default)}`", one.range, one.meaning)))
    return "\n".join([*lines, "", *class_section(tree, spec), ""])


def facts(about: Explanation) -> list[str]:
    """Paper, file, spaces, tuned sets."""
    tuned = [f"[{name}]({UP}/hyperparams/{about.algo}/{name}.yaml)" for name in about.tuned_sets]
    found = {
        "Paper": about.paper,
        "To read": f"[{about.file}]({UP}/{about.file})",
        "Observations": ", ".join(about.observation_spaces) or "any that its networks take",
        "Actions": ", ".join(about.action_spaces),
        "Also called": ", ".join(about.aliases),
        "Tuned for": ", ".join(tuned),
    }
    return [f"- {name}: {value}" for name, value in found.items() if value]


def measured_section(name: str) -> list[str]:
    """The curve with what it is of; nothing if there is none."""
    path = CURVES / f"{name}.csv"
    if not path.is_file():
        return []
    curve = read_curve(path)
    about = curve.about
    last = [points[-1][1] for points in curve.seeds.values()]
    seeds = ", ".join(map(str, curve.seeds))
    return [
        "## Measured",
        "",
        f"![{curve.label} of {name} on {about['environment']}]({name}.png)",
        "",
        f"{about['environment']}, seeds {seeds}; each point is {about['point']}.",
        "The line is the mean over the seeds, the band reaches from the least to the most of them.",
        f"At the end: {sum(last) / len(last):.4g} ({min(last):.4g} to {max(last):.4g}).",
        "",
        "```sh",
        about["command"],
        "```",
        "",
        f"{about['date']}; {about['versions']}.",
        f"[The numbers]({UP}/{path.relative_to(ROOT).as_posix()}), [how they were made]({UP}/benchmarks/curves.py).",
        "",
    ]


def class_section(tree: ast.Module, spec: AlgoSpec) -> list[str]:
    """The class's docstring, and what its constructor takes besides hyperparameters."""
    name = spec.entry_point.partition(":")[2]
    node = next(node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name)
    text, entries = sections(ast.get_docstring(node) or "")
    lines = [f"## The class `{name}`", "", *escaped(text)]
    if entries.get("Attributes"):
        lines += ["", *(f"- `{key}`: {escape(what)}" for key, what in entries["Attributes"])]
    init = load(spec.entry_point).__init__  # that of its base, where it has none of its own
    text, entries = sections(inspect.getdoc(init) or "")
    if entries.get("Args"):
        lines += ["", f"`{name}(env, *, …)`: {escape(text[:1].lower() + text[1:])}"]
        others = [(key, what) for key, what in entries["Args"] if key in ("env", *NOT_HYPERPARAMETERS)]
        lines += ["", *(f"- `{key}`: {escape(what)}" for key, what in others)]
    return lines


def escaped(text: str) -> list[str]:
    """Paragraphs of a docstring as lines of Markdown; what is indented is code and stays."""
    return [line if line.startswith("    ") else escape(line) for line in text.strip("\n").splitlines()] if text else []


def escape(text: str) -> str:
    """Text outside of backquotes without what Markdown would take for markup."""
    parts = text.split("`")
    parts[::2] = [re.sub(r"([*<\[]|\b_|_\b)", r"\\\1", part) for part in parts[::2]]
    return "`".join(parts)


def head(*names: str) -> list[str]:
    """The first two lines of a Markdown table."""
    return [row(names), row("---" for _ in names)]


def row(cells: Iterable[str]) -> str:
    """A row of a Markdown table."""
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def read_curve(path: Path) -> Measured:
    """Read one of `benchmarks/results/curves/`."""
    lines = path.read_text().splitlines()
    about = dict(line[2:].split(": ", 1) for line in lines if line.startswith("# "))
    reader = csv.reader(line for line in lines if not line.startswith("#"))
    column = next(reader)[2]
    seeds: dict[int, list[tuple[int, float]]] = {}
    for seed, timesteps, value in reader:
        seeds.setdefault(int(seed), []).append((int(timesteps), float(value)))
    return Measured(about, column, seeds)


def fingerprint(path: Path) -> str:
    """What a picture says it was drawn from."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def is_drawn_from(picture: Path, path: Path) -> bool:
    """Whether a picture was drawn from this file as it is."""
    return picture.is_file() and fingerprint(path).encode() in picture.read_bytes()


def draw(path: Path, picture: Path) -> None:
    """Draw a curve: the mean over seeds, and a band from the least to the most of them."""
    import matplotlib as mpl
    import numpy as np

    mpl.use("agg")
    from matplotlib import pyplot as plt
    from matplotlib.ticker import FuncFormatter

    curve = read_curve(path)
    every = [np.array(points).T for points in curve.seeds.values()]  # (2, n_points) of each seed
    end = min(steps[-1] for steps, _ in every)
    timesteps = np.unique(np.concatenate([steps for steps, _ in every]))
    timesteps = timesteps[(timesteps >= max(steps[0] for steps, _ in every)) & (timesteps <= end)]
    values = np.array([np.interp(timesteps, steps, value) for steps, value in every])  # (n_seeds, n_timesteps)

    figure, axes = plt.subplots(figsize=(6, 3.6), dpi=120, layout="constrained")
    band = {"color": BLUE, "alpha": 0.25, "linewidth": 0}
    axes.fill_between(timesteps, values.min(axis=0), values.max(axis=0), **band, label="least to most")
    axes.plot(timesteps, values.mean(axis=0), color=BLUE, linewidth=2, label=f"mean of {len(every)} seeds")
    axes.set_title(f"{path.stem} on {curve.about['environment']}", fontsize=13)
    axes.set_xlabel("environment steps", fontsize=12)
    axes.set_ylabel(f"{curve.label}\n({curve.about['point']})", fontsize=12)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.tick_params(labelsize=11)
    axes.grid(alpha=0.3)
    axes.set_xlim(0, 1.02 * end)
    if values.min() >= 0:
        axes.set_ylim(bottom=0)
    axes.legend(fontsize=11)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(picture, metadata={"Source": fingerprint(path), "Software": None})
    plt.close(figure)


if __name__ == "__main__":
    main()

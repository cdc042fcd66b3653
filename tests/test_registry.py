"""Names resolve, and the nearest ones are suggested."""

import re
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from rlzoo import registry
from rlzoo.errors import ConfigError, ExitCode, Problem, RlzooError
from rlzoo.registry import did_you_mean, load, lookup, nearest


def test_load():
    from collections import OrderedDict

    assert load("collections:OrderedDict") is OrderedDict
    for reference, expected in [
        ("collections", "package.module:Name"),
        ("no_such_package.x:Y", "no_such_package"),
        ("collections:OrderedDic", "did you mean 'OrderedDict'"),
    ]:
        with pytest.raises(RlzooError, match=expected):
            load(reference)


def test_lookup_and_nearest():
    table = {"ppo": 1, "LunarLander": 2}
    assert lookup(table, "ppo", "algorithm") == 1
    with pytest.raises(RlzooError, match="unknown algorithm 'lunarlander'; did you mean 'LunarLander'"):
        lookup(table, "lunarlander", "algorithm")
    assert nearest("zzz", table) == []
    assert did_you_mean("zzz", table) == ""


def test_problems_say_where_and_choose_the_exit_code():
    wrong = Problem("algo.gamma", "must be at most 1, not 2", where="x.yaml:3")
    missing = Problem("env.id", "needs a package", "pip install x", code=ExitCode.MISSING)
    assert str(wrong) == "algo.gamma: must be at most 1, not 2 [x.yaml:3]"
    assert ConfigError([missing]).code == ExitCode.MISSING
    both = ConfigError([wrong, missing])
    assert both.code == ExitCode.WRONG_REQUEST
    assert "2 problems" in str(both)
    assert "pip install x" in str(both)


def test_no_two_files_of_tests_register_the_same_environment():
    """In one process the second would take the place of the first, and tests would depend on their order."""
    registered = re.compile(r"""\bregister\(\s*(?:id=)?["']([\w-]+-v\d+)""")
    found = [set(registered.findall(path.read_text())) for path in Path(__file__).parent.rglob("*.py")]
    counts = Counter(env_id for ids in found for env_id in ids)
    assert len(counts) > 30 and max(counts.values()) == 1, counts.most_common(3)


def test_libraries_are_looked_for_without_starting_anything(tmp_path, monkeypatch):
    def forbidden(*arguments, **keywords):
        raise AssertionError("started a process")

    monkeypatch.setattr(subprocess.Popen, "__init__", forbidden)
    monkeypatch.setattr(registry, "LOADER_CACHE", tmp_path / "ld.so.cache")
    (tmp_path / "ld.so.cache").write_bytes(b"glibc-ld.so.cache1.1\0libEGL.so.1\0/usr/lib/libEGL.so.1\0")
    (tmp_path / "libOSMesa.so.8").touch()
    monkeypatch.setenv("LD_LIBRARY_PATH", "")
    assert (registry.has_library("EGL"), registry.has_library("OSMesa")) == (True, False)
    monkeypatch.setenv("LD_LIBRARY_PATH", f"::{tmp_path}")
    assert registry.has_library("OSMesa")

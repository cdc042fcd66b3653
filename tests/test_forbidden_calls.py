"""The syntax tree of the package: nothing evaluates text or starts a shell, YAML is plain, three files may pickle.

Nothing is printed but constants and JSON, which is ASCII: any other text goes through `console`, which cleans it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "rlzoo"
# The last hands objects to a process of its own, by a pipe.
MAY_PICKLE = {"untrusted/pickle_files.py", "untrusted/unpickle.py", "envs/probe.py", "envs/rehearsal.py"}
MAY_PRINT = {"cli/main.py", "cli/columns.py", "console.py", "algos/schema/compile.py", "envs/compile_baselines.py"}
PRINTED = {"json.dumps", "rlzoo.tuning.report.data.dumps", "rlzoo.errors.clean"}
PICKLING = {"pickle", "_pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve", "jsonpickle", "copyreg"}
BUILTINS = {"eval", "exec", "compile", "__import__"}
SAFE_LOADERS = {"SafeLoader", "CSafeLoader"}
CALLS = {
    "os.system",
    "os.popen",
    "os.startfile",
    "subprocess.getoutput",
    "subprocess.getstatusoutput",
    "asyncio.create_subprocess_shell",
    "hydra.utils.instantiate",
    "instantiate",
    "pandas.read_pickle",
    "torch.hub.load",
    "torch.jit.load",
    "yaml.unsafe_load",
    "yaml.unsafe_load_all",
    "yaml.full_load",
    "yaml.full_load_all",
    "runpy.run_path",
}
YAML_LOADERS = {"yaml.load", "yaml.load_all", "yaml.compose", "yaml.compose_all", "yaml.parse", "yaml.scan"}


def findings(source: str, name: str = "module.py") -> list[str]:
    """What is forbidden in a module, one line each."""
    return [f"{name}:{line} {what}" for line, what in _walk(ast.parse(source), name)]


def _walk(tree: ast.Module, name: str) -> Iterator[tuple[int, str]]:
    imported: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            module = node.module or "" if isinstance(node, ast.ImportFrom) else ""
            for alias in node.names:
                full = f"{module}.{alias.name}" if module else alias.name
                imported[alias.asname or alias.name] = full
                if full.partition(".")[0] in PICKLING and name not in MAY_PICKLE:
                    yield node.lineno, f"imports {full}"
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute | ast.Name) and isinstance(node.ctx, ast.Load):
            dotted = _dotted(node, imported)
            if dotted in CALLS or dotted.startswith(("os.exec", "os.spawn", "os.posix_spawn")):
                yield node.lineno, dotted
            if (isinstance(node, ast.Name) and node.id in BUILTINS) or dotted.removeprefix("builtins.") in BUILTINS:
                yield node.lineno, dotted
        if isinstance(node, ast.Call):
            yield from _call(node, _dotted(node.func, imported))
            if _dotted(node.func, imported) == "print" and name not in MAY_PRINT:
                others = [part for part in node.args if not _is_safe_to_print(part, imported)]
                yield from ((node.lineno, "prints text that may be anybody's") for _ in others)


def _call(node: ast.Call, dotted: str) -> Iterator[tuple[int, str]]:
    keywords = {keyword.arg: keyword.value for keyword in node.keywords}
    if dotted in YAML_LOADERS:
        loader = keywords.get("Loader", node.args[1] if len(node.args) > 1 else None)
        if not isinstance(loader, ast.Attribute) or loader.attr not in SAFE_LOADERS:
            yield node.lineno, f"{dotted} without a safe loader"
    if dotted == "torch.load" and not _is(keywords.get("weights_only"), True):
        yield node.lineno, "torch.load without weights_only=True"
    if _is(keywords.get("allow_pickle"), True):
        yield node.lineno, "allow_pickle=True"
    if "shell" in keywords and not _is(keywords["shell"], False):
        yield node.lineno, "a shell"


def _dotted(node: ast.expr, imported: dict[str, str]) -> str:
    if isinstance(node, ast.Name):
        return imported.get(node.id, node.id)
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value, imported)}.{node.attr}"
    return ""


def _is_safe_to_print(node: ast.expr, imported: dict[str, str]) -> bool:
    if isinstance(node, ast.Call):
        return _dotted(node.func, imported) in PRINTED
    return isinstance(node, ast.Constant)


def _is(node: ast.expr | None, value: bool) -> bool:
    return isinstance(node, ast.Constant) and node.value is value


def test_the_package_does_none_of_it():
    modules = sorted(PACKAGE.rglob("*.py"))
    assert len(modules) > 50
    assert [line for path in modules for line in findings(path.read_text(), str(path.relative_to(PACKAGE)))] == []


@pytest.mark.parametrize(
    "source",
    [
        "eval('1')",
        "exec('1')",
        "run = eval",
        "import builtins; builtins.exec('1')",
        "import os; os.system('ls')",
        "from os import system; system('ls')",
        "from os import popen as run; run('ls')",
        "import os as o; o.execv('/bin/ls', [])",
        "import subprocess; subprocess.run('ls', shell=True)",
        "import subprocess; subprocess.run('ls', shell=flag)",
        "import pickle",
        "from pickle import loads",
        "import cloudpickle as c",
        "def f():\n    import joblib",
        "import yaml; yaml.load(text)",
        "import yaml; yaml.load(text, yaml.FullLoader)",
        "import yaml; yaml.load_all(text, Loader=yaml.Loader)",
        "from yaml import unsafe_load\nunsafe_load(text)",
        "import torch; torch.load(path)",
        "import torch; torch.load(path, weights_only=False)",
        "import torch; torch.load(path, weights_only=flag)",
        "import numpy; numpy.load(path, allow_pickle=True)",
        "from hydra.utils import instantiate; instantiate(cfg)",
        "print(name)",
        "print('run:', f'{run.path}')",
    ],
)
def test_what_is_forbidden_is_found(source: str):
    assert findings(source)


@pytest.mark.parametrize(
    "source",
    [
        "import yaml; yaml.load(text, yaml.CSafeLoader)",
        "import torch; torch.load(path, weights_only=True)",
        "import re; re.compile('a')",
        "import ast; ast.literal_eval('1')",
        "model.eval()",
        "import subprocess; subprocess.run(['ls'])",
        "import pickletools",
        "import json; print(json.dumps({}))",
        "print(); print('done', flush=True)",
    ],
)
def test_what_is_allowed_is_not(source: str):
    assert findings(source) == []

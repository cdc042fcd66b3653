"""How a process ends that others have left something in; each is a real one, of the standard library alone."""

from __future__ import annotations

import gzip
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

LEAVE = """
import atexit, concurrent.futures, gc, gzip, os, sys, threading, time, weakref
from rlzoo.processes import leaving

class Held: pass

leaving.refuse()
held, log = Held(), open("log.txt", "w")
log.write("the last line")
packed = gzip.open("log.gz", "wt")
packed.write("the last line")
gc.collect()
weakref.finalize(held, os.rmdir, "folder")
atexit.register(print, "goodbye")
def end(): os._exit(0)
def fail(): raise ValueError("it is over")
def replace(): os.execlp("true", "true")
for handler in (end, fail, replace, sys.exit):
    atexit.register(handler)
print('{"score": 1}')
"""

LAST = """
thread = threading.Thread(target=end)
thread.start()
thread.join()
if (child := os.fork()) == 0:
    os._exit(9)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
leaving.leave(4)
"""


def run(code: str, folder: Path) -> Any:
    return subprocess.run(
        [sys.executable, "-P", "-c", f"{LEAVE}{code}"], cwd=folder, capture_output=True, text=True, timeout=300
    )


def test_what_others_do_at_the_end_changes_neither_the_exit_code_nor_the_output(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    ended = run(LAST, tmp_path)
    assert (ended.returncode, ended.stdout) == (4, '{"score": 1}\n'), ended.stderr
    assert "goodbye" in ended.stderr and "Traceback" not in ended.stderr
    for words in ("os._exit was called: 0", "ValueError: it is over", "os.execv was called", "sys.exit was called"):
        assert f"an exit handler failed: {words}" in ended.stderr
    assert "a thread called os._exit, which ends that thread alone" in ended.stderr
    assert (tmp_path / "log.txt").read_text() == "the last line"
    assert gzip.decompress((tmp_path / "log.gz").read_bytes()) == b"the last line"
    assert not (tmp_path / "folder").exists()


HELD = {
    "thread": ("threading.Thread(target=wait, name='engine').start()", r"thread 'engine'"),
    "pool": ("concurrent.futures.ThreadPoolExecutor(1, 'pool').submit(wait)", r"thread 'pool_0'"),
    "handler": ("atexit.register(wait)", "an exit handler"),
    "finalizer": ("weakref.finalize(log, wait)", "an exit handler"),
}


@pytest.mark.parametrize("what", HELD)
def test_what_does_not_end_is_named_and_not_waited_for(what: str, tmp_path: Path) -> None:
    (tmp_path / "waiting.py").write_text("import threading\ndef wait():\n    threading.Event().wait()\n")
    do, words = HELD[what]
    ended = run(
        f"sys.path.insert(0, '.')\nfrom waiting import wait\n{do}\nleaving.SECONDS = 0.3\nleaving.leave(0)", tmp_path
    )
    assert (ended.returncode, ended.stdout) == (0, '{"score": 1}\n'), ended.stderr
    assert f"warning: {words} (waiting.py:3) does not end within 0.3 s" in ended.stderr

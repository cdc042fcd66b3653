"""Environments that start processes, in every way that there is; which they were is in the file `STARTED`.

Each process is one line there, its number and when it began. None of them ends by itself, and few when they are asked.
"""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

STARTED = "STARTED"
SLEEP = ["sleep", "4242"]


def forever():
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    while True:
        time.sleep(60)


STUBBORN = [sys.executable, "-c", f"import sys; sys.path.append({str(Path(__file__).parent)!r}); import starting\n"]
STUBBORN[-1] += "starting.note(); starting.forever()"


def note(pid=None):
    process = psutil.Process(pid)
    with Path(os.environ[STARTED]).open("a") as file:
        file.write(f"{process.pid} {process.create_time()}\n")


def n_noted():
    file = Path(os.environ[STARTED])
    return len(file.read_text().splitlines()) if file.exists() else 0


def program():
    note(subprocess.Popen(SLEEP).pid)


def session():
    note(subprocess.Popen(SLEEP, env={}, start_new_session=True).pid)


def stubborn():
    subprocess.Popen(STUBBORN, stdin=subprocess.DEVNULL)


def shell():
    note(int(subprocess.check_output("sleep 4242 >/dev/null 2>&1 & echo $!", shell=True)))


def fork():
    if os.fork() == 0:
        note()
        forever()


def daemon(then=forever):
    """Of nobody's session and parent, with no open files."""
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            note()
            os.closerange(0, 1000)
            then()
        os._exit(0)
    os.wait()


def daemon_program():
    daemon(lambda: os.execvp(SLEEP[0], SLEEP))


def children():
    if not multiprocessing.current_process().daemon:
        context = multiprocessing.get_context("fork")
        process = context.Process(target=forever)
        process.start()
        note(process.pid)


WAYS = {way.__name__: way for way in (program, session, stubborn, shell, fork, daemon, daemon_program, children)}

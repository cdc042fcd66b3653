"""The signals that ask a command to end, and the exit code of one that did. Standard library only."""

from __future__ import annotations

import signal

from rlzoo.errors import ExitCode

BY_SIGNAL = (ExitCode.INTERRUPTED, ExitCode.TERMINATED, ExitCode.HUNG_UP)
"""Exit codes of what a signal has ended."""


def ending() -> tuple[signal.Signals, ...]:
    """Ctrl-C, SIGTERM, CPU time that is up (SIGXCPU), and a terminal that closes (SIGHUP).

    A SIGHUP that was inherited as ignored stays so: that is how `nohup` lets a command outlive its terminal.
    """
    found = [signal.SIGINT, signal.SIGTERM]
    if hasattr(signal, "SIGXCPU"):
        found.append(signal.SIGXCPU)
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        found.append(signal.SIGHUP)
    return tuple(found)


def exit_code(number: int | None) -> ExitCode:
    """130 for Ctrl-C, 129 for a terminal that has closed, 143 for SIGTERM and all that mean the same."""
    codes = {signal.SIGINT: ExitCode.INTERRUPTED, getattr(signal, "SIGHUP", -1): ExitCode.HUNG_UP}
    return codes.get(-1 if number is None else number, ExitCode.TERMINATED)

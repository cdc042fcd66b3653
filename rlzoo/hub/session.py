"""huggingface_hub's HTTP client on a short lead: sent once, with limits of time and size, and interruptible."""

from __future__ import annotations

import contextvars
import queue
import signal
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import FrameType
from typing import Any

from rlzoo import signals
from rlzoo.errors import clean
from rlzoo.hub import failures

CONNECT_TIMEOUT = 10.0
ANSWER_TIMEOUT = 60.0
"""Seconds without a byte, after which a connection counts as broken; a commit of many files takes a while."""
ANSWER_BYTES = 8 * 2**20
"""Of one answer: a thousand cards have less, and as JSON it may take twenty times as much memory."""
ERROR_BYTES = 2**16
"""That an answer may have in any case: it may say what is wrong."""
PACKED = ("gzip", "deflate", "br", "zstd")
MILDLY_PACKED: tuple[list[str], ...] = ([], ["gzip"], ["deflate"])
"""How an answer may be packed of these ways, which are unpacked: at most a thousandfold, and not twice."""
TICK = 0.1
"""Seconds until a request of another thread notices an interruption."""


_most: ContextVar[int] = ContextVar("most", default=ANSWER_BYTES)


@contextmanager
def at_most(n_bytes: int) -> Iterator[None]:
    """Within it, answers of more bytes than these end the transfer as they come in, packed or not."""
    token = _most.set(n_bytes)
    try:
        yield
    finally:
        _most.reset(token)


@contextmanager
def sent_once() -> Iterator[None]:
    """Let the library's HTTP client give up at the first failure, so that the library does not repeat requests itself.

    Its `http_backoff` repeats on certain statuses and exceptions; here these become exceptions it does not know.
    The client (and a factory that the user has set for it) stays the same one, and is given back as it was. Large files
    go by plain HTTP: the Hub's faster protocol, Xet, repeats in silence for minutes and knows no such limits.
    """
    from huggingface_hub import constants, get_session, hf_raise_for_status
    from huggingface_hub.utils import httpx

    client: Any = get_session()
    if "send" in vars(client):  # within another block
        yield
        return
    send, without_xet = client.send, constants.HF_HUB_DISABLE_XET
    limits = httpx.Timeout(ANSWER_TIMEOUT, connect=CONNECT_TIMEOUT).as_dict()
    stop = threading.Event()

    def send_once(request: Any, **options: Any) -> Any:
        asked = request.extensions.get("timeout") or {}
        own = {name: limit for name, limit in asked.items() if limit is not None}
        request.extensions = {**request.extensions, "timeout": {**limits, **own}}  # most calls ask for no limit
        try:
            response = _interruptible(lambda: send(request, **options), stop)
        except (httpx.TimeoutException, httpx.NetworkError, httpx.RemoteProtocolError) as error:
            raise httpx.TransportError(str(error) or type(error).__name__, request=request) from error
        if response.status_code in failures.PASSING:
            response.read()
            hf_raise_for_status(response)
        return response

    hooks = client.event_hooks
    client.event_hooks = {"request": [*hooks["request"], _ask_plainly], "response": [*hooks["response"], _limit]}
    client.send, constants.HF_HUB_DISABLE_XET = send_once, True
    try:
        with _stopping(stop):
            yield
    finally:
        vars(client).pop("send", None)
        client.event_hooks, constants.HF_HUB_DISABLE_XET = hooks, without_xet


def _ask_plainly(request: Any) -> None:
    if request.headers.get("Accept-Encoding") != "identity":
        request.headers["Accept-Encoding"] = "gzip"


def _limit(response: Any) -> None:
    """Let the body of an answer, of a redirection too, end with an error where it gets too long."""
    host = response.request.url.host
    encoding = response.headers.get("Content-Encoding", "").lower()
    if [name for name in map(str.strip, encoding.split(",")) if name in PACKED] not in MILDLY_PACKED:
        raise failures.misfit(host, f"its answer is packed as {clean(encoding)[:40]}, which it was not asked for")
    most, packed = _most.get(), response.iter_bytes

    def iter_bytes(chunk_size: int | None = None) -> Iterator[bytes]:
        n_bytes = 0
        for chunk in packed(chunk_size):
            n_bytes += len(chunk)
            if n_bytes > max(most, ERROR_BYTES):
                response.close()
                raise failures.misfit(host, f"its answer is longer than {most:,} bytes")
            yield chunk

    response.iter_bytes = iter_bytes


@contextmanager
def quiet() -> Iterator[None]:
    """Without the library's warnings and progress bars."""
    from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars, logging

    verbosity, silent = logging.get_verbosity(), are_progress_bars_disabled()
    logging.set_verbosity(logging.CRITICAL)
    if not silent:
        disable_progress_bars()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.set_verbosity(verbosity)
        if not silent:
            enable_progress_bars()


def _interruptible(send: Callable[[], Any], stop: threading.Event) -> Any:
    """What `send` returns, called from a thread that may be left behind where this is not the main one.

    Signals reach the main thread alone, and the library then waits for its other threads and their requests.
    """
    if threading.current_thread() is threading.main_thread():
        return send()
    answers: queue.SimpleQueue[tuple[Any, BaseException | None]] = queue.SimpleQueue()
    context = contextvars.copy_context()

    def work() -> None:
        try:
            answers.put((context.run(send), None))
        except BaseException as error:
            answers.put((None, error))

    threading.Thread(target=work, daemon=True).start()
    while not stop.is_set():
        try:
            response, error = answers.get(timeout=TICK)
        except queue.Empty:
            continue
        if error is not None:
            raise error
        return response
    raise InterruptedError("interrupted")


@contextmanager
def _stopping(stop: threading.Event) -> Iterator[None]:
    """Within it, a signal that ends commands, and that somebody handles, also sets `stop`."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in signals.ending()}
    handled = {number: handler for number, handler in before.items() if callable(handler)}

    def handle(number: int, frame: FrameType | None) -> None:
        stop.set()
        handled[signal.Signals(number)](number, frame)

    for number in handled:
        signal.signal(number, handle)
    try:
        yield
    finally:
        for number, handler in handled.items():
            signal.signal(number, handler)

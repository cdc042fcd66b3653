"""The way to the Hub: a quick look whether it is there, who is logged in, and failures that say what to do.

huggingface_hub does the traffic. Left alone it retries in silence or with noise for half a minute, waits without end
for a server that hangs, and obeys a Retry-After of an hour. Within `explained` every request is sent once, with limits
of time and size, and can be interrupted; `patiently` repeats what may pass, for at most `PATIENCE` seconds of waiting.
"""

from __future__ import annotations

import contextvars
import queue
import re
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from types import FrameType
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from rlzoo import __version__, errors
from rlzoo.config.records import Repository, Who, problem
from rlzoo.console import say
from rlzoo.errors import ExitCode, Problem, RlzooError, clean
from rlzoo.hub import failures

if TYPE_CHECKING:
    from huggingface_hub import HfApi

T = TypeVar("T")

PROBE = 3.0
"""Seconds in which a Hub that can be reached has answered."""
FIRST_WAIT = 1.0
RETRIES = 5
PATIENCE = 120.0
"""Seconds that are spent waiting in all, before a failure that may pass is taken for one that does not."""
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
SLOWEST = 100
"""Bytes a second of an answer that is waited for any longer, once it has taken `ANSWER_TIMEOUT` seconds."""
TICK = 0.1
"""Seconds until a request of another thread notices an interruption."""

_most: ContextVar[int] = ContextVar("most", default=ANSWER_BYTES)


def connect(*, write: bool = False) -> HfApi:
    """The Hub's client, once the Hub has answered.

    Args:
        write: something is to be published: there must be a login whose token may write.

    Raises:
        RlzooError: with exit code 3 if huggingface_hub is missing, and with 6 if HF_HUB_OFFLINE is set (at once), the
            Hub does not answer within `PROBE` seconds, or nobody is logged in who may write.
    """
    api = _api()
    if write:
        with explained():
            from huggingface_hub import get_token

            if not get_token():
                raise failures.not_logged_in(api.endpoint)
    _probe(api.endpoint)
    if write:
        role = _token(_whoami(api)).get("role")
        if role == "read":
            message = "your token may only read"
            raise RlzooError(message, failures.WRITE_TOKEN.format(endpoint=api.endpoint), ExitCode.HUB)
    return api


def writable(api: HfApi, repo_id: str) -> str:
    """`owner/name` in full, once it is sure that the one who is logged in may write there.

    Args:
        api: from `connect(write=True)`.
        repo_id: `owner/name`, or `name` for one's own.

    Raises:
        RlzooError: with exit code 6 if the owner is neither the user nor one of their organisations.
    """
    who = _whoami(api)
    owner, _, name = repo_id.rpartition("/")
    orgs = {str(org["name"]): org.get("roleInOrg") for org in who.get("orgs") or ()}
    own = {known.casefold(): known for known in (who["name"], *orgs)}
    found = own.get((owner or who["name"]).casefold())
    if found is None:
        theirs = f"one of your organisations ({', '.join(sorted(orgs))})" if orgs else "an organisation of yours"
        message = f"you are logged in as {who['name']}, and {owner} is neither you nor {theirs}"
        raise RlzooError(message, f"repo_id={who['name']}/{name}", ExitCode.HUB)
    full = f"{found}/{name}"
    if orgs.get(found) == "read":
        message = f"you may only read in the organisation {found}"
        raise RlzooError(message, f"ask its administrator, or repo_id={who['name']}/{name}", ExitCode.HUB)
    if not _scope_allows(_token(who), full):
        message = f"your token has no right to write to {full}"
        raise RlzooError(message, failures.WRITE_TOKEN.format(endpoint=api.endpoint), ExitCode.HUB)
    return full


@dataclass(frozen=True)
class Listing:
    """A repository at a revision: the commit that this means now, and the bytes of its files, where they are said."""

    commit: str
    private: bool
    sizes: dict[str, int | None]


def listing(api: HfApi, repo_id: str, revision: str | None = None) -> Listing:
    """What a repository holds.

    Raises:
        RlzooError: with exit code 6 if it is not to be had, or the answer has no known form.
        Exception: as the library does, within `patiently`.
    """
    info = api.model_info(repo_id, revision=revision, files_metadata=True)
    siblings = info.siblings or ()
    named = [{"rfilename": one.rfilename, "size": one.size} for one in siblings]
    found = {"sha": info.sha, "private": info.private, "siblings": named}
    if wrong := problem(Repository, found):
        raise failures.misfit(api.endpoint, f"of {repo_id}, {wrong}")
    return Listing(str(info.sha), bool(info.private), {one.rfilename: one.size for one in siblings})


def check_repo_id(repo_id: str) -> Problem | None:
    """What is wrong with the name of a repository: `owner/name`, or `name` alone. Contacts nobody."""
    hint = "repo_id=owner/name: letters, digits, - _ . and at most 96 characters"
    if re.match(r"https?://", repo_id):
        name = "/".join(re.sub(r"^https?://[^/]*/?", "", repo_id).split("/")[:2])
        return Problem("repo_id", "is an address, not a name", f"repo_id={name}" if name else hint)
    parts = repo_id.split("/")
    good = len(parts) <= 2 and all(
        re.fullmatch(r"[A-Za-z0-9_]([\w.-]*[A-Za-z0-9_])?", part, re.ASCII) for part in parts
    )
    if not good or "--" in repo_id or ".." in repo_id or repo_id.endswith(".git") or len(parts[-1]) > 96:
        return Problem("repo_id", f"{repo_id!r} is not the name of a repository", hint)
    return None


@contextmanager
def explained(repo_id: str = "") -> Iterator[None]:
    """Failures of the Hub and the way there become RlzooErrors that say what to do, with exit code 6.

    Each request is sent once and has time limits; the library's warnings and bars are not printed. A failure that is
    not the Hub's (a full disk, a bug) passes as it is.

    Args:
        repo_id: the repository that the messages name.
    """
    _library()
    from huggingface_hub import constants

    with sent_once(), quiet():
        try:
            yield
        except RlzooError:
            raise
        except Exception as error:
            explanation = failures.explain(error, repo_id, constants.ENDPOINT)
            if explanation is None:
                raise
            raise explanation from error


def patiently(action: Callable[[], T], repo_id: str = "") -> T:
    """What `action` returns; where it fails in a way that may pass, it is called again after a while, and this is said.

    It must be safe to repeat. A broken connection, no answer, 408, 429 and 5xx may pass; the waits double, or are as
    long as the Hub asks for, and end after `RETRIES` repetitions or `PATIENCE` seconds in all.

    Raises:
        RlzooError: as `explained` does.
    """
    with explained(repo_id):
        waited = 0.0
        for attempt in range(RETRIES + 1):
            try:
                return action()
            except Exception as error:
                asked = failures.seconds_asked(error)
                wait = FIRST_WAIT * 2**attempt if asked is None else max(asked, FIRST_WAIT)
                if not failures.is_passing(error) or attempt == RETRIES or waited + wait > PATIENCE:
                    raise
                say(f"{failures.summary(error)}: trying again in {wait:.0f} s ({attempt + 1} of {RETRIES})")
                time.sleep(wait)
                waited += wait
        raise AssertionError("the last attempt returns or raises")


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


def _api() -> HfApi:
    _library()
    from huggingface_hub import HfApi, constants

    if constants.is_offline_mode():
        raise failures.offline()
    return HfApi(library_name="rlzoo", library_version=__version__)


def _library() -> None:
    try:
        import huggingface_hub  # noqa: F401
    except ImportError:
        message = "the Hub needs the package huggingface_hub"
        raise RlzooError(message, 'pip install "hydra-rlzoo[hub]"', ExitCode.MISSING) from None


def _probe(endpoint: str) -> None:
    """One small request; a name server that hangs counts too, which no timeout of the HTTP library does."""
    from huggingface_hub import get_session

    failed: list[Exception] = []

    def ask() -> None:
        try:
            get_session().head(endpoint, timeout=PROBE, follow_redirects=False)
        except Exception as error:
            failed.append(error)

    with quiet(), sent_once():
        thread = threading.Thread(target=ask, daemon=True)
        thread.start()
        thread.join(PROBE)
    answered = not thread.is_alive() and all(failures.status_of(error) is not None for error in failed)
    if not answered:
        hint = "look at the network, a proxy (HTTPS_PROXY) and HF_ENDPOINT; nothing was sent"
        reason = f": {str(failed[0]).partition(chr(10))[0]}" if failed else f" within {PROBE:.0f} s"
        raise RlzooError(f"the Hub at {endpoint} did not answer{reason}", hint, ExitCode.HUB)


def _whoami(api: HfApi) -> Mapping[str, Any]:
    who = patiently(lambda: api.whoami(cache=True))
    if wrong := problem(Who, who):
        raise failures.misfit(api.endpoint, wrong)
    return who


def _token(who: Mapping[str, Any]) -> Mapping[str, Any]:
    return (who.get("auth") or {}).get("accessToken") or {}


def _scope_allows(token: Mapping[str, Any], repo_id: str) -> bool:
    """Whether a fine-grained token names the repository or its owner; of other kinds the Hub itself is the judge."""
    scopes = (token.get("fineGrained") or {}).get("scoped")
    if token.get("role") != "fineGrained" or not isinstance(scopes, list):
        return True
    places = (repo_id.casefold(), repo_id.split("/")[0].casefold())
    named = (s for s in scopes if str(s.get("entity", {}).get("name", "")).casefold() in places)
    return any("repo.write" in (scope.get("permissions") or ()) for scope in named)


def _ask_plainly(request: Any) -> None:
    """Let a request of the library's ask for no unusual packing, and take the token to the Hub alone."""
    from huggingface_hub import constants

    if request.url.netloc.decode() != urlsplit(constants.ENDPOINT).netloc.rpartition("@")[2]:
        request.headers.pop("Authorization", None)
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
        n_bytes, began = 0, time.monotonic()
        for chunk in packed(chunk_size):
            n_bytes += len(chunk)
            seconds = time.monotonic() - began
            if seconds > ANSWER_TIMEOUT and n_bytes < SLOWEST * seconds:
                response.close()
                raise failures.misfit(host, f"after {seconds:.0f} s its answer has {n_bytes:,} bytes and no end")
            if n_bytes > max(most, ERROR_BYTES):
                response.close()
                raise failures.misfit(host, f"its answer is longer than {most:,} bytes")
            yield chunk

    response.iter_bytes = iter_bytes


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
    before = {number: signal.getsignal(number) for number in errors.ending_signals()}
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

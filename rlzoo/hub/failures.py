"""What the exceptions of huggingface_hub and its HTTP library mean to a user, and which of them pass by themselves."""

from __future__ import annotations

import json
import traceback
from collections.abc import Iterator
from pathlib import Path

from rlzoo.errors import ExitCode, RlzooError

PASSING = frozenset({408, 429, 500, 502, 503, 504})
"""Answers after which the same request may well succeed."""
LOGIN = "log in with `hf auth login`, or set HF_TOKEN (tokens are made at {endpoint}/settings/tokens)"
WRITE_TOKEN = "make a token of the kind Write at {endpoint}/settings/tokens, then `hf auth login` or set HF_TOKEN"


MISREAD = (AttributeError, LookupError, RecursionError, TypeError, ValueError)
"""What the Hub's client raises where an answer has other fields, types or depth than it expects."""
CLIENTS = frozenset({"huggingface_hub", "httpx", "httpx2"})
"""Packages in whose code an answer is read."""


def chain(error: BaseException) -> Iterator[BaseException]:
    """An exception and those it was raised from: an upload in a thread wraps the cause."""
    seen: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and current not in seen:
        seen.append(current)
        yield current
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)


def status_of(error: BaseException) -> int | None:
    """The status that the Hub answered with, if it answered."""
    from huggingface_hub.errors import HfHubHTTPError

    answers = (one.response for one in chain(error) if isinstance(one, HfHubHTTPError))
    return next((answer.status_code for answer in answers if answer is not None), None)


def is_passing(error: BaseException) -> bool:
    """Whether the failure may be gone in a moment: a broken connection, no answer, too many requests, a 5xx."""
    from huggingface_hub.errors import OfflineModeIsEnabled
    from huggingface_hub.utils import httpx

    if any(isinstance(one, OfflineModeIsEnabled) for one in chain(error)):
        return False
    status = status_of(error)
    if status is not None:
        return status in PASSING
    return any(isinstance(one, httpx.TransportError) for one in chain(error))


def seconds_asked(error: BaseException) -> float | None:
    """How long the Hub asks to be left alone: the header Retry-After, or what is left of the rate limit's window."""
    from huggingface_hub.errors import HfHubHTTPError
    from huggingface_hub.utils import parse_ratelimit_headers

    for one in chain(error):
        if isinstance(one, HfHubHTTPError) and one.response is not None:
            asked = one.response.headers.get("Retry-After", "").strip()
            if asked.isascii() and asked.isdigit():
                return float(asked)
            limit = parse_ratelimit_headers(one.response.headers)
            if limit is not None and limit.remaining == 0:
                return float(limit.reset_in_seconds)
    return None


def summary(error: BaseException) -> str:
    """A failure that may pass, in a few words."""
    from huggingface_hub.utils import httpx

    status = status_of(error)
    if status is not None:
        return f"the Hub answered {status}{' (too many requests)' if status == 429 else ''}"
    if any("timed out" in str(one) or isinstance(one, httpx.TimeoutException) for one in chain(error)):
        return "the Hub did not answer in time"
    return "the connection to the Hub broke"


def explain(error: Exception, repo_id: str, endpoint: str) -> RlzooError | None:
    """The failure as a user understands it, with exit code 6 (2 for a malformed name); None if it is another's."""
    from huggingface_hub import errors

    for one in chain(error):
        if isinstance(one, errors.HFValidationError):
            return RlzooError(f"{repo_id or 'repo_id'} is not the name of a repository: {one}", "repo_id=owner/name")
        if isinstance(one, errors.OfflineModeIsEnabled):
            return offline()
        if isinstance(one, errors.LocalTokenNotFoundError | errors.OIDCError):
            return not_logged_in(endpoint)
    status = status_of(error)
    if status is not None:
        message, hint = _of_status(error, status, repo_id, endpoint)
        return RlzooError(message, hint, ExitCode.HUB)
    if is_passing(error):
        hint = f"what was done so far is kept; try again, or look at the network and at {endpoint}"
        return RlzooError(f"{summary(error)} ({endpoint})", hint, ExitCode.HUB)
    if is_misfit(error):
        return misfit(endpoint)
    for one in chain(error):
        if isinstance(one, errors.EntryNotFoundError):
            return RlzooError(f"{repo_id}: {_first_line(one)}", f"{endpoint}/{repo_id} shows its files", ExitCode.HUB)
    return None


def is_misfit(error: BaseException) -> bool:
    """Whether the Hub's client could make nothing of an answer, or was sent in circles."""
    from huggingface_hub.utils import httpx

    for one in chain(error):
        if isinstance(one, json.JSONDecodeError | httpx.HTTPError | httpx.InvalidURL | httpx.StreamError):
            return True
        misread = isinstance(one, MISREAD) or (isinstance(one, OSError) and one.errno is None)  # a wrong size, say
        if misread and any(CLIENTS.intersection(Path(file).parts) for file in _files_of(one)):
            return True
    return False


def _files_of(error: BaseException) -> Iterator[str]:
    """The files of the code that an exception came through."""
    return (frame.f_code.co_filename for frame, _ in traceback.walk_tb(error.__traceback__))


def misfit(server: str, why: str = "") -> RlzooError:
    """What a server answers is not what the Hub would."""
    hint = "a network that asks for a login first answers like this, or HF_ENDPOINT is wrong"
    said = f": {why}" if why else ""
    return RlzooError(f"what answers at {server} does not answer like the Hub{said}", hint, ExitCode.HUB)


def offline() -> RlzooError:
    """HF_HUB_OFFLINE forbids what needs the Hub."""
    return RlzooError("this needs the Hub, and HF_HUB_OFFLINE is set", "unset HF_HUB_OFFLINE", ExitCode.HUB)


def not_logged_in(endpoint: str) -> RlzooError:
    """There is no token to be found."""
    return RlzooError("you are not logged in to the Hub", LOGIN.format(endpoint=endpoint), ExitCode.HUB)


def _of_status(error: Exception, status: int, repo_id: str, endpoint: str) -> tuple[str, str]:
    """Message and hint for an answer of the Hub that is not a success."""
    what = f" for {repo_id}" if repo_id else ""
    words = _server_words(error)
    said = f": {words}" if words else ""
    answer = f"the Hub answered {status}{what}{said}"
    login, write = LOGIN.format(endpoint=endpoint), WRITE_TOKEN.format(endpoint=endpoint)
    wait = seconds_asked(error)
    later = f"it asks to wait {wait:.0f} seconds" if wait is not None else "wait a while"
    changing = f"{answer}: somebody else is changing it", "the same command again starts from what is there then"
    known = {
        401: (
            f"the Hub does not accept your token (401{what}): it is wrong, expired or revoked",
            f"{login}; HF_TOKEN wins over a stored login",
        ),
        403: (f"the Hub refuses this to your token (403{what}){said}", write),
        409: changing,
        412: changing,
        429: ("the Hub has had too many requests from you (429)", f"{later}, then the same command again"),
    }
    if status >= 500:
        return answer, "the Hub is in trouble (https://status.huggingface.co); try the same command later"
    return _not_found(error, words, repo_id, endpoint) or known.get(status) or (answer, f"{endpoint}/{repo_id}")


def _not_found(error: Exception, words: str, repo_id: str, endpoint: str) -> tuple[str, str] | None:
    """Message and hint where a repository, a revision or a file is not there, or not for everybody."""
    from huggingface_hub import errors

    private = f"look at its spelling; for a private one, {LOGIN.format(endpoint=endpoint)}"
    page = f"{endpoint}/{repo_id}"
    table: dict[type[Exception], tuple[str, str]] = {
        errors.GatedRepoError: (f"{repo_id} is open only to those its owner admits", f"ask for access at {page}"),
        errors.RevisionNotFoundError: (
            f"{repo_id} has no such branch, tag or commit{f': {words}' if words else ''}",
            f"{page}/commits/main shows what it has",
        ),
        errors.RemoteEntryNotFoundError: (f"{repo_id}: {words or 'no such file'}", f"{page}/tree/main lists its files"),
        errors.RepositoryNotFoundError: (f"there is no repository {repo_id} on the Hub, or it is private", private),
    }
    return next((table[kind] for kind in table if any(isinstance(one, kind) for one in chain(error))), None)


def _server_words(error: BaseException) -> str:
    """What the server itself said, on one line."""
    from huggingface_hub.errors import HfHubHTTPError

    said = (one.server_message for one in chain(error) if isinstance(one, HfHubHTTPError))
    return " ".join(next((text for text in said if text), "").split())[:300].rstrip(".")


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0]

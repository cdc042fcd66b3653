"""The way to the Hub: a quick look whether it is there, who is logged in, and failures that say what to do.

huggingface_hub does the traffic. Left alone it retries in silence or with noise for half a minute, waits without end
for a server that hangs, and obeys a Retry-After of an hour. Within `explained` every request is sent once, with limits,
and `patiently` repeats what may pass, for at most `PATIENCE` seconds of waiting.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from rlzoo import __version__
from rlzoo.config.records import Repository, Who, problem
from rlzoo.console import say
from rlzoo.errors import ExitCode, Problem, RlzooError
from rlzoo.hub import failures
from rlzoo.hub.session import quiet, sent_once

if TYPE_CHECKING:
    from huggingface_hub import HfApi

T = TypeVar("T")

PROBE = 3.0
"""Seconds in which a Hub that can be reached has answered."""
FIRST_WAIT = 1.0
RETRIES = 5
PATIENCE = 120.0
"""Seconds that are spent waiting in all, before a failure that may pass is taken for one that does not."""


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
        return Problem("repo_id", f"{repo_id!r} is no name of a repository", hint)
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

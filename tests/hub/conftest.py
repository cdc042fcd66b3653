"""A Hub of its own for every test."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hub.server import HubServer


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """huggingface_hub sends large files in a way that its HTTP library calls deprecated."""
    warning = "ignore:Use 'content=<...>' to upload raw bytes:DeprecationWarning"
    for item in items:
        if "hub" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.filterwarnings(warning))


def point_at(monkeypatch: pytest.MonkeyPatch, url: str, home: Path) -> None:
    """Let huggingface_hub, here and in processes started from here, use the Hub at `url` and the folder `home`.

    The library reads its environment once, when it is imported; what it has read is set here as well.
    """
    from huggingface_hub import close_session, constants, hf_api

    environment = {"HF_ENDPOINT": url, "HF_HOME": str(home), "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_XET": "1"}
    environment |= {"HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1", "NO_PROXY": "127.0.0.1"}
    environment |= {"HF_HUB_DISABLE_UPDATE_CHECK": "1", "GIT_CONFIG_GLOBAL": os.devnull}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    for name in ("HF_TOKEN_PATH", "HF_HUB_CACHE", "HUGGING_FACE_HUB_TOKEN", "HF_OIDC_RESOURCE"):
        monkeypatch.delenv(name, raising=False)
    values = {
        "ENDPOINT": url,
        "HUGGINGFACE_CO_URL_TEMPLATE": url + "/{repo_id}/resolve/{revision}/{filename}",
        "HF_HOME": str(home),
        "HF_HUB_CACHE": str(home / "hub"),
        "HUGGINGFACE_HUB_CACHE": str(home / "hub"),
        "HF_ASSETS_CACHE": str(home / "assets"),
        "HF_XET_CACHE": str(home / "xet"),
        "HF_TOKEN_PATH": str(home / "token"),
        "HF_STORED_TOKENS_PATH": str(home / "stored_tokens"),
        "AGENT_HARNESSES_PATH": str(home / ".agent_harnesses.json"),
        "HF_HUB_OFFLINE": False,
        "HF_HUB_DISABLE_XET": True,
        "HF_HUB_DISABLE_TELEMETRY": True,
        "HF_HUB_DISABLE_PROGRESS_BARS": True,
    }
    for name, value in values.items():
        monkeypatch.setattr(constants, name, value)
    monkeypatch.setattr(hf_api.api, "endpoint", url)  # the module's functions (list_models, ...) are its methods
    close_session()


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    """A Hub on 127.0.0.1 with nothing in it; the token of `me`, who may write to `me` and `team`, is in HF_TOKEN.

    Works in this process and in commands started from it: the environment is set, and so is what huggingface_hub has
    read of it when it was imported. Each test has its own server, port and HF_HOME, so tests may run side by side.
    """
    from huggingface_hub import close_session

    from rlzoo.redaction import _stored

    with HubServer() as server:
        point_at(monkeypatch, server.url, tmp_path / "hf_home")
        monkeypatch.setenv("HF_TOKEN", "hf_writer")
        _stored.cache_clear()
        yield server
        close_session()
    _stored.cache_clear()

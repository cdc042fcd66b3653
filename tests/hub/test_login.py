"""Who is logged in, as `rlzoo doctor` says it: every state within seconds, the token never shown."""

import time

import pytest

from rlzoo.doctor import doctor
from tests.hub.server import User


def test_the_owner_of_the_token_is_named(hub):
    found = doctor.hub_login()
    assert (found.state, found.fix) == ("ok", "")
    assert found.detail == "me, with a token of the role write"


def test_a_token_that_may_only_read_says_how_to_get_another(hub, monkeypatch):
    hub.users["hf_reader"] = User("eve", role="read")
    monkeypatch.setenv("HF_TOKEN", "hf_reader")
    found = doctor.hub_login()
    assert (found.state, found.detail) == ("ok", "eve, with a token of the role read")
    assert "Write" in found.fix


def test_a_token_that_the_hub_refuses_is_broken_and_not_shown(hub, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_expired_long_ago")
    found = doctor.hub_login()
    assert found.state == "broken" and "hf auth login" in found.fix
    assert "hf_expired" not in found.detail + found.fix


def test_without_a_token_there_is_a_line_to_log_in(hub, monkeypatch):
    monkeypatch.delenv("HF_TOKEN")
    assert doctor.hub_login().state == "missing"


@pytest.mark.parametrize("failure", [{"status": 503}, {"drop_after": 0}])
def test_a_hub_that_fails_is_a_state(hub, failure):
    hub.fail("any", times=99, **failure)
    found = doctor.hub_login()
    assert (found.state, found.fix) == ("offline", "")


def test_a_hub_that_hangs_is_waited_for_in_seconds(hub, monkeypatch):
    monkeypatch.setattr(doctor, "HUB_SECONDS", 1.0)
    hub.fail("any", times=99, hang=5.0)
    start = time.monotonic()
    assert doctor.hub_login().state == "offline"
    assert time.monotonic() - start < 3

"""Secrets are taken out of text and data; what only looks like one stays, and so does the structure."""

from __future__ import annotations

import html
import json
import time
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest
import yaml

from rlzoo import redaction
from rlzoo.redaction import is_secret, redact, redact_command, redact_values, secret_keys


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("rlzoo train logger.wandb.api_key=abc123 seed=1", "rlzoo train logger.wandb.api_key=*** seed=1"),
        ("storage=postgresql://me:p@ss@host/db", "storage=postgresql://me:***@host/db"),
        ("redis://:hunter22@host:1", "redis://:***@host:1"),
        ("+  password: 'two words'", "+  password: '***'"),
        ('{"apiKey": "abc", "seed": 1}', '{"apiKey": "***", "seed": 1}'),
        ("{'hf_token': 'abc', 'a': 1}", "{'hf_token': '***', 'a': 1}"),
        ("WANDB_API_KEY=0123456789abcdef0123456789abcdef01234567", "WANDB_API_KEY=***"),
        ("AWS_SECRET_ACCESS_KEY: wJalrXUtn/FEMI", "AWS_SECRET_ACCESS_KEY: ***"),
        ("got hf_abcdefghijklmnopqrst, and more", "got ***, and more"),
        ("ghp_abcdefghijklmnopqrst github_pat_11ABCDEFG0abcdefgh", "*** ***"),
        ("key sk-proj-abcdefghijklmnop!", "key ***!"),
        ("AKIAIOSFODNN7EXAMPLE", "***"),
        ("Authorization: Bearer abcdefghijklmnop", "Authorization: Bearer ***"),
        ("env.kwargs={password: abc, seed: 1}", "env.kwargs={password: ***, seed: 1}"),
        ("env.kwargs={db: {n: 1, hf_token: abc", "env.kwargs={db: {n: 1, hf_token: ***"),
        ("-----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY-----\nrest", "***\nrest"),
    ],
)
def test_secrets_are_hidden(text, shown):
    assert redact(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "tokenizer=gpt n_tokens=5 keys_mode: ab token_dim=16 monkey=abc keyboard: abc",
        "logger.wandb.api_key: is named like a secret, which a configuration never holds",
        "https://example.org:8080/@me and 12:30:45",
        "commit 0123456789abcdef0123456789abcdef01234567",
        "password: null, token=None",
        "task-sk-learn and hf_short",
    ],
)
def test_what_is_no_secret_stays(text):
    assert redact(text) == text


def test_values_of_the_environment_are_hidden_wherever_they_appear(monkeypatch, tmp_path):
    monkeypatch.setenv("MY_SERVICE_TOKEN", "zebra-crossing-77")
    monkeypatch.setenv("PGPASSWORD", "zebra-crossing")
    monkeypatch.setenv("SHORT_TOKEN", "abc")
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "parallel")
    monkeypatch.setenv("MAX_TOKENS", "10000000")
    monkeypatch.setenv("PASSWORD_STORE_DIR", str(tmp_path))
    text = f"a zebra-crossing-77, b zebra-crossing, abc parallel 10000000 {tmp_path}"
    assert redact(text) == f"a ***, b ***, abc parallel 10000000 {tmp_path}"


SECRET_VARIABLES = """
    GH_PAT GH_PAT_2 DB_PW DB_PW_PROD MYSQL_PWD DB_PASS TLS_PEM SENTRY_DSN PROXY_AUTH HTTP_AUTHORIZATION SESSION_COOKIE
    COOKIES KEY_PASSPHRASE GIT_CREDENTIAL AWS_CREDS SSH_PRIVATE SIGNING_KEY REQUEST_SIGNATURE SERVICE_JWT STORAGE_SAS
    SLACK_WEBHOOK_URL AZURE_STORAGE_CONNECTION_STRING PGPASSWORD hf_token dbPassword SSHPASS DBPASS
""".split()
OTHER_VARIABLES = """
    PATH PATTERN COMPAT AUTHOR GIT_AUTHOR_NAME PWD OLDPWD PYTHONPATH SSH_AUTH_SOCK XAUTHORITY COOKIE_DOMAIN PEM_FILE
    KEYBOARD XKB_KEY MAX_TOKENS TOKENIZERS_PARALLELISM GIT_ASKPASS PASSED COMPASS SIGNATURES PRIVATE_DIR AUTH_METHOD
""".split()


@pytest.mark.parametrize("name", SECRET_VARIABLES)
def test_variables_that_hold_secrets(name, monkeypatch):
    monkeypatch.setenv(name, "zebra-crossing-77")
    assert redact("a zebra-crossing-77b") == "a ***b"


@pytest.mark.parametrize("name", OTHER_VARIABLES)
def test_variables_that_hold_none(name, monkeypatch):
    monkeypatch.setenv(name, "zebra-crossing-77")
    assert redact("a zebra-crossing-77b") == "a zebra-crossing-77b"


@pytest.mark.parametrize(
    "secret", ["back\\slash\\99", "both\"of'them'99", "tab\tand\x07bell", "pässwört-geheim", "a&b<c>+d e/f"]
)
@pytest.mark.parametrize(
    "written",
    [repr, json.dumps, quote, quote_plus, html.escape, lambda text: repr(KeyError(f'"{text}'))],
)
def test_however_a_secret_is_written(secret, written, monkeypatch):
    monkeypatch.setenv("MY_TOKEN", secret)
    shown = redact(f"it said {written(secret)}")
    assert "***" in shown and len(shown) < 35


def test_a_secret_that_is_no_utf_8(monkeypatch):
    monkeypatch.setenv("MY_TOKEN", "caf\udce9-in-latin-1")
    assert redact("a caf\udce9-in-latin-1 and caf%E9-in-latin-1") == "a *** and ***"


def test_what_ends_with_key_is_a_secret_if_it_looks_like_one(monkeypatch):
    monkeypatch.setenv("KAGGLE_KEY", "0123456789abcdef0123456789abcdef")
    monkeypatch.setenv("SORT_KEY", "rollout/ep_rew_mean")
    assert redact("0123456789abcdef0123456789abcdef by rollout/ep_rew_mean") == "*** by rollout/ep_rew_mean"


def test_passwords_in_the_urls_of_variables_are_hidden_alone_too(monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://me:zebra%20crossing@proxy:3128")
    monkeypatch.setenv("RESULTS_URI", "s3://bucket/zebra-path")
    monkeypatch.setenv("SENTRY_DSN", "https://0123456789abcdef@host/1")
    monkeypatch.setenv("TLS_PEM", "-----BEGIN THING-----\nfirst-line-of-it\nsecond-line-of-it\n-----END THING-----\n")
    assert redact("zebra crossing, zebra%20crossing, me, proxy") == "***, ***, me, proxy"
    assert redact("s3://bucket/zebra-path") == "s3://bucket/zebra-path"
    assert redact("key 0123456789abcdef of host") == "key *** of host"
    assert redact("has second-line-of-it alone") == "has *** alone"


def test_a_command_line_keeps_its_quotes_and_no_secret(monkeypatch):
    monkeypatch.setenv("DB_PW", "it's a zebra")
    shown = redact_command(["rlzoo", "train", "env.summary=a b", "notes=x it's a zebra", "hub.token=abc"])
    assert shown == "rlzoo train 'env.summary=a b' notes=x *** hub.token=***"


def test_stored_secrets_are_hidden(monkeypatch, tmp_path):
    (tmp_path / "token").write_text("stored-hub-token\n")
    (tmp_path / "netrc").write_text("machine api.wandb.ai login user password stored-wandb-key\n")
    monkeypatch.setenv("HF_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    redaction._stored.cache_clear()
    redaction._known_values.cache_clear()
    try:
        assert redact("x stored-hub-token y stored-wandb-key z") == "x *** y *** z"
        (tmp_path / "netrc").write_bytes(b"\xff\xfe machine")
        (tmp_path / "token").unlink()
        redaction._stored.cache_clear()
        redaction._known_values.cache_clear()
        assert redact("x stored-hub-token") == "x stored-hub-token"
    finally:
        redaction._stored.cache_clear()
        redaction._known_values.cache_clear()


def test_data_keeps_its_structure():
    values = {
        "env": {"kwargs": {"api_key": "abc", "token": 3, "tokenizer": "gpt"}, "summary": "https://me:pw@host"},
        "credentials": {"user": "me", "parts": ["a", 1]},
        "words": ["hub.token=abc", 1.5, None, True],
        "password": 12345678,
        "secret": None,
    }
    shown = redact_values(values)
    assert shown == {
        "env": {"kwargs": {"api_key": "***", "token": 3, "tokenizer": "gpt"}, "summary": "https://me:***@host"},
        "credentials": {"user": "***", "parts": ["***", "***"]},
        "words": ["hub.token=***", 1.5, None, True],
        "password": "***",
        "secret": None,
    }
    assert yaml.safe_load(yaml.safe_dump(shown)) == shown
    assert list(secret_keys(values)) == ["env.kwargs.api_key", "credentials", "password"]


NAMES = (
    "token hf_token hfToken API_KEY apikey client_secret aws.secret_access_key gh_pat db.pw mysql_pwd auth sentryDsn"
)


@pytest.mark.parametrize("key", NAMES.split())
def test_names_of_secrets(key):
    assert is_secret(key, "x")
    assert not is_secret(key, "") and not is_secret(key, None) and not is_secret(key, True) and not is_secret(key, 3)


@pytest.mark.parametrize(
    "key",
    "tokenizer tokens n_tokens token_dim keys_mode key monkey secretary pattern path pwd author pass private".split(),
)
def test_names_of_others(key):
    assert not is_secret(key, "abc")


@pytest.mark.parametrize(
    "text", ["a.-" * 50_000, "a:" * 20_000, "token='" * 20_000, "://:" * 20_000, "sk-" * 40_000, "-----BEGIN " * 9000]
)
def test_hostile_text_takes_no_time(text):
    started = time.process_time()
    redact(text)
    assert time.process_time() - started < 3


def test_a_config_with_a_redacted_value_reads_back(tmp_path: Path, monkeypatch):
    from rlzoo.runs.run import Run

    monkeypatch.setenv("MY_TOKEN", "zebra: crossing")
    run = Run.create(tmp_path, algo="ppo", env_id="CartPole-v1", seed=0)
    known = {"algo": {"name": "ppo"}, "env": {"id": "CartPole-v1"}, "seed": 0}
    run.write_config({**known, "a": "x zebra: crossing", "b": {"uri": "https://me:pw@host", "zebra: crossing": 1}})
    run.write_info({"command": "rlzoo train hub.token=abc"})
    run.append_result({"note": "zebra: crossing", "mean_reward": 1.5})
    assert run.read_config() == {**known, "a": "x ***", "b": {"uri": "https://me:***@host", "***": 1}}
    assert run.is_own()
    assert run.read_info() == {"command": "rlzoo train hub.token=***"}
    assert run.read_results() == [{"note": "***", "mean_reward": 1.5}]

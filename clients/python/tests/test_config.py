"""Settings and the environment."""

from __future__ import annotations

import re
from typing import Any

import pytest

from skills_agent import Config, ConfigError


def test_the_defaults_are_skillscale_s() -> None:
    config = Config.from_env({})
    assert (config.proxy_xsub, config.proxy_xpub) == (
        "tcp://127.0.0.1:5444",
        "tcp://127.0.0.1:5555",
    )
    assert (config.timeout, config.nats_url) == (30.0, None)
    assert re.fullmatch(r"AGENT_REPLY_[0-9a-f]{8}", config.reply_to)
    assert config.reply_to != Config.from_env({}).reply_to


@pytest.mark.parametrize(
    ("environ", "xsub"),
    [
        ({"SKILLSCALE_PROXY_XSUB": "tcp://proxy:1"}, "tcp://proxy:1"),
        ({"SKILLS_PROXY_XSUB": "tcp://proxy:2"}, "tcp://proxy:2"),
        (
            {"SKILLS_PROXY_XSUB": "tcp://proxy:2", "SKILLSCALE_PROXY_XSUB": "tcp://proxy:1"},
            "tcp://proxy:2",
        ),
        ({"SKILLSCALE_XSUB_PORT": "7000"}, "tcp://127.0.0.1:7000"),
        ({"SKILLSCALE_XSUB_BIND": "tcp://*:7001"}, "tcp://127.0.0.1:7001"),
        ({"SKILLSCALE_XSUB_BIND": "tcp://0.0.0.0:7002"}, "tcp://127.0.0.1:7002"),
        ({"SKILLSCALE_XSUB_BIND": "tcp://10.0.0.7:7003"}, "tcp://10.0.0.7:7003"),
        (
            {"SKILLSCALE_PROXY_XSUB": "tcp://proxy:1", "SKILLSCALE_XSUB_PORT": "7000"},
            "tcp://proxy:1",
        ),
        ({"SKILLSCALE_PROXY_XSUB": "  "}, "tcp://127.0.0.1:5444"),
    ],
)
def test_both_spellings_are_read(environ: dict[str, str], xsub: str) -> None:
    assert Config.from_env(environ).proxy_xsub == xsub


def test_the_other_side_has_the_same_spellings() -> None:
    assert Config.from_env({"SKILLSCALE_XPUB_BIND": "tcp://*:9"}).proxy_xpub == "tcp://127.0.0.1:9"
    assert Config.from_env({"SKILLS_XPUB_PORT": "9"}).proxy_xpub == "tcp://127.0.0.1:9"
    assert Config.from_env({"SKILLSCALE_NATS_URL": "nats://n:1"}).nats_url == "nats://n:1"
    assert Config.from_env({"SKILLSCALE_TIMEOUT": "2.5"}).timeout == 2.5


@pytest.mark.parametrize(
    ("environ", "name"),
    [
        ({"SKILLSCALE_TIMEOUT": "soon"}, "SKILLSCALE_TIMEOUT"),
        ({"SKILLS_TIMEOUT": "0"}, "SKILLS_TIMEOUT"),
        ({"SKILLSCALE_TIMEOUT": "nan"}, "SKILLSCALE_TIMEOUT"),
        ({"SKILLSCALE_XSUB_PORT": "70000"}, "SKILLSCALE_XSUB_PORT"),
        ({"SKILLSCALE_XPUB_PORT": "http"}, "SKILLSCALE_XPUB_PORT"),
    ],
)
def test_a_variable_that_cannot_be_used_is_named(environ: dict[str, str], name: str) -> None:
    with pytest.raises(ConfigError, match=name):
        Config.from_env(environ)


@pytest.mark.parametrize(
    "settings",
    [
        {"timeout": 0},
        {"timeout": float("inf")},
        {"connect_timeout": -1},
        {"max_in_flight": 0},
        {"reply_to": ""},
        {"reply_to": "a b"},
    ],
)
def test_settings_that_cannot_work_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        Config(**settings)

"""What an agent can be told, by arguments or by the environment. Opens no connection."""

from __future__ import annotations

import math
import os
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field

from skills_agent.errors import ConfigError


def _reply_topic() -> str:
    return f"AGENT_REPLY_{secrets.token_hex(4)}"


@dataclass(frozen=True)
class Config:
    """Where the mesh is, and how long to wait for it. Times are in seconds."""

    proxy_xsub: str = "tcp://127.0.0.1:5444"
    """The proxy's XSUB endpoint: requests go there."""
    proxy_xpub: str = "tcp://127.0.0.1:5555"
    """The proxy's XPUB endpoint: answers come from there."""
    nats_url: str | None = None
    """If set, NATS JetStream is used in place of the ZeroMQ proxy."""
    timeout: float = 30.0
    """How long a request waits for its answer, unless the call says otherwise."""
    connect_timeout: float = 10.0
    """How long ``start`` waits for the mesh."""
    resend: bool = True
    """After a lost connection, whether to send what is unanswered once more, under the same
    request id. Without it a request that the proxy lost is never answered; with it a worker that
    does not know the id any more executes it again."""
    max_in_flight: int = 10_000
    """Requests that may await their answers at the same time."""
    reply_to: str = field(default_factory=_reply_topic)
    """The topic that answers come on; no other agent may have the same."""

    def __post_init__(self) -> None:
        for name in ("timeout", "connect_timeout"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise ConfigError(f"`{name}` is {value}", help="it is a number of seconds above 0")
        if self.max_in_flight < 1:
            raise ConfigError(
                f"`max_in_flight` is {self.max_in_flight}", help="it is a number above 0"
            )
        if not _TOPIC.fullmatch(self.reply_to):
            raise ConfigError(
                f"`reply_to` is {self.reply_to!r}",
                help="it has letters, digits, `_` and `-`, such as AGENT_REPLY_9f8e7d6c",
            )

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> Config:
        """Reads the environment; every variable goes by ``SKILLS_…`` and ``SKILLSCALE_…``.

        =================  =============================================================
        ``PROXY_XSUB``     the endpoint, ``tcp://host:5444``
        ``PROXY_XPUB``     the endpoint, ``tcp://host:5555``
        ``XSUB_BIND``      what the proxy binds, ``tcp://*:5444``: a proxy on this machine
        ``XPUB_BIND``      the same
        ``XSUB_PORT``      only the port, of a proxy on this machine
        ``XPUB_PORT``      the same
        ``NATS_URL``       a NATS server in place of the proxy
        ``TIMEOUT``        seconds
        =================  =============================================================
        """
        variables = _Variables(os.environ if environ is None else environ)
        return cls(
            proxy_xsub=variables.endpoint("XSUB") or cls.proxy_xsub,
            proxy_xpub=variables.endpoint("XPUB") or cls.proxy_xpub,
            nats_url=variables.get("NATS_URL")[1],
            timeout=variables.seconds("TIMEOUT", cls.timeout),
        )


_TOPIC = re.compile(r"[A-Za-z0-9_-]{1,200}")
_PORT = re.compile(r"[0-9]{1,5}")


class _Variables:
    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    def get(self, name: str) -> tuple[str, str | None]:
        """The variable's full name, and its value; an empty one is taken for absent."""
        for prefix in ("SKILLS_", "SKILLSCALE_"):
            value = self._environ.get(prefix + name, "").strip()
            if value:
                return prefix + name, value
        return "SKILLSCALE_" + name, None

    def endpoint(self, side: str) -> str | None:
        endpoint = self.get(f"PROXY_{side}")[1]
        if endpoint:
            return endpoint
        bind = self.get(f"{side}_BIND")[1]
        if bind:
            # What a socket is bound to is no address to connect to.
            return re.sub(r"^tcp://(\*|0\.0\.0\.0|\[::\]):", "tcp://127.0.0.1:", bind)
        name, port = self.get(f"{side}_PORT")
        if not port:
            return None
        if not (_PORT.fullmatch(port) and 0 < int(port) < 65_536):
            raise ConfigError(f"`{name}` is {port!r}", help="it is a port, from 1 to 65535")
        return f"tcp://127.0.0.1:{port}"

    def seconds(self, name: str, default: float) -> float:
        name, text = self.get(name)
        if text is None:
            return default
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not (math.isfinite(value) and value > 0):
            raise ConfigError(f"`{name}` is {text!r}", help="it is a number of seconds above 0")
        return value

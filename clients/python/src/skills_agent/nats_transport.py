"""The way over NATS JetStream. Needs the extra ``nats``.

A topic is a subject, and a request is the message that ZeroMQ would carry in its second frame,
with its id in ``Nats-Msg-Id`` so that the stream keeps it once. The stream (a work queue per
topic, made by its workers) acknowledges: then the request survives. Answers come on the agent's
reply topic, a plain subject. One round trip to the server proves that the subscription stands
before the first request goes out.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging

from skills_agent.config import Config
from skills_agent.errors import ConfigError, MeshUnreachable, NoSuchTopic
from skills_agent.transport import Receiver

try:
    import nats
    import nats.errors
    from nats.aio.client import Client
    from nats.aio.msg import Msg
    from nats.js.errors import Error as StreamError
    from nats.js.errors import NoStreamResponseError
except ImportError as error:
    raise ConfigError(
        "a NATS server is configured, and nats-py is not installed",
        help="pip install 'skills-agent[nats]'",
    ) from error

log = logging.getLogger("skills_agent")

_RECONNECT_SECONDS = 0.1
_PING_SECONDS = 2
_ACK_SECONDS = 2.0
_ACK_ATTEMPTS = 3


class NatsTransport:
    """See the module."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._client: Client | None = None
        self._starting: asyncio.Task[None] | None = None
        self._sends: dict[str, int] = {}

    async def start(self, reply_to: str, receiver: Receiver) -> None:
        """Begins to connect."""
        self._receiver = receiver
        self._starting = asyncio.create_task(self._connect(reply_to))

    async def _connect(self, reply_to: str) -> None:
        assert self._config.nats_url is not None  # noqa: S101
        client = Client()
        self._client = client
        while True:
            with contextlib.suppress(OSError, nats.errors.Error, asyncio.TimeoutError):
                await client.connect(
                    self._config.nats_url,
                    error_cb=self._on_error,
                    disconnected_cb=self._on_lost,
                    reconnected_cb=self._on_ready,
                    max_reconnect_attempts=-1,
                    reconnect_time_wait=_RECONNECT_SECONDS,  # type: ignore[arg-type]
                    ping_interval=_PING_SECONDS,
                    max_outstanding_pings=2,
                    allow_reconnect=True,
                )
                break
            await asyncio.sleep(_RECONNECT_SECONDS)
        await client.subscribe(reply_to, cb=self._on_message)
        await self._on_ready()

    async def _on_message(self, message: Msg) -> None:
        self._receiver.arrived(message.data)

    async def _on_error(self, error: Exception) -> None:
        log.debug("nats: %s", error)

    async def _on_lost(self) -> None:
        self._receiver.lost()

    async def _on_ready(self) -> None:
        if self._client is None:
            return
        # The answer to a ping comes after the subscription was handled.
        await self._client.flush()
        self._receiver.ready()

    async def send(self, topic: str, payload: bytes, request_id: str) -> None:
        """Sends a request, and waits until the stream has it."""
        if self._client is None:
            return
        # A request that is sent once more is a message of its own to the stream, else it would
        # be taken for the first one and the worker would not answer again.
        attempt = self._sends[request_id] = self._sends.get(request_id, 0) + 1
        message_id = request_id if attempt == 1 else f"{request_id}.{attempt}"
        stream = self._client.jetstream(timeout=_ACK_SECONDS)
        for left in reversed(range(_ACK_ATTEMPTS)):
            try:
                await stream.publish(topic, payload, headers={"Nats-Msg-Id": message_id})
                break
            except NoStreamResponseError:
                raise NoSuchTopic(
                    f"no worker ever served {topic}",
                    help="start one: `skills worker --topic` with this topic",
                ) from None
            except (nats.errors.Error, StreamError, asyncio.TimeoutError, OSError) as error:
                # The same id: the stream keeps it once, whether it had it or not.
                if left == 0:
                    raise MeshUnreachable(
                        f"{topic} did not acknowledge the request: {error!r}",
                        help="see that the NATS server runs with JetStream (-js)",
                    ) from None
        if len(self._sends) > 2 * self._config.max_in_flight:
            self._sends.clear()

    async def close(self) -> None:
        """Closes the connection."""
        client, self._client = self._client, None
        if self._starting is not None:
            await _end(self._starting)
            self._starting = None
        if client is not None and (client.is_connected or client.is_reconnecting):
            await client.close()


async def _end(task: asyncio.Task[None]) -> None:
    """Cancels a task until it ends: while it connects, nats-py may miss a cancellation."""
    while not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=0.05)

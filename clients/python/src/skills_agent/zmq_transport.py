"""The way over SkillScale's ZeroMQ proxy: PUB to its XSUB, SUB from its XPUB.

PUB and SUB drop silently what is sent before subscriptions have travelled. So the agent sends a
probe on its own reply topic until something with the probe's id comes back: the probe itself from a
proxy that only forwards, or from `skills proxy`, which forwards no answers that nobody asked for,
the error reply to a request without an intent. Then the agent's subscription is at the proxy, and
its PUB socket knows every subscription that the proxy knew before: what is sent from now on gets
through. The same is done after every lost connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import secrets

import zmq
import zmq.asyncio
from zmq.utils.monitor import recv_monitor_message

from skills_agent.config import Config
from skills_agent.errors import ConfigError
from skills_agent.transport import Receiver

log = logging.getLogger("skills_agent")

# A peer that vanishes without closing its connection is noticed after this time.
_HEARTBEAT_MS = 2_000
_HEARTBEAT_TIMEOUT_MS = 6_000
_RECONNECT_MS = 50
_RECONNECT_MS_MAX = 1_000
_PROBE_SECONDS = 0.02
_PROBE_SECONDS_MAX = 0.5

_WATCHED = zmq.Event.DISCONNECTED | zmq.Event.MONITOR_STOPPED


class ZmqTransport:
    """See the module."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._context: zmq.asyncio.Context | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._down = asyncio.Event()
        self._echoed = asyncio.Event()
        self._probe_id = ""

    async def start(self, reply_to: str, receiver: Receiver) -> None:
        """Opens both sockets; they connect by themselves."""
        self._receiver = receiver
        self._reply_topic = reply_to.encode()
        self._context = zmq.asyncio.Context()
        try:
            self._pub = self._socket(zmq.PUB, self._config.proxy_xsub)
            self._sub = self._socket(zmq.SUB, self._config.proxy_xpub)
        except ConfigError:
            await self.close()
            raise
        self._sub.setsockopt(zmq.SUBSCRIBE, self._reply_topic)
        self._down.set()
        loops = [self._receive(), self._watch(self._pub), self._watch(self._sub), self._connect()]
        self._tasks = [asyncio.create_task(loop) for loop in loops]

    def _socket(self, kind: int, endpoint: str) -> zmq.asyncio.Socket:
        assert self._context is not None  # noqa: S101
        socket = self._context.socket(kind)
        # Requests under way are bounded by the agent; a mark here would drop them silently.
        socket.setsockopt(zmq.SNDHWM, 0)
        socket.setsockopt(zmq.RCVHWM, 0)
        socket.setsockopt(zmq.LINGER, 0)
        socket.setsockopt(zmq.HEARTBEAT_IVL, _HEARTBEAT_MS)
        socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, _HEARTBEAT_TIMEOUT_MS)
        socket.setsockopt(zmq.RECONNECT_IVL, _RECONNECT_MS)
        socket.setsockopt(zmq.RECONNECT_IVL_MAX, _RECONNECT_MS_MAX)
        try:
            socket.connect(endpoint)
        except zmq.ZMQError as error:
            socket.close()
            raise ConfigError(
                f"{endpoint!r} is no endpoint: {error}", help="write it as tcp://host:port"
            ) from None
        return socket

    async def send(self, topic: str, payload: bytes, request_id: str) -> None:
        """Sends a request."""
        await self._pub.send_multipart([topic.encode(), payload])

    async def _connect(self) -> None:
        while True:
            await self._down.wait()
            self._down.clear()
            await self._probe()
            if not self._down.is_set():
                self._receiver.ready()

    async def _probe(self) -> None:
        self._probe_id = f"probe-{secrets.token_hex(8)}"
        self._echoed.clear()
        probe = {"request_id": self._probe_id, "reply_to": self._reply_topic.decode()}
        frames = [self._reply_topic, json.dumps(probe).encode()]
        pause = _PROBE_SECONDS
        while not self._echoed.is_set():
            await self._pub.send_multipart(frames)
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._echoed.wait(), pause)
            pause = min(pause * 1.5, _PROBE_SECONDS_MAX)

    async def _receive(self) -> None:
        while True:
            frames = await self._sub.recv_multipart()
            # A subscription matches prefixes: the topic may be a longer one.
            if len(frames) != 2 or frames[0] != self._reply_topic:
                log.debug("dropped a message of %d frames that is not for this agent", len(frames))
            elif (probe := _probe_of(frames[1])) is None:
                self._receiver.arrived(frames[1])
            elif probe == self._probe_id:
                self._echoed.set()

    async def _watch(self, socket: zmq.asyncio.Socket) -> None:
        monitor = socket.get_monitor_socket(_WATCHED)
        while True:
            event = await recv_monitor_message(monitor)
            if event["event"] == zmq.Event.MONITOR_STOPPED:
                return
            if event["event"] == zmq.Event.DISCONNECTED:
                self._receiver.lost()
                self._down.set()

    async def close(self) -> None:
        """Closes the sockets."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        if self._context is not None:
            self._context.destroy(linger=0)
            self._context = None


def _probe_of(payload: bytes) -> str | None:
    """The id of a probe, this one's or an earlier connection's; None for a real message."""
    if b'"probe-' not in payload[:200]:
        return None
    try:
        message = json.loads(payload)
    except ValueError:
        return None
    request_id = message.get("request_id") if isinstance(message, dict) else None
    is_probe = isinstance(request_id, str) and request_id.startswith("probe-")
    return request_id if is_probe else None

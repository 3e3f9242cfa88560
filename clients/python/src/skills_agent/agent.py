"""The agent: sends requests, matches answers to them, each exactly once."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from skills_agent.config import Config
from skills_agent.errors import (
    AgentClosed,
    AgentError,
    AnswerTimeout,
    MeshUnreachable,
    ProtocolError,
    TooManyRequests,
    skill_error,
)
from skills_agent.protocol import Reply, Request, check_topic, intent_text
from skills_agent.trace import members
from skills_agent.transport import Transport

log = logging.getLogger("skills_agent")


@dataclass(frozen=True)
class Answer:
    """What a skill answered."""

    content: str
    topic: str
    request_id: str
    seconds: float
    """From the call to the answer."""
    data: bytes
    """The answer as it is, where it is not text; ``content`` then has what can be read of it."""


@dataclass
class Stats:
    """What an agent has counted since it was made."""

    sent: int = 0
    """Requests, without those that were sent once more."""
    resent: int = 0
    answered: int = 0
    """With a success or with an error."""
    timed_out: int = 0
    dropped: int = 0
    """Messages that no request waits for: second answers, late ones, strangers' ones."""


@dataclass
class _Pending:
    topic: str
    payload: bytes
    future: asyncio.Future[Reply] = field(repr=False)
    on_progress: Callable[[str], None] | None = None
    is_sent: bool = False


class Agent:
    """Asks skills on a mesh.

    ::

        async with Agent() as agent:
            report = await agent.publish("TOPIC_DATA_PROCESSING", '{"skill": …, "data": …}')
            agent.respond(report)

    One agent may have many requests under way. It belongs to the event loop it was started in.
    """

    def __init__(
        self,
        config: Config | None = None,
        *,
        on_respond: Callable[[str], None] | None = None,
        transport: Transport | None = None,
    ) -> None:
        """Without a config, the environment decides: see ``Config.from_env``.

        ``on_respond`` gets what ``respond`` is given, such as ``print``.
        """
        self.config = config if config is not None else Config.from_env()
        self.stats = Stats()
        self._on_respond = on_respond
        self._transport = transport
        self._pending: dict[str, _Pending] = {}
        self._is_ready = asyncio.Event()
        self._is_started = False
        self._resending: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Connects, and waits until requests get through and answers come back.

        Raises ``MeshUnreachable`` after ``config.connect_timeout``.
        """
        if self._is_started:
            return
        self._is_started = True
        if self._transport is None:
            self._transport = _transport_for(self.config)
        try:
            await self._transport.start(self.config.reply_to, self)
            await asyncio.wait_for(self._is_ready.wait(), self.config.connect_timeout)
        except asyncio.TimeoutError:
            await self.close()
            raise self._unreachable(self.config.connect_timeout) from None
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Disconnects. What still awaits an answer fails with ``AgentClosed``."""
        self._is_started = False
        self._is_ready.clear()
        for task in self._resending:
            task.cancel()
        for request_id, pending in self._pending.items():
            if not pending.future.done():
                why = AgentClosed(f"the agent was closed before {request_id} was answered")
                pending.future.set_exception(why)
        if self._transport is not None:
            await self._transport.close()
            self._transport = None

    async def __aenter__(self) -> Agent:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def publish(
        self,
        topic: str,
        intent: str | Mapping[str, object],
        timeout: float | None = None,
        *,
        traceparent: str | None = None,
        tracestate: str | None = None,
    ) -> str:
        """Tool 1 of SkillScale: publishes an intent, and returns what the skill answered.

        The same as ``call``, reduced to the answer's content.
        """
        answer = await self.call(
            topic, intent, timeout=timeout, traceparent=traceparent, tracestate=tracestate
        )
        return answer.content

    def respond(self, content: str) -> str:
        """Tool 2 of SkillScale: hands the final markdown to the user (``on_respond``)."""
        if self._on_respond is not None:
            self._on_respond(content)
        return content

    async def call(
        self,
        topic: str,
        intent: str | Mapping[str, object],
        *,
        timeout: float | None = None,
        on_progress: Callable[[str], None] | None = None,
        traceparent: str | None = None,
        tracestate: str | None = None,
    ) -> Answer:
        """Sends one request and awaits its one answer, ``timeout`` seconds at most.

        The worker is told, and ends the skill when nobody waits for it any more.

        ``intent`` is a text, or a mapping that is sent as JSON: ``{"skill": …, "data": …}`` for a
        skill by its name, ``{"task": …}`` for whichever fits. ``on_progress`` is called with the
        news that a long skill of ``skills worker`` sends before its answer.

        ``traceparent`` and ``tracestate`` (W3C trace context) say which trace the work belongs to;
        without them it is OpenTelemetry's current one, where the package ``opentelemetry-api`` is
        installed. What is no trace context is left out.

        Raises ``SkillError`` (or the subclass that says why) if the skill failed,
        ``AnswerTimeout`` if no answer came, ``MeshUnreachable`` if the request could not be sent,
        ``TooManyRequests``, ``InvalidRequest``, ``ProtocolError`` and ``AgentClosed``.
        """
        seconds = self.config.timeout if timeout is None else timeout
        if not self._is_started:
            raise AgentClosed("the agent is not started", help="use `async with Agent() as agent:`")
        if len(self._pending) >= self.config.max_in_flight:
            raise TooManyRequests(
                f"{len(self._pending)} requests await their answers already",
                help="await some of them first, or raise max_in_flight",
            )
        request = Request(
            request_id=uuid.uuid4().hex,
            reply_to=self.config.reply_to,
            intent=intent_text(intent),
            timestamp=time.time(),
            wants_progress=on_progress is not None,
            timeout_ms=round(min(max(0.001, seconds), 1e9) * 1000),
            trace=members(traceparent, tracestate),
        )
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        pending = _Pending(check_topic(topic), request.encode(), future, on_progress)
        self._pending[request.request_id] = pending
        began = time.monotonic()
        try:
            await self._send_when_ready(request.request_id, pending, began + seconds)
            reply = await self._reply(request.request_id, pending, began + seconds, seconds)
        finally:
            del self._pending[request.request_id]
        if reply.status != "success":
            raise _failure(reply, topic)
        elapsed = time.monotonic() - began
        return Answer(reply.content, topic, request.request_id, elapsed, reply.data)

    async def _send_when_ready(self, request_id: str, pending: _Pending, deadline: float) -> None:
        if not self._is_ready.is_set():
            left = max(deadline - time.monotonic(), 0)
            ready = asyncio.ensure_future(self._is_ready.wait())
            # A closed agent never gets ready: its requests fail by their futures.
            either: set[asyncio.Future[Any]] = {ready, pending.future}
            try:
                await asyncio.wait(either, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            finally:
                ready.cancel()
            if pending.future.done():
                return
            if not self._is_ready.is_set():
                self.stats.timed_out += 1
                raise self._unreachable(left)
        if self._transport is None:
            raise AgentClosed("the agent was closed before the request was sent")
        pending.is_sent = True
        self.stats.sent += 1
        await self._transport.send(pending.topic, pending.payload, request_id)

    async def _reply(
        self, request_id: str, pending: _Pending, deadline: float, seconds: float
    ) -> Reply:
        left = max(deadline - time.monotonic(), 0)
        done, _ = await asyncio.wait({pending.future}, timeout=left)
        if done:
            return pending.future.result()
        self.stats.timed_out += 1
        raise AnswerTimeout(
            f"{pending.topic} did not answer {request_id} within {seconds:g} s",
            help="see that a worker serves this topic; give a longer `timeout` for a slow skill",
        )

    def arrived(self, payload: bytes) -> None:
        """For the transport: a message on the reply topic."""
        try:
            reply = Reply.decode(payload)
        except ProtocolError as error:
            self.stats.dropped += 1
            log.warning("dropped a message: %s", error.message)
            return
        pending = self._pending.get(reply.request_id)
        if pending is None or pending.future.done():
            self.stats.dropped += 1
            log.debug("dropped an answer that nobody waits for: %s", reply.request_id)
            return
        if reply.status == "progress":
            if pending.on_progress is not None:
                _tell(pending.on_progress, reply.content)
            return
        self.stats.answered += 1
        pending.future.set_result(reply)

    def ready(self) -> None:
        """For the transport: connected, or connected again."""
        self._is_ready.set()
        unanswered = {
            request_id: pending
            for request_id, pending in self._pending.items()
            if pending.is_sent and not pending.future.done()
        }
        if unanswered and self.config.resend:
            log.info("connected again: sending %d requests once more", len(unanswered))
            task = asyncio.create_task(self._resend(unanswered))
            self._resending.add(task)
            task.add_done_callback(self._resending.discard)

    def lost(self) -> None:
        """For the transport: the connection is gone."""
        if self._is_ready.is_set():
            log.warning("lost the connection to the mesh; connecting again")
        self._is_ready.clear()

    async def _resend(self, unanswered: dict[str, _Pending]) -> None:
        for request_id, pending in unanswered.items():
            if pending.future.done() or self._transport is None:
                continue
            self.stats.resent += 1
            try:
                await self._transport.send(pending.topic, pending.payload, request_id)
            except AgentError as error:
                if not pending.future.done():
                    pending.future.set_exception(error)

    def _unreachable(self, seconds: float) -> MeshUnreachable:
        where = self.config.nats_url or f"{self.config.proxy_xsub} and {self.config.proxy_xpub}"
        what = "`nats-server -js`" if self.config.nats_url else "`skills proxy`"
        return MeshUnreachable(
            f"no connection to the mesh at {where} within {seconds:.3g} s",
            help=f"start {what}, or set SKILLSCALE_PROXY_XSUB and SKILLSCALE_PROXY_XPUB"
            if not self.config.nats_url
            else f"start {what}, or set SKILLSCALE_NATS_URL",
        )


def _tell(on_progress: Callable[[str], None], news: str) -> None:
    try:
        on_progress(news)
    except Exception:
        # The caller's fault must not end the loop that all requests share.
        log.exception("on_progress failed")


def _failure(reply: Reply, topic: str) -> AgentError:
    if reply.code == ProtocolError.code:
        return ProtocolError(f"{topic} sent a reply that cannot be read: {reply.error}")
    return skill_error(reply.error, reply.code, topic=topic, request_id=reply.request_id)


def _transport_for(config: Config) -> Transport:
    if config.nats_url:
        # Only who uses NATS needs nats-py.
        from skills_agent.nats_transport import NatsTransport

        return NatsTransport(config)
    from skills_agent.zmq_transport import ZmqTransport

    return ZmqTransport(config)

"""SkillScale's messages: JSON in the second frame, behind the topic. Knows no socket."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from skills_agent.errors import InvalidRequest, ProtocolError

_TOPIC = re.compile(r"[A-Za-z0-9_.-]{1,200}")


@dataclass(frozen=True)
class Request:
    """What an agent publishes on a topic."""

    request_id: str
    reply_to: str
    intent: str
    timestamp: float
    """Seconds since 1970."""
    wants_progress: bool = False
    """Whether replies before the last one are welcome; only ``skills worker`` sends them."""
    timeout_ms: int | None = None
    """How long it may take from ``timestamp``; only ``skills worker`` keeps to it."""
    trace: Mapping[str, str] = field(default_factory=dict)
    """``traceparent`` and ``tracestate``; SkillScale's servers pass over them."""

    def encode(self) -> bytes:
        """The second frame."""
        message: dict[str, object] = {
            "request_id": self.request_id,
            "reply_to": self.reply_to,
            "intent": self.intent,
            "timestamp": self.timestamp,
        }
        if self.wants_progress:
            message["progress"] = True
        if self.timeout_ms is not None:
            message["timeout_ms"] = self.timeout_ms
        message.update(self.trace)
        return json.dumps(message, ensure_ascii=False).encode()


@dataclass(frozen=True)
class Reply:
    """What a worker publishes on the agent's reply topic."""

    request_id: str
    status: Literal["success", "error", "progress"]
    content: str
    data: bytes
    """The result as it is; ``content`` has what can be read of it as text."""
    error: str
    code: str | None
    """The kind of error, from workers that say it."""

    @classmethod
    def decode(cls, payload: bytes) -> Reply:
        """Reads the second frame. A reply whose id is readable can fail its request."""
        try:
            message = json.loads(payload)
        except ValueError as error:
            raise ProtocolError(f"a reply is not JSON: {error}") from None
        if not isinstance(message, dict) or not isinstance(message.get("request_id"), str):
            raise ProtocolError("a reply has no `request_id`")
        request_id: str = message["request_id"]
        status = message.get("status")
        if status not in ("success", "error", "progress"):
            return cls._broken(request_id, f"`status` is {status!r}, not success or error")
        texts = [message.get(name) or "" for name in ("content", "error")]
        if not all(isinstance(text, str) for text in texts):
            return cls._broken(request_id, "`content` and `error` are to be text")
        code = message.get("code")
        encoded = message.get("content_base64")
        try:
            data = base64.b64decode(encoded, validate=True) if encoded else texts[0].encode()
        except (TypeError, ValueError) as error:
            return cls._broken(request_id, f"`content_base64` cannot be read: {error}")
        return cls(
            request_id=request_id,
            status=status,
            content=texts[0],
            data=data,
            error=texts[1],
            code=code if isinstance(code, str) else None,
        )

    @classmethod
    def _broken(cls, request_id: str, why: str) -> Reply:
        return cls(request_id, "error", "", b"", why, ProtocolError.code)


def check_topic(topic: str) -> str:
    """The topic, if workers can subscribe to it."""
    if not _TOPIC.fullmatch(topic):
        raise InvalidRequest(
            f"{topic!r} is no topic",
            help="a topic has letters, digits, `_`, `-` and `.`, such as TOPIC_DATA_PROCESSING",
        )
    return topic


def intent_text(intent: str | Mapping[str, object]) -> str:
    """The intent as text: as it is, or as JSON."""
    try:
        text = intent if isinstance(intent, str) else json.dumps(intent, ensure_ascii=False)
        text.encode()
    except UnicodeEncodeError:
        raise InvalidRequest(
            "the intent holds half of a surrogate pair, which is no text",
            help="decode files with errors='replace'",
        ) from None
    except (TypeError, ValueError) as error:
        raise InvalidRequest(f"the intent cannot be written as JSON: {error}") from None
    if not text.strip():
        raise InvalidRequest(
            "the intent is empty", help='send a text, {"task": …}, or {"skill": …, "data": …}'
        )
    return text

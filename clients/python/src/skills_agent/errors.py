"""What can go wrong, one class per cause. Each has a stable ``code`` and a ``help``."""

from __future__ import annotations

import asyncio
import re


class AgentError(Exception):
    """The base of every error of this package."""

    code = "agent-error"

    def __init__(self, message: str, *, help: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.help = help

    def __str__(self) -> str:
        return f"{self.message}\n  help: {self.help}" if self.help else self.message


class ConfigError(AgentError, ValueError):
    """A setting, or an environment variable, cannot be used."""

    code = "invalid-config"


class InvalidRequest(AgentError, ValueError):
    """The topic or the intent cannot be sent."""

    code = "invalid-request"


class AgentClosed(AgentError):
    """The agent was not started, or was closed while the request was under way."""

    code = "agent-closed"


class MeshUnreachable(AgentError, ConnectionError):
    """No connection to the mesh in time. The request was not sent."""

    code = "mesh-unreachable"


class TooManyRequests(AgentError):
    """This agent awaits as many answers as ``Config.max_in_flight`` allows."""

    code = "too-many-requests"


class AnswerTimeout(AgentError, asyncio.TimeoutError):
    """The request was sent, and no answer came in time. It may have been executed."""

    code = "answer-timeout"


class NoSuchTopic(AgentError):
    """No worker ever served this topic (NATS knows; a ZeroMQ proxy does not say)."""

    code = "no-such-topic"


class ProtocolError(AgentError):
    """What came is no reply of SkillScale's protocol."""

    code = "malformed-reply"


class SkillError(AgentError, RuntimeError):
    """A worker answered that the skill failed. ``error`` is its own text."""

    code = "skill-failed"

    def __init__(self, error: str, *, topic: str, request_id: str, help: str | None = None) -> None:
        super().__init__(f"{topic}: {error}", help=help)
        self.error = error
        self.topic = topic
        self.request_id = request_id


class NoMatchingSkill(SkillError):
    """The topic's workers have no skill that fits the intent."""

    code = "no-matching-skill"


class SkillTimedOut(SkillError):
    """The skill ran longer than its worker allows, and was ended."""

    code = "skill-timed-out"


class MeshBusy(SkillError):
    """The mesh has too much to do, and refused the request at once."""

    code = "busy"


class BadRequest(SkillError):
    """The proxy or a worker could not understand the request, or it is too large."""

    code = "bad-request"


class MeshStopping(SkillError):
    """The proxy is going down and takes nothing more."""

    code = "stopping"


class NoFreeWorker(SkillError):
    """No worker of the topic was free in time; the request was not executed."""

    code = "deadline"


class NoWorkers(NoFreeWorker):
    """The topic had no worker at all; the request was not executed."""

    code = "no-workers"


class WorkersLost(SkillError):
    """Every worker that got the request was lost before it answered."""

    code = "workers-lost"


class SkillCrashed(SkillError):
    """The skill's program ended with an error."""

    code = "skill-crashed"

    def __init__(self, error: str, *, topic: str, request_id: str, help: str | None = None) -> None:
        super().__init__(error, topic=topic, request_id=request_id, help=help)
        found = _EXIT.search(error)
        self.exit_code = int(found.group(1)) if found else None


_EXIT = re.compile(r"\(exit=(-?\d+)\)")

_HELP = {
    NoMatchingSkill: 'name the skill, {"skill": …, "data": …}, or ask another topic',
    SkillTimedOut: "send less at once, or raise the worker's --timeout",
    MeshBusy: "try again a little later, or start more workers for the topic",
    MeshStopping: "send it again: the next proxy takes it",
    NoFreeWorker: "start more workers, or send less",
    NoWorkers: "start a worker, or look whether the topic is spelt as its workers spell it",
    WorkersLost: "see whether the request makes its workers crash before sending it again",
    SkillCrashed: "what the skill wrote to its standard error is in the message",
}

_BY_CODE: dict[str, type[SkillError]] = {
    kind.code: kind
    for kind in (
        BadRequest,
        NoMatchingSkill,
        SkillTimedOut,
        SkillCrashed,
        MeshBusy,
        MeshStopping,
        NoFreeWorker,
        NoWorkers,
        WorkersLost,
    )
}


def skill_error(error: str, code: str | None, *, topic: str, request_id: str) -> SkillError:
    """Builds the error that a reply stands for: by its code, else by SkillScale's wording."""
    kind = _BY_CODE.get(code or "") or _by_wording(error)
    return kind(error, topic=topic, request_id=request_id, help=_HELP.get(kind))


def _by_wording(error: str) -> type[SkillError]:
    text = error.lower()
    if text.startswith("no matching skill"):
        return NoMatchingSkill
    if "execution timed out" in text:
        return SkillTimedOut
    if _EXIT.search(text):
        return SkillCrashed
    # What `skills proxy` says itself begins with its code.
    return _BY_CODE.get(text.partition(":")[0].replace(" ", "-"), SkillError)

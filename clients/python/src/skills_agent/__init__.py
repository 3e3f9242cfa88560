"""Asks skills on a SkillScale mesh: publish an intent to a topic, await the one answer."""

from skills_agent.agent import Agent, Answer, Stats
from skills_agent.config import Config
from skills_agent.errors import (
    AgentClosed,
    AgentError,
    AnswerTimeout,
    BadRequest,
    ConfigError,
    InvalidRequest,
    MeshBusy,
    MeshStopping,
    MeshUnreachable,
    NoFreeWorker,
    NoMatchingSkill,
    NoSuchTopic,
    ProtocolError,
    SkillCrashed,
    SkillError,
    SkillTimedOut,
    TooManyRequests,
    WorkersLost,
)

__all__ = [
    "Agent",
    "AgentClosed",
    "AgentError",
    "Answer",
    "AnswerTimeout",
    "BadRequest",
    "Config",
    "ConfigError",
    "InvalidRequest",
    "MeshBusy",
    "MeshStopping",
    "MeshUnreachable",
    "NoFreeWorker",
    "NoMatchingSkill",
    "NoSuchTopic",
    "ProtocolError",
    "SkillCrashed",
    "SkillError",
    "SkillTimedOut",
    "Stats",
    "TooManyRequests",
    "WorkersLost",
]

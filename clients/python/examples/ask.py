"""Asks one skill: python ask.py TOPIC INTENT [SECONDS]."""

from __future__ import annotations

import asyncio
import sys

from skills_agent import Agent, AgentError


async def main(topic: str, intent: str, seconds: float) -> int:
    """Prints the answer, or the error and what to do about it."""
    try:
        async with Agent(on_respond=print) as agent:
            agent.respond(await agent.publish(topic, intent, timeout=seconds))
    except AgentError as error:
        print(f"error: {error} [{error.code}]", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    timeout = float(sys.argv[3]) if len(sys.argv) == 4 else 30.0
    sys.exit(asyncio.run(main(sys.argv[1], sys.argv[2], timeout)))

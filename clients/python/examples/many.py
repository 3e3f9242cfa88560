"""Summarizes files, all at once: python many.py FILE..."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from skills_agent import Agent, AgentError, Answer


async def main(files: list[Path]) -> None:
    """Prints each file's summary; one failure does not keep the others back."""
    texts = [file.read_text(encoding="utf-8", errors="replace") for file in files]
    async with Agent() as agent:
        calls = [
            agent.call("TOPIC_DATA_PROCESSING", {"skill": "text-summarizer", "data": text})
            for text in texts
        ]
        answers = await asyncio.gather(*calls, return_exceptions=True)
    for file, answer in zip(files, answers, strict=True):
        if isinstance(answer, Answer):
            print(f"# {file} ({answer.seconds:.3f} s)\n\n{answer.content}\n")
        elif isinstance(answer, AgentError):
            print(f"# {file}\n\nfailed: {answer}\n")
        else:
            raise answer


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    asyncio.run(main([Path(name) for name in sys.argv[1:]]))

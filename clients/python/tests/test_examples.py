"""The examples, run as a user runs them."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from tests.conftest import MakeWorker
from tests.mesh import Proxy, echo

EXAMPLES = Path(__file__).parents[1] / "examples"


async def run(proxy: Proxy, name: str, *arguments: str) -> tuple[int | None, str, str]:
    environ = os.environ | {
        "SKILLSCALE_PROXY_XSUB": proxy.xsub,
        "SKILLSCALE_PROXY_XPUB": proxy.xpub,
        "PYTHONIOENCODING": "utf-8",
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(EXAMPLES / name),
        *arguments,
        env=environ,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


async def test_ask_prints_the_answer(proxy: Proxy, worker: MakeWorker) -> None:
    await worker("TOPIC_A", echo)
    assert await run(proxy, "ask.py", "TOPIC_A", "sum it up") == (0, "echo: sum it up\n", "")


async def test_ask_says_what_went_wrong(proxy: Proxy) -> None:
    status, out, err = await run(proxy, "ask.py", "TOPIC_NOBODY", "x", "0.05")
    assert (status, out) == (1, "")
    assert err.startswith("error: TOPIC_NOBODY did not answer")
    assert err.endswith("[answer-timeout]\n")


async def test_many_asks_all_at_once(proxy: Proxy, worker: MakeWorker, tmp_path: Path) -> None:
    served = await worker("TOPIC_DATA_PROCESSING", echo)
    files = [tmp_path / f"{number}.txt" for number in range(3)]
    for file in files:
        file.write_text(f"text of {file.name}", encoding="utf-8")
    status, out, err = await run(proxy, "many.py", *map(str, files))
    assert (status, err) == (0, "")
    assert out.count("echo: ") == 3
    assert len(served.requests) == 3

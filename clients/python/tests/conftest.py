from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import pytest
import pytest_asyncio

from skills_agent import Config
from tests.mesh import Handler, Proxy, Worker

MakeWorker = Callable[[str, Handler], Awaitable[Worker]]


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    proxy = Proxy()
    proxy.start()
    yield proxy
    proxy.stop()


@pytest.fixture
def config(proxy: Proxy) -> Config:
    return Config(proxy_xsub=proxy.xsub, proxy_xpub=proxy.xpub, timeout=10, connect_timeout=10)


@pytest_asyncio.fixture
async def worker(proxy: Proxy) -> AsyncIterator[MakeWorker]:
    started: list[Worker] = []

    async def make(topic: str, handler: Handler) -> Worker:
        worker = Worker(proxy, topic, handler)
        await worker.start()
        started.append(worker)
        return worker

    yield make
    for worker in started:
        await worker.stop()

"""The agent over a real NATS server with JetStream."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import nats
import pytest
import pytest_asyncio
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.api import ConsumerConfig, RetentionPolicy, StreamConfig

from skills_agent import Agent, Config, MeshUnreachable, NoSuchTopic
from tests.mesh import free_port, until


def program() -> str:
    found = os.environ.get("NATS_SERVER") or shutil.which("nats-server", path=_path())
    assert found, "no nats-server: apt-get install nats-server, or name it in NATS_SERVER"
    return found


def _path() -> str:
    return os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin"


class Server:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = free_port()
        self.url = f"nats://127.0.0.1:{self._port}"
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        arguments = ["-js", "-a", "127.0.0.1", "-p", str(self._port), "-sd", str(self._folder)]
        self._process = subprocess.Popen(
            [program(), *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", self._port)
            except OSError:
                assert self._process.poll() is None, "nats-server ended"
                await asyncio.sleep(0.01)
            else:
                writer.close()
                await writer.wait_closed()
                return

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


class Worker:
    """Takes requests out of the topic's work queue, and answers each id once."""

    def __init__(self, url: str, topic: str) -> None:
        self._url = url
        self._topic = topic
        self.answers: dict[str, str] = {}
        self.requests: list[dict[str, Any]] = []
        self.hold = asyncio.Event()
        self.hold.set()

    async def start(self) -> None:
        self._client: Client = await nats.connect(
            self._url, max_reconnect_attempts=-1, reconnect_time_wait=0.05, error_cb=_ignore
        )
        stream = self._client.jetstream()
        await stream.add_stream(
            StreamConfig(
                name=f"S_{self._topic}",
                subjects=[self._topic],
                retention=RetentionPolicy.WORK_QUEUE,
            )
        )
        await stream.subscribe(
            self._topic,
            durable="workers",
            cb=self._work,
            manual_ack=True,
            config=ConsumerConfig(ack_wait=5),
        )

    async def _work(self, message: Msg) -> None:
        request = json.loads(message.data)
        self.requests.append(request)
        await self.hold.wait()
        content = self.answers.setdefault(request["request_id"], f"echo: {request['intent']}")
        reply = {"request_id": request["request_id"], "status": "success", "content": content}
        await self._client.publish(request["reply_to"], json.dumps(reply).encode())
        await message.ack()

    async def stop(self) -> None:
        await self._client.close()


async def _ignore(error: Exception) -> None:
    """Keeps the client from printing that the server was killed."""


@pytest_asyncio.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    server = Server(tmp_path)
    await server.start()
    yield server
    server.kill()


async def test_requests_go_through_a_work_queue(server: Server) -> None:
    worker = Worker(server.url, "TOPIC_A")
    await worker.start()
    async with Agent(Config(nats_url=server.url)) as agent:
        calls = [agent.publish("TOPIC_A", str(number)) for number in range(200)]
        assert await asyncio.gather(*calls) == [f"echo: {number}" for number in range(200)]
    assert len(worker.requests) == 200
    await worker.stop()


async def test_a_request_waits_for_its_worker(server: Server) -> None:
    worker = Worker(server.url, "TOPIC_A")
    await worker.start()
    await worker.stop()
    async with Agent(Config(nats_url=server.url)) as agent:
        call = asyncio.create_task(agent.publish("TOPIC_A", "early"))
        done, _ = await asyncio.wait({call}, timeout=0.1)
        assert not done
        later = Worker(server.url, "TOPIC_A")
        await later.start()
        assert await call == "echo: early"
    await later.stop()


async def test_a_topic_without_a_stream_is_named(server: Server) -> None:
    async with Agent(Config(nats_url=server.url)) as agent:
        with pytest.raises(NoSuchTopic, match="TOPIC_NOBODY"):
            await agent.publish("TOPIC_NOBODY", "x")


async def test_a_request_survives_the_server_s_death(server: Server) -> None:
    worker = Worker(server.url, "TOPIC_A")
    await worker.start()
    async with Agent(Config(nats_url=server.url, timeout=20)) as agent:
        assert await agent.publish("TOPIC_A", "first") == "echo: first"
        worker.hold.clear()
        call = asyncio.create_task(agent.publish("TOPIC_A", "held"))
        await until(lambda: len(worker.requests) >= 2)
        server.kill()
        await server.start()
        worker.hold.set()
        assert await call == "echo: held"
        assert agent.stats.answered == 2
    await worker.stop()


async def test_an_agent_can_be_closed_while_the_server_is_away(server: Server) -> None:
    worker = Worker(server.url, "TOPIC_A")
    await worker.start()
    agent = Agent(Config(nats_url=server.url))
    await agent.start()
    assert await agent.publish("TOPIC_A", "x") == "echo: x"
    server.kill()
    await until(lambda: not agent._is_ready.is_set())
    await agent.close()
    await worker.stop()
    # Nothing goes on connecting behind our back.
    await until(lambda: asyncio.all_tasks() == {asyncio.current_task()})


async def test_no_server_is_an_error_that_says_so() -> None:
    url = f"nats://127.0.0.1:{free_port()}"
    with pytest.raises(MeshUnreachable, match=url):
        await Agent(Config(nats_url=url, connect_timeout=0.3)).start()

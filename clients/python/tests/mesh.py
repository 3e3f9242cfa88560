"""A real ZeroMQ proxy and a small worker, as SkillScale's protocol describes them."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import zmq
import zmq.asyncio

Reply = dict[str, Any]
Handler = Callable[[dict[str, Any]], Awaitable[list[Reply]]]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def until(condition: Callable[[], bool]) -> None:
    """Returns once the condition holds; the test's time-out ends what never comes."""
    while not condition():
        await asyncio.sleep(0.001)


class Proxy:
    """XSUB and XPUB, and nothing but forwarding between them. Can be stopped and started again.

    A strict one does as `skills proxy`: it subscribes to everything, passes on only answers to
    requests that it has seen, and answers what is neither request nor answer with an error.
    """

    def __init__(self, *, strict: bool = False) -> None:
        self._strict = strict
        self._asked: set[str] = set()
        self.xsub = f"tcp://127.0.0.1:{free_port()}"
        self.xpub = f"tcp://127.0.0.1:{free_port()}"
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        self._context = zmq.Context()
        self._stop = self._context.socket(zmq.PAIR)
        self._stop.bind("inproc://stop")
        bound = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(bound,))
        self._thread.start()
        assert bound.wait(5)

    def _run(self, bound: threading.Event) -> None:
        xsub, xpub = self._context.socket(zmq.XSUB), self._context.socket(zmq.XPUB)
        stop = self._context.socket(zmq.PAIR)
        for end in (xsub, xpub):
            end.setsockopt(zmq.LINGER, 0)
            end.setsockopt(zmq.SNDHWM, 0)
            end.setsockopt(zmq.RCVHWM, 0)
        xsub.bind(self.xsub)
        xpub.bind(self.xpub)
        stop.connect("inproc://stop")
        if self._strict:
            xsub.send(b"\x01")
        poller = zmq.Poller()
        for end in (xsub, xpub, stop):
            poller.register(end, zmq.POLLIN)
        bound.set()
        while True:
            events = dict(poller.poll())
            if stop in events:
                break
            if xpub in events:
                xsub.send_multipart(xpub.recv_multipart())
            if xsub in events:
                frames = xsub.recv_multipart()
                xpub.send_multipart(self._judged(frames) if self._strict else frames)
        for end in (xsub, xpub, stop):
            end.close()

    def _judged(self, frames: list[bytes]) -> list[bytes]:
        if frames[0] == b"WORKER_PROBE":
            return frames
        message = json.loads(frames[1])
        if "intent" in message:
            self._asked.add(message["request_id"])
        elif "reply_to" in message:
            complaint = failure(message, "bad request: the field `intent` is missing")
            return [message["reply_to"].encode(), json.dumps(complaint).encode()]
        elif message["request_id"] not in self._asked:
            return [b"dropped", b""]
        return frames

    def stop(self) -> None:
        if self._thread is None:
            return
        self._stop.send(b"")
        self._thread.join()
        self._stop.close()
        self._context.term()
        self._thread = None


class Worker:
    """Answers the requests of one topic by a handler, which returns the replies to send."""

    def __init__(self, proxy: Proxy, topic: str, handler: Handler) -> None:
        self._proxy = proxy
        self._topic = topic
        self._handler = handler
        self.frames: list[list[bytes]] = []
        """Every request as it came."""

    @property
    def requests(self) -> list[dict[str, Any]]:
        return [json.loads(frames[1]) for frames in self.frames]

    async def start(self) -> None:
        self._context = zmq.asyncio.Context()
        # XPUB tells who has subscribed: PUB drops an answer that overtakes its subscription.
        self._sub, self._pub = self._context.socket(zmq.SUB), self._context.socket(zmq.XPUB)
        self._wanted: set[bytes] = set()
        for end in (self._sub, self._pub):
            end.setsockopt(zmq.LINGER, 0)
            end.setsockopt(zmq.SNDHWM, 0)
            end.setsockopt(zmq.RCVHWM, 0)
            end.setsockopt(zmq.RECONNECT_IVL, 20)
        self._sub.connect(self._proxy.xpub)
        self._pub.connect(self._proxy.xsub)
        self._sub.setsockopt(zmq.SUBSCRIBE, self._topic.encode())
        self._sub.setsockopt(zmq.SUBSCRIBE, b"WORKER_PROBE")
        self._tasks: set[asyncio.Task[None]] = set()
        self._probed = asyncio.Event()
        self._loop = asyncio.create_task(self._run())
        self._listener = asyncio.create_task(self._listen())
        await self.settle()

    async def settle(self) -> None:
        """Waits until messages of this worker come back to it through the proxy."""
        self._probed.clear()
        while not self._probed.is_set():
            await self._pub.send_multipart([b"WORKER_PROBE", b""])
            try:
                await asyncio.wait_for(self._probed.wait(), 0.02)
            except asyncio.TimeoutError:
                continue

    async def _run(self) -> None:
        while True:
            frames = await self._sub.recv_multipart()
            if frames[0] == b"WORKER_PROBE":
                self._probed.set()
                continue
            self.frames.append(frames)
            task = asyncio.create_task(self._answer(json.loads(frames[1])))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _listen(self) -> None:
        while True:
            wish = await self._pub.recv()
            (self._wanted.add if wish[:1] == b"\x01" else self._wanted.discard)(wish[1:])

    async def _answer(self, request: dict[str, Any]) -> None:
        for reply in await self._handler(request):
            await self.send(request["reply_to"], reply)

    async def send(self, reply_to: str, reply: Reply | bytes) -> None:
        payload = reply if isinstance(reply, bytes) else json.dumps(reply).encode()
        topic = reply_to.encode()
        await until(lambda: any(topic.startswith(prefix) for prefix in self._wanted))
        await self._pub.send_multipart([topic, payload])

    async def stop(self) -> None:
        tasks = [self._loop, self._listener, *self._tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._context.destroy(linger=0)


def success(request: dict[str, Any], content: str) -> Reply:
    return {"request_id": request["request_id"], "status": "success", "content": content}


def failure(request: dict[str, Any], error: str) -> Reply:
    return {
        "request_id": request["request_id"],
        "status": "error",
        "content": "",
        "error": error,
        "timestamp": 1.5,
    }


async def echo(request: dict[str, Any]) -> list[Reply]:
    return [success(request, f"echo: {request['intent']}")]

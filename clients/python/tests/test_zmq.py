"""The agent over a plain XSUB/XPUB proxy."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import re
import time
from typing import Any

import pytest

from skills_agent import (
    Agent,
    AgentClosed,
    AnswerTimeout,
    BadRequest,
    Config,
    ConfigError,
    InvalidRequest,
    MeshBusy,
    MeshStopping,
    MeshUnreachable,
    NoFreeWorker,
    NoMatchingSkill,
    NoWorkers,
    ProtocolError,
    SkillCrashed,
    SkillError,
    SkillTimedOut,
    TooManyRequests,
    WorkersLost,
)
from tests.conftest import MakeWorker
from tests.mesh import Proxy, Reply, Worker, echo, failure, success, until


async def test_publish_speaks_skillscale_s_frames(config: Config, worker: MakeWorker) -> None:
    served = await worker("TOPIC_A", echo)
    before = time.time()
    async with Agent(config) as agent:
        assert await agent.publish("TOPIC_A", "sum it up") == "echo: sum it up"
    [[topic, payload]] = served.frames
    assert topic == b"TOPIC_A"
    request = json.loads(payload)
    assert set(request) == {"request_id", "reply_to", "intent", "timestamp", "timeout_ms"}
    assert request["timeout_ms"] == 10_000
    assert re.fullmatch(r"AGENT_REPLY_[0-9a-f]{8}", request["reply_to"])
    assert before <= request["timestamp"] <= time.time()
    assert isinstance(request["intent"], str)


async def test_a_mapping_is_sent_as_json_text(config: Config, worker: MakeWorker) -> None:
    served = await worker("TOPIC_A", echo)
    async with Agent(config) as agent:
        await agent.call("TOPIC_A", {"skill": "csv-analyzer", "data": "name\nJosé\n"})
    intent = served.requests[0]["intent"]
    assert json.loads(intent) == {"skill": "csv-analyzer", "data": "name\nJosé\n"}


async def test_a_call_tells_what_it_took(config: Config, worker: MakeWorker) -> None:
    served = await worker("TOPIC_A", echo)
    async with Agent(config) as agent:
        answer = await agent.call("TOPIC_A", "x")
    assert answer.request_id == served.requests[0]["request_id"]
    assert (answer.topic, answer.content) == ("TOPIC_A", "echo: x")
    assert 0 < answer.seconds < 10


async def test_a_thousand_requests_right_after_the_start_get_a_thousand_answers(
    config: Config, worker: MakeWorker
) -> None:
    served = await worker("TOPIC_A", echo)
    async with Agent(config) as agent:
        calls = [agent.publish("TOPIC_A", str(number)) for number in range(1_000)]
        answers = await asyncio.gather(*calls)
    assert answers == [f"echo: {number}" for number in range(1_000)]
    assert sorted(int(request["intent"]) for request in served.requests) == list(range(1_000))
    assert (agent.stats.sent, agent.stats.answered, agent.stats.dropped) == (1_000, 1_000, 0)


async def test_a_proxy_that_passes_no_stray_answers_on_will_do() -> None:
    proxy = Proxy(strict=True)
    proxy.start()
    served = Worker(proxy, "TOPIC_A", echo)
    await served.start()
    config = Config(proxy_xsub=proxy.xsub, proxy_xpub=proxy.xpub, connect_timeout=10)
    async with Agent(config) as agent:
        calls = [agent.publish("TOPIC_A", str(number)) for number in range(100)]
        assert await asyncio.gather(*calls) == [f"echo: {number}" for number in range(100)]
        await asyncio.to_thread(proxy.stop)
        proxy.start()
        await served.settle()
        assert await agent.publish("TOPIC_A", "again") == "echo: again"
    assert len(served.frames) == 101
    await served.stop()
    proxy.stop()


async def test_large_and_foreign_texts_come_through(config: Config, worker: MakeWorker) -> None:
    await worker("TOPIC_A", echo)
    text = "名前,年齢\n\x00\t🦀\r\n" * 200_000
    async with Agent(config) as agent:
        assert await agent.publish("TOPIC_A", text) == f"echo: {text}"


async def test_the_agent_waits_for_a_mesh_that_starts_later() -> None:
    proxy = Proxy()
    config = Config(proxy_xsub=proxy.xsub, proxy_xpub=proxy.xpub, connect_timeout=10)
    agent = Agent(config)
    starting = asyncio.create_task(agent.start())
    done, _ = await asyncio.wait({starting}, timeout=0.2)
    assert not done
    proxy.start()
    await starting
    served = Worker(proxy, "TOPIC_A", echo)
    await served.start()
    assert await agent.publish("TOPIC_A", "x") == "echo: x"
    await served.stop()
    await agent.close()
    proxy.stop()


async def test_no_mesh_is_an_error_that_says_where_and_what_to_do() -> None:
    proxy = Proxy()
    config = Config(proxy_xsub=proxy.xsub, proxy_xpub=proxy.xpub, connect_timeout=0.2)
    with pytest.raises(MeshUnreachable) as caught:
        await Agent(config).start()
    assert isinstance(caught.value, ConnectionError)
    assert proxy.xsub in caught.value.message
    assert "skills proxy" in (caught.value.help or "")
    assert "help: " in str(caught.value)


async def test_an_endpoint_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigError, match="'nowhere' is no endpoint"):
        await Agent(Config(proxy_xsub="nowhere")).start()


async def test_requests_under_way_survive_a_restart_of_the_proxy(
    proxy: Proxy, config: Config, worker: MakeWorker
) -> None:
    release = asyncio.Event()

    async def wait_then_echo(request: dict[str, Any]) -> list[Reply]:
        await release.wait()
        return await echo(request)

    served = await worker("TOPIC_A", wait_then_echo)
    async with Agent(config) as agent:
        calls = [asyncio.create_task(agent.publish("TOPIC_A", str(n))) for n in range(20)]
        await until(lambda: len(served.frames) >= 20)
        await asyncio.to_thread(proxy.stop)
        proxy.start()
        await served.settle()
        await until(lambda: agent.stats.resent >= 20)
        release.set()
        assert await asyncio.gather(*calls) == [f"echo: {n}" for n in range(20)]
        assert await agent.publish("TOPIC_A", "again") == "echo: again"
    ids = [request["request_id"] for request in served.requests]
    assert len(set(ids)) == 21, "what is sent once more keeps its id"


async def test_without_resend_a_request_goes_out_once(
    proxy: Proxy, config: Config, worker: MakeWorker
) -> None:
    async def silent(request: dict[str, Any]) -> list[Reply]:
        return []

    served = await worker("TOPIC_A", silent)
    async with Agent(dataclasses.replace(config, resend=False)) as agent:
        call = asyncio.create_task(agent.call("TOPIC_A", "x", timeout=2))
        await until(lambda: bool(served.frames))
        await asyncio.to_thread(proxy.stop)
        proxy.start()
        await served.settle()
        with pytest.raises(AnswerTimeout):
            await call
    assert len(served.frames) == 1


async def test_a_request_while_the_mesh_is_away_goes_out_when_it_is_back(
    proxy: Proxy, config: Config, worker: MakeWorker
) -> None:
    served = await worker("TOPIC_A", echo)
    async with Agent(config) as agent:
        await agent.publish("TOPIC_A", "first")
        await asyncio.to_thread(proxy.stop)
        await until(lambda: not agent._is_ready.is_set())
        with pytest.raises(MeshUnreachable):
            await agent.call("TOPIC_A", "too early", timeout=0.1)
        call = asyncio.create_task(agent.publish("TOPIC_A", "later"))
        proxy.start()
        await served.settle()
        assert await call == "echo: later"
    assert "too early" not in [request["intent"] for request in served.requests]


async def test_only_the_first_answer_counts(config: Config, worker: MakeWorker) -> None:
    async def twice(request: dict[str, Any]) -> list[Reply]:
        return [success(request, "first"), success(request, "second"), failure(request, "third")]

    await worker("TOPIC_A", twice)
    async with Agent(config) as agent:
        assert await agent.publish("TOPIC_A", "x") == "first"
        # The second and third answers come before this one's, for they were sent before.
        assert await agent.publish("TOPIC_A", "y") == "first"
        assert agent.stats.answered == 2
        assert agent.stats.dropped >= 2


async def test_progress_comes_before_the_answer(config: Config, worker: MakeWorker) -> None:
    def progress(request: dict[str, Any], content: str) -> Reply:
        return success(request, content) | {"status": "progress"}

    async def long(request: dict[str, Any]) -> list[Reply]:
        news = [progress(request, "1 of 2"), progress(request, "2 of 2")]
        return [*news, success(request, "done")]

    served = await worker("TOPIC_A", long)
    news: list[str] = []

    def fail(_: str) -> None:
        raise RuntimeError("the caller's own fault")

    async with Agent(config) as agent:
        assert (await agent.call("TOPIC_A", "x", on_progress=news.append)).content == "done"
        assert news == ["1 of 2", "2 of 2"]
        assert (await agent.call("TOPIC_A", "x", on_progress=fail)).content == "done"
        assert (await agent.call("TOPIC_A", "x")).content == "done"
    assert [request.get("progress") for request in served.requests] == [True, True, None]


async def test_what_is_no_answer_of_ours_is_dropped(config: Config, worker: MakeWorker) -> None:
    served = await worker("TOPIC_A", echo)

    async def answer_late(request: dict[str, Any]) -> list[Reply]:
        reply_to = request["reply_to"]
        await served.send(reply_to, b"not json")
        await served.send(reply_to, b"\xff\xfe")
        await served.send(reply_to, b"[]")
        await served.send(reply_to, {"status": "success", "content": "nameless"})
        await served.send(reply_to, {"request_id": "stranger", "status": "success"})
        # Our subscription matches this topic too, for it begins like ours.
        await served.send(reply_to + "X", success(request, "for somebody else"))
        return [success(request, "right")]

    served._handler = answer_late
    async with Agent(config) as agent:
        assert await agent.publish("TOPIC_A", "x") == "right"
        assert agent.stats.dropped == 5


@pytest.mark.parametrize(
    ("error", "kind", "code"),
    [
        ("No matching skill found for topic: TOPIC_A", NoMatchingSkill, "no-matching-skill"),
        ("Skill execution failed (exit=3): boom", SkillCrashed, "skill-crashed"),
        (
            "Skill execution failed (exit=-1): Execution timed out after 30000 ms",
            SkillTimedOut,
            "skill-timed-out",
        ),
        ("busy: topic TOPIC_A has 10000 requests waiting", MeshBusy, "busy"),
        ("stopping: the proxy is going down; send it again", MeshStopping, "stopping"),
        ("deadline: no worker of topic TOPIC_A was free", NoFreeWorker, "deadline"),
        ("no-workers: topic TOPIC_A has no worker", NoWorkers, "no-workers"),
        ("workers-lost: 3 workers got this request", WorkersLost, "workers-lost"),
        ("bad request: the payload has 17000132 bytes", BadRequest, "bad-request"),
        ("something else", SkillError, "skill-failed"),
    ],
)
async def test_a_worker_s_errors_are_exceptions(
    config: Config, worker: MakeWorker, error: str, kind: type[SkillError], code: str
) -> None:
    async def fail(request: dict[str, Any]) -> list[Reply]:
        return [failure(request, error)]

    await worker("TOPIC_A", fail)
    async with Agent(config) as agent:
        with pytest.raises(SkillError) as caught:
            await agent.publish("TOPIC_A", "x")
    assert type(caught.value) is kind
    assert (caught.value.code, caught.value.error, caught.value.topic) == (code, error, "TOPIC_A")
    if isinstance(caught.value, SkillCrashed):
        assert caught.value.exit_code == 3


async def test_a_code_in_the_reply_outranks_its_wording(config: Config, worker: MakeWorker) -> None:
    async def fail(request: dict[str, Any]) -> list[Reply]:
        return [failure(request, "try later") | {"code": "busy"}]

    await worker("TOPIC_A", fail)
    async with Agent(config) as agent:
        with pytest.raises(MeshBusy):
            await agent.publish("TOPIC_A", "x")


@pytest.mark.parametrize(
    "broken",
    [
        {"status": "done"},
        {"status": None},
        {"status": "success", "content": 7},
        {"status": "success", "content": "x", "content_base64": "not base64"},
    ],
)
async def test_an_answer_that_cannot_be_read_fails_its_request_at_once(
    config: Config, worker: MakeWorker, broken: dict[str, Any]
) -> None:
    async def answer(request: dict[str, Any]) -> list[Reply]:
        return [{"request_id": request["request_id"]} | broken]

    await worker("TOPIC_A", answer)
    async with Agent(config) as agent:
        with pytest.raises(ProtocolError):
            await agent.publish("TOPIC_A", "x")


async def test_a_result_that_is_no_text_is_there_as_bytes(
    config: Config, worker: MakeWorker
) -> None:
    async def answer(request: dict[str, Any]) -> list[Reply]:
        more = {"content_base64": "eP8="} if request["intent"] == "binary" else {}
        return [success(request, "x") | more]

    await worker("TOPIC_A", answer)
    async with Agent(config) as agent:
        assert (await agent.call("TOPIC_A", "binary")).data == b"x\xff"
        assert (await agent.call("TOPIC_A", "text")).data == b"x"


async def test_no_answer_in_time_is_a_timeout_and_a_late_one_is_dropped(
    config: Config, worker: MakeWorker
) -> None:
    release = asyncio.Event()

    async def slow(request: dict[str, Any]) -> list[Reply]:
        if request["intent"] == "slow":
            await release.wait()
        return [success(request, request["intent"])]

    served = await worker("TOPIC_A", slow)
    async with Agent(config) as agent:
        with pytest.raises(asyncio.TimeoutError) as caught:
            await agent.publish("TOPIC_A", "slow", timeout=0.1)
        assert isinstance(caught.value, AnswerTimeout)
        assert "TOPIC_A" in caught.value.message
        release.set()
        await until(lambda: not served._tasks)
        assert await agent.publish("TOPIC_A", "fast") == "fast"
        assert (agent.stats.timed_out, agent.stats.dropped) == (1, 1)
        assert not agent._pending


async def test_a_topic_that_nobody_serves_times_out(config: Config) -> None:
    async with Agent(config) as agent:
        with pytest.raises(AnswerTimeout):
            await agent.call("TOPIC_NOBODY", "x", timeout=0.05)


async def test_cancelling_a_call_forgets_it(config: Config, worker: MakeWorker) -> None:
    async def silent(request: dict[str, Any]) -> list[Reply]:
        return []

    served = await worker("TOPIC_A", silent)
    async with Agent(config) as agent:
        call = asyncio.create_task(agent.publish("TOPIC_A", "x"))
        await until(lambda: bool(served.frames))
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert not agent._pending


async def test_closing_fails_what_is_under_way(config: Config, worker: MakeWorker) -> None:
    async def silent(request: dict[str, Any]) -> list[Reply]:
        return []

    served = await worker("TOPIC_A", silent)
    agent = Agent(config)
    await agent.start()
    call = asyncio.create_task(agent.publish("TOPIC_A", "x"))
    await until(lambda: bool(served.frames))
    await agent.close()
    with pytest.raises(AgentClosed):
        await call
    with pytest.raises(AgentClosed):
        await agent.publish("TOPIC_A", "x")
    await agent.close()
    await agent.start()
    served._handler = echo
    assert await agent.publish("TOPIC_A", "x") == "echo: x"
    await agent.close()


async def test_more_than_the_bound_is_refused_at_once(config: Config, worker: MakeWorker) -> None:
    async def silent(request: dict[str, Any]) -> list[Reply]:
        return []

    served = await worker("TOPIC_A", silent)
    async with Agent(dataclasses.replace(config, max_in_flight=2)) as agent:
        calls = [asyncio.create_task(agent.publish("TOPIC_A", "x")) for _ in range(2)]
        await until(lambda: len(served.frames) >= 2)
        with pytest.raises(TooManyRequests):
            await agent.publish("TOPIC_A", "x")
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)


@pytest.mark.parametrize("topic", ["", "TOPIC A", "TOPIC\0", "TOPIC_*", ">", "x" * 201])
async def test_what_is_no_topic_is_refused(config: Config, topic: str) -> None:
    async with Agent(config) as agent:
        with pytest.raises(InvalidRequest):
            await agent.publish(topic, "x")
        assert not agent._pending


@pytest.mark.parametrize("intent", ["", "  \n", "half \ud800", {"data": b"bytes"}])
async def test_what_is_no_intent_is_refused(config: Config, intent: Any) -> None:
    async with Agent(config) as agent:
        with pytest.raises(InvalidRequest):
            await agent.publish("TOPIC_A", intent)
        assert not agent._pending


async def test_respond_hands_the_text_on(config: Config) -> None:
    shown: list[str] = []
    agent = Agent(config, on_respond=shown.append)
    assert agent.respond("# Report") == "# Report"
    assert shown == ["# Report"]
    assert Agent(config).respond("x") == "x"

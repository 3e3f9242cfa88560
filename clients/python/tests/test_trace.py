"""The trace that a request is a part of."""

from __future__ import annotations

import json
from typing import Any

import pytest
from opentelemetry import trace as api

from skills_agent import Agent, Config, trace
from tests.conftest import MakeWorker
from tests.mesh import echo

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
OTHER = "00-11111111111111111111111111111111-2222222222222222-00"


async def test_a_trace_that_is_given_is_two_members_more(
    config: Config, worker: MakeWorker
) -> None:
    served = await worker("TOPIC_A", echo)
    async with Agent(config) as agent:
        await agent.publish("TOPIC_A", "x", traceparent=PARENT, tracestate="a=1")
        await agent.call("TOPIC_A", "x", traceparent=PARENT)
    first, second = (json.loads(payload) for _, payload in served.frames)
    assert (first["traceparent"], first["tracestate"]) == (PARENT, "a=1")
    assert second["traceparent"] == PARENT
    assert "tracestate" not in second


@pytest.mark.parametrize(
    "garbage", ["", "garbage", PARENT + "\n", PARENT.upper(), PARENT + "-" + "x" * 100_000]
)
async def test_garbage_is_left_out_and_no_error(
    config: Config, worker: MakeWorker, garbage: str
) -> None:
    served = await worker("TOPIC_A", echo)
    async with Agent(config) as agent:
        assert await agent.publish("TOPIC_A", "x", traceparent=garbage) == "echo: x"
    assert not {"traceparent", "tracestate"} & set(served.requests[0])


async def test_the_current_trace_of_opentelemetry_is_taken_unless_one_is_given(
    config: Config, worker: MakeWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def inject(carrier: dict[str, Any]) -> None:
        carrier["traceparent"] = PARENT

    monkeypatch.setattr(trace, "_inject", inject)
    served = await worker("TOPIC_A", echo)
    async with Agent(config) as agent:
        await agent.publish("TOPIC_A", "x")
        await agent.publish("TOPIC_A", "x", traceparent=OTHER)
    assert [request["traceparent"] for request in served.requests] == [PARENT, OTHER]


def test_the_real_package_injects_its_current_span() -> None:
    context = api.SpanContext(
        trace_id=int("4bf92f3577b34da6a3ce929d0e0e4736", 16),
        span_id=int("00f067aa0ba902b7", 16),
        is_remote=False,
        trace_flags=api.TraceFlags(1),
    )
    with api.use_span(api.NonRecordingSpan(context)):
        assert trace.members(None, None) == {"traceparent": PARENT}
    assert trace.members(None, None) == {}

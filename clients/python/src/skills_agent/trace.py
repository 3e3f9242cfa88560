"""W3C trace context: what a request is a part of. Knows no socket.

https://www.w3.org/TR/trace-context/
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

_inject: Callable[..., Any] | None
try:
    from opentelemetry.propagate import inject as _inject
except ImportError:
    # Optional: without it only a trace that is given is passed on.
    _inject = None

_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
_TRACESTATE = re.compile(r"[\t -~]{1,512}")


def members(traceparent: str | None, tracestate: str | None) -> dict[str, str]:
    """What a request says of its trace: the given one, else OpenTelemetry's current one.

    What is no trace context is left out: it may have come from a stranger's header.
    """
    if traceparent is None and _inject is not None:
        carrier: dict[str, str] = {}
        _inject(carrier)
        traceparent, tracestate = carrier.get("traceparent"), carrier.get("tracestate")
    if traceparent is None or not _TRACEPARENT.fullmatch(traceparent):
        return {}
    if tracestate is None or not _TRACESTATE.fullmatch(tracestate):
        return {"traceparent": traceparent}
    return {"traceparent": traceparent, "tracestate": tracestate}

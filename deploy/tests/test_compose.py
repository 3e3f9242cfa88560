"""compose.yaml against the Compose Specification, and what the specification does not say."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import jsonschema
from manifests import DEPLOY, compose


def schema() -> dict[str, object]:
    spec = importlib.util.find_spec("compose")
    assert spec is not None
    assert spec.origin is not None
    text = (Path(spec.origin).parent / "config/compose_spec.json").read_text()
    return json.loads(text)


def document() -> dict[str, object]:
    # Newer than this copy of the schema, and allowed by the specification since.
    return {key: value for key, value in compose().items() if key != "name"}


def test_it_is_a_compose_file() -> None:
    jsonschema.Draft7Validator(schema()).validate(document())


def test_a_wrong_field_is_noticed() -> None:
    broken = json.loads(json.dumps(document()))
    broken["services"]["hub"]["comand"] = []
    assert not jsonschema.Draft7Validator(schema()).is_valid(broken)


def test_what_it_names_is_there() -> None:
    services = compose()["services"]
    for name, service in services.items():
        for other in service.get("depends_on", {}):
            assert "healthcheck" in services[other] or "worker" in other, f"{name} waits for {other}"
        for volume in service.get("volumes", []):
            assert volume.split(":")[0] in compose()["volumes"], f"{name}: {volume}"
        if build := service.get("build"):
            assert (DEPLOY / build["context"] / build["dockerfile"]).is_file()


def test_nothing_is_open_to_the_network() -> None:
    for name, service in compose()["services"].items():
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:"), f"{name}: {port}"


def test_workers_get_the_time_that_they_drain() -> None:
    for name, service in compose()["services"].items():
        if name.startswith("worker"):
            [drain] = [word for word in service["command"] if word.startswith("--drain=")]
            grace = int(service["stop_grace_period"].removesuffix("s"))
            assert grace >= int(drain.removeprefix("--drain=")) + 5

"""Commands and variables in compose and Kubernetes are the program's own."""

from __future__ import annotations

from typing import Any

import pytest
from manifests import Object, compose, flags_of, kubernetes, made, variables_of

IMAGES = ("skills:", "skills-worker:")


def commands() -> list[Any]:
    found = []
    for name, service in compose()["services"].items():
        if service["image"].startswith(IMAGES):
            variables = set(service.get("environment", {}))
            found.append((f"compose-{name}", service["command"], variables))
    for file, item in kubernetes() + made():
        template = item.get("spec", {}).get("template", {})
        for container in template.get("spec", {}).get("containers", []):
            if container["image"].rsplit("/", 1)[-1].startswith(IMAGES):
                variables = {entry["name"] for entry in container.get("env", [])}
                found.append((f"{file}-{item['metadata']['name']}", container["args"], variables))
    return [pytest.param(words, variables, id=name) for name, words, variables in found]


@pytest.mark.parametrize(("words", "variables"), commands())
def test_the_program_takes_it(words: list[str], variables: set[str]) -> None:
    verb, *rest = words
    flags = flags_of(verb)
    for word in rest:
        flag, equals, value = word.partition("=")
        assert flag in flags, f"`skills {verb}` has no {flag}"
        assert flags[flag] == bool(equals), f"{flag} of `skills {verb}` and its value"
        assert not equals or value
    # These are every program's.
    unknown = variables - variables_of(verb) - {"HOME", "TMPDIR"}
    assert not unknown, f"`skills {verb}` reads no {unknown}"


@pytest.mark.parametrize(("words", "variables"), commands())
def test_who_listens_on_every_address_says_what_clients_use(words: list[str], variables: set[str]) -> None:
    if words[0] == "serve" and any(word.startswith("--bind=0.0.0.0:") for word in words):
        assert "SKILLS_PUBLIC_URL" in variables


def test_every_part_of_the_program_is_deployed() -> None:
    verbs = {param.values[0][0] for param in commands()}
    assert verbs == {"serve", "proxy", "worker", "controller"}


def probes() -> list[Object]:
    services = compose()["services"].values()
    return [service["healthcheck"]["test"] for service in services if "healthcheck" in service]


def test_health_checks_use_programs_of_their_image() -> None:
    ours = [test for test in probes() if test[1] == "/usr/bin/skills"]
    assert len(ours) == 2
    for test in ours:
        assert test[:3] == ["CMD", "/usr/bin/skills", "probe"]
    flags_of("probe")

"""The Dockerfile: what can be known of it without building it."""

from __future__ import annotations

import fnmatch
import json
import re

import dockerfile_parse
import pytest
from manifests import DEPLOY, compose

ROOT = DEPLOY.parent


def stages() -> dict[str, list[dict[str, str]]]:
    parser = dockerfile_parse.DockerfileParser(path=str(DEPLOY / "Dockerfile"))
    found: dict[str, list[dict[str, str]]] = {}
    name = ""
    for step in parser.structure:
        if step["instruction"] == "FROM":
            name = re.split(r"\s+as\s+", step["value"], flags=re.I)[-1]
        found.setdefault(name, []).append(step)
    return found


FINAL = ["server", "worker", "agent"]


@pytest.mark.parametrize("stage", FINAL)
def test_it_does_not_run_as_root_and_has_an_entry_point(stage: str) -> None:
    steps = stages()[stage]
    users = [step["value"] for step in steps if step["instruction"] == "USER"]
    assert users == ["10001:10001"]
    entry = [step["value"] for step in steps if step["instruction"] == "ENTRYPOINT"]
    assert json.loads(entry[0])[0] in {"/usr/bin/skills", "python3"}


def test_every_image_that_is_built_is_a_stage() -> None:
    for service in compose()["services"].values():
        if build := service.get("build"):
            assert build["target"] in stages()


def ignored(path: str) -> bool:
    """As Docker reads .dockerignore: the last line that fits decides."""
    result = False
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        pattern = line.removeprefix("!").removeprefix("**/")
        parts = path.split("/")
        heads = ["/".join(parts[:n]) for n in range(1, len(parts) + 1)]
        if any(fnmatch.fnmatch(head, pattern) for head in heads) or (
            "**/" in line and any(fnmatch.fnmatch(part, pattern) for part in parts)
        ):
            result = not line.startswith("!")
    return result


def test_what_is_copied_is_there_and_sent() -> None:
    for steps in stages().values():
        for step in steps:
            if step["instruction"] == "COPY" and "--from" not in step["value"]:
                for source in step["value"].split()[:-1]:
                    files = [path for path in (ROOT / source).glob("**/*.*") if source != "."]
                    sent = [path for path in files if not ignored(str(path.relative_to(ROOT)))]
                    assert source == "." or sent, source
    for needed in ["Cargo.toml", "Cargo.lock", "crates/skills/src/main.rs", "xtask/Cargo.toml",
                   "skills/csv-analyzer/SKILL.md", "clients/python/src/skills_agent/agent.py"]:
        assert (ROOT / needed).exists()
        assert not ignored(needed), needed
    for unwanted in ["target/debug/skills", ".git/config", "deploy/.env", "clients/python/tests/mesh.py"]:
        assert ignored(unwanted), unwanted

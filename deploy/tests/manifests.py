"""What is deployed, read once: files, objects, and the program's own help."""

from __future__ import annotations

import functools
import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import yaml

DEPLOY = Path(__file__).resolve().parent.parent
GOLDEN = DEPLOY.parent / "crates/skill-controller/tests/it/golden"
Object = dict[str, Any]


class UniqueKeys(yaml.SafeLoader):
    """YAML in which a key that stands twice is an error, as it is to Kubernetes."""


def _mapping(loader: UniqueKeys, node: yaml.MappingNode) -> Object:
    # `<<: *anchor` is no key of its own; what it brings gives way to what is said.
    named = [key.value for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"]
    twice = {key for key in named if named.count(key) > 1}
    if twice:
        raise yaml.constructor.ConstructorError(
            None, None, f"{twice} stands twice", node.start_mark
        )
    loader.flatten_mapping(node)
    return loader.construct_mapping(node, deep=True)


UniqueKeys.add_constructor("tag:yaml.org,2002:map", _mapping)


def documents(path: Path) -> list[Object]:
    """The objects of a YAML file."""
    return [item for item in yaml.load_all(path.read_text(), Loader=UniqueKeys) if item]


@functools.cache
def kubernetes() -> list[tuple[str, Object]]:
    """All committed objects, with the file they are in."""
    files = sorted((DEPLOY / "k8s").rglob("*.yaml"))
    return [(str(path.relative_to(DEPLOY)), item) for path in files for item in documents(path)]


@functools.cache
def made() -> list[tuple[str, Object]]:
    """All objects that the controller makes in its tests."""
    files = sorted(GOLDEN.glob("*.json"))
    return [(path.name, item) for path in files for item in json.loads(path.read_text())]


def named(objects: list[tuple[str, Object]]) -> list[Any]:
    """For pytest: an id that says which object it is."""
    import pytest

    return [
        pytest.param(item, id=f"{file}-{item['kind']}-{item['metadata']['name']}")
        for file, item in objects
    ]


def compose() -> Object:
    """compose.yaml with its anchors put in."""
    return documents(DEPLOY / "compose.yaml")[0]


@functools.cache
def crd() -> Object:
    """The SkillTopic's definition."""
    return documents(DEPLOY / "k8s/02-crd-skilltopic.yaml")[0]


@functools.cache
def help_of(verb: str) -> str:
    """What the program says of a verb."""
    program = os.environ["SKILLS_PROGRAM"]
    ran = subprocess.run(  # noqa: S603
        [program, "help", verb], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, f"the program knows no `{verb}`: {ran.stderr}"
    return ran.stdout


def flags_of(verb: str) -> dict[str, bool]:
    """The verb's long flags, and whether each takes a value."""
    found = re.findall(r"^\s+(?:-\w, )?(--[a-z][a-z-]*)(\.\.\.)?([ =][<\[].*)?", help_of(verb), re.M)
    return {flag: bool(value.strip()) for flag, _, value in found}


def variables_of(verb: str) -> set[str]:
    """The environment variables that the verb says it reads."""
    return set(re.findall(r"\[env:\s+([A-Z_]+)", help_of(verb)))

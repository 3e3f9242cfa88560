"""Every object against the schema of its kind, and what no schema says."""

from __future__ import annotations

import json
import os
import re
import subprocess
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
from manifests import Object, crd, kubernetes, made, named

# The oldest version in which every field is known, and the newest that is published.
VERSIONS = ["1.30", "1.37"]
OURS = {"SkillTopic", "ScaledObject"}
BUILT_IN = [(file, item) for file, item in kubernetes() + made() if item["kind"] not in OURS]


def of_kind(kind: str) -> list[tuple[str, Object]]:
    return [(file, item) for file, item in kubernetes() + made() if item["kind"] == kind]


def pods() -> list[tuple[str, Object]]:
    kinds = {"Deployment", "StatefulSet", "Job"}
    return [(file, item) for file, item in kubernetes() + made() if item["kind"] in kinds]


def test_all_kinds_are_there() -> None:
    kinds = {item["kind"] for _, item in kubernetes()}
    assert {
        "Namespace", "Deployment", "StatefulSet", "Service", "CustomResourceDefinition", "SkillTopic",
        "Role", "RoleBinding", "ServiceAccount", "PodDisruptionBudget", "NetworkPolicy", "Job",
    } <= kinds
    assert {item["kind"] for _, item in made()} == {
        "Deployment", "Service", "PodDisruptionBudget", "ScaledObject",
    }


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("item", named(BUILT_IN))
def test_kubernetes_knows_it(item: Object, version: str) -> None:
    kubernetes_validate.validate(item, version, strict=True)


def test_a_wrong_field_is_noticed() -> None:
    """The validation above can fail."""
    item = json.loads(json.dumps(of_kind("Deployment")[0][1]))
    item["spec"]["template"]["spec"]["containers"][0]["redinessProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(item, VERSIONS[0], strict=True)


def keda(items: list[Object]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603
        ["node", os.environ["KEDA_VALIDATE"]],  # noqa: S607
        input=json.dumps(items), capture_output=True, text=True, check=False,
    )


def test_keda_knows_the_scaled_objects() -> None:
    items = [item for _, item in of_kind("ScaledObject")]
    assert {trigger["type"] for item in items for trigger in item["spec"]["triggers"]} == {
        "prometheus", "nats-jetstream",
    }
    ran = keda(items)
    assert ran.returncode == 0, ran.stderr
    broken = json.loads(json.dumps(items))
    broken[0]["spec"]["triggers"][0]["metadata"]["threshold"] = 5
    assert keda(broken).returncode == 1, "KEDA takes text only"


# What KEDA's documentation lists for each trigger, and whether it must be there.
TRIGGERS = {
    "prometheus": {
        "serverAddress": True, "query": True, "threshold": True, "activationThreshold": False,
        "namespace": False, "ignoreNullValues": False, "unsafeSsl": False, "timeout": False,
    },
    "nats-jetstream": {
        "natsServerMonitoringEndpoint": True, "account": True, "stream": True, "consumer": True,
        "lagThreshold": False, "activationLagThreshold": False, "useHttps": False,
    },
}


@pytest.mark.parametrize("item", named(of_kind("ScaledObject")))
def test_triggers_are_as_documented(item: Object) -> None:
    for trigger in item["spec"]["triggers"]:
        known = TRIGGERS[trigger["type"]]
        assert set(trigger["metadata"]) <= set(known)
        assert {field for field, needed in known.items() if needed} <= set(trigger["metadata"])
    deployments = {item["metadata"]["name"] for _, item in of_kind("Deployment")}
    assert item["spec"]["scaleTargetRef"]["name"] in deployments


def schema_of_crd() -> dict[str, Any]:
    return crd()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]


def closed(schema: Any) -> Any:
    """As the API server prunes: a field that is not named is not there."""
    if isinstance(schema, dict):
        schema = {key: closed(value) for key, value in schema.items()}
        if schema.get("type") == "object" and isinstance(schema.get("properties"), dict):
            schema.setdefault("additionalProperties", False)
    elif isinstance(schema, list):
        schema = [closed(item) for item in schema]
    return schema


def test_the_definition_is_a_schema_and_structural() -> None:
    jsonschema.Draft4Validator.check_schema(schema_of_crd())

    def look(schema: dict[str, Any], path: str) -> None:
        assert "type" in schema, f"{path} has no type"
        for name, part in schema.get("properties", {}).items():
            look(part, f"{path}.{name}")
            if "default" in part:
                jsonschema.validate(part["default"], part)
        if "items" in schema:
            look(schema["items"], f"{path}[]")

    look(schema_of_crd(), "")


@pytest.mark.parametrize("item", named(of_kind("SkillTopic")))
def test_skilltopics_fit_their_definition(item: Object) -> None:
    body = {**item, "metadata": {}}
    jsonschema.Draft4Validator(closed(schema_of_crd())).validate(body)


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"topic": ""},
        {"topic": "TOPIC X"},
        {"topic": "T", "maxReplicas": 0},
        {"topic": "T", "timeout": 99},
        {"topic": "T", "workers": 257},
        {"topic": "T", "skillsRepo": "http://example.org/x"},
        {"topic": "T", "skillsRepo": "https://me:pw@example.org/x"},
        {"topic": "T", "skillsRevision": "-x"},
        {"topic": "T", "skillsPath": "/etc"},
        {"topic": "T", "sandbox": "off"},
        {"topic": "T", "resources": {"memoryLimit": "much"}},
        {"topic": "T", "skilsPath": "x"},
    ],
)
def test_the_definition_refuses(spec: Object) -> None:
    validator = jsonschema.Draft4Validator(closed(schema_of_crd()))
    assert not validator.is_valid({"spec": spec})


def test_nothing_stands_outside_its_namespace() -> None:
    for file, item in kubernetes():
        if item["kind"] not in {"Namespace", "CustomResourceDefinition"}:
            assert item["metadata"].get("namespace") == "skillscale", f"{file} {item['kind']}"


def labels_match(selector: Object, labels: Object) -> bool:
    return selector.items() <= labels.items()


def test_selectors_find_pods_and_ports_exist() -> None:
    templates = [
        (item["spec"]["template"]["metadata"]["labels"], item["spec"]["template"]["spec"])
        for _, item in pods()
    ]
    for file, item in of_kind("Service"):
        found = [pod for labels, pod in templates if labels_match(item["spec"]["selector"], labels)]
        assert found, f"{file}: no pod for the Service {item['metadata']['name']}"
        names = {
            port["name"] for pod in found for c in pod["containers"] for port in c.get("ports", [])
        }
        for port in item["spec"]["ports"]:
            assert port["targetPort"] in names, f"{file}: {port['targetPort']}"
    for file, item in of_kind("NetworkPolicy") + of_kind("PodDisruptionBudget"):
        selector = item["spec"].get("podSelector", item["spec"].get("selector", {}))
        wanted = selector.get("matchLabels", {})
        assert any(labels_match(wanted, labels) for labels, _ in templates), f"{file}: {wanted}"
    services = {item["metadata"]["name"]: item for _, item in of_kind("Service")}
    for file, item in kubernetes():
        for host, port in re.findall(r"//(skill[a-z-]+)\.skillscale\.svc:(\d+)", json.dumps(item)):
            ports = [entry["port"] for entry in services[host]["spec"]["ports"]]
            assert int(port) in ports, f"{file}: {host}:{port}"


@pytest.mark.parametrize("item", named(pods()))
def test_pods_are_confined(item: Object) -> None:
    pod = item["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] > 0
    assert "seccompProfile" in pod["securityContext"]
    is_controller = item["metadata"]["name"] == "skillscale-controller"
    assert pod.get("automountServiceAccountToken", True) is is_controller
    for container in pod["containers"] + pod.get("initContainers", []):
        security = container["securityContext"]
        assert security["allowPrivilegeEscalation"] is False
        assert security["readOnlyRootFilesystem"] is True
        assert security["capabilities"] == {"drop": ["ALL"]}
        assert {"cpu", "memory"} <= set(container["resources"]["limits"])
        assert ":" in container["image"], "an image without a version"
        assert not container["image"].endswith(":latest")


@pytest.mark.parametrize(
    "item", named([(file, item) for file, item in made() if item["kind"] == "Deployment"])
)
def test_workers_get_the_time_that_they_drain(item: Object) -> None:
    pod = item["spec"]["template"]["spec"]
    flags = dict(arg.split("=", 1) for arg in pod["containers"][0]["args"] if "=" in arg)
    assert int(flags["--drain"]) * 1000 >= int(flags["--timeout"])
    assert pod["terminationGracePeriodSeconds"] >= int(flags["--drain"]) + 10


def test_the_controller_may_do_what_it_does_and_no_more() -> None:
    [(_, role)] = of_kind("Role")
    allowed = {
        (group, resource, verb)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    assert not any("*" in part for entry in allowed for part in entry)
    for kind, group, plural in [
        ("Deployment", "apps", "deployments"), ("Service", "", "services"),
        ("PodDisruptionBudget", "policy", "poddisruptionbudgets"),
        ("ScaledObject", "keda.sh", "scaledobjects"),
    ]:
        assert any(item["kind"] == kind for _, item in made())
        assert {(group, plural, verb) for verb in ["get", "create", "patch", "delete"]} <= allowed

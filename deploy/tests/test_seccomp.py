"""The workers' seccomp profile: its form, and who uses it. That it works is shown with the program itself, in
crates/skills/tests/it/seccomp_profile.rs, which also knows the kernel's names."""

from __future__ import annotations

import json

import pytest
from manifests import DEPLOY, Object, compose, crd

FILE = DEPLOY / "seccomp-worker.json"


def once(pairs: list[tuple[str, object]]) -> Object:
    """An object in which no key stands twice."""
    keys = [key for key, _ in pairs]
    assert len(keys) == len(set(keys)), f"a key stands twice in {keys}"
    return dict(pairs)


def profile() -> Object:
    return json.loads(FILE.read_text(), object_pairs_hook=once)


def test_it_has_the_form_that_docker_and_kubelets_read() -> None:
    # The OCI runtime specification's names (config-linux.md, Seccomp): containerd and CRI-O read no others, and
    # Docker reads these as well as its own.
    document = profile()
    assert set(document) == {"defaultAction", "defaultErrnoRet", "architectures", "syscalls"}
    assert (document["defaultAction"], document["defaultErrnoRet"]) == ("SCMP_ACT_ERRNO", 1)
    assert document["architectures"] == ["SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64"]
    for entry in document["syscalls"]:
        assert set(entry) <= {"names", "action", "errnoRet", "args"}
        assert entry["names"] == sorted(set(entry["names"]))
        assert entry["action"] in ("SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO")
        assert ("errnoRet" in entry) is (entry["action"] == "SCMP_ACT_ERRNO")
        for argument in entry.get("args", []):
            masked = argument["op"] == "SCMP_CMP_MASKED_EQ"
            assert masked or argument["op"] == "SCMP_CMP_EQ"
            assert set(argument) == {"index", "value", "op"} | ({"valueTwo"} if masked else set())
            assert 0 <= argument["index"] < 6


@pytest.mark.parametrize(
    "call",
    [
        "bpf", "clone3", "finit_module", "fsmount", "init_module", "io_uring_setup", "kexec_load", "keyctl",
        "move_mount", "open_by_handle_at", "open_tree", "perf_event_open", "ptrace", "reboot", "setns",
        "userfaultfd",
    ],
)
def test_it_allows_nothing_that_leads_out(call: str) -> None:
    for entry in profile()["syscalls"]:
        assert call not in entry["names"] or entry["action"] != "SCMP_ACT_ALLOW"


def test_every_worker_of_compose_runs_behind_it() -> None:
    workers = {name: one for name, one in compose()["services"].items() if "worker" in name}
    assert workers
    for name, service in workers.items():
        [option] = [one for one in service["security_opt"] if one.startswith("seccomp")]
        assert (DEPLOY / option.split(":", 1)[1]).samefile(FILE), name
        assert service["cap_drop"] == ["ALL"], "the profile is for containers without capabilities"
        assert "no-new-privileges:true" in service["security_opt"]


def test_a_skilltopic_can_name_it() -> None:
    [version] = crd()["spec"]["versions"]
    spec = version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    assert "seccompProfile" in spec
    text = (DEPLOY.parent / "docs/deploy.md").read_text()
    assert "seccompProfile: skills-worker.json" in text
    assert "seccomp-worker.json" in text

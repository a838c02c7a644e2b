"""What is quoted of a container that ended."""

from __future__ import annotations

import pytest

from reconciler.targets.kubernetes.objects.identity import Object
from reconciler.targets.kubernetes.readiness.pods import pod_waits_for


def ended(message: str, **changes: object) -> Object:
    terminated = {"exitCode": 1, "reason": "Error", "message": message, **changes}
    return {"status": {"containerStatuses": [{"name": "server", "state": {"terminated": terminated}}]}}


@pytest.mark.parametrize(
    ("message", "quoted"),
    [
        ('{"code": "check_failed", "reason": "A check failed: check 1 of 1"}\n', "A check failed: check 1 of 1"),
        ("loading\nRuntimeError: the weights are missing\n", "RuntimeError: the weights are missing"),
        ('{"code": "check_failed"}', '{"code": "check_failed"}'),
        ('["reason"]', '["reason"]'),
        ('{"reason": "cut of', '{"reason": "cut of'),
        ("", "Error, exit code 1"),
    ],
)
def test_its_own_last_words_are_quoted(message: str, quoted: str) -> None:
    assert pod_waits_for(ended(message)) == f"the model server ended: {quoted}; it is tried again"


@pytest.mark.parametrize(
    ("message", "changes", "quoted"),
    [
        ("", {"exitCode": 139}, "the process crashed: Segmentation fault"),
        ("Extension modules: numpy, scipy (total: 2)", {"exitCode": 134}, "the process crashed: Aborted"),
        (
            'Fatal Python error: Segmentation fault\n\nCurrent thread:\n  File "/m/predictor.py", line 6 in load\n',
            {"exitCode": 139},
            "the process crashed: Segmentation fault, in …/predictor.py line 6",
        ),
        ("", {"exitCode": 137}, "it was killed (SIGKILL): from outside, or because the machine ran out of memory"),
        ('{"reason": "Not ready in time"}', {"exitCode": 137}, "Not ready in time"),
    ],
)
def test_a_signal_is_named_unless_the_runtime_said_why(message: str, changes: dict[str, object], quoted: str) -> None:
    assert pod_waits_for(ended(message, **changes)) == f"the model server ended: {quoted}; it is tried again"


def test_too_little_memory_is_said_whatever_it_said_itself() -> None:
    assert "resources.memory" in pod_waits_for(ended("bye", reason="OOMKilled"))

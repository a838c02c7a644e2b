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


def test_too_little_memory_is_said_whatever_it_said_itself() -> None:
    assert "resources.memory" in pod_waits_for(ended("bye", reason="OOMKilled"))

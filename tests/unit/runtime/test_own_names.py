"""The server goes on importing in other threads while a model is loaded."""

from __future__ import annotations

import sys
import threading
from types import ModuleType

import pytest

from runtime.loaders.names import own_names_hidden

ENOUGH = 300


def test_a_module_that_another_thread_imports_meanwhile_does_not_disturb(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "modules", dict(sys.modules))
    done = threading.Event()

    def import_more() -> None:
        number = 0
        while not done.is_set():
            number += 1
            sys.modules[f"another-{number % 5000}"] = ModuleType("another")

    importing = threading.Thread(target=import_more)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    importing.start()
    try:
        for _ in range(ENOUGH):
            with own_names_hidden():
                assert "runtime.loaders" not in sys.modules
    finally:
        done.set()
        importing.join()
        sys.setswitchinterval(interval)
    assert "runtime.loaders" in sys.modules

"""What a Python predictor does to the interpreter that loads it is undone after each test."""

from __future__ import annotations

import sys

import pytest


@pytest.fixture(autouse=True)
def _same_interpreter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "dont_write_bytecode", sys.dont_write_bytecode)
    monkeypatch.setitem(sys.modules, "predictor", None)

"""What several unit modules work on. A module that needs more overrides the fixture."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.engine.rounds import Sandbox


@pytest.fixture
def world(tmp_path: Path) -> Sandbox:
    """Whole rounds over a target in memory in which nothing runs yet."""
    return Sandbox(tmp_path)

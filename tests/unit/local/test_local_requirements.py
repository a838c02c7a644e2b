from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.targets.local.overlay import prepare_overlay
from reconciler.targets.protocol import TargetError


def test_what_the_runtime_refuses_is_refused_by_the_target(tmp_path: Path) -> None:
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("-r other.txt\n")
    with pytest.raises(TargetError, match=r"Line 1 is '-r other\.txt'") as raised:
        prepare_overlay(requirements, tmp_path / "cache")
    assert raised.value.summary == "Unsupported line in requirements.txt"


def test_nothing_missing_needs_no_overlay_and_no_cache(tmp_path: Path) -> None:
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("numpy\n")
    assert prepare_overlay(requirements, tmp_path / "cache") is None
    assert not (tmp_path / "cache").exists()

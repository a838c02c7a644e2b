from __future__ import annotations

import contextlib
import sys
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.requirements import Requirement

from runtime.errors import RequirementsError
from runtime.overlay import prepare_overlay
from runtime.requirements import missing, parse_requirements
from tests.support.runtime.wheels import write_wheel


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose packages the interpreter has."""
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def install(site: Path, name: str, version: str, *requires: str) -> None:
    with zipfile.ZipFile(write_wheel(site / "wheels", name, version, requires=requires)) as wheel:
        wheel.extractall(site)


def test_comments_blank_lines_and_continuations_are_read() -> None:
    text = "# heading\n\nnumpy>=1  # why\npandas \\\n  >=2,<3\n"
    assert [str(requirement) for requirement in parse_requirements(text)] == ["numpy>=1", "pandas<3,>=2"]


def test_requirements_of_other_platforms_and_pythons_are_left_out() -> None:
    text = f"one; python_version < '3'\ntwo; sys_platform == '{sys.platform}'\n"
    assert [requirement.name for requirement in parse_requirements(text)] == ["two"]


@pytest.mark.parametrize(
    "line",
    [
        "-r other.txt",
        "-e .",
        "--index-url https://packages.example.org/simple",
        "--extra-index-url=https://packages.example.org/simple",
        "./wheels/one.whl",
        "git+https://git.example.org/one.git",
        "one @ https://files.example.org/one.whl",
        "one==1.0 --hash=sha256:00",
        "one=1.0",
        "one; platform_machine ~= 'x'",
    ],
)
def test_a_line_that_is_no_plain_requirement_is_refused_with_its_number(line: str) -> None:
    with pytest.raises(RequirementsError) as raised:
        parse_requirements(f"numpy\n{line}\n")
    assert raised.value.summary == "Unsupported line in requirements.txt"
    assert raised.value.detail.startswith("Line 2 is")


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(RequirementsError):
        assert all(requirement.url is None for requirement in parse_requirements(text))


def test_what_the_interpreter_has_is_not_missing(site: Path) -> None:
    install(site, "havepackage", "2.0")
    wanted = [Requirement(text) for text in ("havepackage", "Have_Package~=1.0", "havepackage>=2", "lackpackage")]
    assert [str(requirement) for requirement in missing(wanted)] == ["Have_Package~=1.0", "lackpackage"]


def test_an_extra_is_missing_until_what_it_needs_is_there(site: Path) -> None:
    install(site, "havepackage", "2.0", 'morepackage>=1; extra == "more"')
    wanted = [Requirement("havepackage[more]")]
    assert missing(wanted) == wanted
    install(site, "morepackage", "1.5")
    assert missing(wanted) == []


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    requirements = tmp_path / "requirements.txt"
    requirements.write_bytes(b"\xff\xfe")
    with pytest.raises(RequirementsError, match=r"requirements\.txt can't be read"):
        prepare_overlay(requirements, tmp_path / "cache", {})


def test_packages_that_require_each_other_end(site: Path) -> None:
    install(site, "havepackage", "2.0", 'backpackage[back]; extra == "more"')
    install(site, "backpackage", "1.0", 'havepackage[more]; extra == "back"')
    assert missing([Requirement("havepackage[more]")]) == []


def test_nothing_missing_needs_no_overlay_and_no_cache(tmp_path: Path) -> None:
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("numpy\n")
    assert prepare_overlay(requirements, tmp_path / "cache", {}) is None
    assert not (tmp_path / "cache").exists()

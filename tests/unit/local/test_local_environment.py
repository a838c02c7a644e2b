from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from reconciler.model.resources import SecretRef
from reconciler.targets.local.environment import (
    installer_environment,
    secret_errors,
    thread_count,
    variant_environment,
)
from reconciler.targets.protocol import TargetError
from tests.support.engine import graphs
from tests.support.local.users import as_root, give_away

VARIANT = graphs.variant("fraud", "churn", graphs.version("fraud", "churn", "v1"))
TOKEN = SecretRef("hub", "token")


def write_secret(folder: Path, content: bytes, mode: int = 0o600) -> Path:
    path = folder / TOKEN.secret / TOKEN.key
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    path.chmod(mode)
    return path


def read_secret(folder: Path) -> str:
    return variant_environment(replace(VARIANT, env={"TOKEN": TOKEN}), folder)["TOKEN"]


@pytest.mark.parametrize("name", ["AWS_SECRET_ACCESS_KEY", "KUBESERVE_GIT_TOKEN", "SSH_AUTH_SOCK", "PYTHONPATH"])
def test_nothing_of_the_operators_environment_passes_unless_it_is_named(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "of the operator")
    monkeypatch.setenv("TZ", "UTC")
    environment = variant_environment(VARIANT, tmp_path)
    assert name not in environment
    assert environment["TZ"] == "UTC"
    assert name not in installer_environment()


def test_the_spec_has_the_last_word_on_its_own_environment(tmp_path: Path) -> None:
    environment = variant_environment(replace(VARIANT, env={"TZ": "CET", "OMP_NUM_THREADS": "7"}), tmp_path)
    assert (environment["TZ"], environment["OMP_NUM_THREADS"]) == ("CET", "7")


@pytest.mark.parametrize(("millicores", "threads"), [(1, 1), (500, 1), (1000, 1), (1001, 2), (4000, 4)])
def test_cpu_is_rounded_up_to_threads(millicores: int, threads: int) -> None:
    assert thread_count(millicores) == threads


@pytest.mark.parametrize("content", [b"hush", b"hush\n", b"hush\r\n"])
def test_a_secret_is_the_text_of_its_file_without_the_last_line_break(content: bytes, tmp_path: Path) -> None:
    write_secret(tmp_path, content)
    assert read_secret(tmp_path) == "hush"


def test_a_missing_secret_says_how_to_make_it(tmp_path: Path) -> None:
    (error,) = secret_errors({"TOKEN": TOKEN, "AGAIN": TOKEN, "LEVEL": "info"}, tmp_path)
    assert error.summary == "Secret is missing"
    assert str(tmp_path / "hub" / "token") in error.detail
    assert "install -m 600" in error.detail


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o610])
def test_a_secret_that_others_can_reach_is_refused(mode: int, tmp_path: Path) -> None:
    write_secret(tmp_path, b"hush", mode)
    with pytest.raises(TargetError, match="Secret is open to others") as raised:
        read_secret(tmp_path)
    assert "chmod 600" in raised.value.detail
    assert "hush" not in str(raised.value)


@as_root
def test_a_secret_that_another_user_can_change_is_refused(tmp_path: Path) -> None:
    give_away(write_secret(tmp_path, b"hunter2"))
    with pytest.raises(TargetError, match="Secret belongs to another user"):
        read_secret(tmp_path)


def test_a_secret_behind_a_link_is_refused(tmp_path: Path) -> None:
    path = write_secret(tmp_path, b"hush")
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(TargetError, match="Secret is no plain file"):
        read_secret(tmp_path)


@pytest.mark.parametrize("content", [b"\xff\xfe", b"hu\0sh"])
def test_a_secret_that_no_variable_can_hold_is_refused_without_being_shown(content: bytes, tmp_path: Path) -> None:
    write_secret(tmp_path, content)
    with pytest.raises(TargetError, match="Secret can't be read") as raised:
        read_secret(tmp_path)
    assert "sh" not in raised.value.detail.replace(str(tmp_path), "")


@pytest.mark.parametrize("reference", [SecretRef("..", "token"), SecretRef("hub", "../token"), SecretRef("", "token")])
def test_a_secret_stays_inside_its_folder(reference: SecretRef, tmp_path: Path) -> None:
    (error,) = secret_errors({"TOKEN": reference}, tmp_path)
    assert error.summary == "Bad secret name"

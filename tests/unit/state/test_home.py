"""Whose `.kubeserve/` it is: asked before anything in it is read or written."""

from __future__ import annotations

import os
import pwd
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from reconciler.model.paths import Paths
from reconciler.state.file import StateFile
from reconciler.state.home import HomeError, check_home, denied, prepare_home
from reconciler.targets.local.files import read_json
from tests.support.local.users import OTHER_UID, as_other, as_root, give_away

OTHER = pwd.getpwuid(OTHER_UID).pw_name
ME = pwd.getpwuid(os.geteuid()).pw_name


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    paths = Paths(tmp_path / "work")
    paths.run.mkdir(parents=True, mode=0o700)
    paths.home.chmod(0o700)
    return paths


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def refusal(paths: Paths) -> HomeError:
    with pytest.raises(HomeError) as caught:
        check_home(paths)
    with pytest.raises(HomeError):
        prepare_home(paths)
    return caught.value


def test_a_folder_that_is_not_there_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    paths = Paths(tmp_path / "new")
    check_home(paths)
    prepare_home(paths)
    assert mode(paths.home) == 0o700
    assert (paths.home / ".gitignore").read_text() == "*\n"


@pytest.mark.parametrize("before", [0o755, 0o711, 0o750])
def test_a_folder_that_others_can_read_is_closed_by_the_first_round(paths: Paths, before: int) -> None:
    """As `mkdir -p .kubeserve/secrets/hub` makes it."""
    paths.home.chmod(before)
    check_home(paths)
    prepare_home(paths)
    assert mode(paths.home) == 0o700


@pytest.mark.parametrize("before", [0o777, 0o757, 0o1777])
def test_a_folder_that_others_can_write_is_refused_as_it_is(paths: Paths, before: int) -> None:
    paths.home.chmod(before)
    error = refusal(paths)
    assert error.summary == "Other users can write KubeServe's folder"
    assert f"chmod -R go-rwx {paths.home}" in error.detail
    assert mode(paths.home) == before


@as_root
def test_a_folder_that_a_shared_group_can_write_is_refused(paths: Paths) -> None:
    os.chown(paths.home, -1, OTHER_UID)
    paths.home.chmod(0o770)
    assert "0770" in refusal(paths).detail


def test_a_folder_that_the_users_own_group_can_write_is_closed(paths: Paths) -> None:
    """With a umask of 002, as many systems have it where each user has a group of their own."""
    paths.home.chmod(0o775)
    prepare_home(paths)
    assert mode(paths.home) == 0o700


@as_root
@pytest.mark.parametrize("also", [0o700, 0o777])
def test_the_folder_of_another_user_is_refused_with_the_command_to_run(paths: Paths, also: int) -> None:
    paths.home.chmod(also)
    give_away(paths.home)
    error = refusal(paths)
    assert error.summary == "KubeServe's folder belongs to another user"
    assert f"sudo -u {OTHER} kubeserve apply" in error.detail


@as_root
@pytest.mark.parametrize("part", ["run", "run/routes.json", "run/tenants", "secrets", "state.json"])
def test_what_another_user_put_into_our_folder_is_refused_with_the_fix(paths: Paths, part: str) -> None:
    path = paths.home / part
    if not path.exists():
        path.write_text("{}")
    give_away(path)
    error = refusal(paths)
    assert str(path) in error.detail
    assert f"sudo chown -R {ME} {paths.home}" in error.detail


@as_root
def test_a_link_is_followed_only_if_nobody_else_made_it(paths: Paths, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    paths.home.rename(elsewhere)
    paths.home.symlink_to(elsewhere)
    check_home(paths)
    give_away(paths.home)
    assert OTHER in refusal(paths).detail
    os.lchown(paths.home, 0, 0)
    give_away(elsewhere)
    assert OTHER in refusal(paths).detail


@as_root
@pytest.mark.parametrize("part", ["run", "state.json", "run/routes.json", "secrets"])
def test_a_link_of_ours_does_not_lead_to_what_another_user_owns(paths: Paths, tmp_path: Path, part: str) -> None:
    elsewhere, link = tmp_path / "elsewhere", paths.home / part
    elsewhere.mkdir()
    if link.exists():
        link.rmdir()
    link.symlink_to(elsewhere)
    check_home(paths)
    give_away(elsewhere)
    assert f"{link} belongs to {OTHER}" in refusal(paths).detail


def test_a_link_does_not_lead_to_what_others_can_write(paths: Paths, tmp_path: Path) -> None:
    paths.run.rmdir()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    elsewhere.chmod(0o777)
    paths.run.symlink_to(elsewhere)
    assert f"chmod -R go-rwx {paths.run}" in refusal(paths).detail


@pytest.mark.parametrize("part", ["run", "run/tenants", "run/routes.json"])
def test_a_part_that_others_can_write_is_refused_unless_they_cannot_reach_it(paths: Paths, part: str) -> None:
    (paths.run / "tenants").mkdir()
    (paths.run / "routes.json").write_text("{}")
    (paths.home / part).chmod(0o777)
    check_home(paths)
    paths.home.chmod(0o755)
    assert f"{paths.home / part} has mode 0777" in refusal(paths).detail


@as_root
def test_the_dangling_link_of_another_user_is_refused(paths: Paths, tmp_path: Path) -> None:
    paths.home.rename(tmp_path / "elsewhere")
    paths.home.symlink_to(tmp_path / "nowhere")
    os.lchown(paths.home, OTHER_UID, OTHER_UID)
    assert OTHER in refusal(paths).detail


def test_a_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    paths = Paths(tmp_path)
    paths.home.write_text("")
    assert refusal(paths).summary == "KubeServe's folder is a file"


@as_root
@pytest.mark.parametrize(
    "read",
    [
        lambda path: path.read_text(),
        lambda path: str(StateFile(path, "default", "local").load()),
    ],
)
def test_a_refused_permission_names_the_owner_and_the_fix(tmp_path: Path, read: Callable[[Path], str]) -> None:
    for folder in (tmp_path, *tmp_path.parents):
        if not mode(folder) & stat.S_IXOTH:
            folder.chmod(0o755)
    path = tmp_path / "state.json"
    path.write_text("{}")
    path.chmod(0o600)

    def attempt() -> str:
        try:
            return read(path)
        except OSError as error:
            return denied(error, path)

    said = as_other(attempt)
    assert f"Permission denied; {path} belongs to {ME}" in said
    assert f"sudo chown -R {OTHER} {path}" in said


def test_a_permission_that_the_owner_lacks_is_explained_by_the_mode(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("")
    path.chmod(0o000)
    assert denied(PermissionError(13, "Permission denied"), path) == (
        f"Permission denied; {path} is yours, with mode 0000: chmod u+rwX {path}"
    )


def test_other_refusals_keep_the_systems_words(tmp_path: Path) -> None:
    assert denied(OSError(28, "No space left on device"), tmp_path) == "No space left on device"


@as_root
def test_a_mark_of_another_user_is_no_mark(tmp_path: Path) -> None:
    path = tmp_path / "start.json"
    path.write_text('{"pid": 1}')
    assert read_json(path) == {"pid": 1}
    give_away(path)
    assert read_json(path) is None

"""`kubeserve validate`: what is wrong, where the user can open it, and an exit code."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Call = Callable[..., Any]
Write = Callable[..., Path]


def test_a_good_spec_is_counted(call: Call, write_spec: Write) -> None:
    write_spec()
    done = call("validate")
    assert (done.code, done.err) == (0, "")
    assert done.out == "Good: 1 tenant, 1 model, 1 version, 1 deployment.\n"


def test_a_problem_is_shown_where_the_user_can_open_it(
    call: Call, write_spec: Write, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_spec("team/kubeserve.yaml", version="v2")
    for cwd, argument, shown in (
        (folder, ".", "team/kubeserve.yaml"),
        (folder / "team", "..", "kubeserve.yaml"),
        (folder, "team", "team/kubeserve.yaml"),
        (Path("/"), str(folder), str(folder / "team/kubeserve.yaml").removeprefix("/")),
    ):
        monkeypatch.chdir(cwd)
        done = call("validate", argument)
        assert done.code == 1
        assert done.err.startswith(f"{shown}:8:26: error: Unknown model version\n")
        assert (cwd / shown).is_file()
        assert "Did you mean 'v1'?" in done.err
        assert done.err.endswith("1 error, 0 warnings.\n")


def test_problems_are_told_to_programs_too(call: Call, write_spec: Write) -> None:
    write_spec(version="v2")
    done = call("validate", "-o", "json")
    assert done.code == 1
    (problem,) = done.data["problems"]
    assert done.data["tenants"] == []
    assert problem["file"] == "kubeserve.yaml"
    assert (problem["line"], problem["column"]) == (8, 26)
    assert (problem["severity"], problem["code"]) == ("error", "unknown-version")
    assert problem["summary"] == "Unknown model version"


def test_an_artifact_that_is_not_there_is_an_error(call: Call, write_spec: Write, folder: Path) -> None:
    write_spec()
    (folder / "model").rename(folder / "modle")
    done = call("validate")
    assert done.code == 1
    assert "kubeserve.yaml:6:22: error: No such artifact" in done.err


@pytest.mark.parametrize("command", ["validate", "plan", "apply"])
def test_a_directory_without_specs_says_so_and_what_to_do(call: Call, folder: Path, command: str) -> None:
    done = call(command)
    assert done.code == 1
    assert "error: No kubeserve.yaml was found" in done.err
    assert str(folder) in done.err
    assert "`kubeserve init` writes a first one" in done.err
    assert done.out == ""


def test_validating_and_planning_leave_no_trace_in_an_empty_directory(call: Call, folder: Path) -> None:
    call("validate")
    assert list(folder.iterdir()) == []


def test_a_directory_that_is_not_there_and_a_file_are_told_apart(call: Call, write_spec: Write) -> None:
    spec = write_spec()
    assert "error: No such directory\n  'nowhere'" in call("validate", "nowhere").err
    assert f"error: Not a directory\n  '{spec.name}' is a file" in call("validate", spec.name).err


def test_a_broken_platform_is_shown_like_any_problem(call: Call, write_spec: Write, folder: Path) -> None:
    write_spec()
    (folder / "platform.yaml").write_text("apiVersion: kubeserve.io/v1\ninstallaton: x\n")
    for command in ("validate", "plan", "status"):
        done = call(command)
        assert done.code == 1
        assert done.err.startswith("platform.yaml:2:1: error: Unknown field\n")
        assert "Did you mean 'installation'?" in done.err


def test_the_same_path_in_two_sources_is_told_apart(call: Call, write_spec: Write, folder: Path) -> None:
    write_spec("one/kubeserve.yaml")
    write_spec("two/kubeserve.yaml", tenant="other", version="v9")
    (folder / "platform.yaml").write_text(
        "apiVersion: kubeserve.io/v1\nsources: [{name: one, path: one}, {name: two, path: two}]\n"
    )
    done = call("validate")
    assert "two/kubeserve.yaml:8:26: error: Unknown model version" in done.err
    assert "one/kubeserve.yaml" not in done.err


def test_a_directory_at_a_ref_is_read_from_its_repository(call: Call, write_spec: Write, folder: Path) -> None:
    spec = write_spec()
    git = ("git", "-c", "user.name=t", "-c", "user.email=t@example.org", "-C", str(folder))
    for arguments in (("init", "-q", "-b", "main"), ("add", "-A"), ("commit", "-qm", "first")):
        subprocess.run((*git, *arguments), check=True)
    spec.write_text("nonsense")
    assert call("validate").code == 1
    assert call("validate", "--ref", "main").code == 0
    assert call("validate", ".", "--ref", "main").code == 0
    assert not (folder / "data").exists(), "what runs is the directory's own"


def test_warnings_alone_are_no_failure(call: Call, write_spec: Write) -> None:
    spec = write_spec()
    spec.write_text(
        spec.read_text().replace("version: v1}", "version: v1, env: {API_TOKEN: ghp_16C7e42F292c6912E7710c8}}")
    )
    done = call("validate")
    assert done.code == 0
    assert "warning: " in done.err
    assert "ghp_16C7" not in done.err + done.out


REMOTE = """\
apiVersion: kubeserve.io/v1
tenant: search
models:
  stolen:
    versions:
      v1: {{artifact: "{url}", sha256: "{sha}", format: pickle}}
"""
S3_STORE = """\
apiVersion: kubeserve.io/v1
artifactStore: {type: s3, bucket: ml-models, prefix: models/, endpoint: "https://s3.example.org"}
tenants: {fraud: {}, search: {artifacts: ["s3://ml-models/", "https://models.example.org"]}}
"""


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("s3://operator-backups/prod/dump.bin", 'search: {artifacts: ["https://*", "s3://operator-backups/prod/"]}'),
        ("https://models.example.org/x", None),
    ],
)
def test_without_a_grant_only_https_is_fetched_from(call: Call, folder: Path, url: str, said: str | None) -> None:
    (folder / "kubeserve.yaml").write_text(REMOTE.format(url=url, sha="0" * 64))
    done = call("validate")
    assert done.code == (1 if said else 0)
    if said:
        assert "kubeserve.yaml:6:22: error: Remote artifact is not granted\n" in done.err
        assert said in done.err


@pytest.mark.parametrize(
    ("url", "summary"),
    [
        ("s3://ml-models/models/fraud/churn/v1/0/model.tar", "The store's own objects are no remote artifacts"),
        ("https://s3.example.org/ml-models/models/x", "The store's own objects are no remote artifacts"),
        ("https://10.1.2.3/ml-models/models/x", "Remote artifact is not granted"),
        ("s3://ml-models/datasets/x", None),
    ],
)
def test_the_platform_decides_what_a_tenant_may_fetch(call: Call, folder: Path, url: str, summary: str | None) -> None:
    (folder / "kubeserve.yaml").write_text(REMOTE.format(url=url, sha="0" * 64))
    (folder / "platform.yaml").write_text(S3_STORE)
    done = call("validate")
    assert done.code == (1 if summary else 0), done.err
    if summary:
        assert f"kubeserve.yaml:6:22: error: {summary}\n" in done.err


def test_an_endpoint_of_the_environment_is_the_stores_too(
    call: Call, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://minio.example.org:9000")
    url = "https://MINIO.example.org/ml-models/x/%2E%2E/models/fraud/y"
    (folder / "kubeserve.yaml").write_text(REMOTE.format(url=url, sha="0" * 64))
    (folder / "platform.yaml").write_text(S3_STORE.replace(', endpoint: "https://s3.example.org"', ""))
    done = call("validate")
    assert "error: The store's own objects are no remote artifacts" in done.err


def test_a_folder_that_became_a_symlink_is_an_error_there(call: Call, write_spec: Write, folder: Path) -> None:
    write_spec("repo/a/kubeserve.yaml", tenant="a")
    write_spec("repo/b/kubeserve.yaml", tenant="b")
    (folder / "repo/b").rename(folder / "elsewhere")
    (folder / "repo/b").symlink_to("../elsewhere")
    done = call("validate", "repo", "-o", "json")
    assert done.code == 1
    (problem,) = done.data["problems"]
    assert (problem["file"], problem["line"], problem["summary"]) == ("repo/b", None, "Symlinks are refused")
    assert done.data["tenants"] == ["a"]


def test_a_source_of_which_only_unread_places_are_left_is_not_called_empty(call: Call, folder: Path) -> None:
    (folder / "services").symlink_to("/nowhere")
    done = call("validate")
    assert done.code == 1
    assert "services: error: Symlinks are refused" in done.err
    assert "No kubeserve.yaml" not in done.err

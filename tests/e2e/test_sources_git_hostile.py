"""Repositories that mean harm: nothing of them is followed, executed or believed."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from reconciler.sources.git import objects
from reconciler.sources.git.source import GitAccess, GitSource
from reconciler.sources.protocol import SourceError
from tests.support.sources.repositories import Repository

Open = Callable[[], GitSource]


@pytest.fixture
def origin(tmp_path: Path) -> Repository:
    return Repository.create(tmp_path / "origin")


def read(source: GitSource, path: str) -> bytes:
    with source.artifact(source.resolve(), path).open() as chunks:
        return b"".join(chunks)


def test_a_submodule_is_refused_wherever_it_is_on_the_way(origin: Repository, open_git: Open) -> None:
    modules = origin.blob(b'[submodule "sub"]\n\tpath = sub\n\turl = ext::sh -c "touch /tmp/x"\n')
    origin.commit_tree(
        ("160000", "a" * 40, "sub"),
        ("160000", "a" * 40, "folder/sub"),
        ("100644", origin.blob(b"x = 1"), "folder/predictor.py"),
        ("100644", modules, ".gitmodules"),
    )
    source = open_git()
    revision = source.resolve()
    for path in ("sub", "sub/model.joblib", "folder/sub", "folder"):
        with pytest.raises(SourceError, match="is a submodule"):
            source.artifact(revision, path)
    unread = {file.path: file.unread.summary for file in source.spec_files(revision) if file.unread}
    assert unread == {"folder/sub": "Submodules are refused", "sub": "Submodules are refused"}


def test_a_submodule_that_is_named_like_a_spec_is_not_left_out(origin: Repository, open_git: Open) -> None:
    origin.commit_tree(("160000", "a" * 40, "kubeserve.yaml"))
    source = open_git()
    (spec,) = source.spec_files(source.resolve())
    assert spec.unread is not None
    assert spec.unread.summary == "Submodules are refused"


@pytest.mark.parametrize("path", ["../outside", "a/../../outside", ".git/config", "./a", "a//b", "/etc/passwd"])
def test_a_tree_with_a_path_that_leads_out_is_nothing_that_can_be_named(
    origin: Repository, open_git: Open, tmp_path: Path, path: str
) -> None:
    (tmp_path / "outside").write_bytes(b"outside")
    blob = origin.blob(b"inside")
    *folders, name = path.split("/")
    tree = hand_made_tree(origin, "100644", blob, name)
    for folder in reversed(folders):
        tree = hand_made_tree(origin, "40000", tree, folder)
    origin.git("update-ref", "refs/heads/main", origin.git("commit-tree", tree, "-m", "hostile"))
    with pytest.raises(SourceError):
        read(open_git(), path)


def hand_made_tree(origin: Repository, mode: str, oid: str, name: str) -> str:
    data = f"{mode} {name}\0".encode() + bytes.fromhex(oid)
    return origin.git("hash-object", "-t", "tree", "--literally", "-w", "--stdin", data=data)


def test_nothing_that_a_repository_configures_is_run(origin: Repository, open_git: Open, tmp_path: Path) -> None:
    trap = f"touch {tmp_path}/sprung"
    origin.write(".gitattributes", b"* filter=trap diff=trap export-subst\n")
    origin.write(".lfsconfig", b"[lfs]\n\turl = http://127.0.0.1:9/\n")
    origin.write("model.joblib", b"$Format:%H$")
    origin.commit()
    for key in ("filter.trap.smudge", "core.fsmonitor", "uploadpack.packObjectsHook", "core.sshCommand", "core.pager"):
        origin.git("config", key, trap)
    for hook in ("post-checkout", "reference-transaction", "post-merge", "pre-auto-gc"):
        script = origin.path / ".git" / "hooks" / hook
        script.parent.mkdir(exist_ok=True)
        script.write_text(f"#!/bin/sh\n{trap}\n")
        script.chmod(0o755)
    assert read(open_git(), "model.joblib") == b"$Format:%H$"
    assert not (tmp_path / "sprung").exists()


def test_no_file_of_a_repository_is_written_to_the_disk(origin: Repository, open_git: Open, tmp_path: Path) -> None:
    origin.write("model.joblib", b"model")
    origin.write("evil/.git/config", b"[core]\n")
    origin.write("kubeserve.yaml", b"tenant: a")
    origin.git("add", "model.joblib", "kubeserve.yaml")
    origin.git("commit", "--quiet", "--message", "one")
    source = open_git()
    read(source, "model.joblib")
    source.spec_files(source.resolve())
    names = {path.name for path in (tmp_path / "cache").rglob("*")}
    assert not names & {"model.joblib", "kubeserve.yaml", "evil", "hooks"}


def test_refs_with_the_names_of_options_are_only_names(origin: Repository, open_git: Open) -> None:
    origin.write("model.joblib", b"model")
    commit = origin.commit()
    for name in ("refs/heads/--upload-pack=touch", "refs/tags/-x", "refs/kubeserve/0"):
        packed = origin.path / ".git" / name
        packed.parent.mkdir(parents=True, exist_ok=True)
        packed.write_text(f"{commit}\n")
    assert read(open_git(), "model.joblib") == b"model"
    with pytest.raises(SourceError, match="can't be the name of one"):
        GitSource("models", str(origin.path), "--upload-pack=touch", GitAccess(Path("unused"), allow_local=True))


def test_more_files_than_a_repository_may_have_are_refused(
    origin: Repository, open_git: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(objects, "MAX_FILES", 3)
    for number in range(4):
        origin.write(f"{number}")
    origin.commit()
    with pytest.raises(SourceError, match="more than 3 files"):
        open_git().resolve()


def test_a_hostile_name_reaches_no_terminal(origin: Repository, open_git: Open) -> None:
    origin.commit_tree(("100644", origin.blob(b"x"), "models/churn\x1b]0;owned\x07.joblib"))
    with pytest.raises(SourceError) as caught:
        read(open_git(), "models/churn.joblib")
    assert "\x1b" not in str(caught.value)
    assert "\x07" not in str(caught.value)


def test_a_replaced_object_is_not_believed(origin: Repository, open_git: Open) -> None:
    origin.write("model.joblib", b"model")
    origin.commit()
    real, fake = origin.blob(b"model"), origin.blob(b"forged")
    origin.git("replace", real, fake)
    assert read(open_git(), "model.joblib") == b"model"


def test_what_a_server_says_is_shown_without_terminal_codes(
    origin: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shell = tmp_path / "bin" / "ssh"
    shell.parent.mkdir()
    shell.write_text("#!/bin/sh\nprintf 'remote: \\033[2Jowned\\007 Permission denied (publickey).\\n' >&2\nexit 255\n")
    shell.chmod(0o755)
    monkeypatch.setenv("PATH", f"{shell.parent}:{os.environ['PATH']}")
    source = GitSource("models", "git@git.example.org:ml/models.git", "main", GitAccess(tmp_path / "cache"))
    with pytest.raises(SourceError, match=r"refused(.|\n)*ssh-agent(.|\n)*owned") as caught:
        source.resolve()
    assert str(caught.value).replace("\n", "").isprintable()


def test_ssh_runs_git_on_the_host_and_path_that_were_named(
    origin: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stand-in for ssh(1) that runs the command here: what reaches a real one are these arguments."""
    origin.write("model.joblib", b"over ssh")
    origin.commit()
    shell = tmp_path / "bin" / "ssh"
    shell.parent.mkdir()
    shell.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/calls\nfor last; do :; done\neval "$last"\n')
    shell.chmod(0o755)
    monkeypatch.setenv("PATH", f"{shell.parent}:{os.environ['PATH']}")
    source = GitSource("models", f"ssh://git@git.example.org{origin.path}", "main", GitAccess(tmp_path / "cache"))
    assert read(source, "model.joblib") == b"over ssh"
    source.close()
    call = (tmp_path / "calls").read_text().splitlines()[0]
    assert "-o BatchMode=yes" in call
    assert f"git@git.example.org git-upload-pack '{origin.path}'" in call

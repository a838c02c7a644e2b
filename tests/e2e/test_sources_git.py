"""A Git repository as a source: refs, shallow fetches, and a mirror that several processes share and that may break."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from reconciler.sources.git import mirror as mirror_module
from reconciler.sources.git.source import GitAccess, GitSource
from reconciler.sources.protocol import Revision, SourceError
from tests.support.sources.repositories import Repository

Open = Callable[..., GitSource]

RESOLVE = """
import sys
from pathlib import Path
from reconciler.sources.git.source import GitAccess, GitSource

source = GitSource("models", sys.argv[1], sys.argv[2], GitAccess(Path(sys.argv[3]), allow_local=True))
revision = source.resolve()
print(revision.id, len(source.spec_files(revision)))
source.close()
"""


@pytest.fixture
def origin(tmp_path: Path) -> Repository:
    repository = Repository.create(tmp_path / "origin")
    repository.write("kubeserve.yaml", b"tenant: a")
    repository.write("model.joblib", b"model one")
    repository.commit("one")
    return repository


def read(source: GitSource, path: str, revision: Revision | None = None) -> bytes:
    with source.artifact(revision or source.resolve(), path).open() as chunks:
        return b"".join(chunks)


def the_mirror(cache: Path) -> Repository:
    (folder,) = cache.iterdir()
    return Repository(folder / "mirror.git")


def test_the_newest_commit_is_fetched_without_its_history(origin: Repository, open_git: Open, cache: Path) -> None:
    first = origin.git("rev-parse", "HEAD")
    origin.write("model.joblib", b"model two")
    newest = origin.commit("two")
    revision = open_git().resolve()
    assert revision == Revision(newest, f"main at {newest[:7]}")
    mirror = the_mirror(cache)
    assert mirror.git("rev-list", "--all") == newest
    assert mirror.git("cat-file", "--batch-check", data=first.encode()) == f"{first} missing"
    assert mirror.git("rev-parse", "--is-bare-repository") == "true"


def test_a_later_fetch_brings_no_history_either(origin: Repository, open_git: Open, cache: Path) -> None:
    source = open_git()
    source.resolve()
    for number in range(3):
        origin.write("model.joblib", f"model {number}".encode())
        newest = origin.commit(str(number))
    assert source.resolve().id == newest
    assert the_mirror(cache).git("rev-list", "--all") == newest
    assert read(source, "model.joblib") == b"model 2"


def test_what_is_not_committed_is_not_read(origin: Repository, open_git: Open) -> None:
    origin.write("model.joblib", b"not committed")
    assert read(open_git(), "model.joblib") == b"model one"


@pytest.mark.parametrize("ref", ["feature/x", "refs/heads/feature/x", "v1.0", "annotated", "refs/tags/v1.0"])
def test_any_branch_or_tag_can_be_read(origin: Repository, open_git: Open, ref: str) -> None:
    origin.git("checkout", "--quiet", "-b", "feature/x")
    origin.write("model.joblib", b"of the branch")
    commit = origin.commit("branch")
    origin.git("tag", "v1.0")
    origin.git("tag", "--annotate", "--message", "a tag", "annotated")
    origin.git("checkout", "--quiet", "main")
    source = open_git(ref)
    assert source.resolve() == Revision(commit, f"{ref} at {commit[:7]}")
    assert read(source, "model.joblib") == b"of the branch"


def test_without_a_ref_the_default_branch_is_read(origin: Repository, open_git: Open) -> None:
    origin.git("checkout", "--quiet", "-b", "trunk")
    commit = origin.commit("trunk")
    assert open_git(None).resolve().id == commit


def test_a_branch_is_preferred_to_a_tag_of_the_same_name(origin: Repository, open_git: Open) -> None:
    origin.git("tag", "same")
    origin.git("branch", "same")
    origin.git("checkout", "--quiet", "same")
    commit = origin.commit("of the branch")
    assert open_git("same").resolve().id == commit
    assert open_git("refs/heads/same").resolve().id == commit
    assert open_git("refs/tags/same").resolve().id == origin.git("rev-parse", "main")


def test_any_commit_can_be_read_by_its_full_id(origin: Repository, open_git: Open, cache: Path) -> None:
    old = origin.git("rev-parse", "HEAD")
    origin.write("model.joblib", b"model two")
    origin.commit("two")
    source = open_git(old.upper())
    assert source.resolve() == Revision(old, f"commit {old[:7]}")
    assert read(source, "model.joblib") == b"model one"
    assert the_mirror(cache).git("rev-list", "--all") == old


def test_a_commit_that_was_fetched_once_needs_no_server_any_more(origin: Repository, open_git: Open) -> None:
    commit = origin.git("rev-parse", "HEAD")
    open_git(commit).resolve()
    shutil.rmtree(origin.path / ".git" / "objects")
    assert read(open_git(commit), "model.joblib") == b"model one"


def test_an_abbreviated_commit_of_a_local_repository_is_found(origin: Repository, open_git: Open) -> None:
    old = origin.git("rev-parse", "HEAD")
    origin.commit("two")
    assert open_git(old[:8]).resolve().id == old


@pytest.mark.parametrize("ref", ["f" * 40, "f" * 8])
def test_a_commit_that_is_not_there_is_an_error_that_says_so(open_git: Open, ref: str) -> None:
    with pytest.raises(SourceError, match=r"does not give that commit|No such branch, tag or commit") as caught:
        open_git(ref).resolve()
    assert not caught.value.retryable


def test_an_unknown_ref_is_answered_with_the_nearest(origin: Repository, open_git: Open) -> None:
    origin.git("branch", "feature/churn")
    with pytest.raises(SourceError, match=r"Did you mean 'feature/churn'\?"):
        open_git("feature/chrun").resolve()
    with pytest.raises(SourceError, match=r"It has 'feature/churn' and 'main'\."):
        open_git("zzz").resolve()


def test_a_ref_that_names_no_commit_is_refused(origin: Repository, open_git: Open) -> None:
    origin.git("tag", "blob", origin.blob(b"content"))
    with pytest.raises(SourceError, match=r"'blob' .* names a blob"):
        open_git("blob").resolve()


def test_a_forced_push_is_followed(origin: Repository, open_git: Open) -> None:
    source = open_git()
    origin.write("model.joblib", b"to be forgotten")
    origin.commit("two")
    source.resolve()
    origin.git("reset", "--quiet", "--hard", "HEAD~1")
    origin.write("model.joblib", b"another history")
    commit = origin.commit(
        "three",
    )
    assert source.resolve().id == commit
    assert read(source, "model.joblib") == b"another history"


def test_a_revision_stays_readable_after_a_newer_one_was_fetched(origin: Repository, open_git: Open) -> None:
    source, other = open_git(), open_git()
    old = source.resolve()
    origin.write("model.joblib", b"model two")
    origin.commit("two")
    other.resolve()
    assert read(source, "model.joblib", old) == b"model one"
    source.resolve()
    assert read(source, "model.joblib", old) == b"model one"


def test_nothing_is_fetched_when_nothing_is_new(origin: Repository, open_git: Open, cache: Path) -> None:
    open_git().resolve()
    packs = sorted(path.name for path in (the_mirror(cache).path / "objects" / "pack").iterdir())
    source = open_git()
    source.resolve()
    source.resolve()
    assert sorted(path.name for path in (the_mirror(cache).path / "objects" / "pack").iterdir()) == packs


def test_two_refs_share_one_mirror(origin: Repository, open_git: Open, cache: Path) -> None:
    origin.git("branch", "other")
    origin.write("model.joblib", b"model two")
    origin.commit("two")
    assert read(open_git("main"), "model.joblib") == b"model two"
    assert read(open_git("other"), "model.joblib") == b"model one"
    assert len(list(cache.iterdir())) == 1


def test_a_shallow_clone_can_be_read_as_ci_systems_make_it(origin: Repository, open_git: Open, tmp_path: Path) -> None:
    commit = origin.commit("two")
    origin.git("clone", "--quiet", "--depth=1", f"file://{origin.path}", str(tmp_path / "shallow"))
    assert open_git(None, tmp_path / "shallow").resolve().id == commit


def test_a_bare_repository_and_a_linked_working_tree_can_be_read(
    origin: Repository, open_git: Open, tmp_path: Path
) -> None:
    commit = origin.git("rev-parse", "HEAD")
    origin.git("clone", "--quiet", "--bare", str(origin.path), str(tmp_path / "bare"))
    origin.git("worktree", "add", "--quiet", "--detach", str(tmp_path / "linked"))
    assert open_git(None, tmp_path / "bare").resolve().id == commit
    assert open_git("main", tmp_path / "linked").resolve().id == commit


def test_an_empty_repository_is_an_error_that_a_push_mends(open_git: Open, tmp_path: Path) -> None:
    empty = Repository.create(tmp_path / "empty")
    for ref in (None, "main"):
        with pytest.raises(SourceError, match="has no branch yet") as caught:
            open_git(ref, empty.path).resolve()
        assert caught.value.retryable
    empty.write("kubeserve.yaml")
    commit = empty.commit()
    assert open_git(None, empty.path).resolve().id == commit


def test_a_default_branch_that_does_not_exist_is_named_as_the_trouble(open_git: Open, tmp_path: Path) -> None:
    repository = Repository.create(tmp_path / "repository")
    repository.commit()
    repository.git("branch", "--move", "main", "trunk")
    repository.git("symbolic-ref", "HEAD", "refs/heads/main")
    with pytest.raises(SourceError, match=r"No default branch(.|\n)*It has 'trunk'"):
        open_git(None, repository.path).resolve()


def test_a_folder_inside_a_repository_is_answered_with_its_top(origin: Repository, open_git: Open) -> None:
    (origin.path / "models").mkdir()
    with pytest.raises(SourceError, match=re.escape(f"name '{origin.path}'")):
        open_git("main", origin.path / "models")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a repository to another user: run the tests as root")
def test_a_repository_of_another_user_that_was_named_is_read(origin: Repository, open_git: Open) -> None:
    for path in (origin.path, *origin.path.rglob("*")):
        os.lchown(path, 12345, 12345)
    assert read(open_git(), "model.joblib") == b"model one"


def damage_nothing(mirror: Path) -> None:
    pass


def damage_head(mirror: Path) -> None:
    (mirror / "HEAD").unlink()


def damage_config(mirror: Path) -> None:
    (mirror / "config").write_text("[core\n")


def damage_packs(mirror: Path) -> None:
    for pack in (mirror / "objects" / "pack").iterdir():
        pack.unlink()


def damage_by_truncation(mirror: Path) -> None:
    for pack in (mirror / "objects" / "pack").glob("*.pack"):
        pack.chmod(0o644)
        os.truncate(pack, 20)


def damage_by_a_stale_lock(mirror: Path) -> None:
    (mirror / "shallow.lock").touch()


def damage_by_a_stale_lock_of_a_ref(mirror: Path) -> None:
    for ref in list((mirror / "refs" / "kubeserve").iterdir()):
        ref.with_name(f"{ref.name}.lock").touch()


def damage_refs(mirror: Path) -> None:
    for ref in (mirror / "refs" / "kubeserve").iterdir():
        ref.write_text("garbage\n")


def damage_by_half_a_mirror(mirror: Path) -> None:
    shutil.rmtree(mirror / "objects")
    (mirror.parent / "new-half").mkdir()


@pytest.mark.parametrize(
    "damage",
    [
        damage_nothing,
        damage_head,
        damage_config,
        damage_packs,
        damage_by_truncation,
        damage_by_a_stale_lock,
        damage_by_a_stale_lock_of_a_ref,
        damage_refs,
        damage_by_half_a_mirror,
    ],
)
def test_a_damaged_mirror_is_made_anew(
    origin: Repository, open_git: Open, cache: Path, damage: Callable[[Path], None]
) -> None:
    open_git().resolve()
    damage(the_mirror(cache).path)
    origin.write("model.joblib", b"model two")
    commit = origin.commit("two")
    source = open_git()
    assert source.resolve().id == commit
    assert read(source, "model.joblib") == b"model two"
    leftovers = {path.name.partition("-")[0] for path in the_mirror(cache).path.parent.iterdir()}
    assert leftovers <= {"gitconfig", "heads.json", "lock", "mirror.git"}


@pytest.mark.parametrize("damage", [damage_head, damage_packs, damage_by_truncation, damage_refs])
def test_a_mirror_that_broke_while_nothing_new_came_is_made_anew(
    origin: Repository, open_git: Open, cache: Path, damage: Callable[[Path], None]
) -> None:
    open_git().resolve()
    damage(the_mirror(cache).path)
    assert read(open_git(), "model.joblib") == b"model one"


def test_bytes_that_are_damaged_are_an_error_and_the_next_round_is_well(
    origin: Repository, open_git: Open, cache: Path
) -> None:
    content = os.urandom(3_000_000)
    origin.write("large", content)
    origin.commit("large")
    open_git().resolve()
    (pack,) = (the_mirror(cache).path / "objects" / "pack").glob("*.pack")
    pack.chmod(0o644)
    with pack.open("r+b") as file:
        file.seek(1_500_000)
        file.write(bytes(100_000))
    with pytest.raises(SourceError, match="The mirror is damaged") as caught:
        read(open_git(), "large")
    assert caught.value.retryable
    assert read(open_git(), "large") == content


def test_a_mirror_does_not_grow_with_every_push(
    origin: Repository, open_git: Open, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mirror_module, "MAX_PACKS", 3)
    source = open_git()
    first = source.resolve()
    for number in range(8):
        origin.write("model.joblib", f"model {number}".encode())
        origin.commit(str(number))
        source.resolve()
    packs = list((the_mirror(cache).path / "objects" / "pack").glob("*.pack"))
    assert 1 <= len(packs) <= 4
    assert read(source, "model.joblib") == b"model 7"
    assert read(source, "model.joblib", first) == b"model one"


def test_processes_that_share_a_mirror_do_not_disturb_each_other(origin: Repository, cache: Path) -> None:
    branches = []
    for number in range(4):
        origin.git("checkout", "--quiet", "-b", f"b{number}")
        origin.write("model.joblib", os.urandom(500_000))
        branches.append((f"b{number}", origin.commit(str(number))))
    started = [(commit, resolve_elsewhere(origin, name, cache)) for name, commit in branches * 2]
    for commit, process in started:
        output, _ = process.communicate(timeout=60)
        assert output.split() == [commit, "1"]


def test_a_fetch_that_was_killed_at_any_moment_is_taken_over(origin: Repository, open_git: Open, cache: Path) -> None:
    origin.write("large", os.urandom(2_000_000))
    commit = origin.commit("large")
    for number in range(6):
        shutil.rmtree(cache, ignore_errors=True)
        process = resolve_elsewhere(origin, "main", cache)
        wait_for_step(process, cache, number)
        process.kill()
        process.communicate()
        source = open_git()
        assert source.resolve().id == commit
        assert len(read(source, "large")) == 2_000_000


def resolve_elsewhere(origin: Repository, ref: str, cache: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", RESOLVE, str(origin.path), ref, str(cache)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def wait_for_step(process: subprocess.Popen[str], cache: Path, number: int) -> None:
    """Until so many files are in the mirror's folder, or the process has ended: another moment every time."""
    while process.poll() is None and sum(len(files) for _, _, files in os.walk(cache)) < 1 + 2 * number:
        os.sched_yield()


def test_no_process_of_git_is_left_behind(origin: Repository, cache: Path) -> None:
    origin.write("large", bytes(3_000_000))
    origin.commit("large")
    source = GitSource("models", str(origin.path), "main", GitAccess(cache, allow_local=True))
    revision = source.resolve()
    source.spec_files(revision)
    with source.artifact(revision, "large").open() as chunks:
        next(chunks)
    source.close()
    assert [child for child in psutil.Process().children() if child.name() == "git"] == []


@pytest.fixture
def sha256_origin(tmp_path: Path) -> Repository:
    repository = Repository.create(tmp_path / "origin256", object_format="sha256")
    repository.write("kubeserve.yaml", b"tenant: a")
    repository.write("model.joblib", b"model one")
    repository.write("folder/predictor.py", b"x = 1")
    repository.commit("one")
    return repository


@pytest.mark.parametrize("ref", [None, "main", "refs/heads/main", "v1"])
def test_a_repository_of_sha256_is_read(sha256_origin: Repository, open_git: Open, ref: str | None) -> None:
    sha256_origin.git("tag", "-a", "v1", "-m", "v1")
    source = open_git(ref, sha256_origin.path)
    revision = source.resolve()
    assert revision.id == sha256_origin.git("rev-parse", "HEAD")
    assert len(revision.id) == 64
    assert [spec.content for spec in source.spec_files(revision)] == [b"tenant: a"]
    assert read(source, "model.joblib", revision) == b"model one"
    assert source.artifact(revision, "folder").is_folder
    sha256_origin.write("model.joblib", b"model two")
    sha256_origin.commit("two")
    assert read(source, "model.joblib") == (b"model one" if ref == "v1" else b"model two")


def test_a_commit_of_sha256_is_named_by_its_digits(sha256_origin: Repository, open_git: Open) -> None:
    first = sha256_origin.git("rev-parse", "HEAD")
    sha256_origin.write("model.joblib", b"model two")
    sha256_origin.commit("two")
    for ref in (first, first.upper(), first[:7], first[:40] + first[40:50]):
        assert open_git(ref, sha256_origin.path).resolve().id == first
    with pytest.raises(SourceError):
        open_git("0" * 40, sha256_origin.path).resolve()
    assert open_git("main", sha256_origin.path).resolve().id != first


def test_a_repository_that_was_made_anew_with_sha256_is_read(
    tmp_path: Path, origin: Repository, open_git: Open
) -> None:
    assert len(open_git().resolve().id) == 40
    shutil.rmtree(origin.path)
    again = Repository.create(origin.path, object_format="sha256")
    again.write("kubeserve.yaml", b"tenant: b")
    commit = again.commit()
    source = open_git()
    assert source.resolve().id == commit
    assert [spec.content for spec in source.spec_files(source.resolve())] == [b"tenant: b"]


@pytest.mark.parametrize("bare", [True, False])
@pytest.mark.parametrize("what", ["blob:none", "tree:0"])
def test_a_partial_clone_says_how_to_complete_it(
    origin: Repository, open_git: Open, tmp_path: Path, what: str, bare: bool
) -> None:
    origin.git("config", "uploadpack.allowFilter", "true")
    clone = tmp_path / "clone"
    options = ["--bare"] if bare else ["--no-checkout"]
    origin.git("clone", "--quiet", f"--filter={what}", *options, f"file://{origin.path}", str(clone))
    with pytest.raises(SourceError, match="partial clone") as caught:
        open_git("main", clone).resolve()
    (command,) = re.findall(r"`git -C \S+ (.*)`", caught.value.detail)
    Repository(clone).git(*command.split())
    assert read(open_git("main", clone), "model.joblib") == b"model one"


def test_a_shallow_clone_is_read_as_far_as_it_goes(origin: Repository, open_git: Open, tmp_path: Path) -> None:
    first = origin.git("rev-parse", "HEAD")
    origin.write("model.joblib", b"model two")
    origin.commit("two")
    origin.git("clone", "--quiet", "--depth=1", f"file://{origin.path}", str(tmp_path / "clone"))
    assert read(open_git("main", tmp_path / "clone"), "model.joblib") == b"model two"
    with pytest.raises(SourceError, match="shallow clone") as caught:
        open_git(first, tmp_path / "clone").resolve()
    assert "fetch --unshallow`" in caught.value.detail


def test_names_that_are_not_utf8_are_names(origin: Repository, open_git: Open, tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9")
    origin.git("branch", name)
    clone = tmp_path / name
    origin.git("clone", "--quiet", "--bare", str(origin.path), str(clone))
    assert open_git(name, clone).resolve().id == origin.git("rev-parse", "HEAD")
    with pytest.raises(SourceError, match=r"has no 'caf\?\?'"):
        open_git(name + "\udce9", clone).resolve()

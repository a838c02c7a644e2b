"""What every source promises: the same files give the same specs, artifacts, digests and refusals."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from reconciler.sources import specfiles
from reconciler.sources.digests import DigestCache, digest_all
from reconciler.sources.directory import DirectorySource
from reconciler.sources.git.objects import SMALL
from reconciler.sources.git.source import GitAccess, GitSource
from reconciler.sources.protocol import CHUNK, Revision, Source, SourceArtifact, SourceError
from runtime.formats import HEAD_SIZE
from runtime.packing import unpack
from specs.loading.loader import SpecFile, load_tenants
from specs.models.platform import default_platform
from specs.syntax.reader import MAX_FILE_BYTES
from tests.support.sources.repositories import Repository

Open = Callable[[], Source]


@pytest.fixture
def tree(tmp_path: Path) -> Repository:
    """A working tree that both kinds of source read: one as it is, the other what is committed of it."""
    return Repository.create(tmp_path / "tree")


@pytest.fixture(params=["directory", "git"])
def open_source(request: pytest.FixtureRequest, tree: Repository, tmp_path: Path) -> Iterator[Open]:
    opened: list[Source] = []

    def open_() -> Source:
        if request.param == "directory":
            opened.append(DirectorySource("models", tree.path))
        else:
            tree.commit()
            access = GitAccess(tmp_path / "cache", allow_local=True)
            opened.append(GitSource("models", str(tree.path), "main", access))
        return opened[-1]

    yield open_
    for source in opened:
        source.close()


def artifact(source: Source, path: str) -> SourceArtifact:
    return source.artifact(source.resolve(), path)


def content(found: SourceArtifact) -> bytes:
    with found.open() as chunks:
        return b"".join(chunks)


def test_a_source_knows_its_name_and_place(tree: Repository, open_source: Open) -> None:
    source = open_source()
    assert (source.name, source.location) == ("models", str(tree.path))


def test_specs_are_found_at_any_depth_and_in_path_order(tree: Repository, open_source: Open) -> None:
    for path in ("b/kubeserve.yaml", "kubeserve.yaml", "a/deep/er/kubeserve.yml", "a.b/kubeserve.yaml", "a/other.yaml"):
        tree.write(path, path.encode())
    source = open_source()
    paths = ["a.b/kubeserve.yaml", "a/deep/er/kubeserve.yml", "b/kubeserve.yaml", "kubeserve.yaml"]
    assert source.spec_files(source.resolve()) == [SpecFile(path, path.encode(), "models") for path in paths]


@pytest.mark.parametrize("folder", ["node_modules", "__pycache__", "deep/node_modules/x", ".hidden/node_modules"])
def test_specs_in_the_folders_of_tools_are_not_read(tree: Repository, open_source: Open, folder: str) -> None:
    tree.write(f"{folder}/kubeserve.yaml")
    source = open_source()
    assert source.spec_files(source.resolve()) == []


def test_an_empty_source_has_no_specs(tree: Repository, open_source: Open) -> None:
    source = open_source()
    assert source.spec_files(source.resolve()) == []


def test_a_spec_that_is_too_large_is_cut_above_the_limit(tree: Repository, open_source: Open) -> None:
    tree.write("a/kubeserve.yaml", bytes(MAX_FILE_BYTES + CHUNK))
    tree.write("b/kubeserve.yaml", b"tenant: b")
    source = open_source()
    large, small = source.spec_files(source.resolve())
    assert len(large.content) == MAX_FILE_BYTES + 1
    assert small.content == b"tenant: b"


def unread(source: Source) -> dict[str, str]:
    """The places of a source that are not read, and why."""
    files = source.spec_files(source.resolve())
    assert [file.path for file in files] == sorted(file.path for file in files)
    return {file.path: file.unread.summary for file in files if file.unread}


def test_a_spec_that_is_a_symlink_is_never_followed_nor_left_out(tree: Repository, open_source: Open) -> None:
    secret = tree.write("secret", b"tenant: secret")
    (tree.path / "kubeserve.yaml").symlink_to(secret)
    source = open_source()
    assert unread(source) == {"kubeserve.yaml": "Symlinks are refused"}
    (spec,) = source.spec_files(source.resolve())
    assert spec.content == b""
    (problem,) = load_tenants([spec], default_platform()).problems
    assert problem.render().startswith("kubeserve.yaml: error: Symlinks are refused\n")
    assert problem.excerpt == ""


@pytest.mark.parametrize(
    "target", ["../../outside/b", "/nowhere/at/all", "gone", "self", "a/kubeserve.yaml/x", ".hidden/b"]
)
def test_a_symlink_that_may_hide_a_folder_of_specs_is_a_place_that_is_not_read(
    tree: Repository, open_source: Open, target: str
) -> None:
    (tree.path.parent / "outside" / "b").mkdir(parents=True)
    tree.write("services/.hidden/b/model.joblib")
    tree.write("services/a/kubeserve.yaml", b"tenant: a")
    (tree.path / "services" / "self").symlink_to("self")
    (tree.path / "services" / "b").symlink_to(target)
    places = unread(open_source())
    assert places["services/b"] == "Symlinks are refused"
    assert places.keys() == {"services/b", "services/self"}


def test_a_symlink_to_what_is_read_anyway_hides_nothing(tree: Repository, open_source: Open) -> None:
    tree.write("services/a/kubeserve.yaml", b"tenant: a")
    tree.write("model.joblib")
    links = {"b": "services/a", "services/c": "../b", "services/top": "..", "file": "model.joblib", ".d": "/nowhere"}
    for link, target in links.items():
        (tree.path / link).symlink_to(target)
    source = open_source()
    assert [spec.path for spec in source.spec_files(source.resolve())] == ["services/a/kubeserve.yaml"]
    assert unread(source) == {}


@pytest.mark.parametrize(
    ("path", "summary"),
    [
        (".b/kubeserve.yaml", "Spec in a hidden folder"),
        ("services/.b/c/kubeserve.yml", "Spec in a hidden folder"),
        ("services/Kubeserve.yaml", "Misspelled name of a spec"),
        ("services/kubeserve.YML", "Misspelled name of a spec"),
    ],
)
def test_a_spec_that_is_in_the_wrong_place_is_named_with_its_tenant(
    tree: Repository, open_source: Open, path: str, summary: str
) -> None:
    tree.write(path, b"apiVersion: kubeserve.io/v1\ntenant: fraud\n")
    source = open_source()
    assert unread(source) == {path: summary}
    loaded = load_tenants(source.spec_files(source.resolve()), default_platform())
    assert loaded.protected == frozenset({"fraud"})


@pytest.mark.parametrize("mark", ["pyvenv.cfg", "CACHEDIR.TAG"])
def test_specs_in_environments_and_caches_are_nobodys(tree: Repository, open_source: Open, mark: str) -> None:
    tree.write(f".tools/x/{mark}")
    tree.write(".tools/x/lib/kubeserve.yaml")
    tree.write(f"venv/{mark}")  # a folder that is not hidden is read all the same
    tree.write("venv/kubeserve.yaml")
    source = open_source()
    assert [spec.path for spec in source.spec_files(source.resolve())] == ["venv/kubeserve.yaml"]


def test_a_pointer_of_git_lfs_is_no_spec(tree: Repository, open_source: Open) -> None:
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'a' * 64}\nsize 5\n"
    tree.write("kubeserve.yaml", pointer.encode())
    assert unread(open_source()) == {"kubeserve.yaml": "A Git LFS pointer instead of a spec"}


def test_specs_that_are_too_large_together_cost_the_largest_their_place(
    tree: Repository, open_source: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(specfiles, "MAX_ALL_BYTES", 100)
    for number, size in enumerate((60, 10, 70, 10)):
        tree.write(f"{number}/kubeserve.yaml", b"#" * size)
    source = open_source()
    files = source.spec_files(source.resolve())
    assert [spec.content for spec in files] == [b"#" * 60, b"#" * 10, b"", b"#" * 10]
    assert [spec.unread for spec in files] == [None, None, specfiles.TOO_MUCH, None]


@pytest.mark.parametrize("name", ["new\nline", "-rf", "--upload-pack=x", "Modèle", "with space", "a;b", "$HOME", "*"])
def test_any_name_that_a_file_can_have_is_read(tree: Repository, open_source: Open, name: str) -> None:
    tree.write(f"{name}/kubeserve.yaml", b"tenant: a")
    tree.write(f"models/{name}", b"model")
    source = open_source()
    revision = source.resolve()
    assert [spec.path for spec in source.spec_files(revision)] == [f"{name}/kubeserve.yaml"]
    if "\n" not in name:  # no path in a spec may have one
        assert content(source.artifact(revision, f"models/{name}")) == b"model"


def test_a_name_that_is_not_utf8_is_shown_escaped(tree: Repository, open_source: Open) -> None:
    tree.write(os.fsdecode(b"\xff/kubeserve.yaml"), b"tenant: a")
    source = open_source()
    assert [spec.path for spec in source.spec_files(source.resolve())] == ["\\xff/kubeserve.yaml"]


@pytest.mark.parametrize("size", [0, 1, HEAD_SIZE, 2000, SMALL, SMALL + 1, 2 * CHUNK + 7])
def test_a_file_of_any_size_is_streamed_whole(tree: Repository, open_source: Open, size: int) -> None:
    expected = bytes(number % 251 for number in range(min(size, 251))) * (size // 251 + 1)
    tree.write("models/v1.joblib", expected[:size])
    found = artifact(open_source(), "models/v1.joblib")
    assert (found.path, found.is_folder, found.size) == ("models/v1.joblib", False, size)
    assert found.head == expected[: min(size, HEAD_SIZE)]
    for _ in range(2):
        with found.open() as chunks:
            pieces = list(chunks)
        assert b"".join(pieces) == expected[:size]
        assert max(map(len, pieces), default=0) <= CHUNK


def test_a_stream_may_be_left_early(tree: Repository, open_source: Open) -> None:
    tree.write("large", bytes(5 * CHUNK))
    found = artifact(open_source(), "large")
    with found.open() as chunks:
        next(chunks)
    assert len(content(found)) == 5 * CHUNK


def test_the_identity_is_the_same_until_the_content_changes(tree: Repository, open_source: Open) -> None:
    tree.write("model", b"one")
    first = artifact(open_source(), "model")
    tree.write("other", b"other")
    assert artifact(open_source(), "model").identity == first.identity
    tree.write("model", b"different")
    assert artifact(open_source(), "model").identity != first.identity


def test_a_file_a_folder_and_a_pair_of_equal_names_have_different_identities(
    tree: Repository, open_source: Open
) -> None:
    tree.write("a/predictor.py", b"x = 1")
    tree.write("b/predictor.py", b"x = 2")
    source = open_source()
    revision = source.resolve()
    paths = ("a", "b", "a/predictor.py", "b/predictor.py")
    assert len({source.artifact(revision, path).identity for path in paths}) == 4


def test_many_artifacts_are_digested_together(tree: Repository, open_source: Open, tmp_path: Path) -> None:
    contents = {f"models/v{number}": f"model {number}".encode() * number * 5_000 for number in range(1, 12)}
    for path, data in contents.items():
        tree.write(path, data)
    source = open_source()
    revision = source.resolve()
    found = digest_all({p: source.artifact(revision, p) for p in contents}, DigestCache(tmp_path / "digests"))
    assert found == {path: hashlib.sha256(data).hexdigest() for path, data in contents.items()}


def test_a_folder_is_packed_without_caches_and_dot_files(tree: Repository, open_source: Open, tmp_path: Path) -> None:
    tree.write("model/predictor.py", b"x = 1")
    tree.write("model/data/weights.bin", bytes(SMALL + 5))
    tree.write("model/run.sh", b"exit").chmod(0o755)
    for left_out in (".env", ".git-blame-ignore", ".ipynb_checkpoints/x.py", "__pycache__/p.pyc", "lib/p.pyc"):
        tree.write(f"model/{left_out}", b"no")
    found = artifact(open_source(), "model")
    packed = content(found)
    assert found.is_folder
    assert found.head == b""
    assert found.size == len(packed)
    (tmp_path / "model.tar").write_bytes(packed)
    unpack(tmp_path / "model.tar", tmp_path / "unpacked")
    files = sorted(p.relative_to(tmp_path / "unpacked").as_posix() for p in (tmp_path / "unpacked").rglob("*.*"))
    assert files == ["data/weights.bin", "predictor.py", "run.sh"]
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        assert {member.name: member.mode & 0o111 != 0 for member in archive}["run.sh"]


def test_a_folder_has_the_same_bytes_in_a_directory_and_in_git(tree: Repository, tmp_path: Path) -> None:
    tree.write("model/predictor.py", b"x = 1")
    tree.write("model/é/z.txt", b"z")
    tree.write("model/run.sh").chmod(0o755)
    tree.commit()
    here = DirectorySource("here", tree.path)
    there = GitSource("there", str(tree.path), None, GitAccess(tmp_path / "cache", allow_local=True))
    try:
        assert content(artifact(here, "model")) == content(artifact(there, "model"))
    finally:
        there.close()


def test_a_file_in_a_folder_that_is_packed_may_not_be_a_symlink(tree: Repository, open_source: Open) -> None:
    tree.write("model/predictor.py", b"x = 1")
    (tree.path / "model" / "data").symlink_to("/etc/passwd")
    with pytest.raises(SourceError, match="'model/data' is a symlink"):
        artifact(open_source(), "model")


def test_a_folder_without_files_to_pack_is_refused(tree: Repository, open_source: Open) -> None:
    tree.write("model/.gitkeep")
    with pytest.raises(SourceError, match="no files to serve"):
        artifact(open_source(), "model")


def test_a_folder_with_too_many_files_is_refused(
    tree: Repository, open_source: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("reconciler.sources.worktree", "reconciler.sources.git.artifact"):
        monkeypatch.setattr(f"{module}.MAX_FOLDER_FILES", 2)
    for name in ("predictor.py", "a.py", "b.py"):
        tree.write(f"model/{name}")
    with pytest.raises(SourceError, match="Too many files"):
        artifact(open_source(), "model")


@pytest.mark.parametrize("link", ["models", "models/v1.joblib"])
def test_a_symlink_anywhere_on_the_way_is_refused(tree: Repository, open_source: Open, link: str) -> None:
    tree.write("real/v1.joblib")
    (tree.path / link).parent.mkdir(exist_ok=True)
    target = tree.path / "real" / ("v1.joblib" if link.endswith("joblib") else "")
    (tree.path / link).symlink_to(os.path.relpath(target, (tree.path / link).parent))
    with pytest.raises(SourceError, match=f"'{link}' is a symlink"):
        artifact(open_source(), "models/v1.joblib")


@pytest.mark.parametrize("path", ["../outside", "models/../../outside", "/etc/passwd", "~root/x"])
def test_a_path_that_leaves_the_source_is_refused(tree: Repository, open_source: Open, path: str) -> None:
    (tree.path.parent / "outside").write_bytes(b"outside")
    with pytest.raises(SourceError):
        artifact(open_source(), path)


def test_an_absent_artifact_names_the_nearest(tree: Repository, open_source: Open) -> None:
    tree.write("models/churn-v1.joblib")
    source = open_source()
    revision = source.resolve()
    with pytest.raises(SourceError, match=r"Did you mean 'models/churn-v1\.joblib'\?"):
        source.artifact(revision, "models/churn_v1.joblib")
    with pytest.raises(SourceError, match=r"Did you mean 'models'\?"):
        source.artifact(revision, "model/churn-v1.joblib")
    with pytest.raises(SourceError, match=r"It holds 'models'\."):
        source.artifact(revision, "entirely-different")


def test_a_path_through_a_file_is_answered_as_such(tree: Repository, open_source: Open) -> None:
    tree.write("models", b"a file")
    with pytest.raises(SourceError, match="'models' is a file, not a folder"):
        artifact(open_source(), "models/v1.joblib")


def test_what_kubeserve_keeps_in_the_source_is_never_an_artifact(tree: Repository, open_source: Open) -> None:
    tree.write(".kubeserve/secrets/hub/key", b"secret")
    with pytest.raises(SourceError, match="never read as a model"):
        artifact(open_source(), ".kubeserve/secrets/hub/key")


def test_resolving_again_without_a_change_gives_the_same_revision(tree: Repository, open_source: Open) -> None:
    tree.write("kubeserve.yaml", b"tenant: a")
    source = open_source()
    revision = source.resolve()
    assert source.resolve() == revision
    assert [spec.content for spec in source.spec_files(revision)] == [b"tenant: a"]


def test_a_revision_that_the_source_never_had_is_an_error(tree: Repository, open_source: Open) -> None:
    source = open_source()
    source.resolve()
    for identity in ("0" * 40, "--output=x", "sha256:0"):
        with pytest.raises(SourceError):
            source.spec_files(Revision(identity, "another"))


def test_a_source_can_be_used_again_after_it_was_closed(tree: Repository, open_source: Open) -> None:
    tree.write("kubeserve.yaml", b"tenant: a")
    source = open_source()
    source.spec_files(source.resolve())
    source.close()
    source.close()
    assert len(source.spec_files(source.resolve())) == 1

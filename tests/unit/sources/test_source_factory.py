"""Which kind of source is opened for what was typed, or stands in platform.yaml."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from reconciler.sources.directory import DirectorySource
from reconciler.sources.factory import is_git_argument, open_source, source_from_argument
from reconciler.sources.git.source import GitSource
from reconciler.sources.protocol import SourceError
from specs.models.platform import DirectorySpec, GitSpec
from tests.support.sources.repositories import Repository


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    made = Repository.create(tmp_path / "repository")
    made.write("kubeserve.yaml", b"tenant: a")
    made.commit()
    return made


def test_a_directory_is_read_as_it_is(repository: Repository, tmp_path: Path) -> None:
    source = source_from_argument(str(repository.path), None, tmp_path / "cache")
    assert isinstance(source, DirectorySource)
    assert source.name == "default"


def test_a_directory_with_a_ref_is_read_as_a_repository(repository: Repository, tmp_path: Path) -> None:
    source = source_from_argument(str(repository.path), "main", tmp_path / "cache")
    assert isinstance(source, GitSource)
    assert len(source.spec_files(source.resolve())) == 1
    source.close()
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["git"]


def test_a_bare_repository_needs_no_ref(repository: Repository, tmp_path: Path) -> None:
    repository.git("clone", "--quiet", "--bare", str(repository.path), str(tmp_path / "bare"))
    assert isinstance(source_from_argument(str(tmp_path / "bare"), None, tmp_path / "cache"), GitSource)


@pytest.mark.parametrize("url", ["https://git.example.org/x", "ssh://git@git.example.org/x", "git@git.example.org:x"])
def test_a_url_is_a_repository(url: str, tmp_path: Path) -> None:
    assert is_git_argument(url)
    source = source_from_argument(url, None, tmp_path)
    assert isinstance(source, GitSource)
    assert source.location == url
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["absent", "./absent", "/absent/x", "x" * 5000, "a\0b"])
def test_what_is_neither_is_an_error(text: str, tmp_path: Path) -> None:
    assert not is_git_argument(text)
    with pytest.raises(SourceError, match="no directory of this machine, and no Git URL"):
        source_from_argument(text, None, tmp_path)


def test_a_directory_with_a_ref_that_is_no_repository_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="Not a Git repository"):
        source_from_argument(str(tmp_path), "main", tmp_path / "cache")


def test_a_directory_of_platform_yaml_starts_from_its_folder(repository: Repository, tmp_path: Path) -> None:
    source = open_source(DirectorySpec(name="here", path="repository"), tmp_path, tmp_path / "cache")
    assert isinstance(source, DirectorySource)
    assert (source.name, source.location) == ("here", str(repository.path))


def test_a_local_repository_of_platform_yaml_starts_from_its_folder(repository: Repository, tmp_path: Path) -> None:
    source = open_source(GitSpec(name="models", url="repository", ref="main"), tmp_path, tmp_path / "cache")
    assert (source.name, source.location) == ("models", str(repository.path))
    assert len(source.spec_files(source.resolve())) == 1
    source.close()


def test_reading_a_directory_imports_no_git(tmp_path: Path) -> None:
    script = (
        "import sys\nfrom pathlib import Path\nfrom reconciler.sources.factory import source_from_argument\n"
        f"source = source_from_argument({str(tmp_path)!r}, None, Path('cache'))\n"
        "source.spec_files(source.resolve())\n"
        "print(sorted({'git', 'gitdb', 'boto3', 'urllib3', 'filelock', 'kubernetes'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

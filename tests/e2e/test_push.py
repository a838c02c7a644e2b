"""A version goes from a file of this machine into a store, and its digest into a spec; Git never holds its bytes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from reconciler.artifacts.contents import ContentError
from reconciler.artifacts.factory import open_store
from reconciler.artifacts.filesystem import FilesystemStore
from reconciler.artifacts.protocol import ArtifactStore, Report, StoreError, VersionRef
from reconciler.artifacts.push import NewVersion, PushError, prepare_push
from reconciler.authoring.spec_edit import add_digest_line
from runtime.formats import Format
from runtime.manifest import verify_folder
from runtime.packing import unpack
from specs.loading.loader import SpecFile, load_tenants
from specs.models import platform
from specs.models.platform import Limits, default_platform
from tests.support.runtime.models import train_logistic
from tests.support.runtime.versions import silent
from tests.support.stores.s3_servers import S3Server, moto_server

LIMITS = Limits()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with moto_server(tmp_path_factory.mktemp("moto")) as server:
        yield server


@pytest.fixture(params=["filesystem", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ArtifactStore:
    if request.param == "filesystem":
        return open_store(platform.FilesystemStoreSpec(type="filesystem", path="store"), tmp_path)
    server: S3Server = request.getfixturevalue("server")
    server.use(monkeypatch)
    bucket = server.make_bucket()
    return open_store(
        platform.S3StoreSpec(type="s3", bucket=bucket, endpoint=server.endpoint, path_style=True), tmp_path
    )


@pytest.fixture
def new(tmp_path: Path) -> NewVersion:
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("scikit-learn\n")
    return NewVersion(train_logistic(tmp_path / "churn.joblib"), "fraud", "churn", "v1", requirements)


def push(store: ArtifactStore, new: NewVersion, limits: Limits, report: Report) -> VersionRef:
    """As the command does it."""
    prepared = prepare_push(new, limits)
    store.put(prepared.ref, prepared.manifest, prepared.files, report)
    return prepared.ref


def test_a_model_with_its_requirements_is_stored_and_comes_back(
    store: ArtifactStore, new: NewVersion, tmp_path: Path
) -> None:
    steps: list[int] = []
    ref = push(store, new, LIMITS, steps.append)
    assert store.list("fraud") == [ref]
    assert sum(steps) == prepare_push(new, LIMITS).size
    folder = store.fetch(ref, tmp_path / "cache")
    assert verify_folder(folder, ref.digest).format is Format.JOBLIB
    assert (folder / "model.joblib").read_bytes() == new.artifact.read_bytes()
    assert (folder / "requirements.txt").read_text() == "scikit-learn\n"


def test_a_folder_is_stored_packed_and_unpacks_as_it_was(store: ArtifactStore, new: NewVersion, tmp_path: Path) -> None:
    folder = tmp_path / "predictor"
    folder.mkdir()
    (folder / "predictor.py").write_text("class Predictor: ...\n")
    ref = push(store, replace(new, artifact=folder), LIMITS, silent)
    stored = store.fetch(ref, tmp_path / "cache")
    assert verify_folder(stored, ref.digest).format is Format.PYTHON
    unpack(stored / "model.tar", tmp_path / "unpacked")
    assert (tmp_path / "unpacked/predictor.py").read_text() == "class Predictor: ...\n"


def test_pushing_again_gives_the_same_digest_and_other_bytes_want_another_name(
    store: ArtifactStore, new: NewVersion
) -> None:
    ref = push(store, new, LIMITS, silent)
    assert push(store, new, LIMITS, silent) == ref
    with pytest.raises(StoreError, match="already stored with another digest") as caught:
        push(store, replace(new, requirements=None), LIMITS, silent)
    assert "name a new version" in caught.value.detail
    other = push(store, replace(new, requirements=None, version="v2"), LIMITS, silent)
    assert store.list("fraud") == [ref, other]


def test_the_line_that_is_written_is_what_a_deployment_then_names(
    store: ArtifactStore, new: NewVersion, tmp_path: Path
) -> None:
    spec = tmp_path / "kubeserve.yaml"
    spec.write_text("apiVersion: kubeserve.io/v1\ntenant: fraud\ndeployments: {churn: {model: churn, version: v1}}\n")
    ref = push(store, new, LIMITS, silent)
    assert add_digest_line(spec, ref)
    assert not add_digest_line(spec, ref)
    loaded = load_tenants([SpecFile("kubeserve.yaml", spec.read_bytes())], default_platform())
    assert loaded.problems == ()
    assert loaded.tenants["fraud"].models["churn"].versions["v1"].spec.digest == ref.digest


def test_what_is_too_large_or_of_no_known_format_is_never_stored(store: ArtifactStore, new: NewVersion) -> None:
    for small in ({"artifact": "100"}, {"requirements": "3"}):
        with pytest.raises(ContentError, match="larger than allowed"):
            push(store, new, Limits.model_validate(small), silent)
    new.artifact.write_text("<html>Log in</html>")
    with pytest.raises(ContentError, match="not what its format says"):
        push(store, new, LIMITS, silent)
    assert store.list("fraud") == []


def test_names_that_no_spec_could_hold_are_refused(store: ArtifactStore, new: NewVersion) -> None:
    wrong = [
        replace(new, tenant="../fraud"),
        replace(new, tenant="api"),
        replace(new, model="Churn"),
        replace(new, version="v1/"),
        replace(new, version=""),
    ]
    for one in wrong:
        with pytest.raises(PushError, match=r"Invalid name|Reserved name"):
            push(store, one, LIMITS, silent)


class Project:
    """A folder with a model and a spec, and the command as a user runs it there."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.folder = folder
        self.model = folder / "churn.pkl"
        self.model.write_bytes(b"\x80\x04 a pickle")
        self.spec = folder / "kubeserve.yaml"
        self.spec.write_text("apiVersion: kubeserve.io/v1\ntenant: fraud  # us\n")
        self._environment = environment

    def push(self, *options: str, version: str = "v1") -> subprocess.CompletedProcess[str]:
        names = ["--tenant", "fraud", "--model", "churn", "--version", version]
        return subprocess.run(
            [sys.executable, "-m", "reconciler", "push", str(self.model), str(self.folder), *names, *options],
            capture_output=True,
            text=True,
            timeout=60,
            cwd=Path(__file__).parents[2],
            env={**os.environ, **self._environment},
        )


@pytest.fixture
def project(tmp_path: Path) -> Project:
    folder = tmp_path / "project"
    folder.mkdir()
    return Project(folder)


def test_the_command_prints_the_digest_alone_and_says_the_line_to_add(project: Project) -> None:
    done = project.push()
    [ref] = FilesystemStore(project.folder / ".kubeserve/store").list("fraud")
    assert (done.returncode, done.stdout) == (0, f"{ref.digest}\n")
    assert f'v1: {{digest: "{ref.digest}"}}' in done.stderr


def test_the_command_writes_the_line_into_a_spec_and_keeps_its_comments(project: Project) -> None:
    done = project.push("--write", str(project.spec))
    assert done.returncode == 0
    assert project.spec.read_text() == (
        "apiVersion: kubeserve.io/v1\ntenant: fraud  # us\nmodels:\n  churn:\n    versions:\n"
        f'      v1: {{digest: "{done.stdout.strip()}"}}\n'
    )
    assert project.push("--write", str(project.spec)).returncode == 0


def test_the_command_refuses_a_taken_name_before_anything_is_stored_or_written(project: Project) -> None:
    project.spec.write_text(project.spec.read_text() + "models: {churn: {versions: {v1: {artifact: churn.pkl}}}}\n")
    before = project.spec.read_text()
    done = project.push("--write", str(project.spec))
    assert (done.returncode, done.stdout) == (1, "")
    assert f"{project.spec}:3:" in done.stderr
    assert "Version 'v1' is defined already" in done.stderr
    assert project.spec.read_text() == before
    assert not (project.folder / ".kubeserve/store/fraud/churn").exists()


def test_the_command_says_that_other_bytes_want_a_new_version(project: Project) -> None:
    project.push()
    project.model.write_bytes(b"\x80\x04 another pickle")
    done = project.push()
    assert (done.returncode, done.stdout) == (1, "")
    assert "name a new version" in done.stderr
    assert "Traceback" not in done.stderr
    assert project.push(version="v2").returncode == 0


def project_on(server: S3Server, folder: Path, bucket: str, **environment: str) -> Project:
    store = f"{{type: s3, bucket: {bucket}, prefix: models/, endpoint: '{server.endpoint}', pathStyle: true}}"
    (folder / "platform.yaml").write_text(f"apiVersion: kubeserve.io/v1\nartifactStore: {store}\n")
    return Project(folder, **{**server.environment(), **environment})


def test_the_command_stores_in_the_bucket_of_platform_yaml(
    server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = server.make_bucket()
    done = project_on(server, tmp_path, bucket).push()
    assert done.returncode == 0, done.stderr
    server.use(monkeypatch)
    assert [ref.digest for ref in server.store(bucket).list("fraud")] == [done.stdout.strip()]


def test_the_command_says_nothing_secret_however_much_it_says(server: S3Server, tmp_path: Path) -> None:
    done = project_on(server, tmp_path, "never-made", AWS_SECRET_ACCESS_KEY="s3cr3t-and-wr0ng").push("-vv")
    assert (done.returncode, done.stdout) == (1, "")
    assert "No such bucket" in done.stderr
    assert "s3cr3t-and-wr0ng" not in done.stderr

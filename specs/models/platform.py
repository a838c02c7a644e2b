"""The models of platform.yaml, the operator's file, and the platform that applies without one.

It is read from the path that the operator gives, never from a fetched source. Nothing here touches the disk or the
network; callers that know the file's folder resolve its relative paths.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Discriminator, Field, Tag, field_validator, model_validator

from specs.models import urls
from specs.models.cluster import Endpoint, Kubernetes, Routing, SecretName, StoreAccess, check_host
from specs.models.fields import API_VERSION, Boolean, Duration, Integer, Memory, Model, TenantName
from specs.models.grants import EgressRule, Quota, TenantGrant, TenantState
from specs.names import check_label, quoted
from specs.problems import Refusal

__all__ = [
    "Allowed",
    "ArtifactStoreSpec",
    "DirectorySpec",
    "EgressRule",
    "FilesystemStoreSpec",
    "Gateway",
    "GitSpec",
    "Guards",
    "Kubernetes",
    "Limits",
    "Platform",
    "Quota",
    "Routing",
    "Runtime",
    "S3StoreSpec",
    "SourceSpec",
    "StoreAccess",
    "TargetKind",
    "TenantGrant",
    "TenantState",
    "default_platform",
]

DEFAULT_STORE = ".kubeserve/store"
DEFAULT_STATE = ".kubeserve/state.json"
DEFAULT_INTERVAL = 60.0
MIN_INTERVAL, MAX_INTERVAL = 1.0, 86_400.0
DEFAULT_ARTIFACT_LIMIT = 500 * 2**20
DEFAULT_REQUIREMENTS_LIMIT = 2**20
DEFAULT_MAX_DELETIONS = 5
DEFAULT_MAX_DELETION_PERCENT = 30
MAX_SOURCES = 100
IMAGE_PATTERN = r"^[a-z0-9][A-Za-z0-9._:/-]*(@sha256:[0-9a-f]{64})?$"


class TargetKind(StrEnum):
    LOCAL = "local"
    KUBERNETES = "kubernetes"


def _check_ref(value: str) -> str:
    if urls.GIT_REF.fullmatch(value) and ".." not in value and "@{" not in value and not value.endswith(".lock"):
        return value
    raise Refusal("git-ref", "Not a Git ref", f"{quoted(value)} is no branch, tag or commit that Git would accept.")


def _check_interval(seconds: float) -> float:
    if MIN_INTERVAL <= seconds <= MAX_INTERVAL:
        return seconds
    raise Refusal("interval-bounds", "Interval out of bounds", "A source is looked at every 1s to every 24h.")


def _check_listen_host(value: str) -> str:
    from ipaddress import ip_address

    try:
        ip_address(value)
    except ValueError:
        return check_host(value)
    return value


SourceName = Annotated[str, AfterValidator(lambda name: check_label(name, "source"))]
FilePath = Annotated[str, Field(min_length=1, max_length=4096, pattern=r"^[^\x00-\x1f]+$")]


class GitSpec(Model):
    """A ref of a Git repository, polled every `interval` seconds."""

    name: SourceName
    """For messages and `kubeserve status`."""
    url: Annotated[str, AfterValidator(urls.check_git_url)]
    """https://, ssh://, or git@host:path; a local path only with `allow: {localGit: true}`."""
    ref: Annotated[str, Field(max_length=255), AfterValidator(_check_ref)] = "HEAD"
    """A branch, tag or commit; the repository's default branch if absent."""
    interval: Annotated[Duration, AfterValidator(_check_interval)] = DEFAULT_INTERVAL
    """How often to look for new commits."""

    @property
    def is_local(self) -> bool:
        """Whether the URL is a path of this machine, which an operator must allow."""
        return urls.is_local_git(self.url)


class DirectorySpec(Model):
    """A directory, read with uncommitted changes, relative to the folder of platform.yaml."""

    name: SourceName
    """For messages and `kubeserve status`."""
    path: FilePath
    """The directory, relative to this file."""


def _source_kind(value: Any) -> str:
    return "git" if isinstance(value, GitSpec) or (isinstance(value, dict) and "url" in value) else "directory"


SourceSpec = Annotated[
    Annotated[GitSpec, Tag("git")] | Annotated[DirectorySpec, Tag("directory")], Discriminator(_source_kind)
]


AWS_ENDPOINT = "https://s3.amazonaws.com"


class FilesystemStoreSpec(Model):
    """Artifacts in a directory, relative to the folder of platform.yaml; for the local target only."""

    type: Literal["filesystem"]
    path: FilePath = DEFAULT_STORE
    """The directory, relative to this file."""

    @property
    def pod_url(self) -> None:
        """Pods in a cluster can't reach a folder."""

    @property
    def pod_access(self) -> None:
        """None: there is nothing that pods could get access to."""


class S3StoreSpec(Model):
    """Artifacts in a bucket. `pod_endpoint` and `pod_access` are for pods that reach it another way."""

    type: Literal["s3"]
    bucket: Annotated[str, Field(pattern=rf"^{urls.BUCKET_PATTERN}$")]
    """The bucket's name."""
    prefix: Annotated[str, AfterValidator(urls.check_prefix)] = ""
    """The prefix of every key, like models/."""
    endpoint: Endpoint | None = None
    """The URL of the S3 API; AWS if absent."""
    region: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,40}$")] | None = None
    """The bucket's region."""
    path_style: Boolean = False
    """Whether URLs have the bucket in the path, which MinIO and others need."""
    pod_endpoint: Endpoint | None = None
    """The URL of the S3 API for pods, if it differs."""
    pod_access: StoreAccess | None = None
    """How pods get access to the store; a tenant's own `storeAccess` overrides it."""

    @property
    def pod_url(self) -> str:
        """The URL from which pods read artifacts."""
        return self.pod_endpoint or self.endpoint or AWS_ENDPOINT


ArtifactStoreSpec = Annotated[FilesystemStoreSpec | S3StoreSpec, Field(discriminator="type")]


class Runtime(Model):
    """What runs variants on Kubernetes."""

    image: Annotated[str, Field(max_length=512, pattern=IMAGE_PATTERN)] | None = None
    """The image of the model server; required with target kubernetes."""
    pull_secret: SecretName | None = None
    """The secret to pull it with, as NAMESPACE/NAME."""


class Limits(Model):
    """How large the files of one version may be."""

    artifact_bytes: Memory = Field(
        default=DEFAULT_ARTIFACT_LIMIT, validation_alias="artifact", serialization_alias="artifact"
    )
    """The largest size of a version's artifact."""
    requirements_bytes: Memory = Field(
        default=DEFAULT_REQUIREMENTS_LIMIT, validation_alias="requirements", serialization_alias="requirements"
    )
    """The largest size of a version's requirements.txt."""


class Guards(Model):
    """A round that would delete more deployments than both stops before its first deletion."""

    max_deletions: Annotated[Integer, Field(ge=0)] = DEFAULT_MAX_DELETIONS
    """A round may always delete this many deployments without confirmation."""
    max_deletion_percent: Annotated[Integer, Field(ge=0, le=100)] = DEFAULT_MAX_DELETION_PERCENT
    """A round may also delete this share of all deployments, in percent; the larger of both limits counts."""


class Gateway(Model):
    """Where the local gateway listens. Without a port one is chosen once and recorded."""

    host: Annotated[str, AfterValidator(_check_listen_host)] = "127.0.0.1"
    """The address to listen on."""
    port: Annotated[Integer, Field(ge=1, le=65535)] | None = None
    """The port; without it, one is chosen once and recorded."""


class Allowed(Model):
    """What is refused unless the operator says otherwise."""

    local_git: Boolean = False
    """Git sources that are paths of this machine."""
    private_addresses: Boolean = False
    """Remote artifacts whose host resolves to a private address."""


class Platform(Model):
    """The whole file; every field but `api_version` has a default."""

    api_version: Literal["kubeserve.io/v1"]
    """The language of this file."""
    installation: Annotated[str, AfterValidator(lambda name: check_label(name, "installation"))] = "default"
    """The installation's name, written on all that it creates, so that two installations can share a target."""
    target: TargetKind = TargetKind.LOCAL
    """Where deployments run."""
    sources: Annotated[tuple[SourceSpec, ...], Field(min_length=1, max_length=MAX_SOURCES)] = (
        DirectorySpec(name="default", path="."),
    )
    """Where specs are read from."""
    artifact_store: ArtifactStoreSpec = FilesystemStoreSpec(type="filesystem")
    """Where artifacts are kept."""
    state: Annotated[str, AfterValidator(urls.check_state)] = DEFAULT_STATE
    """The state file: a path relative to this file, or s3://bucket/key."""
    runtime: Runtime = Runtime()
    """What runs variants on Kubernetes."""
    kubernetes: Kubernetes = Kubernetes()
    """How KubeServe uses the cluster."""
    tenants: dict[TenantName, TenantGrant] = Field(default_factory=dict)
    """The tenants, and what each is granted. If absent, every tenant that a spec names is accepted."""
    limits: Limits = Limits()
    """How large files may be."""
    guards: Guards = Guards()
    """How much a round may delete."""
    gateway: Gateway = Gateway()
    """Where the local gateway listens."""
    allow: Allowed = Allowed()
    """What is refused unless it is allowed here."""

    def may_speak_at(self, tenant: str, path: str) -> bool:
        """Whether a spec at this path may belong to this tenant. Always true if no tenants are listed."""
        if not self.tenants:
            return True
        grant = self.tenants.get(tenant)
        return grant is not None and grant.may_speak_at(path)

    def for_target(self, target: TargetKind) -> Self:
        """A copy with another target. Raises a Refusal if a field that this target needs is missing."""
        chosen = self.model_copy(update={"target": target})
        chosen._check_target()
        return chosen

    @field_validator("sources")
    @classmethod
    def _names_once(cls, sources: tuple[GitSpec | DirectorySpec, ...]) -> tuple[GitSpec | DirectorySpec, ...]:
        names = [source.name for source in sources]
        for index, name in enumerate(names):
            if name in names[:index]:
                raise Refusal(
                    "duplicate-name", "A name defined twice", f"Two sources are named '{name}'.", (index, "name")
                )
        return sources

    @model_validator(mode="after")
    def _target_has_what_it_needs(self) -> Self:
        self._check_target()
        return self

    def _check_target(self) -> None:
        if self.target is TargetKind.KUBERNETES and isinstance(self.artifact_store, FilesystemStoreSpec):
            raise Refusal(
                "store-of-target",
                "A store that pods can't reach",
                "A filesystem store is for the local target only. With 'target: kubernetes' write "
                "`artifactStore: {type: s3, bucket: …}`.",
                ("artifactStore",),
            )
        if self.target is TargetKind.KUBERNETES and self.runtime.image is None:
            raise Refusal(
                "no-image",
                "No runtime image",
                "With 'target: kubernetes' variants run from an image. Name it: `runtime: {image: …}`.",
                ("runtime",),
            )

    @model_validator(mode="after")
    def _local_git_is_allowed(self) -> Self:
        for index, source in enumerate(self.sources):
            if isinstance(source, GitSpec) and source.is_local and not self.allow.local_git:
                raise Refusal(
                    "local-git",
                    "A Git repository of this machine",
                    "Sources are fetched over https or ssh. To read a repository of this machine write "
                    "`allow: {localGit: true}`, or name it by `path:` to read its working tree.",
                    ("sources", index, "url"),
                )
        return self


def default_platform() -> Platform:
    """The defaults without a platform.yaml: this directory, any tenant, the local target, all data in .kubeserve/."""
    return Platform(api_version=API_VERSION)

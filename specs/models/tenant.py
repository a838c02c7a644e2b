"""The models of kubeserve.yaml: what a team writes.

The loader validates each model, version and deployment with these; the engine reads them. Numbers are plain:
millicores, bytes, seconds. What needs more than one entry (does that version exist?) is checked in
`loading/joining.py`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from specs.models import urls
from specs.models.deployment import (
    DEFAULT_MAX_REPLICAS,
    Check,
    EnvValue,
    ReplicasSpec,
    Resources,
    SecretRefSpec,
    Timeouts,
)
from specs.models.fields import DeploymentName, EnvName, Integer, Model, ModelName, TenantName, VersionName
from specs.problems import Refusal

__all__ = [
    "Check",
    "DeploymentSpec",
    "Description",
    "EnvValue",
    "ModelFormat",
    "ModelSpec",
    "ReplicasSpec",
    "Resources",
    "SecretRefSpec",
    "TenantFile",
    "Timeouts",
    "VersionSpec",
]

MAX_DESCRIPTION = 2_000
MAX_CHECKS = 32
MAX_ENV = 200
ALL_TRAFFIC = 100

Description = Annotated[str, Field(max_length=MAX_DESCRIPTION)]


class ModelFormat(StrEnum):
    JOBLIB = "joblib"
    PICKLE = "pickle"
    SKOPS = "skops"
    ONNX = "onnx"
    XGBOOST = "xgboost"
    LIGHTGBM = "lightgbm"
    PYTHON = "python"


class VersionSpec(Model):
    """One immutable version: its bytes are named by where they are, or by the digest that the store has them under."""

    artifact: Annotated[str, AfterValidator(urls.check_artifact)] | None = None
    """The model: a file or folder relative to this file, or an s3:// or https:// URL."""
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    """What the artifact's bytes must be; required for a URL."""
    digest: Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")] | None = None
    """Instead of an artifact: a version that the store has already, as `kubeserve push` prints it."""
    format: ModelFormat | None = None
    """The format of the artifact, if its name doesn't show it."""
    requirements: Annotated[str, AfterValidator(urls.check_requirements)] | None = None
    """The requirements.txt of what the model imports, relative to this file."""
    description: Description | None = None
    """A description for people."""

    @property
    def is_remote(self) -> bool:
        """Whether the artifact is an s3:// or https:// URL."""
        return self.artifact is not None and urls.is_url(self.artifact)

    @model_validator(mode="after")
    def _named_once(self) -> Self:
        if self.artifact is None and self.digest is None:
            raise Refusal(
                "no-artifact",
                "No artifact",
                "A version names its `artifact:` (a path, s3:// or https://), or the `digest:` that `kubeserve push` "
                "printed for it.",
            )
        if self.digest is not None:
            for field in ("artifact", "sha256", "format", "requirements"):
                if getattr(self, field) is not None:
                    raise Refusal(
                        "digest-says-all",
                        "Digest and more",
                        f"The digest pins all of a version already, so that `{field}:` has no say. Remove one of them.",
                        (field,),
                    )
        if self.is_remote and self.sha256 is None:
            raise Refusal(
                "no-sha256",
                "Remote artifact without sha256",
                "What a URL answers can change, so a remote artifact is pinned by `sha256:`. "
                "`sha256sum FILE` prints it.",
                ("artifact",),
            )
        return self


class ModelSpec(Model):
    """A named model and its versions."""

    versions: Annotated[dict[VersionName, VersionSpec], Field(min_length=1)]
    """The versions by name. A version never changes: new bytes are a new version."""
    description: Description | None = None
    """A description for people."""


def _bound_checks(checks: Any) -> Any:
    """Limits the number of checks before they are validated: a million invalid checks would give a million errors."""
    if isinstance(checks, list | tuple) and len(checks) > MAX_CHECKS:
        raise Refusal("too-long", "Too long", f"`checks:` has at most {MAX_CHECKS} entries; one may have many rows.")
    return checks


class DeploymentSpec(Model):
    """A model served under a stable URL: one version of it, or several that share the traffic."""

    model: ModelName
    """The model to serve, one of this tenant's."""
    version: VersionName | None = None
    """The version to serve."""
    traffic: dict[VersionName, Annotated[Integer, Field(ge=0, le=ALL_TRAFFIC)]] | None = None
    """Instead of `version:`, the percentage of requests for each version; the sum is 100."""
    replicas: ReplicasSpec = ReplicasSpec(min=1, max=DEFAULT_MAX_REPLICAS)
    """How many replicas of each version run; by default one to five, chosen by an autoscaler."""
    resources: Resources = Resources()
    """The CPU and memory of each process."""
    env: Annotated[dict[EnvName, EnvValue], Field(max_length=MAX_ENV)] = Field(default_factory=dict)
    """Environment variables: text, or {secret: NAME, key: KEY}."""
    checks: Annotated[tuple[Check, ...], Field(max_length=MAX_CHECKS), BeforeValidator(_bound_checks)] = ()
    """Requests that a new version must answer correctly before it gets traffic."""
    timeouts: Timeouts = Timeouts()
    """Time limits."""

    @property
    def weights(self) -> dict[str, int]:
        """Percent of the traffic by version; 100 for a single one."""
        return dict(self.traffic) if self.traffic is not None else {self.version or "": ALL_TRAFFIC}

    @field_validator("traffic")
    @classmethod
    def _adds_up(cls, traffic: dict[str, int] | None) -> dict[str, int] | None:
        if traffic is None or sum(traffic.values()) == ALL_TRAFFIC:
            return traffic
        shares = " + ".join(map(str, traffic.values())) if len(traffic) <= 10 else "They"
        raise Refusal(
            "weights",
            "Weights don't add up to 100",
            f"The weights of `traffic:` are percentages: {shares} is {sum(traffic.values())}, not {ALL_TRAFFIC}."
            if traffic
            else "`traffic:` is empty. Name a version and its share: {v1: 100}.",
        )

    @model_validator(mode="after")
    def _one_or_several(self) -> Self:
        if self.version is None and self.traffic is None:
            raise Refusal(
                "no-version",
                "No version",
                "A deployment serves a `version:`, or shares its `traffic:` between several.",
            )
        if self.version is not None and self.traffic is not None:
            raise Refusal(
                "version-and-traffic",
                "Both version and traffic",
                "Keep `version:` to serve one version, or `traffic:` to share between several, not both.",
                ("traffic",),
            )
        return self


class TenantFile(Model):
    """One document of a kubeserve.yaml. Several documents may define one tenant together."""

    model_config = ConfigDict(defer_build=True)

    api_version: Literal["kubeserve.io/v1"]
    """The language of this file."""
    tenant: TenantName
    """The team whose models and deployments these are."""
    models: dict[ModelName, ModelSpec] = Field(default_factory=dict)
    """Models by name."""
    deployments: dict[DeploymentName, DeploymentSpec] = Field(default_factory=dict)
    """Deployments by name; the name is a part of the URL."""

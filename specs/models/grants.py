"""What the operator grants a tenant: its spec files and remote artifacts, its quota, the addresses that its pods may
reach, and its members."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Discriminator, Field, Tag, field_validator

from specs.models.cluster import ChartValues, StoreAccess
from specs.models.fields import Cpu, Integer, Memory, Model
from specs.models.paths import is_glob, matches_any, may_match_below
from specs.models.remote import DEFAULT_GRANTS, check_grant
from specs.names import LABEL_PATTERN, MAX_NAME, quoted
from specs.problems import Refusal

MAX_GLOBS = 100
MAX_GLOB = 512
MAX_ARTIFACT_GRANTS = 100
MAX_EGRESS_RULES = 50
MAX_CIDRS = 100
MAX_PORTS = 50
MAX_MEMBERS = 1_000
MAX_MEMBER = 254
EVERYWHERE = ("**",)


class TenantState(StrEnum):
    ACTIVE = "active"
    REMOVED = "removed"


class Quota(Model):
    """The most that all variants of a tenant may use together; 2 CPU, 4Gi and 5 pods by default."""

    cpu_millicores: Cpu | None = Field(default=None, validation_alias="cpu", serialization_alias="cpu")
    """CPU of all its pods together."""
    memory_bytes: Memory | None = Field(default=None, validation_alias="memory", serialization_alias="memory")
    """Memory of all its pods together."""
    pods: Annotated[Integer, Field(ge=0)] | None = None
    """How many pods it may have."""


def _check_cidr(value: str) -> str:
    from ipaddress import ip_network

    try:
        ip_network(value)
    except ValueError as error:
        raise Refusal(
            "cidr", "Not a network", f"{quoted(value)} is no network: {error}. Write 203.0.113.0/24."
        ) from None
    if "/" in value:
        return value
    raise Refusal("cidr", "Not a network", f"{quoted(value)} names one address. Write {value}/32 to mean only that.")


class EgressRule(Model):
    name: Annotated[str, Field(max_length=MAX_NAME, pattern=rf"^{LABEL_PATTERN}$")]
    """The rule's name, which becomes part of the policy's name."""
    cidrs: Annotated[tuple[Annotated[str, AfterValidator(_check_cidr)], ...], Field(min_length=1, max_length=MAX_CIDRS)]
    """Networks, like 203.0.113.0/24."""
    ports: Annotated[tuple[Annotated[Integer, Field(ge=1, le=65535)], ...], Field(min_length=1, max_length=MAX_PORTS)]
    """TCP ports."""


def _egress_kind(value: Any) -> str:
    return "rule" if isinstance(value, dict | EgressRule) else "known"


Egress = Annotated[
    Annotated[Literal["package-index"], Tag("known")] | Annotated[EgressRule, Tag("rule")], Discriminator(_egress_kind)
]


def _check_glob(glob: str) -> str:
    if glob.startswith("/") or "\\" in glob or not glob or ".." in glob.split("/"):
        raise Refusal(
            "glob",
            "Not a glob of paths",
            f"{quoted(glob)} must be relative to the source's root, with slashes, like teams/fraud/**.",
        )
    if not is_glob(glob):
        raise Refusal(
            "glob",
            "Not a glob of paths",
            f"{quoted(glob)}: `**` stands for whole folders, so write it between slashes, like teams/fraud/**.",
        )
    return glob


class TenantGrant(Model):
    """A tenant's part of platform.yaml."""

    paths: Annotated[
        tuple[Annotated[str, Field(max_length=MAX_GLOB), AfterValidator(_check_glob)], ...],
        Field(min_length=1, max_length=MAX_GLOBS),
    ] = EVERYWHERE
    """Globs of this tenant's spec files, from a source's root; any file if absent."""
    quota: Quota | None = None
    """The most that it may use."""
    artifacts: Annotated[
        tuple[Annotated[str, AfterValidator(check_grant)], ...], Field(max_length=MAX_ARTIFACT_GRANTS)
    ] = DEFAULT_GRANTS
    """Origins of its remote artifacts: s3://bucket/prefix/, https://host, or https://* for every host."""
    egress: Annotated[tuple[Egress, ...], Field(max_length=MAX_EGRESS_RULES)] = ()
    """The addresses that the tenant's pods may reach: package-index, or rules."""
    store_access: StoreAccess | None = None
    """How the tenant's pods get access to the store."""
    values: ChartValues | None = None
    """Chart values for this tenant only; they override `kubernetes.values`."""
    members: Annotated[
        tuple[Annotated[str, Field(min_length=1, max_length=MAX_MEMBER)], ...], Field(max_length=MAX_MEMBERS)
    ] = ()
    """The login names of the tenant's members."""
    state: TenantState = TenantState.ACTIVE
    """removed: the one way to remove a tenant."""

    def may_speak_at(self, path: str) -> bool:
        """Whether a spec at this path of a source (POSIX, from its root) may be this tenant's."""
        return matches_any(path, self.paths)

    def may_speak_below(self, folder: str) -> bool:
        """Whether some spec below this folder of a source may be this tenant's."""
        return may_match_below(folder, self.paths)

    @field_validator("egress")
    @classmethod
    def _names_once(cls, egress: tuple[EgressRule | str, ...]) -> tuple[EgressRule | str, ...]:
        names = [rule.name if isinstance(rule, EgressRule) else rule for rule in egress]
        for index, name in enumerate(names):
            if name in names[:index]:
                raise Refusal(
                    "duplicate-name", "A name defined twice", f"Two rules of `egress:` are named '{name}'.", (index,)
                )
        return egress

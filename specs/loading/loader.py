"""The one loader of all entry points: files in, healthy tenants and all problems out. No I/O.

Called with what the sources hold, at the start of a round and by `kubeserve validate`. A broken tenant stops
only that tenant, and content that can't be understood never causes a deletion.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from pydantic import ValidationError

from specs.loading.claims import claimants, tenants_at, tenants_below, tenants_in
from specs.loading.faults import Part, empty_fields, problems_of
from specs.loading.joining import check_names_once, check_references, join
from specs.loading.loaded import Loaded, LoadedDeployment, LoadedModel, LoadedVersion, SpecFile, TenantSpec, Unread
from specs.loading.tenant_document import TenantDocument, read_document
from specs.models.paths import is_spec_path, resolve_path
from specs.models.platform import Platform, TenantState
from specs.names import did_you_mean, quoted
from specs.problems import Place, Problem, Severity, SpecErrors
from specs.syntax.builder import MAX_PROBLEMS
from specs.syntax.reader import Reading, read_yaml

__all__ = [
    "Loaded",
    "LoadedDeployment",
    "LoadedModel",
    "LoadedVersion",
    "SpecFile",
    "TenantSpec",
    "Unread",
    "is_spec_path",
    "load_platform",
    "load_tenants",
    "resolve_path",
]


def load_tenants(files: Iterable[SpecFile], platform: Platform) -> Loaded:
    """Loads all files. Never raises, whatever their content."""
    read = [_read(file, platform) for file in files]
    lost = frozenset[str]().union(*(file.lost or () for file in read))
    documents: dict[str, list[TenantDocument]] = {}
    for file in read:
        for document in file.accepted:
            documents.setdefault(document.tenant or "", []).append(document)
    for tenant, group in documents.items():
        check_names_once(group)
        if tenant not in lost:  # otherwise a missing name may be defined in a file that could not be read
            check_references(group)
    broken = {t for t, group in documents.items() if any(document.errors for document in group)}
    broken |= {t for file in read for t in file.broken}
    return Loaded(
        tenants={name: join(name, group) for name, group in documents.items() if name not in broken},
        problems=tuple(problem for file in read for problem in _in_order(file)),
        broken=frozenset(broken),
        unreadable=any(file.lost is None for file in read),
        claimed=frozenset(t for file in read for t in file.claimed) - broken,
    )


def load_platform(path: str, content: bytes) -> Platform:
    """The operator's file. Raises SpecErrors with all that is wrong with it."""
    reading = read_yaml(path, content)
    problems = list(reading.problems)
    documents = [document for document in reading.documents if document.data is not None]
    if reading.complete and len(documents) != 1:
        what = "It has several documents." if documents else "It has nothing in it."
        detail = f"{what} Write one, which starts with 'apiVersion: kubeserve.io/v1'."
        problems.append(reading.text.problem(0, "platform", "Not a platform.yaml", detail))
    if len(documents) == 1:
        [document] = documents
        part = Part(Platform, document.data, document.places)
        try:
            platform = Platform.model_validate(document.data, by_alias=True, by_name=False)
        except ValidationError as error:
            problems += problems_of(error, part, MAX_PROBLEMS)
        else:
            problems += empty_fields(part, MAX_PROBLEMS)
            if not problems:
                return platform
    raise SpecErrors(sorted(problems, key=_position))


@dataclass(slots=True)
class _ReadFile:
    """`lost`: tenants to which the unreadable parts may belong, None: any; `broken` and `claimed` as in Loaded."""

    accepted: list[TenantDocument] = field(default_factory=list)
    refused: list[TenantDocument] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    lost: frozenset[str] | None = frozenset()
    broken: set[str] = field(default_factory=set)
    claimed: set[str] = field(default_factory=set)


def _read(file: SpecFile, platform: Platform) -> _ReadFile:
    if file.unread:
        return _not_read(file, file.unread, platform)
    reading = read_yaml(file.shown or file.path, file.content)
    read = _ReadFile(problems=list(reading.problems))
    documents = [read_document(file, document) for document in reading.documents if document.data is not None]
    if reading.complete and not documents:
        read.problems.append(_empty(reading))
    for document in documents:
        _admit(document, platform, read)
    if not documents or not reading.complete or any(document.tenant is None for document in documents):
        _lose(read, claimants(reading.text.text, file.path, platform), platform, file.path)
    if reading.problems:
        read.broken |= {document.tenant for document in read.accepted if document.tenant}
        if any(
            problem.code == "duplicate-key" for problem in reading.problems
        ):  # the key that is defined twice may be `tenant:`
            _protect(read, tenants_in(reading.text.text) or frozenset(), platform, file.path)
    return read


def _not_read(file: SpecFile, why: Unread, platform: Platform) -> _ReadFile:
    """Protects the tenants whose `paths:` match. A folder that no tenant's `paths:` match needs no protection."""
    if why.is_folder:
        tenants = tenants_below(file.path, platform)
    else:
        tenants = claimants(file.content.decode(errors="replace"), file.path, platform)
    read = _ReadFile()
    if tenants != frozenset():
        place = Place(file.shown or file.path, 0, 0)
        read.problems.append(Problem(Severity.ERROR, "unread-spec", place, why.summary, why.detail))
    if tenants is not None and (why.is_folder or not is_spec_path(file.path)):
        read.claimed |= _not_removed(tenants, platform)  # their other files are still applied
    else:
        _lose(read, tenants, platform, file.path)
    return read


def _empty(reading: Reading) -> Problem:
    return reading.text.problem(
        0,
        "empty-file",
        "Empty spec",
        "This file is empty, so nothing is applied or deleted because of it. Remove the file, or write "
        "'apiVersion:' and 'tenant:'.",
    )


def _lose(read: _ReadFile, tenants: frozenset[str] | None, platform: Platform, path: str) -> None:
    """Notes to which tenants the unreadable parts of the file may belong."""
    if tenants is None or read.lost is None:
        read.lost = None
    else:
        read.lost |= _protect(read, tenants, platform, path)


def _protect(read: _ReadFile, tenants: frozenset[str], platform: Platform, path: str) -> frozenset[str]:
    """Protects these tenants; returns those of them whose `paths:` match this file, which are broken by it."""
    kept = _not_removed(tenants, platform)
    own = frozenset(tenant for tenant in kept if platform.may_speak_at(tenant, path))
    read.broken |= own
    read.claimed |= kept - own
    return own


def _not_removed(tenants: frozenset[str], platform: Platform) -> frozenset[str]:
    return tenants - {name for name, grant in platform.tenants.items() if grant.state is TenantState.REMOVED}


def _admit(document: TenantDocument, platform: Platform, read: _ReadFile) -> None:
    """Adds a document to its tenant, or reports why the tenant may not have it."""
    tenant, path = document.tenant, document.file.path
    grant = platform.tenants.get(tenant or "")
    if tenant is None:
        read.refused.append(document)
    elif platform.tenants and grant is None:
        _refuse(read, document, "unknown-tenant", "Unknown tenant", _unlisted(tenant, platform))
        _lose(read, tenants_at(path, platform), platform, path)
    elif grant and grant.state is TenantState.REMOVED:
        detail = (
            f"The operator removes tenant {quoted(tenant)} (`state: removed`), so this file says nothing. Delete it."
        )
        _refuse(read, document, "removed-tenant", "Removed tenant", detail)
    elif not platform.may_speak_at(tenant, path):
        globs = ", ".join(grant.paths) if grant else ""
        detail = f"Tenant {quoted(tenant)} may only have specs at {globs}. Move this file, or ask the operator."
        _refuse(read, document, "outside-paths", "Outside of the tenant's paths", detail)
        read.claimed.add(tenant)
    else:
        read.accepted.append(document)


def _refuse(read: _ReadFile, document: TenantDocument, code: str, summary: str, detail: str) -> None:
    document.errors.clear()  # its other problems don't matter
    document.warnings.clear()
    document.report(("tenant",), code, summary, detail)
    read.refused.append(document)


def _unlisted(tenant: str, platform: Platform) -> str:
    meant = did_you_mean(tenant, platform.tenants)
    what = "Otherwise ask" if meant else "Ask"
    return (
        f"platform.yaml lists the tenants that there are, and {quoted(tenant)} is not among them.{meant} "
        f"{what} the operator to add it."
    )


def _in_order(file: _ReadFile) -> Sequence[Problem]:
    documents = (*file.accepted, *file.refused)
    errors = [*file.problems, *(error for document in documents for error in document.errors)]
    warnings = [warning for document in documents for warning in document.warnings]
    problems = sorted((errors + warnings)[:MAX_PROBLEMS], key=_position)
    if len(problems) == MAX_PROBLEMS:
        detail = "The others are shown once these are fixed."
        problems.append(Problem(Severity.WARNING, "too-many-problems", problems[-1].place, "Too many problems", detail))
    return problems


def _position(problem: Problem) -> Place:
    return problem.place or Place("", 0, 0)

"""One line added to a user's spec: `kubeserve push --write` names the version that it has just stored.

In: a kubeserve.yaml and what to add. Out: the same bytes with one entry more. Nothing is dumped again, since every
dumper reformats something: the entry is inserted as text where the parsed document says, and the result is parsed to
see that it says this and nothing else.
"""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from reconciler.artifacts.protocol import VersionRef
from reconciler.authoring.insertion import Entry, insert
from specs.errors import KubeServeError
from specs.names import quoted
from specs.problems import Severity, SpecErrors
from specs.syntax.documents import Document
from specs.syntax.reader import MAX_FILE_BYTES, Reading, read_yaml

_BOM = "\ufeff"


class SpecEditError(KubeServeError):
    """A spec that can't be read, written, or added to."""

    code = "spec_edit"


def add_digest_line(spec: Path, ref: VersionRef) -> bool:
    """Adds a version's digest to a spec, with its parent mappings if they are missing. False: it was there already.

    Raises SpecErrors for a spec with errors, of another tenant, or in which the version is defined otherwise;
    SpecEditError for one that can't be read or written, or whose form is too unusual to be added to."""
    before = _read(spec)
    after = with_digest(str(spec), before, ref)
    if after == before:
        return False
    _replace(spec, before, after)
    return True


def check_digest_line(spec: Path, ref: VersionRef) -> None:
    """Raises what `add_digest_line` would raise, before anything is uploaded in vain. Changes nothing."""
    with_digest(str(spec), _read(spec), ref)


def with_digest(name: str, content: bytes, ref: VersionRef) -> bytes:
    """The content of the spec `name` with the version in it. Raises as `add_digest_line` does."""
    reading = read_yaml(name, content)
    if not _is_sound(reading):
        raise SpecErrors(reading.problems)
    index = _choose(reading, ref)
    if _is_there(reading, ref):
        return content
    text = content.decode()
    bom, text = (_BOM, text[1:]) if text.startswith(_BOM) else ("", text)
    try:
        changed = (bom + insert(text, index, _entry(ref))).encode()
    except ValueError as error:
        raise _too_unusual(name, ref) from error
    if _said(read_yaml(name, changed)) != _expected(reading, index, ref):
        raise _too_unusual(name, ref)
    return changed


def _choose(reading: Reading, ref: VersionRef) -> int:
    """Of the documents of the tenant, the one that has the model, or the first."""
    mine = [index for index, document in enumerate(reading.documents) if _is_of(document, ref)]
    if mine:
        having = [index for index in mine if _at(reading.documents[index].data, _keys(ref)[:2]) is not None]
        return (having or mine)[0]
    words = "edit", "Spec of another tenant", f"It says nothing for tenant '{ref.tenant}'. Name a file of that tenant."
    if not reading.documents:
        raise SpecErrors([reading.text.problem(0, *words)])
    raise SpecErrors([reading.documents[0].places.problem(("tenant",), *words)])


def _is_there(reading: Reading, ref: VersionRef) -> bool:
    """SpecErrors if the version is defined differently, or if its place holds something else."""
    return any(_has(document, ref) for document in reading.documents if _is_of(document, ref))


def _has(document: Document, ref: VersionRef) -> bool:
    *parents, version = _keys(ref)
    for depth in range(1, len(parents) + 1):
        if not isinstance(_at(document.data, parents[:depth]), dict | None):
            raise _conflict(document, parents[:depth], "Names with their values belong here.")
    versions = _at(document.data, parents) or {}
    if version not in versions:
        return False
    if _at(versions, (version, "digest")) == ref.digest:
        return True
    raise _conflict(
        document,
        _keys(ref),
        f"Version {quoted(version)} is defined already, as something other than {ref.digest}. "
        "A version never changes: push under a new name, or edit this line yourself.",
    )


def _is_of(document: Document, ref: VersionRef) -> bool:
    return isinstance(document.data, dict) and document.data.get("tenant") == ref.tenant


def _conflict(document: Document, keys: Sequence[str], detail: str) -> SpecErrors:
    return SpecErrors([document.places.problem(keys, "edit", "Spec can't be added to", detail)])


def _at(data: Any, keys: Sequence[str]) -> Any:
    for key in keys:
        data = data.get(key) if isinstance(data, dict) else None
    return data


def _is_sound(reading: Reading) -> bool:
    return reading.complete and not any(problem.severity is Severity.ERROR for problem in reading.problems)


def _said(reading: Reading) -> Any:
    return None if not _is_sound(reading) else [_unshared(document.data) for document in reading.documents]


def _expected(reading: Reading, index: int, ref: VersionRef) -> Any:
    said = _said(reading)
    mapping = said[index]
    for name in _keys(ref)[:-1]:
        mapping[name] = mapping.get(name) or {}
        mapping = mapping[name]
    mapping[ref.version] = {"digest": ref.digest}
    return said


def _unshared(data: Any) -> Any:
    """A copy in which an alias is a copy too, so that a change behind one would show."""
    if isinstance(data, dict):
        return {key: _unshared(value) for key, value in data.items()}
    return [_unshared(value) for value in data] if isinstance(data, list) else data


def _keys(ref: VersionRef) -> tuple[str, ...]:
    return ("models", ref.model, "versions", ref.version)


def _entry(ref: VersionRef) -> Entry:
    return Entry(_keys(ref), f'{{digest: "{ref.digest}"}}')


def _too_unusual(name: str, ref: VersionRef) -> SpecEditError:
    lines = "\n".join(_entry(ref).block(0, 2))
    return SpecEditError(
        "Spec can't be added to", f"The way {name} is written leaves no safe place. Add this yourself:\n{lines}"
    )


def _read(spec: Path) -> bytes:
    try:
        with spec.open("rb") as file:
            return file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise SpecEditError("Spec can't be read", f"{spec}: {error.strerror}.") from error


def _replace(spec: Path, before: bytes, after: bytes) -> None:
    """All or nothing, with the file's mode, and only if nobody saved it meanwhile. A link stays a link."""
    target = spec.resolve()
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    try:
        _write(temporary, after, target.stat().st_mode)
        if target.read_bytes() != before:
            raise SpecEditError("Spec was changed meanwhile", f"{spec} was saved by somebody else. Try again.")
        temporary.replace(target)
    except OSError as error:
        raise SpecEditError("Spec can't be written", f"{spec}: {error.strerror}.") from error
    finally:
        temporary.unlink(missing_ok=True)


def _write(path: Path, content: bytes, mode: int) -> None:
    with path.open("xb") as file:
        os.fchmod(file.fileno(), stat.S_IMODE(mode))
        file.write(content)
        file.flush()
        os.fsync(file.fileno())

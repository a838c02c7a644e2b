"""Words pydantic's errors: for each kind of error a code, a constant summary and a detail.

Called by `faults.py` only. A detail says what is wrong and how to fix it, and never repeats a value that may be secret.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from specs.credentials import is_credential_name
from specs.loading.known_fields import known_fields
from specs.names import did_you_mean, listing, quoted
from specs.syntax.documents import KEY, Key, Places
from specs.syntax.scalars import taken_for, unquoted

Words = tuple[str, str, str]  # code, summary, detail


@dataclass(frozen=True, slots=True)
class Part:
    """The part that was validated: `data` is under `keys` of a document and should be a valid `model`."""

    model: type[BaseModel]
    data: Any
    places: Places
    keys: tuple[Key, ...] = ()


@dataclass(frozen=True, slots=True)
class Fault:
    """One error of pydantic. `keys` lead from the document's root to the faulty value, without the tags of unions."""

    part: Part
    keys: tuple[Key, ...]
    field: str
    value: Any
    context: Mapping[str, Any]
    message: str


def words_for(kind: str, fault: Fault) -> Words:
    """The words for an error of pydantic's type `kind`."""
    return _WORDS.get(kind, _other)(fault)


def _missing(fault: Fault) -> Words:
    hints = {
        "apiVersion": "Files start with 'apiVersion: kubeserve.io/v1'.",
        "tenant": "Write 'tenant: NAME': the team whose models these are.",
    }
    detail = hints.get(fault.field, f"{_subject(fault.keys)} needs `{fault.field}:`.")
    if fault.field == "path" and fault.keys[:1] == ("sources",):
        detail = "A source is read from the `url:` of a Git repository, or the `path:` of a directory."
    return "missing-field", "Missing field", detail


def _unknown(fault: Fault) -> Words:
    if fault.field in _OPERATORS_FIELDS and not fault.part.keys and "tenant" in fault.part.model.model_fields:
        return "operators-field", "Not a tenant's to set", f"`{fault.field}:` is the operator's, in platform.yaml."
    known = known_fields(fault.part.model, fault.keys[len(fault.part.keys) : -1], fault.field)
    return (
        "unknown-field",
        "Unknown field",
        f"{quoted(fault.field)} is no field of {_subject(fault.keys[:-1], start=False)}."
        f"{did_you_mean(fault.field, known)}\nIt has {listing(known, limit=12)}.",
    )


def _not_text(fault: Fault) -> Words:
    if fault.value is None:
        return _empty(fault)
    plain = fault.part.places.plain_scalar(fault.keys)
    if isinstance(fault.value, int | float) and (meaning := taken_for(plain)):
        return unquoted(plain, meaning)
    return "not-text", "Not text", f"`{_name(fault)}:` takes text, and has {_kind(fault.value)}."


def _not_mapping(fault: Fault) -> Words:
    if fault.value is None:
        return _empty(fault)
    return (
        "not-a-mapping",
        "Not a mapping",
        f"{_subject(fault.keys)} takes 'name: value' pairs, and has {_kind(fault.value)}.",
    )


def _not_list(fault: Fault) -> Words:
    if fault.value is None:
        return _empty(fault)
    return "not-a-list", "Not a list", f"`{_name(fault)}:` takes a list, [like, this], and has {_kind(fault.value)}."


def _empty(fault: Fault) -> Words:
    if "env" in fault.keys:
        return "empty", "Nothing is written here", 'Write "" for an empty value, or remove the line.'
    return "empty", "Nothing is written here", f"{_subject(fault.keys)} is empty. Write its value, or remove the line."


def _not_integer(fault: Fault) -> Words:
    if fault.value is None:
        return _empty(fault)
    hint = " Remove the quotes." if isinstance(fault.value, str) and fault.value.isdecimal() else ""
    return (
        "not-a-number",
        "Not a whole number",
        f"`{_name(fault)}:` takes a whole number, and has {_shown(fault)}.{hint}",
    )


def _not_number(fault: Fault) -> Words:
    if fault.value is None:
        return _empty(fault)
    return "not-a-number", "Not a number", f"`{_name(fault)}:` takes a number, and has {_shown(fault)}."


def _not_boolean(fault: Fault) -> Words:
    if fault.value is None:
        return _empty(fault)
    return "not-a-boolean", "Neither true nor false", f"`{_name(fault)}:` is true or false, and not {_shown(fault)}."


def _not_a_choice(fault: Fault) -> Words:
    choices = [choice.strip("'") for choice in fault.context["expected"].replace(" or ", ", ").split(", ")]
    if fault.field == "apiVersion":
        return (
            "api-version",
            "Unknown apiVersion",
            f"This KubeServe reads {choices[0]}, and not {_shown(fault)}. A newer file needs a newer KubeServe.",
        )
    hint = did_you_mean(fault.value, choices) if isinstance(fault.value, str) else ""
    return (
        "unknown-value",
        "Unknown value",
        f"`{_name(fault)}:` is {' or '.join(choices)}, and not {_shown(fault)}.{hint}",
    )


def _unknown_type(fault: Fault) -> Words:
    choices = [choice.strip("'") for choice in fault.context["expected_tags"].split(", ")]
    tag = str(fault.context["tag"])
    return (
        "unknown-value",
        "Unknown value",
        f"The `type:` of {_subject(fault.keys, start=False)} is {' or '.join(choices)}, and not {quoted(tag)}."
        f"{did_you_mean(tag, choices)}",
    )


def _no_type(fault: Fault) -> Words:
    return "missing-field", "Missing field", f"{_subject(fault.keys)} needs `type:`."


def _too_long(fault: Fault) -> Words:
    limit = fault.context["max_length"]
    unit = "characters" if isinstance(fault.value, str) else "entries"
    return "too-long", "Too long", f"{_subject(fault.keys)} has at most {limit:,} {unit}."


def _too_short(fault: Fault) -> Words:
    return "empty", "Nothing is written here", f"{_subject(fault.keys)} needs at least one entry."


def _out_of_bounds(fault: Fault) -> Words:
    bounds = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than"}
    bound = next(f"{words} {fault.context[key]}" for key, words in bounds.items() if key in fault.context)
    return "out-of-bounds", "Number out of bounds", f"`{_name(fault)}:` is {bound}, and not {_shown(fault)}."


def _malformed(fault: Fault) -> Words:
    wanted = _FORMS.get(fault.field, f"must match {fault.context['pattern']}")
    return "malformed", "Malformed value", f"`{_name(fault)}:` {wanted}."


def _other(fault: Fault) -> Words:
    return "invalid", "Invalid value", f"{_subject(fault.keys)}: {fault.message}."


_OPERATORS_FIELDS = frozenset({"paths", "quota", "egress", "members", "storeAccess", "limits", "state", "target"})

_FORMS = {
    "sha256": "must be 64 lower-case hex digits, as `sha256sum FILE` prints them",
    "digest": "must be 'sha256:' and 64 lower-case hex digits, as `kubeserve push` prints it",
    "secret": "must be the name of a secret: lower-case letters, digits, '-' and '.'",
    "key": "must be the name of a key in the secret: letters, digits, '-', '_' and '.'",
    "bucket": "must be the name of a bucket: 3 to 63 lower-case letters, digits, '-' and '.'",
    "image": "must be the name of an image, like registry.example.org/kubeserve-runtime:1.0",
    "path": "has characters that no path needs",
    "name": "must consist of lower-case letters, digits and '-', and start and end with a letter or digit",
}

_WORDS: dict[str, Callable[[Fault], Words]] = {
    "empty": _empty,
    "missing": _missing,
    "extra_forbidden": _unknown,
    "string_type": _not_text,
    "model_type": _not_mapping,
    "model_attributes_type": _not_mapping,
    "dict_type": _not_mapping,
    "tuple_type": _not_list,
    "list_type": _not_list,
    "int_type": _not_integer,
    "int_parsing": _not_integer,
    "int_from_float": _not_integer,
    "int_parsing_size": _not_integer,
    "float_type": _not_number,
    "float_parsing": _not_number,
    "finite_number": _not_number,
    "bool_type": _not_boolean,
    "bool_parsing": _not_boolean,
    "literal_error": _not_a_choice,
    "enum": _not_a_choice,
    "union_tag_invalid": _unknown_type,
    "union_tag_not_found": _no_type,
    "too_long": _too_long,
    "string_too_long": _too_long,
    "too_short": _too_short,
    "string_too_short": _too_short,
    "greater_than_equal": _out_of_bounds,
    "greater_than": _out_of_bounds,
    "less_than_equal": _out_of_bounds,
    "less_than": _out_of_bounds,
    "string_pattern_mismatch": _malformed,
}


def _name(fault: Fault) -> str:
    """The name of the innermost field on the path to the faulty value."""
    return next((str(key) for key in reversed(fault.keys) if isinstance(key, str) and key != KEY), "file")


def _subject(keys: Sequence[Key], *, start: bool = True) -> str:
    """The entry at these keys, in words: "Deployment 'churn'"."""
    match keys:
        case ():
            words = "the file"
        case ("deployments", str() as name):
            words = f"deployment {quoted(name)}"
        case ("models", str() as name):
            words = f"model {quoted(name)}"
        case ("models", str() as model, "versions", str() as name):
            words = f"version {quoted(name)} of model {quoted(model)}"
        case ("tenants", str() as name):
            words = f"tenant {quoted(name)}"
        case (*_, str() as name, int() as index):
            words = f"item {index + 1} of `{name}:`"
        case _:
            words = f"`{next((key for key in reversed(keys) if isinstance(key, str) and key != KEY), 'file')}:`"
    return words[0].upper() + words[1:] if start else words


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "a boolean"
    kinds = {dict: "a mapping", list: "a list", str: "text", int: "a number", float: "a number"}
    return kinds.get(type(value), "something else")


def _shown(fault: Fault) -> str:
    """The value if it is short and can't be a secret, otherwise its kind."""
    value = fault.value
    if isinstance(value, dict | list) or "env" in fault.keys or any(is_credential_name(str(k)) for k in fault.keys):
        return _kind(value)
    return quoted(value) if isinstance(value, str) else fault.part.places.plain_scalar(fault.keys) or str(value)

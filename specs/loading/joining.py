"""Joins the documents of one tenant; reports names that are defined twice and references to undefined names.

Called by `loader.py`. Works on the entries as written, including invalid ones, so that an error in one entry
doesn't hide an error in another.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from specs.loading.loaded import TenantSpec
from specs.loading.tenant_document import TenantDocument, versions_of
from specs.names import did_you_mean, listing, quoted
from specs.syntax.documents import KEY, Key


def join(tenant: str, documents: Sequence[TenantDocument]) -> TenantSpec:
    """The tenant that the documents define together; only meaningful if none of them has an error."""
    return TenantSpec(
        tenant,
        {name: model for document in documents for name, model in document.models.items()},
        {name: deployment for document in documents for name, deployment in document.deployments.items()},
        tuple(dict.fromkeys(document.file.path for document in documents)),
        places=documents[0].document.places,
    )


def check_names_once(documents: Sequence[TenantDocument]) -> None:
    """Reports every model and deployment that two documents define, at the second, naming the first."""
    for group, what in (("models", "Model"), ("deployments", "Deployment")):
        owners: dict[str, TenantDocument] = {}
        for document in documents:
            for name in document.entries(group):
                owner = owners.setdefault(name, document)
                if owner is not document and not document.is_full:
                    place = owner.document.places.place((group, name, KEY))
                    document.report(
                        (group, name, KEY),
                        "duplicate-name",
                        "A name defined twice",
                        f"{what} {quoted(name)} is already defined at {place}. Remove one, or rename it.",
                    )


def check_references(documents: Sequence[TenantDocument]) -> None:
    """Reports every deployment of a model or version that no document defines."""
    models: dict[str, Any] = {}
    for document in documents:
        models.update(document.entries("models"))
    for document in documents:
        for name, entry in document.entries("deployments").items():
            if isinstance(entry, dict) and not document.is_full:
                _check_deployment(document, name, entry, models)


def _check_deployment(document: TenantDocument, name: str, entry: Mapping[str, Any], models: Mapping[str, Any]) -> None:
    model = entry.get("model")
    if not isinstance(model, str):
        return
    if model not in models:
        document.report(
            ("deployments", name, "model"),
            "unknown-model",
            "Unknown model",
            f"Deployment {quoted(name)} asks for model {quoted(model)}; this tenant has {listing(models)}."
            f"{_suggestion(model, models)}",
        )
        return
    versions = versions_of(models[model])
    for version, keys in _versions_asked_for(entry):
        if versions and version not in versions and not document.is_full:
            document.report(
                ("deployments", name, *keys),
                "unknown-version",
                "Unknown model version",
                f"Deployment {quoted(name)} asks for version {quoted(version)} of model {quoted(model)}, "
                f"which has {listing(versions)}.{_suggestion(version, versions)}",
            )


def _versions_asked_for(entry: Mapping[str, Any]) -> Iterable[tuple[str, tuple[Key, ...]]]:
    version, traffic = entry.get("version"), entry.get("traffic")
    if isinstance(version, str):
        yield version, ("version",)
    if isinstance(traffic, dict):
        for name in traffic:
            yield name, ("traffic", name, KEY)


def _suggestion(word: str, candidates: Iterable[str]) -> str:
    return did_you_mean(word, candidates).replace(" ", "\n", 1)

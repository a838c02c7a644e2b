"""What a change means to the author of a spec: differences of traffic and fields, and why something can't be done.

Pure; called by `diff.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from reconciler.model.described import FieldChange, differences, shares, variant_fields
from reconciler.model.resources import DesiredDeployment, DesiredVariant, DesiredVersion
from reconciler.plan.model import Stored
from reconciler.targets.protocol import LiveRoute, LiveVariant
from specs.errors import Trouble

_SHORT_DIGEST = len("sha256:") + 12

SAID_OTHERWISE = frozenset({"version", "digest", "model"})
"""Fields of a variant that a deployment's own line says in other words."""


def deployment_changes(
    deployment: DesiredDeployment,
    new: Sequence[DesiredVariant],
    old: Sequence[LiveVariant],
    route: LiveRoute | None,
) -> tuple[FieldChange, ...]:
    """From what takes the traffic now to what shall take it."""
    weights = route.weights if route else {}
    before: dict[str, int] = {}
    for variant in old:
        if variant.id in weights:
            version = variant.version or "unknown"
            before[version] = before.get(version, 0) + weights[variant.id]
    before = dict(sorted(before.items(), key=lambda share: (-share[1], share[0])))  # live things have no order
    after = {variant.version_name: deployment.weights[variant.id] for variant in new}
    serving = max(old, key=lambda variant: weights.get(variant.id, 0)).described if old else {}
    return (
        *_traffic(before, after),
        *(change for change in differences(serving, variant_fields(new[0])) if change.field not in SAID_OTHERWISE),
    )


def _traffic(old: Mapping[str, int], new: Mapping[str, int]) -> Iterator[FieldChange]:
    if old == new:
        return
    if len(new) == 1 and len(old) <= 1:
        yield FieldChange("version", next(iter(old), None), next(iter(new)))
    else:
        yield FieldChange("traffic", shares(old) if old else None, shares(new))


def variant_changes(new: DesiredVariant, old: LiveVariant) -> tuple[FieldChange, ...]:
    """What the spec changed of a variant that runs; nothing where no record says what was applied."""
    return tuple(differences(old.described, variant_fields(new))) if old.described else ()


def other_content(version: DesiredVersion, store: Stored) -> Trouble:
    stored = ", ".join(_short(digest) for digest in sorted(store.digests[version.id]))
    difference = (
        "Both differ by carriage returns alone: one was read from a checkout with Windows line endings. Keep Git from "
        "converting the file (`FILE -text` in .gitattributes), and check it out again."
        if version.id in store.line_endings
        else "Give the new content a new version name, or restore the old file."
    )
    return Trouble(
        "Version has other content",
        f"Version {version.version!r} of model {version.model!r} is in the store with digest {stored}, and the "
        f"spec now gives {_short(version.digest)}. A version never changes once it is stored. {difference}",
    )


def not_stored(version: DesiredVersion) -> Trouble:
    return Trouble(
        "Version is not in the store",
        f"Version {version.version!r} of model {version.model!r} is named by its digest {_short(version.digest)} "
        "alone, and the store does not hold it. Put it there with `kubeserve push`.",
    )


def _short(digest: str) -> str:
    """`sha256:0f2c18ab93d4…`: enough digits to find it by, and the ellipsis shows that there are more."""
    return f"{digest[:_SHORT_DIGEST]}…"

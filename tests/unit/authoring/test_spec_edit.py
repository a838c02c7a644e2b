"""One entry is added to a spec, whatever its style, and every other byte stays as it was."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from reconciler.artifacts.protocol import VersionRef
from reconciler.authoring.spec_edit import SpecEditError, add_digest_line, with_digest
from specs.problems import SpecErrors
from specs.syntax.reader import read_yaml

DIGEST = "sha256:" + "ab" * 32
OTHER_DIGEST = "sha256:" + "cd" * 32
REF = VersionRef("fraud", "churn", "v2", DIGEST)
LINE = f'v2: {{digest: "{DIGEST}"}}'
HEAD = "apiVersion: kubeserve.io/v1\ntenant: fraud\n"


def edited(text: str, ref: VersionRef = REF) -> str:
    return with_digest("kubeserve.yaml", text.encode(), ref).decode()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(
            HEAD,
            f"{HEAD}models:\n  churn:\n    versions:\n      {LINE}\n",
            id="no models",
        ),
        pytest.param(
            f"{HEAD}# what runs\ndeployments: {{}}\n",
            f"{HEAD}models:\n  churn:\n    versions:\n      {LINE}\n# what runs\ndeployments: {{}}\n",
            id="models come before deployments",
        ),
        pytest.param(
            f"{HEAD}models:\n    other:\n        versions:\n            v1: {{artifact: a.pkl}}\n",
            f"{HEAD}models:\n    other:\n        versions:\n            v1: {{artifact: a.pkl}}\n"
            f"    churn:\n        versions:\n            {LINE}\n",
            id="no such model, and steps of four",
        ),
        pytest.param(
            f"{HEAD}models:\n  churn:\n    versions:\n      v1: {{artifact: a.pkl}}   # the first\n\n"
            "  # next\ndeployments:\n",
            f"{HEAD}models:\n  churn:\n    versions:\n      v1: {{artifact: a.pkl}}   # the first\n      {LINE}\n\n"
            "  # next\ndeployments:\n",
            id="comments stay where they are",
        ),
        pytest.param(
            f"{HEAD}models: {{churn: {{versions: {{v1: {{artifact: a.pkl}}}}}}}}  # flow\n",
            f"{HEAD}models: {{churn: {{versions: {{v1: {{artifact: a.pkl}}, {LINE}}}}}}}  # flow\n",
            id="flow stays flow",
        ),
        pytest.param(
            f"{HEAD}models:\n  churn: {{\n    versions: {{\n      v1: {{artifact: a.pkl}},  # the first\n"
            "    },\n  }\n",
            f"{HEAD}models:\n  churn: {{\n    versions: {{\n      v1: {{artifact: a.pkl}}, {LINE},  # the first\n"
            "    },\n  }\n",
            id="flow over lines, with a comma at its end",
        ),
        pytest.param(
            f"{HEAD}models: {{}}  # none yet\n",
            f"{HEAD}models: {{churn: {{versions: {{{LINE}}}}}}}  # none yet\n",
            id="an empty flow mapping",
        ),
        pytest.param(
            f"{HEAD}models:  # none yet\ndeployments: {{}}\n",
            f"{HEAD}models:  # none yet\n  churn:\n    versions:\n      {LINE}\ndeployments: {{}}\n",
            id="nothing behind a name",
        ),
        pytest.param(
            f"{HEAD}models: {{churn: {{versions: }}}}\n",
            f"{HEAD}models: {{churn: {{versions: {{{LINE}}}}}}}\n",
            id="nothing behind a name in flow",
        ),
        pytest.param(
            f"{HEAD}models: ~  # none yet\n",
            f"{HEAD}models: {{churn: {{versions: {{{LINE}}}}}}}  # none yet\n",
            id="a null that is written out",
        ),
        pytest.param(
            f"{HEAD}models:\n  churn:\n    versions:\n      v1:\n        artifact: a.pkl\n        description: |\n"
            "          Two\n          lines\n\n\ndeployments:\n",
            f"{HEAD}models:\n  churn:\n    versions:\n      v1:\n        artifact: a.pkl\n        description: |\n"
            f"          Two\n          lines\n      {LINE}\n\n\ndeployments:\n",
            id="after a block of text",
        ),
        pytest.param(
            f"{HEAD}models:\n  churn:\n    versions:\n      v1:\n        artifact: a.pkl\n        description: |+\n"
            "          kept\n\n\ndeployments:\n",
            f"{HEAD}models:\n  churn:\n    versions:\n      v1:\n        artifact: a.pkl\n        description: |+\n"
            f"          kept\n\n\n      {LINE}\ndeployments:\n",
            id="after a block of text that keeps its empty lines",
        ),
        pytest.param(
            f"{HEAD}models:\n  churn:\n    versions:\n      v1: {{artifact: a.pkl}}",
            f"{HEAD}models:\n  churn:\n    versions:\n      v1: {{artifact: a.pkl}}\n      {LINE}",
            id="no newline at the end",
        ),
        pytest.param(
            f"---\n{HEAD}---\n{HEAD}models:\n  churn: {{versions: {{v1: {{artifact: a.pkl}}}}}}\n...\n",
            f"---\n{HEAD}---\n{HEAD}models:\n  churn: {{versions: {{v1: {{artifact: a.pkl}}, {LINE}}}}}\n...\n",
            id="the document that has the model",
        ),
        pytest.param(
            f"\ufeff{HEAD}models: {{churn: {{versions: {{}}}}}}\n",
            f"\ufeff{HEAD}models: {{churn: {{versions: {{{LINE}}}}}}}\n",
            id="a byte order mark",
        ),
        pytest.param(
            f"{HEAD}models:\n  crème: &c\n    versions: {{v1: {{artifact: 模型.pkl}}}}\n",
            f"{HEAD}models:\n  crème: &c\n    versions: {{v1: {{artifact: 模型.pkl}}}}\n"
            f"  churn:\n    versions:\n      {LINE}\n",
            id="letters beyond ASCII",
        ),
    ],
)
@pytest.mark.parametrize("newline", ["\n", "\r\n"], ids=["LF", "CRLF"])
def test_the_entry_is_put_where_a_person_would_put_it(before: str, after: str, newline: str) -> None:
    assert edited(before.replace("\n", newline)) == after.replace("\n", newline)


@pytest.mark.parametrize("name", ["1.10", "1", "true", "null", "No", "1e3", "0x1F", "2024-01-01", "v1.0_rc-2"])
def test_a_name_stays_text(name: str) -> None:
    text = edited(HEAD, VersionRef("fraud", "on", name, DIGEST))
    data: Any = read_yaml("kubeserve.yaml", text.encode()).documents[0].data
    assert data["models"] == {"on": {"versions": {name: {"digest": DIGEST}}}}


@pytest.mark.parametrize(
    "there",
    [f"{{digest: '{DIGEST}'}}", f"\n        description: the second\n        digest: {DIGEST}"],
    ids=["alone", "with a description"],
)
def test_an_entry_that_is_there_already_is_left_as_it_is(there: str, tmp_path: Path) -> None:
    path = tmp_path / "kubeserve.yaml"
    path.write_text(f"{HEAD}models:\n  churn:\n    versions:\n      v2: {there}\n")
    before = path.read_text()
    assert not add_digest_line(path, REF)
    assert path.read_text() == before


@pytest.mark.parametrize("there", [f'{{digest: "{OTHER_DIGEST}"}}', "{artifact: a.pkl}", "", "[]"])
def test_a_version_that_is_something_else_is_never_overwritten(there: str, tmp_path: Path) -> None:
    path = tmp_path / "kubeserve.yaml"
    path.write_text(f"{HEAD}models:\n  churn:\n    versions:\n      v2: {there}\n")
    before = path.read_text()
    with pytest.raises(SpecErrors) as caught:
        add_digest_line(path, REF)
    assert f"{path}:6:" in caught.value.detail
    assert "Version 'v2' is defined already, as something other than" in caught.value.detail
    assert path.read_text() == before


def test_a_version_in_another_document_of_the_tenant_counts() -> None:
    text = f"{HEAD}---\n{HEAD}models: {{churn: {{versions: {{v2: {{artifact: a.pkl}}}}}}}}\n"
    with pytest.raises(SpecErrors, match="1 error in the specs") as caught:
        edited(text)
    assert "kubeserve.yaml:6:" in caught.value.detail


@pytest.mark.parametrize("text", ["models: []\n", "models: {churn: text}\n", "models: {churn: {versions: 1}}\n"])
def test_something_else_where_names_belong_is_named(text: str) -> None:
    with pytest.raises(SpecErrors) as caught:
        edited(HEAD + text)
    assert "kubeserve.yaml:3:" in caught.value.detail
    assert "Names with their values belong here" in caught.value.detail


def test_a_spec_of_another_tenant_is_refused() -> None:
    with pytest.raises(SpecErrors) as caught:
        edited(HEAD.replace("fraud", "search"))
    assert "kubeserve.yaml:2:9: error: Spec of another tenant" in caught.value.detail


@pytest.mark.parametrize("text", ["", "# nothing\n", "a: [1\n", "tenant: fraud\ntenant: fraud\n"])
def test_a_spec_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(SpecErrors, match="1 error in the specs"):
        edited(text)


def test_a_spec_in_which_the_change_would_reach_further_is_left_alone() -> None:
    shared = f"{HEAD}models:\n  churn: &one\n    versions:\n      v1: {{artifact: a.pkl}}\n  other: *one\n"
    with pytest.raises(SpecEditError, match="can't be added to") as caught:
        edited(shared)
    assert "Add this yourself:\nmodels:\n  churn:\n    versions:\n      v2: {digest:" in caught.value.detail


def test_a_file_keeps_its_mode_and_a_link_stays_a_link(tmp_path: Path) -> None:
    real, link = tmp_path / "real.yaml", tmp_path / "kubeserve.yaml"
    real.write_text(HEAD)
    real.chmod(0o640)
    link.symlink_to(real.name)
    assert add_digest_line(link, REF)
    assert link.is_symlink()
    assert LINE in real.read_text()
    assert stat.S_IMODE(real.stat().st_mode) == 0o640
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kubeserve.yaml", "real.yaml"]


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SpecEditError, match="can't be read") as caught:
        add_digest_line(tmp_path / "absent.yaml", REF)
    assert "absent.yaml" in caught.value.detail


# A spec as somebody might write it: any of these styles, comments and empty lines at any place.

NAMES = st.sampled_from(["churn", "other", "a-b", "x1"])
VERSIONS = st.sampled_from(["v1", '"1.10"', "v3", "w"])
SCALARS = st.sampled_from(["a.pkl", "'a b'", '"a: b"', "models/ä.pkl", "plain with spaces"])
COMMENTS = st.sampled_from(["", "  # a comment", " # {not: [yaml", "   "])
BETWEEN = st.sampled_from(["", "\n", "\n# a: comment\n", "    # deep\n\n"])


@st.composite
def version_texts(draw: st.DrawFn, indent: str) -> str:
    value = draw(SCALARS)
    return draw(
        st.sampled_from(
            [
                f" {{artifact: {value}}}",
                f" {{ artifact: {value}, description: x, }}",
                f"\n{indent}  artifact: {value}",
                f"\n{indent}  artifact: {value}\n{indent}  description: >-\n{indent}    folded\n\n{indent}    text",
                f"\n{indent}  description: |+\n{indent}    kept\n\n{indent}  artifact: {value}",
                f"\n{indent}  artifact: {value}\n{indent}  description: plain\n{indent}    goes on",
            ]
        )
    )


@st.composite
def specs(draw: st.DrawFn) -> str:
    step = " " * draw(st.integers(1, 4))
    lines = ["apiVersion: kubeserve.io/v1", f"tenant: fraud{draw(COMMENTS)}"]
    if draw(st.booleans()):
        lines.append(f"models:{draw(COMMENTS)}")
        for model in draw(st.lists(NAMES, unique=True, max_size=3)):
            lines.append(f"{step}{model}:{draw(COMMENTS)}")
            lines.append(f"{step * 2}versions:{draw(COMMENTS)}")
            for version in draw(st.lists(VERSIONS, unique=True, max_size=3)):
                text = draw(version_texts(step * 3))
                lines.append(f"{step * 3}{version}:{text}{draw(COMMENTS) if text.endswith('}') else ''}")
                lines.append(draw(BETWEEN))
    if draw(st.booleans()):
        lines.append(f"deployments: {{}}{draw(COMMENTS)}")
    text = "\n".join(line for line in lines if line != "") + draw(st.sampled_from(["", "\n", "\n\n# end\n"]))
    return text.replace("\n", draw(st.sampled_from(["\n", "\r\n"])))


@given(specs(), NAMES)
def test_every_byte_but_the_entry_is_as_it_was(text: str, model: str) -> None:
    before = read_yaml("kubeserve.yaml", text.encode())
    assume(before.complete and not before.problems)
    ref = VersionRef("fraud", model, "v2", DIGEST)
    after = edited(text, ref)
    inserted = len(after) - len(text)
    start = next((i for i, (a, b) in enumerate(zip(text, after, strict=False)) if a != b), len(text))
    assert any(after[:cut] + after[cut + inserted :] == text for cut in range(max(0, start - inserted), start + 1))
    expected: Any = before.documents[0].data
    models = expected["models"] = expected.get("models") or {}
    mapping = models[model] = models.get(model) or {}
    mapping["versions"] = (mapping.get("versions") or {}) | {"v2": {"digest": DIGEST}}
    assert read_yaml("kubeserve.yaml", after.encode()).documents[0].data == expected
    assert edited(after, ref) == after

"""Specs as text for tests: HERE marks the place where a problem is expected."""

from __future__ import annotations

from specs.loading.loader import Loaded, SpecFile, load_tenants
from specs.models.platform import Platform, default_platform
from specs.problems import Problem

HERE = "‸"
PATH = "teams/fraud/kubeserve.yaml"

HEAD = "apiVersion: kubeserve.io/v1\ntenant: fraud\n"
CHURN = HEAD + "models:\n  churn: {versions: {v1: {artifact: a.joblib}, v2: {artifact: b.joblib}}}\n"
"""A tenant with a model, for deployments to follow."""


def load(text: str, platform: Platform | None = None, path: str = PATH) -> Loaded:
    return load_files({path: text}, platform)


def load_files(texts: dict[str, str], platform: Platform | None = None) -> Loaded:
    files = [SpecFile(path, text.encode()) for path, text in texts.items()]
    return load_tenants(files, platform or default_platform())


def platform_with(tenants: dict[str, object]) -> Platform:
    return Platform.model_validate({"apiVersion": "kubeserve.io/v1", "tenants": tenants})


def marked(text: str) -> tuple[str, int, int]:
    """The text without its mark, and the mark's line and column."""
    before = text[: text.index(HERE)]
    return text.replace(HERE, ""), before.count("\n") + 1, len(before) - before.rfind("\n")


def only_problem(text: str, platform: Platform | None = None) -> Problem:
    """The one problem of a marked text; it is where the mark is."""
    plain, line, column = marked(text)
    loaded = load(plain, platform)
    assert len(loaded.problems) == 1, "\n".join(problem.render() for problem in loaded.problems)
    [problem] = loaded.problems
    assert problem.place is not None
    assert (problem.place.file, problem.place.line, problem.place.column) == (PATH, line, column), problem.render()
    return problem

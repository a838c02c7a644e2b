"""What was loaded knows where it is written, and later stages add problems there."""

from __future__ import annotations

from specs.loading.loader import TenantSpec
from specs.models.tenant import SecretRefSpec
from specs.problems import Place, Problem, Severity, SpecErrors
from tests.support.specs.texts import load_files

MODELS = """\
apiVersion: kubeserve.io/v1
tenant: fraud
models:
  churn:
    description: who leaves
    versions:
      v1: {artifact: models/churn.joblib, requirements: r.txt}
"""
DEPLOYMENTS = """\
apiVersion: kubeserve.io/v1
tenant: fraud
deployments:
  churn:
    model: churn
    version: v1
    replicas: 2
    env: {RATE: 1.10, DEBUG: true, NAME: "x", TOKEN: {secret: hub, key: token}, HEX: 0x1F, DAY: 2024-01-31}
    checks:
      - inputs: [[1, 2], {a: 1.5, b: null}]
        outputs: [yes, [0.5, true]]
"""


def tenant() -> TenantSpec:
    loaded = load_files({"models/kubeserve.yaml": MODELS, "serving/kubeserve.yaml": DEPLOYMENTS})
    assert loaded.problems == ()
    return loaded.tenants["fraud"]


def test_every_part_has_its_place() -> None:
    fraud = tenant()
    assert fraud.place("models", "churn") == Place("models/kubeserve.yaml", 4, 3)
    assert fraud.place("models", "churn", "versions", "v1", "requirements") == Place("models/kubeserve.yaml", 7, 57)
    assert fraud.place("deployments", "churn", "version") == Place("serving/kubeserve.yaml", 6, 14)
    assert fraud.place("deployments", "churn", "checks", 0, "inputs", 1, "a") == Place("serving/kubeserve.yaml", 10, 30)


def test_what_is_not_written_is_looked_for_around_it() -> None:
    fraud = tenant()
    assert fraud.place("deployments", "churn", "resources", "cpu") == Place("serving/kubeserve.yaml", 4, 3)
    assert fraud.place("deployments", "gone") == Place("models/kubeserve.yaml", 1, 1)
    assert fraud.place() == Place("models/kubeserve.yaml", 1, 1)


def test_a_later_stage_adds_a_problem_at_its_place() -> None:
    fraud = tenant()
    version = fraud.models["churn"].versions["v1"]
    problem = fraud.problem((*version.keys, "artifact"), "No such file", "'models/churn.joblib' is not there.")
    assert problem.render() == (
        "models/kubeserve.yaml:7:22: error: No such file\n"
        "  'models/churn.joblib' is not there.\n"
        "     7 |       v1: {artifact: models/churn.joblib, requirements: r.txt}\n"
        "       |                      ^"
    )
    deployment = fraud.deployments["churn"]
    warning = fraud.problem((*deployment.keys, "replicas"), "Many", "", code="many", severity=Severity.WARNING)
    assert (str(warning.place), warning.severity, warning.code) == ("serving/kubeserve.yaml:7:15", "warning", "many")


def test_variables_are_text_as_it_is_written() -> None:
    assert tenant().deployments["churn"].spec.env == {
        "RATE": "1.10",
        "DEBUG": "true",
        "NAME": "x",
        "TOKEN": SecretRefSpec(secret="hub", key="token"),
        "HEX": "0x1F",
        "DAY": "2024-01-31",
    }


def test_checks_are_json_as_it_is_written() -> None:
    [check] = tenant().deployments["churn"].spec.checks
    assert check.inputs == ([1, 2], {"a": 1.5, "b": None})
    assert check.outputs == ("yes", [0.5, True])
    assert check.tolerance == 1e-6


def test_defaults_fill_what_is_not_written() -> None:
    spec = tenant().deployments["churn"].spec
    assert (spec.replicas.min, spec.replicas.max) == (2, 2)
    assert (spec.resources.cpu_millicores, spec.resources.memory_bytes) == (500, 512 * 2**20)
    assert (spec.timeouts.ready, spec.timeouts.drain, spec.timeouts.request) == (120, 30, 30)


def test_problems_raised_together_say_how_many_errors_they_are() -> None:
    place = Place("a", 1, 2)
    error = Problem(Severity.ERROR, "x", place, "Bad", "Because.\nTwice.", "line", 1)
    warning = Problem(Severity.WARNING, "y", None, "Hm")
    raised = SpecErrors([error, warning])
    assert raised.problems == (error, warning)
    assert str(raised) == (
        "1 error in the specs\n"
        "  a:1:2: error: Bad\n    Because.\n    Twice.\n       1 | line\n         |  ^\n"
        "  warning: Hm"
    )
    assert SpecErrors([error, error]).summary == "2 errors in the specs"

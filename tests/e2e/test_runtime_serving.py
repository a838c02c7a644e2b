"""A real runtime answers over HTTP: predictions, refusals, readiness and metrics, at the root and below prefixes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.runtime.models import LABELS, ROWS, train_logistic, write_version
from tests.support.runtime.process import RuntimeProcess

MAX_BODY = 4096


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("serving")


@pytest.fixture(scope="module")
def digest(folder: Path) -> str:
    return write_version(folder / "version", train_logistic(folder / "m.joblib"), requirements="scikit-learn\n")


@pytest.fixture(scope="module")
def runtime(folder: Path, digest: str) -> Iterator[RuntimeProcess]:
    environment = {
        "KUBESERVE_TENANT": "fraud",
        "KUBESERVE_DEPLOYMENT": "churn",
        "KUBESERVE_MODEL": "churner",
        "KUBESERVE_VERSION": "v1",
        "KUBESERVE_VARIANT": "churn-0a1b2c3d4e",
        "KUBESERVE_DIGEST": digest,
        "KUBESERVE_CHECKS": json.dumps([{"inputs": ROWS, "outputs": LABELS}, {"inputs": ROWS[:1]}]),
        "KUBESERVE_MAX_BODY": str(MAX_BODY),
        "KUBESERVE_THREADS": "1",
    }
    with RuntimeProcess(folder / "run", folder / "version", environment=environment) as process:
        yield process.wait_until_ready()


PREFIXES = ["", "/fraud/churn", "/api/v1/predict/fraud/churn"]


@pytest.mark.parametrize("path", [*(f"{prefix}/predict" for prefix in PREFIXES), *PREFIXES[1:]])
def test_rows_are_answered_at_every_path(runtime: RuntimeProcess, path: str) -> None:
    response = runtime.post(path, {"inputs": ROWS})
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert response.json() == {"predictions": LABELS}


@pytest.mark.parametrize("prefix", PREFIXES)
def test_ready_says_what_is_served(runtime: RuntimeProcess, digest: str, prefix: str) -> None:
    response = runtime.get(f"{prefix}/ready")
    assert response.status_code == 200
    assert response.json() == {
        "ready": True,
        "phase": "ready",
        "tenant": "fraud",
        "deployment": "churn",
        "model": "churner",
        "version": "v1",
        "variant": "churn-0a1b2c3d4e",
        "replica": "",
        "digest": digest,
        "format": "joblib",
    }


@pytest.mark.parametrize("prefix", PREFIXES)
def test_health_says_alive(runtime: RuntimeProcess, prefix: str) -> None:
    response = runtime.get(f"{prefix}/health")
    assert (response.status_code, response.json()) == (200, {"status": "alive"})


def sample(runtime: RuntimeProcess, name: str, more: str = "") -> float:
    start = f'{name}{{{more}deployment="churn",tenant="fraud",version="v1"}} '
    lines = runtime.get("/metrics").text.splitlines()
    return sum(float(line.removeprefix(start)) for line in lines if line.startswith(start))


def test_metrics_count_predictions_and_leave_out_checks(folder: Path, digest: str) -> None:
    names = ["--tenant", "fraud", "--deployment", "churn", "--version", "v1"]
    checks = json.dumps([{"inputs": ROWS[:1]}])
    with RuntimeProcess(folder / "m", folder / "version", *names, "--checks", checks) as fresh:
        fresh.wait_until_ready()
        assert sample(fresh, "predictions_total") == 0
        for path in ("/predict", "/fraud/churn/predict", "/api/v1/predict/fraud/churn"):
            fresh.post(path, {"inputs": ROWS})
        fresh.post("/predict", {"inputs": [[1.0]]})
        assert sample(fresh, "predictions_total") == 3
        assert sample(fresh, "prediction_latency_ms_count") == 3
        assert sample(fresh, "prediction_latency_ms_sum") > 0
        assert sample(fresh, "prediction_errors_total", 'code="feature_count",') == 1


def test_metrics_are_in_the_format_of_prometheus(runtime: RuntimeProcess) -> None:
    response = runtime.get("/fraud/churn/metrics")
    assert response.headers["content-type"].startswith("text/plain; version=")
    assert "# TYPE predictions_total counter" in response.text
    assert "# TYPE prediction_latency_ms histogram" in response.text


def test_a_wrong_feature_count_is_a_json_error(runtime: RuntimeProcess) -> None:
    response = runtime.post("/predict", {"inputs": [[1.0, 2.0]]})
    assert response.status_code == 400
    message = "Row 0 has 2 features; the model takes 3."
    assert response.json() == {
        "error": {"code": "feature_count", "message": message, "row": 0, "expected": 3, "found": 2}
    }


@pytest.mark.parametrize("factor", [1.5, 20])
def test_a_body_that_is_too_large_is_refused_though_it_was_sent_whole(runtime: RuntimeProcess, factor: float) -> None:
    response = runtime.post("/predict", b" " * int(MAX_BODY * factor))
    assert response.status_code == 413
    assert response.json()["error"]["code"] == "too_large"
    assert runtime.predict(ROWS) == LABELS


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nowhere", 404, "not_found"),
        ("GET", "/other/churn/ready", 404, "not_found"),
        ("GET", "/predict", 405, "method_not_allowed"),
        ("GET", "/fraud/churn", 405, "method_not_allowed"),
        ("POST", "/ready", 405, "method_not_allowed"),
        ("POST", "/predict/", 404, "not_found"),
        ("POST", "/fraud/churn/", 404, "not_found"),
        ("POST", "/fraud/churn/predict/", 404, "not_found"),
        ("POST", "/api/v1/predict/fraud/churn/", 404, "not_found"),
        ("GET", "/health/", 404, "not_found"),
        ("POST", "//predict", 404, "not_found"),
    ],
)
def test_what_is_not_there_is_a_json_error(
    runtime: RuntimeProcess, method: str, path: str, status: int, code: str
) -> None:
    response = runtime.get(path) if method == "GET" else runtime.post(path, {})
    assert (response.status_code, response.json()["error"]["code"]) == (status, code)
    assert (status == 405) == ("allow" in response.headers)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.integers() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(JSON_VALUES | JSON_VALUES.map(lambda value: {"inputs": value}))
def test_no_json_whatever_makes_the_server_fail(runtime: RuntimeProcess, document: object) -> None:
    response = runtime.post("/predict", document)
    assert response.status_code in (200, 400, 413)
    assert set(response.json()) in ({"predictions"}, {"error"})


def test_a_forged_check_is_an_ordinary_request(runtime: RuntimeProcess) -> None:
    import httpx2

    before = sample(runtime, "predictions_total")
    headers = [(b"x-kubeserve-check", "å".encode())]
    body = json.dumps({"inputs": ROWS}).encode()
    assert httpx2.post(f"{runtime.url}/predict", content=body, headers=headers).status_code == 200
    assert sample(runtime, "predictions_total") == before + 1

"""A runtime is alive before its model is loaded, and finishes what it began before it stops."""

from __future__ import annotations

import os
import signal
import threading
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from itertools import islice
from pathlib import Path

import httpx2
import psutil
import pytest

from tests.support.patience import eventually
from tests.support.runtime.models import write_python_predictor, write_version
from tests.support.runtime.process import DEADLINE_SECONDS, RuntimeProcess

# Each waits for a file in its folder, and leaves one there to say that it waits.
LOADS_WHEN_TOLD = """
    import time

    class Predictor:
        def __init__(self, path):
            while not (path / "go").exists():
                time.sleep(0.01)

        def predict(self, inputs):
            return inputs
"""
ANSWERS_WHEN_TOLD = """
    import time

    class Predictor:
        def __init__(self, path):
            self.path = path

        def predict(self, inputs):
            if inputs == ["wait"]:
                (self.path / "waiting").touch()
                while not (self.path / "go").exists():
                    time.sleep(0.01)
            return inputs
"""


def asked_to_wait(runtime: RuntimeProcess, model: Path, pool: ThreadPoolExecutor) -> Future[httpx2.Response]:
    """A request that the model holds until there is a file `go`."""
    request = pool.submit(runtime.post, "/predict", {"inputs": ["wait"]})
    eventually((model / "waiting").exists, "the model was not asked")
    return request


def test_it_is_alive_but_not_ready_while_the_model_loads(tmp_path: Path) -> None:
    model = write_python_predictor(tmp_path / "model", LOADS_WHEN_TOLD)
    with RuntimeProcess(tmp_path / "run", model, "--tenant", "fraud") as runtime:
        assert runtime.get("/health").json() == {"status": "alive"}
        ready = runtime.get("/ready")
        assert (ready.status_code, ready.json()["phase"]) == (503, "loading")
        assert ready.json()["reason"] == "The model is being verified and loaded."
        assert ready.json()["tenant"] == "fraud"
        refused = runtime.post("/predict", {"inputs": [1]})
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "not_ready")
        assert refused.headers["retry-after"] == "1"
        (model / "go").touch()
        assert runtime.wait_until_ready().predict([1]) == [1]


def test_nobody_but_itself_is_answered_before_the_checks_have_passed(tmp_path: Path) -> None:
    model = write_python_predictor(tmp_path / "model", ANSWERS_WHEN_TOLD)
    checks = '[{"inputs": ["wait"], "outputs": ["wait"]}]'
    with RuntimeProcess(tmp_path / "run", model, "--checks", checks) as runtime:
        eventually((model / "waiting").exists, "the check was not asked")
        assert runtime.get("/ready").json()["phase"] == "checking"
        assert runtime.post("/predict", {"inputs": [1]}).status_code == 503
        (model / "go").touch()
        assert runtime.wait_until_ready().predict([1]) == [1]


def test_a_slow_model_keeps_nobody_from_asking_how_it_is(tmp_path: Path) -> None:
    model = write_python_predictor(tmp_path / "model", ANSWERS_WHEN_TOLD)
    options = ["--concurrency", "1", "--queue", "1"]
    with RuntimeProcess(tmp_path / "run", model, *options) as runtime, ThreadPoolExecutor() as pool:
        runtime.wait_until_ready()
        slow = asked_to_wait(runtime, model, pool)
        more = [pool.submit(runtime.post, "/predict", {"inputs": [1]}) for _ in range(3)]
        first, second = (done.result() for done in islice(as_completed(more), 2))
        assert (first.status_code, second.status_code) == (503, 503)
        assert (first.json()["error"]["code"], first.headers["retry-after"]) == ("busy", "1")
        assert runtime.get("/health").status_code == runtime.get("/ready").status_code == 200
        (model / "go").touch()
        assert slow.result().json() == {"predictions": ["wait"]}
        assert sorted(request.result().status_code for request in more) == [200, 503, 503]


def test_a_model_that_takes_too_long_is_a_timeout_and_others_are_answered(tmp_path: Path) -> None:
    model = write_python_predictor(tmp_path / "model", ANSWERS_WHEN_TOLD)
    options = ["--request-timeout", "0.3", "--concurrency", "2"]
    with RuntimeProcess(tmp_path / "run", model, *options) as runtime:
        runtime.wait_until_ready()
        late = runtime.post("/predict", {"inputs": ["wait"]})
        assert (late.status_code, late.json()["error"]["code"]) == (504, "timeout")
        assert runtime.predict([1]) == [1]


def test_sigterm_lets_a_request_in_flight_end_and_refuses_new_ones(tmp_path: Path) -> None:
    model = write_python_predictor(tmp_path / "model", ANSWERS_WHEN_TOLD)
    with RuntimeProcess(tmp_path / "run", model) as runtime, ThreadPoolExecutor() as pool:
        runtime.wait_until_ready()
        request = asked_to_wait(runtime, model, pool)
        runtime.process.send_signal(signal.SIGTERM)
        eventually(lambda: refuses_connections(runtime), "new connections are still taken")
        assert not request.done()
        runtime.process.send_signal(signal.SIGTERM)  # a second one changes nothing
        (model / "go").touch()
        assert request.result().json() == {"predictions": ["wait"]}
        assert runtime.wait() == 0


def refuses_connections(runtime: RuntimeProcess) -> bool:
    try:
        runtime.get("/health")
    except httpx2.TransportError:
        return True
    return False


def test_at_sigterm_it_is_unready_at_once_and_lingers_for_who_has_not_heard(tmp_path: Path) -> None:
    model = write_python_predictor(tmp_path / "model")
    with RuntimeProcess(tmp_path / "run", model, "--linger", "3600") as runtime:
        runtime.wait_until_ready()
        runtime.process.send_signal(signal.SIGTERM)
        eventually(lambda: runtime.get("/ready").status_code == 503, "it still calls itself ready")
        assert runtime.get("/ready").json()["phase"] == "draining"
        answer = runtime.post("/predict", {"inputs": [1]})
        assert answer.json() == {"predictions": [1]}
        assert answer.headers["connection"] == "close"


def test_a_model_that_hangs_is_given_its_grace_and_no_more(tmp_path: Path) -> None:
    model = write_python_predictor(tmp_path / "model", ANSWERS_WHEN_TOLD)
    with RuntimeProcess(tmp_path / "run", model, "--grace", "1") as runtime, ThreadPoolExecutor() as pool:
        runtime.wait_until_ready()
        request = asked_to_wait(runtime, model, pool)
        assert runtime.stop() == 0
        with pytest.raises((httpx2.TransportError, AssertionError)):
            assert request.result().status_code == 200


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_it_can_be_stopped_while_the_model_loads(tmp_path: Path, number: signal.Signals, code: int) -> None:
    model = write_python_predictor(tmp_path / "model", LOADS_WHEN_TOLD)
    with RuntimeProcess(tmp_path / "run", model) as runtime:
        assert runtime.get("/ready").status_code == 503
        runtime.process.send_signal(number)
        assert runtime.wait() == code


def test_it_can_be_stopped_while_it_asks_its_checks(tmp_path: Path) -> None:
    model = write_python_predictor(tmp_path / "model", ANSWERS_WHEN_TOLD)
    options = ["--checks", '[{"inputs": ["wait"]}]', "--grace", "0"]
    with RuntimeProcess(tmp_path / "run", model, *options) as runtime:
        eventually((model / "waiting").exists, "the check was not asked")
        assert runtime.stop() == 0
        assert not runtime.reason_file.exists()


def test_it_writes_down_who_it_is_before_the_model_is_loaded(tmp_path: Path) -> None:
    model = write_python_predictor(tmp_path / "model", LOADS_WHEN_TOLD)
    environment = {"KUBESERVE_VARIANT": "churn-0a1b2c3d4e", "KUBESERVE_REPLICA": "2", "KUBESERVE_TOKEN": "secret"}
    with RuntimeProcess(tmp_path / "run", model, environment=environment) as runtime:
        record = runtime.record
        assert record.pop("started") == pytest.approx(psutil.Process(runtime.process.pid).create_time(), abs=1)
        assert record.pop("port") > 0
        assert record == {
            "pid": runtime.process.pid,
            "host": "127.0.0.1",
            "variant": "churn-0a1b2c3d4e",
            "replica": "2",
            "token": "secret",
        }
        mode = (tmp_path / "run" / "record").stat().st_mode
        assert mode & 0o077 == 0


def test_what_was_unpacked_is_gone_when_it_has_stopped(tmp_path: Path) -> None:
    digest = write_version(tmp_path / "version", write_python_predictor(tmp_path / "model"))
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    environment = {"TMPDIR": str(scratch), "KUBESERVE_DIGEST": digest}
    with RuntimeProcess(tmp_path / "run", tmp_path / "version", environment=environment) as runtime:
        assert runtime.wait_until_ready().predict(["hello"]) == ["hello"]
        assert list(scratch.iterdir())
        assert runtime.stop() == 0
    assert not list(scratch.iterdir())


def test_thread_counts_reach_the_model(tmp_path: Path) -> None:
    body = """
        import os

        class Predictor:
            def __init__(self, path): ...
            def predict(self, inputs): return [os.environ[name] for name in inputs]
    """
    model = write_python_predictor(tmp_path / "model", body)
    with RuntimeProcess(tmp_path / "run", model, environment={"KUBESERVE_THREADS": "3"}) as runtime:
        assert runtime.wait_until_ready().predict(["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"]) == ["3", "3"]


def test_requests_sent_while_it_drains_are_answered_or_refused_but_never_cut(tmp_path: Path) -> None:
    model = write_python_predictor(tmp_path / "model")
    with RuntimeProcess(tmp_path / "run", model) as runtime:
        runtime.wait_until_ready()
        answered, cut, stop = [0], [0], threading.Event()

        def ask() -> None:
            """Until it is refused. What the kernel has accepted and the server not yet is reset when it closes."""
            while not stop.is_set():
                begun = False
                try:
                    with httpx2.stream("POST", f"{runtime.url}/predict", content=b'{"inputs": [1]}') as answer:
                        begun = True
                        answer.read()
                        assert answer.status_code == 200
                    answered[0] += 1
                except httpx2.TransportError:
                    cut[0] += begun
                    return

        with ThreadPoolExecutor() as pool:
            for _ in range(4):
                pool.submit(ask)
            eventually(lambda: answered[0] > 50, "nothing is answered")
            os.kill(runtime.process.pid, signal.SIGTERM)
            assert runtime.process.wait(DEADLINE_SECONDS) == 0
            stop.set()
        assert cut == [0]

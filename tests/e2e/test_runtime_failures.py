"""A server whose model crashes or hangs says why and is started again in place, or ends with the reason."""

from __future__ import annotations

import json
import signal
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import psutil
import pytest

from tests.support.patience import eventually
from tests.support.runtime.models import write_python_predictor
from tests.support.runtime.process import DEADLINE_SECONDS, RuntimeProcess

MISBEHAVES = """
    import ctypes
    import os
    import re
    import time

    class Predictor:
        def __init__(self, path):
            self.path = path

        def predict(self, inputs):
            match inputs[0]:
                case "hang":
                    while not (self.path / "go").exists():
                        time.sleep(0.01)
                case "freeze":
                    re.match("(a+)+$", "a" * 100 + "b")
                case "crash":
                    ctypes.string_at(0)
                case "abort":
                    os.abort()
                case "exit":
                    os._exit(3)
                case "pid":
                    return [os.getpid()]
            return inputs
"""
LIMIT = ("--request-timeout", "2")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_python_predictor(tmp_path / "model", MISBEHAVES)


def ask_and_lose(runtime: RuntimeProcess, value: str) -> None:
    """A request that gets no answer, since the server ends."""
    with pytest.raises(httpx2.TransportError):
        runtime.post("/predict", {"inputs": [value]})


def is_answering(runtime: RuntimeProcess) -> bool:
    try:
        return httpx2.get(f"{runtime.url}/health", timeout=1).status_code == 200
    except httpx2.TransportError:
        return False


def restarted(runtime: RuntimeProcess) -> dict[str, Any]:
    """What /ready says once the server was started again and is ready."""

    def is_again() -> bool:
        try:
            answer = runtime.get("/ready")
        except httpx2.TransportError:
            return False
        return answer.status_code == 200 and "restarts" in answer.json()

    eventually(is_again, "the server was not started again")
    document: dict[str, Any] = runtime.get("/ready").json()
    return document


@pytest.mark.parametrize(
    ("value", "code", "reason"),
    [
        ("crash", "crashed", "The process crashed: Segmentation fault (SIGSEGV), in predictor.py line 19 (predict)."),
        ("abort", "crashed", "The process crashed: Aborted (SIGABRT), in predictor.py line 21 (predict)."),
        ("exit", "exited", "The process ended: Something in it, such as the model, ended it with exit code 3."),
    ],
)
def test_a_server_that_was_ready_and_crashes_is_started_again_in_place(
    tmp_path: Path, model: Path, value: str, code: str, reason: str
) -> None:
    with RuntimeProcess(tmp_path / "run", model) as runtime:
        before = dict(runtime.wait_until_ready().record)
        first = runtime.predict(["pid"])
        ask_and_lose(runtime, value)
        failure = restarted(runtime)["last_failure"]
        assert (failure["code"], failure["reason"]) == (code, reason)
        assert runtime.predict(["pid"]) != first
        assert runtime.record == before
        assert f"{reason} The server is started again." in runtime.log
        assert not runtime.reason_file.exists()
        assert "server_restarts_total" in runtime.get("/metrics").text
        assert runtime.stop() == 0


def test_a_model_that_hangs_makes_the_server_unready_and_has_it_started_again(tmp_path: Path, model: Path) -> None:
    with RuntimeProcess(tmp_path / "run", model, *LIMIT) as runtime:
        first = runtime.wait_until_ready().predict(["pid"])
        late = runtime.post("/predict", {"inputs": ["hang"]})
        assert (late.status_code, late.json()["error"]["code"]) == (504, "timeout")
        document = restarted(runtime)
        assert document["restarts"] == 1
        assert document["last_failure"]["code"] == "model_hung"
        assert "more than the limit of 2 s, in predictor.py line 1" in document["last_failure"]["reason"]
        assert runtime.predict(["pid"]) != first


def test_while_a_call_is_overdue_the_server_is_not_ready_and_says_why(tmp_path: Path, model: Path) -> None:
    options = ["--request-timeout", "2", "--concurrency", "2"]
    with RuntimeProcess(tmp_path / "run", model, *options) as runtime, ThreadPoolExecutor() as pool:
        runtime.wait_until_ready()
        late = pool.submit(runtime.post, "/predict", {"inputs": ["hang"]})
        eventually(lambda: runtime.get("/ready").status_code == 503, "it still calls itself ready")
        document = runtime.get("/ready").json()
        assert document["phase"] == "overdue"
        assert document["reason"].startswith("A call of the model has run for 2.")
        assert runtime.get("/health").json()["reason"].startswith("A call of the model has run for ")
        assert runtime.predict([1]) == [1], "a free thread still answers"
        (model / "go").touch()
        eventually(lambda: runtime.get("/ready").status_code == 200, "it is not ready again though the call has ended")
        assert "restarts" not in runtime.get("/ready").json()
        assert late.result().status_code == 504


def test_with_every_thread_overdue_requests_are_refused_at_once(tmp_path: Path, model: Path) -> None:
    options = ["--request-timeout", "3", "--concurrency", "1"]
    with RuntimeProcess(tmp_path / "run", model, *options) as runtime, ThreadPoolExecutor() as pool:
        runtime.wait_until_ready()
        pool.submit(runtime.post, "/predict", {"inputs": ["hang"]})
        eventually(lambda: runtime.get("/ready").status_code == 503, "it still calls itself ready")
        refused = runtime.post("/predict", {"inputs": [1]})
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "not_ready")
        assert "A call of the model has run for" in refused.json()["error"]["message"]
        assert refused.headers["retry-after"] == "1"
        (model / "go").touch()


def test_a_model_that_never_gives_the_interpreter_back_is_replaced_as_well(tmp_path: Path, model: Path) -> None:
    with RuntimeProcess(tmp_path / "run", model, *LIMIT) as runtime:
        runtime.wait_until_ready()
        ask_and_lose(runtime, "freeze")
        failure = restarted(runtime)["last_failure"]
        assert failure["code"] == "model_hung"
        said = "A call never gave the interpreter back, in predictor.py line 17 (predict)."
        assert failure["reason"] == f"The model hangs: {said}"
        assert runtime.predict([1]) == [1]


def test_a_request_that_comes_while_the_server_is_started_again_is_not_lost(tmp_path: Path, model: Path) -> None:
    with RuntimeProcess(tmp_path / "run", model) as runtime, ThreadPoolExecutor() as pool:
        runtime.wait_until_ready()
        ask_and_lose(runtime, "crash")
        answers = [pool.submit(runtime.post, "/predict", {"inputs": [1]}) for _ in range(8)]
        for answer in answers:
            assert answer.result().status_code in (200, 503)


@pytest.mark.parametrize(
    ("value", "code"), [("hang", "model_hung"), ("freeze", "model_hung"), ("crash", "crashed"), ("exit", "exited")]
)
def test_without_restarts_it_ends_with_the_reason(tmp_path: Path, model: Path, value: str, code: str) -> None:
    environment = {"KUBESERVE_RESTART": "false"}
    with (
        RuntimeProcess(tmp_path / "run", model, *LIMIT, environment=environment) as runtime,
        ThreadPoolExecutor() as pool,
    ):
        runtime.wait_until_ready()
        pool.submit(runtime.post, "/predict", {"inputs": [value]})
        assert runtime.wait() == 1
        reason = json.loads(runtime.reason_file.read_text())
        assert reason["code"] == code
        assert runtime.log.splitlines()[-1] == f"error: {reason['reason']}"


@pytest.mark.parametrize("last_words", ["os.abort()", "os._exit(0)", "os.kill(os.getpid(), 9)"])
def test_a_model_that_ends_the_process_while_it_loads_is_not_loaded_again(tmp_path: Path, last_words: str) -> None:
    body = f"import os\nclass Predictor:\n def __init__(self, path): {last_words}\n def predict(self, inputs): ..."
    with RuntimeProcess(tmp_path / "run", write_python_predictor(tmp_path / "model", body)) as runtime:
        assert runtime.wait() == 1
        assert runtime.log.count("Listening on") == 1
        code = json.loads(runtime.reason_file.read_text())["code"]
        assert code == {"os.abort()": "crashed", "os._exit(0)": "exited"}.get(last_words, "killed")


def test_a_server_that_somebody_kills_says_so(tmp_path: Path, model: Path) -> None:
    with RuntimeProcess(tmp_path / "run", model, "--no-restart") as runtime:
        runtime.wait_until_ready().server.kill()
        assert runtime.wait() == 1
        assert json.loads(runtime.reason_file.read_text()) == {
            "code": "killed",
            "reason": "The process was killed: by the system, for lack of memory, or from outside (SIGKILL).",
        }


def test_the_server_ends_with_its_supervisor(tmp_path: Path, model: Path) -> None:
    with RuntimeProcess(tmp_path / "run", model) as runtime:
        server = runtime.wait_until_ready().server
        runtime.process.kill()
        psutil.wait_procs([server], timeout=DEADLINE_SECONDS)
        assert not server.is_running()


def test_a_frozen_server_is_stopped_after_its_grace(tmp_path: Path, model: Path) -> None:
    options = ["--grace", "0", "--linger", "0"]
    with RuntimeProcess(tmp_path / "run", model, *options) as runtime, ThreadPoolExecutor() as pool:
        runtime.wait_until_ready()
        request = pool.submit(runtime.post, "/predict", {"inputs": ["freeze"]})
        eventually(lambda: not is_answering(runtime), "the model never froze the server")
        assert runtime.stop() == 0
        assert isinstance(request.exception(), httpx2.TransportError)


def test_a_crash_while_it_stops_is_a_stop(tmp_path: Path, model: Path) -> None:
    with RuntimeProcess(tmp_path / "run", model, "--linger", "3600") as runtime:
        runtime.wait_until_ready()
        runtime.process.send_signal(signal.SIGTERM)
        eventually(lambda: runtime.get("/ready").status_code == 503, "it still calls itself ready")
        ask_and_lose(runtime, "crash")
        assert runtime.wait() == 0


def test_the_socket_closes_when_the_server_stops(tmp_path: Path, model: Path) -> None:
    with RuntimeProcess(tmp_path / "run", model) as runtime:
        address = (runtime.wait_until_ready().record["host"], runtime.record["port"])
        assert runtime.stop() == 0
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address)

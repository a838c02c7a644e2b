"""What a model's process gets and gives on the local target: its environment, secrets, packages, logs, its URL."""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from reconciler.model.described import FieldChange
from reconciler.model.resources import ResourceId
from reconciler.targets.local import failures
from reconciler.targets.local.identity import Origin
from reconciler.targets.local.marks import VariantMark, write
from reconciler.targets.local.processes import ProcessId, kill, spawn
from reconciler.targets.local.replicas import Start
from reconciler.targets.local.rundir import RunDir
from reconciler.targets.protocol import ReadinessState, TargetError
from tests.support.local.bench import EVERYTHING, Bench, bench_at
from tests.support.patience import eventually
from tests.support.runtime.wheels import write_wheel

SAYS_ENVIRONMENT = """
    import os

    class Predictor:
        def __init__(self, path):
            pass

        def predict(self, inputs):
            return [dict(os.environ) for _ in inputs]
"""

SAYS_HELLO = """
    class Predictor:
        def __init__(self, path):
            pass

        def predict(self, inputs):
            print("asked for", inputs, flush=True)
            return inputs
"""

USES_PACKAGE = """
    import tinypackage
    import numpy

    class Predictor:
        def __init__(self, path):
            pass

        def predict(self, inputs):
            return [[tinypackage.NAME, tinypackage.__file__, numpy.__file__] for _ in inputs]
"""


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with bench_at(tmp_path) as bench:
        yield bench


def test_a_model_gets_its_own_environment_and_nothing_of_the_operators(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "of the operator")
    monkeypatch.setenv("KUBESERVE_GIT_TOKEN", "of the operator")
    bench.version("says", SAYS_ENVIRONMENT)
    token = bench.secret("hub", "token", "hush-4711\n")
    variant = bench.variant("says", env={"LEVEL": "info", "TOKEN": token}, cpu_millicores=1500)
    bench.apply(bench.desired(variant))
    (said,) = bench.ask(variant.deployment)[1]["predictions"]
    assert (said["LEVEL"], said["TOKEN"]) == ("info", "hush-4711")
    assert (said["OMP_NUM_THREADS"], said["OPENBLAS_NUM_THREADS"], said["MKL_NUM_THREADS"]) == ("2", "2", "2")
    assert (said["KUBESERVE_TENANT"], said["KUBESERVE_VERSION"]) == ("fraud", "says")
    assert Path(said["TMPDIR"]).is_relative_to(bench.run_dir)
    assert "of the operator" not in said.values()


def test_a_secret_is_written_down_nowhere(bench: Bench) -> None:
    variant = bench.variant(env={"TOKEN": bench.secret("hub", "token", "hush-4711"), "API_KEY": "literal-4711"})
    desired = bench.desired(variant)
    bench.apply(desired)
    shown = f"{bench.target.observe(EVERYTHING)} {bench.prepare(desired).resources[variant.id].changes}"
    bench.destroy(desired)
    written = b"".join(file.read_bytes() for file in bench.run_dir.rglob("*") if file.is_file())
    assert "4711" not in shown
    assert b"4711" not in written


def test_everything_written_is_closed_to_others(bench: Bench) -> None:
    old = os.umask(0)
    try:
        bench.apply(bench.desired(bench.variant()))
        open_to_others = [p for p in (bench.run_dir, *bench.run_dir.rglob("*")) if p.lstat().st_mode & 0o077]
    finally:
        os.umask(old)
    assert open_to_others == []


@pytest.mark.slow
def test_only_what_is_missing_is_installed_and_only_once(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    wheels = bench.root / "wheels"
    wheel = write_wheel(wheels, "tinypackage", "1.0", body="NAME = 'tiny'", requires=["numpy"])
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))
    bench.version("packaged", USES_PACKAGE, requirements="# what it takes\ntinypackage==1.0\nnumpy>=1.20\n")
    first, second = bench.variant("packaged"), bench.variant("packaged", name="risk")
    bench.apply(bench.desired(first))
    name, its_file, numpy_file = bench.ask(first.deployment)[1]["predictions"][0]
    overlays = bench.root / "cache" / "overlays"
    assert name == "tiny"
    assert Path(its_file).is_relative_to(overlays)
    assert not Path(numpy_file).is_relative_to(overlays)
    wheel.unlink()
    bench.apply(bench.desired(second))
    assert bench.ask(second.deployment)[0] == 200


def test_requirements_that_cannot_be_installed_quote_pip(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    bench.version("lacking", requirements="no-such-package==9.9\n")
    variant = bench.variant("lacking")
    prepared = bench.prepare(bench.desired(variant))
    with pytest.raises(TargetError, match="no-such-package") as raised:
        prepared.ensure(variant.id)
    assert raised.value.summary == "Requirements can't be installed"
    assert bench.target.observe(EVERYTHING).resources == {}


def test_no_installer_runs_where_nothing_is_missing(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    bench.version("plain", requirements="numpy>=1.20\nno-such-package; python_version < '3'\n")
    variant = bench.variant("plain")
    bench.apply(bench.desired(variant))
    assert not (bench.root / "cache" / "overlays").exists()


def test_the_address_is_chosen_once_and_outlives_the_gateway(bench: Bench) -> None:
    variant = bench.variant()
    desired = bench.desired(variant)
    bench.apply(desired)
    url = bench.target.url(variant.deployment)
    bench.destroy(desired)
    assert bench.gateways() == []
    bench.target = bench.new_target()
    bench.apply(desired)
    assert bench.target.url(variant.deployment) == url


def test_a_taken_port_is_an_error_before_anything_is_done_and_never_a_new_url(bench: Bench) -> None:
    variant = bench.variant()
    desired = bench.desired(variant)
    bench.apply(desired)
    url = bench.target.url(variant.deployment)
    bench.destroy(desired)
    recorded = json.loads((bench.run_dir / "address.json").read_bytes())
    prepared = bench.prepare(desired)
    with socket.create_server(("127.0.0.1", recorded["port"])):
        assert "The gateway's port is taken" in str(bench.prepare(desired).resources[variant.deployment].trouble)
        bench.start(desired)
        bench.wait_ready(variant.id)
        with pytest.raises(TargetError, match="The gateway's port is taken"):
            bench.route(desired, prepared)
    bench.apply(desired)
    assert bench.target.url(variant.deployment) == url


def test_another_named_port_is_a_change_that_moves_the_gateway(bench: Bench) -> None:
    variant = bench.variant()
    desired = bench.desired(variant)
    bench.apply(desired)
    old = bench.target.url(variant.deployment)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    bench.target = bench.new_target(port=port)
    new = f"http://127.0.0.1:{port}/fraud/churn"
    changes = bench.prepare(desired).resources[variant.deployment].changes
    assert changes == (FieldChange("url", old, new),)
    bench.apply(desired)
    assert bench.target.url(variant.deployment) == new
    assert bench.ask(variant.deployment)[0] == 200
    assert len(bench.gateways()) == 1


def test_two_installations_share_a_run_directory_and_its_gateway(bench: Bench) -> None:
    ours, theirs = bench.variant(), bench.variant(tenant="risk")
    bench.apply(bench.desired(ours))
    mine, bench.target = bench.target, bench.new_target("other")
    bench.apply(bench.desired(theirs))
    assert {resource.tenant for resource in bench.target.observe(EVERYTHING).resources} == {"risk"}
    bench.destroy(bench.desired(theirs))
    bench.target = mine
    assert bench.ask(ours.deployment)[0] == 200
    bench.destroy(bench.desired(ours))
    assert bench.gateways() == []


def test_fifty_variants_are_asked_in_one_call_and_the_silent_ones_hide_no_ready_one(bench: Bench) -> None:
    variant = bench.variant()
    bench.apply(bench.desired(variant))
    variants = [variant.id]
    environment = {"PATH": os.environ["PATH"], **Origin(bench.run_dir, "token").to_environment()}
    process = spawn(("sleep", "3600"), environment, bench.run_dir, bench.run_dir / "sleep.out")
    assert process is not None
    with socket.create_server(("127.0.0.1", 0)) as silent:  # accepts in its backlog, and never answers
        variants += [_variant_at(bench, process, silent.getsockname()[1], number) for number in range(50)]
        states = [readiness.state for readiness in bench.rollout.readiness(variants).values()]
    assert states == [ReadinessState.READY] + [ReadinessState.WAITING] * 50
    kill(process, Origin(bench.run_dir, "token"))


def test_a_log_can_be_followed(bench: Bench) -> None:
    bench.version("hello", SAYS_HELLO)
    variant = bench.variant("hello")
    bench.apply(bench.desired(variant))
    followed = bench.target.logs([variant.id], lines=1, follow=True)
    assert "Ready" in next(followed)
    bench.ask(variant.deployment, [[3.0]])
    assert next(followed) == "asked for [[3.0]]"


def test_lines_of_several_replicas_say_whose_they_are(bench: Bench) -> None:
    variant = bench.variant(replicas=2)
    bench.apply(bench.desired(variant))
    lines = list(bench.target.logs([variant.id], lines=1, follow=False))
    assert [line[:4] for line in lines] == ["[1] ", "[2] "]


def test_of_many_failures_the_newest_logs_are_kept(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failures, "KEPT", 2)
    variants = [
        bench.variant(env={"N": str(number)}, checks=({"inputs": [[1.0]], "outputs": ["x"]},)) for number in range(3)
    ]
    for variant in variants:
        bench.start(bench.desired(variant))
        assert "check" in bench.wait_failed(variant).cause
        bench.remove(variant.id)
    kept = RunDir(bench.run_dir).failed("fraud", "churn")
    assert {folder.name.partition("-")[2] for folder in kept.iterdir()} == {v.name for v in variants[1:]}
    assert list(bench.target.failed_logs(variants[0].deployment, lines=1))


@pytest.mark.slow
def test_ten_rollouts_under_load_lose_no_request(bench: Bench) -> None:
    variant = bench.variant(env={"N": "0"})
    bench.apply(bench.desired(variant))
    with under_load(bench, variant.deployment) as answers:
        for number in range(1, 11):
            old, variant = variant, bench.variant(env={"N": str(number)})
            bench.apply(bench.desired(variant))
            bench.remove(old.id)
    assert set(answers) == {200}
    assert len(bench.replicas()) == 1


def test_fewer_replicas_lose_no_request(bench: Bench) -> None:
    many, few = bench.variant(replicas=3), bench.variant(replicas=1)
    bench.apply(bench.desired(many))
    with under_load(bench, many.deployment) as answers:
        bench.apply(bench.desired(few))
        eventually(lambda: len(bench.replicas()) == 1)
    assert set(answers) == {200}


def test_a_replica_that_became_ready_after_the_round_died_gets_its_traffic(bench: Bench) -> None:
    few, many = bench.variant(replicas=1), bench.variant(replicas=2)
    bench.apply(bench.desired(few))
    desired = bench.desired(many)
    bench.start(desired)
    bench.wait_ready(many.id)
    prepared = bench.prepare(desired)
    assert prepared.resources[many.deployment].drift
    assert prepared.resources[many.deployment].changes == (FieldChange("ready replicas without traffic", "1", None),)
    bench.route(desired, prepared)
    assert not any(resource.changes for resource in bench.prepare(desired).resources.values())


def test_a_spoiled_routing_table_is_written_anew(bench: Bench) -> None:
    variant = bench.variant()
    desired = bench.desired(variant)
    bench.apply(desired)
    (bench.run_dir / "routes.json").write_text("{")
    assert variant.deployment not in bench.target.observe(EVERYTHING).resources
    bench.apply(desired)
    assert bench.ask(variant.deployment)[0] == 200
    assert not any(resource.changes for resource in bench.prepare(desired).resources.values())


@contextmanager
def under_load(bench: Bench, deployment: ResourceId) -> Iterator[list[int]]:
    """Asks all the time, two at once; the statuses (0: no answer) are all there in the end."""
    stopped = threading.Event()
    answers: list[int] = []
    clients = [threading.Thread(target=_ask_until, args=(bench, deployment, stopped, answers)) for _ in range(2)]
    for client in clients:
        client.start()
    try:
        yield answers
    finally:
        stopped.set()
        for client in clients:
            client.join()


def _ask_until(bench: Bench, deployment: ResourceId, stopped: threading.Event, answers: list[int]) -> None:
    while not stopped.is_set():
        try:
            answers.append(bench.ask(deployment)[0])
        except TargetError:
            answers.append(0)


def _variant_at(bench: Bench, process: ProcessId, port: int, number: int) -> ResourceId:
    """A variant's folder as a start leaves it, whose process listens on `port`."""
    mark = VariantMark(
        "default", "fraud", "busy", f"busy-{number:010x}", "m", "v1", "sha256:0", {}, 1, 1, 1, 1, 1, 1.0, 1.0, ""
    )
    folder = RunDir(bench.run_dir).variant(mark.id)
    write(folder.mark_file, mark)
    write(folder.replica("token") / "start.json", Start(process.pid, process.started))
    (folder.replica("token") / "record.json").write_text(json.dumps({"host": "127.0.0.1", "port": port}))
    return mark.id

"""What the local target makes of killed processes: its own, the models', the gateway's."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from reconciler.model.described import FieldChange
from reconciler.targets.local import processes, removal, variants
from reconciler.targets.protocol import ReadinessState, TargetError
from tests.support.local.bench import EVERYTHING, Bench, bench_at, is_running, kill_and_wait
from tests.support.patience import eventually

SLEEPS_FOREVER = """
    import time

    class Predictor:
        def __init__(self, path):
            time.sleep(3600)

        def predict(self, inputs):
            return inputs
"""

HAS_A_CHILD = """
    import subprocess

    class Predictor:
        def __init__(self, path):
            self.child = subprocess.Popen(["sleep", "3600"])

        def predict(self, inputs):
            return [self.child.pid for _ in inputs]
"""


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with bench_at(tmp_path) as bench:
        yield bench


def test_a_killed_gateway_is_drift_and_comes_back_under_the_same_url(bench: Bench) -> None:
    variant = bench.variant()
    desired = bench.desired(variant)
    bench.apply(desired)
    url = bench.target.url(variant.deployment)
    (gateway,) = bench.gateways()
    kill_and_wait(gateway)
    drifted = bench.prepare(desired).resources[variant.deployment]
    assert drifted.drift
    assert drifted.changes == (FieldChange("gateway", "not running", "running"),)
    with pytest.raises(TargetError, match="The gateway does not run"):
        bench.ask(variant.deployment)
    bench.apply(desired)
    assert bench.target.url(variant.deployment) == url
    assert bench.ask(variant.deployment)[0] == 200


def test_a_pid_that_was_given_to_somebody_else_is_never_signalled(bench: Bench) -> None:
    variant = bench.variant()
    desired = bench.desired(variant)
    bench.apply(desired)
    stranger = subprocess.Popen(["sleep", "3600"])
    try:
        bench.lose_a_replica(variant)
        for file in bench.run_dir.glob("tenants/*/variants/*/replicas/*/*.json"):
            content = json.loads(file.read_bytes())
            if "pid" in content:
                file.write_text(json.dumps(content | {"pid": stranger.pid}))
        assert bench.live_variant(variant.id).running == 0
        bench.destroy(desired)
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_a_process_that_ignores_sigterm_is_killed_after_its_grace(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    variant = bench.variant()
    desired = bench.desired(variant)
    bench.apply(desired)
    (process,) = bench.replicas(variant)
    process.suspend()  # a stopped process handles no SIGTERM
    monkeypatch.setattr(removal, "TERM_SECONDS", 0.3)
    bench.destroy(desired)
    assert not is_running(process)


def test_surplus_that_does_not_end_is_drift_and_the_next_round_kills_it(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    many, few = (bench.variant(replicas=count, drain_seconds=0.1) for count in (2, 1))
    bench.apply(bench.desired(many))
    for process in bench.replicas(many):
        process.suspend()
    monkeypatch.setattr(variants, "TERM_SECONDS", 0.1)
    desired = bench.desired(few)
    bench.start(desired)
    for process in bench.replicas(many):
        process.resume() if process.pid in _serving(bench, few) else None
    drift = FieldChange("replicas that don't end", "1", None)
    eventually(lambda: drift in bench.prepare(desired).resources[few.id].changes)
    bench.apply(desired)
    eventually(lambda: len(bench.replicas(few)) == 1)
    bench.apply(desired)
    assert not any(resource.changes for resource in bench.prepare(desired).resources.values())


def test_a_model_that_never_loads_waits_and_can_be_removed(bench: Bench) -> None:
    bench.version("slow", SLEEPS_FOREVER)
    variant = bench.variant("slow")
    bench.start(bench.desired(variant))
    waiting = eventually(lambda: (r := bench.readiness(variant)).cause.startswith("The model") and r)
    assert waiting.state is ReadinessState.WAITING
    bench.remove(variant.id)
    assert not bench.replicas()


def test_children_of_a_model_go_with_it(bench: Bench) -> None:
    bench.version("parent", HAS_A_CHILD)
    variant = bench.variant("parent")
    desired = bench.desired(variant)
    bench.apply(desired)
    child = psutil.Process(bench.ask(variant.deployment)[1]["predictions"][0])
    assert child.is_running()
    bench.destroy(desired)
    eventually(lambda: not is_running(child))


def test_a_replica_that_died_by_itself_is_replaced_and_its_log_kept(bench: Bench) -> None:
    variant = bench.variant()
    desired = bench.desired(variant)
    bench.apply(desired)
    bench.lose_a_replica(variant)
    failed = bench.readiness(variant)
    assert (failed.state, failed.ready) == (ReadinessState.FAILED, 0)
    assert "killed" in failed.cause
    bench.apply(desired)
    assert any("Ready" in line for line in bench.target.failed_logs(variant.deployment, lines=9))


def test_a_deleted_run_directory_leaves_nothing_running_for_ever(bench: Bench) -> None:
    bench.target = bench.new_target(port=_free_port())
    variant, other = bench.variant(), bench.variant(name="risk")
    desired = bench.desired(variant)
    bench.apply(bench.desired(variant, other))
    before = {process.pid for process in (*bench.replicas(), *bench.gateways())}
    shutil.rmtree(bench.run_dir)
    unknown = bench.target.observe(EVERYTHING).variants
    assert unknown.keys() == {variant.id, other.id}
    assert unknown[other.id].deployment == other.deployment
    assert FieldChange("processes without a record", "1", None) in bench.prepare(desired).resources[variant.id].changes
    assert bench.prepare(desired).resources[variant.deployment].trouble is None
    bench.apply(desired)
    bench.remove(other.id)
    after = {process.pid for process in (*bench.replicas(), *bench.gateways())}
    assert len(after) == 2
    assert not before & after
    assert bench.ask(variant.deployment)[0] == 200


def test_a_variant_whose_mark_was_spoiled_can_still_be_removed(bench: Bench) -> None:
    variant = bench.variant()
    bench.apply(bench.desired(variant))
    (mark,) = bench.run_dir.glob("tenants/*/variants/*/variant.json")
    mark.write_text("{")
    assert variant.id not in bench.target.observe(EVERYTHING).resources
    bench.remove(variant.id)
    assert bench.replicas() == []


APPLY = """
import sys
from pathlib import Path
from tests.support.local.bench import Bench

bench = Bench(Path(sys.argv[1]))
variant = bench.variant(replicas=2)
desired = bench.desired(variant)
print("go", flush=True)
bench.apply(desired)
print("done", flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("seconds", [0.0, 0.02, 0.1, 0.4])
def test_killed_at_any_moment_the_next_round_ends_in_the_same_state(bench: Bench, seconds: float) -> None:
    with _apply_elsewhere(bench) as applying:
        time.sleep(seconds)  # chooses the moment; whichever it is, the outcome is the same
        applying.kill()
    variant = bench.variant(replicas=2)
    desired = bench.desired(variant)
    bench.apply(desired)
    eventually(lambda: len(bench.replicas()) == 2)
    assert len(bench.gateways()) == 1
    assert not any(resource.changes for resource in bench.prepare(desired).resources.values())
    bench.destroy(desired)
    assert not list(processes.bearers(bench.run_dir))


def test_a_removal_that_was_cut_short_goes_on(bench: Bench) -> None:
    variant = bench.variant()
    desired = bench.desired(variant)
    bench.apply(desired)
    assert not bench.rollout.remove(variant.id)
    bench.target = bench.new_target()
    assert bench.live(variant.id).terminating
    bench.destroy(desired)
    assert not list(processes.bearers(bench.run_dir))


def test_ctrl_c_does_not_reach_what_runs(bench: Bench) -> None:
    with _apply_elsewhere(bench) as applying:
        assert applying.stdout is not None
        assert applying.stdout.readline() == "done\n"
        os.killpg(applying.pid, signal.SIGINT)
    variant = bench.variant(replicas=2)
    assert len(bench.replicas(variant)) == 2
    assert bench.ask(variant.deployment)[0] == 200


def _apply_elsewhere(bench: Bench) -> subprocess.Popen[str]:
    """Another process, leader of its own group as a shell's job is, about to apply two replicas of v1."""
    bench.variant()
    command = (sys.executable, "-c", APPLY, str(bench.root))
    applying = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, process_group=0
    )
    assert applying.stdout is not None
    assert applying.stdout.readline() == "go\n"
    return applying


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def _serving(bench: Bench, variant: object) -> set[int]:
    found = set()
    for folder in bench.run_dir.glob("tenants/*/variants/*/replicas/*"):
        if not (folder / "retirement.json").exists():
            found.add(json.loads((folder / "record.json").read_bytes())["pid"])
    return found

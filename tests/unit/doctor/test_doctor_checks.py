"""What the doctor's checks say of a machine, a folder and a platform, and how they are run."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reconciler.doctor import machine, storage
from reconciler.doctor.cluster import MIN_CLUSTER, sharing
from reconciler.doctor.findings import DoctorCheck, Finding, FindingSeverity, ok, problem, warning
from reconciler.doctor.run import run_checks
from reconciler.state.file import StateFile
from reconciler.state.model import State
from specs.errors import KubeServeError
from specs.models.platform import FilesystemStoreSpec, Platform

GOOD = ok("good")


def good() -> Iterator[Finding]:
    yield GOOD


def severities(findings: Iterator[Finding]) -> list[FindingSeverity]:
    return [finding.severity for finding in findings]


def test_what_one_check_meets_stops_no_other() -> None:
    def refused() -> Iterator[Finding]:
        yield GOOD
        raise KubeServeError("The store is away", "Start it.")

    def denied() -> Iterator[Finding]:
        raise PermissionError(13, "Permission denied", "/somewhere")

    def wrong() -> Iterator[Finding]:
        raise ZeroDivisionError("oh")

    checks = (DoctorCheck("a", refused), DoctorCheck("b", denied), DoctorCheck("c", wrong), DoctorCheck("d", good))
    report = run_checks(checks)
    assert [checked.check for checked in report.found] == ["a", "a", "b", "c", "d"]
    assert report.found[0].finding == report.found[4].finding == GOOD
    assert report.found[1].finding == problem("The store is away", "Start it.")
    assert "/somewhere" in report.found[2].finding.meaning
    assert "ZeroDivisionError: oh" in report.found[3].finding.meaning
    assert report.count(FindingSeverity.PROBLEM) == 3


def test_what_needs_a_check_with_a_problem_is_not_asked_and_named() -> None:
    def bad() -> Iterator[Finding]:
        yield problem("bad", "very")

    def never() -> Iterator[Finding]:
        raise AssertionError

    checks = (
        DoctorCheck("x", never, needs="bad"),
        DoctorCheck("bad", bad),
        DoctorCheck("y", never, needs="x"),
        DoctorCheck("z", good),
    )
    report = run_checks(checks)
    assert [checked.finding.summary for checked in report.found] == ["bad", "good"]
    assert report.skipped == ("x", "y")


def test_a_warning_keeps_nothing_from_being_checked() -> None:
    def so_so() -> Iterator[Finding]:
        yield warning("so so", "well", "do")

    report = run_checks((DoctorCheck("after", good, needs="so so"), DoctorCheck("so so", so_so)))
    assert (len(report.found), report.skipped) == (2, ())


def test_a_check_that_does_not_end_is_a_problem() -> None:
    let_go = threading.Event()

    def stuck() -> Iterator[Finding]:
        let_go.wait()
        yield GOOD

    try:
        report = run_checks((DoctorCheck("well", stuck, seconds=0.01), DoctorCheck("other", good)))
    finally:
        let_go.set()
    assert [checked.finding.severity for checked in report.found] == [FindingSeverity.PROBLEM, FindingSeverity.OK]
    assert report.found[0].finding.summary == "No answer in time: well"


def test_this_machine_is_good() -> None:
    assert severities(machine.python()) == [FindingSeverity.OK]
    assert severities(machine.git()) == [FindingSeverity.OK]


def test_a_missing_git_is_a_problem_and_a_missing_lfs_a_warning(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert severities(machine.git()) == [FindingSeverity.PROBLEM]
    assert severities(machine.git_lfs()) == [FindingSeverity.WARNING]


def test_an_old_git_is_a_problem(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "git"
    program.write_text(f"#!{sys.executable}\nprint('git version 2.25.1')\n")
    program.chmod(0o700)
    monkeypatch.setenv("PATH", str(tmp_path))
    (found,) = machine.git()
    assert (found.severity, found.summary) == (FindingSeverity.PROBLEM, "git 2.25.1 is too old")


def test_a_disk_that_takes_no_version_of_the_largest_size_is_a_warning(tmp_path: Path) -> None:
    assert severities(machine.disk(tmp_path / "not" / "there", 1)) == [FindingSeverity.OK]
    assert severities(machine.disk(tmp_path, 2**60)) == [FindingSeverity.WARNING]


def test_a_store_that_the_first_apply_makes_is_good(tmp_path: Path) -> None:
    assert severities(storage.store(FilesystemStoreSpec(type="filesystem"), tmp_path)) == [FindingSeverity.OK]
    assert list(tmp_path.iterdir()) == []


def test_a_store_below_a_file_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert severities(storage.store(FilesystemStoreSpec(type="filesystem", path="file/store"), tmp_path)) == [
        FindingSeverity.PROBLEM
    ]


def test_a_state_of_another_installation_is_a_problem(tmp_path: Path) -> None:
    def say(file: StateFile) -> list[FindingSeverity]:
        return [c.finding.severity for c in run_checks([DoctorCheck("state", lambda: storage.state(file))]).found]

    file = StateFile(tmp_path / "state.json", "one", "local")
    assert say(file) == [FindingSeverity.OK]
    file.save(State.new("one", "local"))
    assert say(file) == [FindingSeverity.OK]
    assert say(StateFile(tmp_path / "state.json", "two", "local")) == [FindingSeverity.PROBLEM]
    (tmp_path / "state.json").write_text("{")
    assert say(file) == [FindingSeverity.PROBLEM]


OWN = {"storeAccess": {"secret": "ops/own"}}


@pytest.mark.parametrize(
    ("pod_access", "tenants", "said"),
    [
        ({"secret": "ops/all"}, {"a": OWN, "b": {}}, "in the store. That holds for b."),
        (None, {"a": OWN, "b": {}}, "Pods have no access"),
        ({"secret": "ops/all"}, {"a": OWN}, "Every tenant has its own"),
        ({"secret": "ops/all"}, {"a": OWN, "b": {"state": "removed"}}, "Every tenant has its own"),
        ({"secret": "ops/all"}, {}, "Tenants share"),
    ],
)
def test_tenants_that_share_their_access_are_named(pod_access: Any, tenants: Any, said: str) -> None:
    document = {
        "apiVersion": "kubeserve.io/v1",
        "target": "kubernetes",
        "artifactStore": {"type": "s3", "bucket": "models", **({"podAccess": pod_access} if pod_access else {})},
        "runtime": {"image": "runtime:1"},
        "tenants": tenants,
    }
    (found,) = sharing(Platform.model_validate(document))
    text = f"{found.summary} {found.meaning}"
    assert said in text
    assert (found.severity is FindingSeverity.OK) == said.startswith("Every")


def test_the_least_cluster_is_the_charts() -> None:
    from reconciler.targets.kubernetes.rendering.chart import own_chart

    assert f'kubeVersion: ">={MIN_CLUSTER[0]}.{MIN_CLUSTER[1]}.0-0"' in (own_chart() / "Chart.yaml").read_text()

"""Whole rounds of the real command against a cluster with pretended nodes, the real chart and an S3 server.

The command has the rights of its RBAC manifest and no more; what the tests do in the cluster, an administrator does.
"""

from __future__ import annotations

import json
import secrets
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from reconciler.targets.kubernetes.client import KubeClient
from reconciler.targets.kubernetes.client.settings import ClusterSettings
from reconciler.targets.kubernetes.objects.identity import DEPLOYMENT, VARIANT, Object, ObjectRef, selector
from reconciler.targets.kubernetes.objects.kinds import POD, kinds_of
from reconciler.targets.kubernetes.rendering.chart import own_chart
from tests.support.cli.desk import Desk, Finished, command_line, environment
from tests.support.kubernetes.bench import kubectl, platform
from tests.support.kubernetes.cluster import cluster
from tests.support.kubernetes.helm import helm
from tests.support.kubernetes.rights import rights_of
from tests.support.patience import PATIENCE_SECONDS, eventually
from tests.support.stores.s3_servers import S3Server, moto_server

IMAGE = "registry.example.org/runtime:1"
CRASHING = "registry.example.org/runtime:crash"


@dataclass(frozen=True)
class Ground:
    kubeconfig: Path  # an administrator's
    limited: Path  # KubeServe's own
    home: str  # the namespace of KubeServe itself
    s3: S3Server
    ending: list[Callable[[], str]] = field(default_factory=list)


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    folder, home = tmp_path_factory.mktemp("cluster"), f"rounds-{secrets.token_hex(3)}"
    with cluster(folder / "server") as found, moto_server(tmp_path_factory.mktemp("s3")) as s3:
        found.need_pretended_nodes()
        given = platform("rounds", "rounds-", kubernetes={"namespace": home})
        with rights_of(given, found.kubeconfig, folder / "limited") as limited:
            ground = Ground(found.kubeconfig, limited, home, s3)
            yield ground
            left = [said for ended in ground.ending if (said := ended())]
            assert not left, "\n".join(left)


@pytest.fixture
def desk(ground: Ground, tmp_path: Path) -> Iterator[KubeDesk]:
    desk = KubeDesk(tmp_path, ground)
    yield desk
    desk.clean_up()
    ground.ending.append(desk.destroyed())


class KubeDesk(Desk):
    """A directory whose platform.yaml names a cluster and a bucket."""

    def __init__(self, folder: Path, ground: Ground) -> None:
        super().__init__(folder)
        self.mark = f"r{secrets.token_hex(3)}"
        self.kube = KubeClient(ClusterSettings(ground.kubeconfig))
        self.kubeconfig = ground.kubeconfig
        self.variables = {
            "KUBECONFIG": str(ground.limited),
            "KUBESERVE_HELM": str(helm()),
            **ground.s3.environment(),
        }
        store = {"type": "s3", "bucket": ground.s3.make_bucket(), "endpoint": ground.s3.endpoint, "pathStyle": True}
        access = {"serviceAccountAnnotations": {"example.org/role": "reader"}}
        self.operator: dict[str, Any] = {
            "apiVersion": "kubeserve.io/v1",
            "installation": self.mark,
            "target": "kubernetes",
            "sources": [{"name": "here", "path": "."}],
            "artifactStore": {**store, "podAccess": access},
            "runtime": {"image": IMAGE},
            "kubernetes": {
                "namespacePrefix": f"{self.mark}-",
                "namespace": ground.home,
                "serviceAccount": f"{ground.home}/kubeserve",
            },
        }
        self.platform()

    def platform(self, **changes: Any) -> None:
        self.operator |= changes
        self.write("platform.yaml", yaml.safe_dump(self.operator, sort_keys=False))

    def run(self, *arguments: str, stdin: str = "", cwd: Path | None = None, **variables: str) -> Finished:
        return super().run(*arguments, stdin=stdin, cwd=cwd, **{**self.variables, **variables})

    def destroyed(self) -> Callable[[], str]:
        """Begins to destroy everything, which goes on beside the next tests: a namespace takes seconds to go. Answers
        what waits for the end and says what is left then."""
        command = command_line("destroy", "--yes", "--prune-unclaimed", "--lock-timeout", "30")
        destroying = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=self.folder,
            env=environment(**self.variables),
        )

        def ended() -> str:
            said, _ = destroying.communicate(timeout=PATIENCE_SECONDS)
            left = [str(ObjectRef.of(one)) for one in self.objects()]
            self.kube.close()
            return f"still there after destroy of {self.folder}: {left}\n{said}" if left else ""

        return ended

    def objects(self) -> list[Object]:
        """Everything in the cluster that carries this installation's mark."""
        kinds = [kind for kind in (*kinds_of(), POD) if self.kube.serves(*kind)]
        return [one for kind in kinds for one in self.kube.list(*kind, labels=selector(self.mark))]

    def named(self, kind: str) -> list[str]:
        return sorted(one["metadata"]["name"] for one in self.objects() if one["kind"] == kind)

    def planned_objects(self) -> set[tuple[str, str]]:
        """(action, object) of all that a round would touch."""
        changes = self.run("plan", "--objects", "-o", "json").data["changes"]
        return {(one["action"], one["object"]) for change in changes for one in change["objects"]}

    def made(self) -> dict[str, Object]:
        """What rounds have made, by its full name; not what the cluster made of it."""
        return {str(ObjectRef.of(one)): one for one in self.objects() if one["kind"] != "Pod"}

    def serving(self, deployment: str) -> str:
        """The variant that the stable Service sends requests to."""
        (service,) = (o for o in self.objects() if o["kind"] == "Service" and o["metadata"]["name"] == deployment)
        return str(service["spec"]["selector"][VARIANT])

    def record_log(self, name: str, lines: list[str]) -> None:
        """Has the state file say so of a deployment's failed start: pretended pods have no log."""
        state = self.state
        state["resources"][f"deployment/{name}"]["log"] = lines
        (self.home / "state.json").write_text(json.dumps(state))

    def events(self) -> set[tuple[str, str, str]]:
        """(reason, kind, name) of what we told."""
        found = self.kube.list("v1", "Event", namespace=f"{self.mark}-demo")
        told = [one for one in found if (one.get("source") or {}).get("component") == "kubeserve"]
        return {(one["reason"], one["involvedObject"]["kind"], one["involvedObject"]["name"]) for one in told}

    def kubectl(self, *arguments: str) -> None:
        command = [kubectl(), "--kubeconfig", str(self.kubeconfig), "-n", f"{self.mark}-demo", *arguments]
        subprocess.run(command, check=True, capture_output=True)


def test_the_same_file_runs_on_a_cluster_and_applying_it_again_has_nothing_to_do(desk: KubeDesk) -> None:
    desk.spec({"d": "v1"})
    applied = desk.apply()
    assert "To cluster context test." in applied.err
    assert applied.out.endswith(f"demo/d  http://d.{desk.mark}-demo.svc/demo/d\n")
    status = desk.status("d")
    assert (status["phase"], [v["readyReplicas"] for v in status["variants"]]) == ("Ready", [1])
    assert desk.run("plan", "--detailed-exitcode").code == 0
    assert desk.run("apply").out.startswith("Nothing to do")
    (desk.home / "state.json").unlink()
    assert "to take over" in desk.run("plan").out
    desk.apply()
    assert desk.run("plan", "--detailed-exitcode").code == 0


def test_a_new_version_takes_the_place_of_the_old_one(desk: KubeDesk) -> None:
    desk.spec({"d": "v1"}, ["v1", "v2"])
    desk.apply()
    old = desk.serving("d")
    desk.spec({"d": "v2"}, ["v1", "v2"])
    assert "version v1 -> v2" in " ".join(desk.run("plan").out.split())
    desk.apply()
    assert desk.serving("d") != old
    assert {("RolloutStarted", "Deployment", desk.serving("d")), ("RolloutSucceeded", "Service", "d")} <= desk.events()
    assert desk.named("Deployment") == [desk.serving("d")]
    assert desk.run("plan", "--detailed-exitcode").code == 0


def test_a_rollout_that_fails_leaves_the_old_version_serving_and_says_why(desk: KubeDesk) -> None:
    desk.spec({"d": "v1"})
    desk.apply()
    old = desk.serving("d")
    desk.platform(runtime={"image": CRASHING})
    failed = desk.apply(code=3)
    assert "the model server ended: Error, exit code 1" in failed.err
    assert desk.serving("d") == old
    assert desk.named("Deployment") == [old]
    status = desk.status("d")
    assert (status["phase"], status["reason"]) == ("Degraded", "NotReady")
    assert ("RolloutFailed", "Service", "d") in desk.events()
    desk.platform(runtime={"image": IMAGE})
    desk.apply()
    assert desk.status("d")["phase"] == "Ready"


def test_the_last_lines_of_what_failed_are_shown_when_its_pods_are_gone(desk: KubeDesk) -> None:
    desk.spec({"d": "v1"})
    desk.platform(runtime={"image": CRASHING})
    desk.apply(code=1)
    eventually(lambda: desk.named("Pod") == [], "what failed is gone")
    silent = desk.run("logs", "d", "--failed")
    assert (silent.code, silent.out) == (1, ""), "a pretended pod has no log"
    desk.record_log("demo/d", ["loading", "the weights are missing"])
    shown = desk.run("logs", "d", "--failed")
    assert (shown.code, shown.out) == (0, "loading\nthe weights are missing\n")
    assert "the last lines in the state file" in shown.err


def test_what_was_deleted_or_edited_is_shown_as_drift_and_mended(desk: KubeDesk) -> None:
    desk.spec({"d": {"version": "v1", "replicas": 2}})
    desk.apply()
    variant = desk.serving("d")
    desk.kubectl("delete", "deployment", variant)
    desk.kubectl("delete", "networkpolicy", "default-deny")
    planned = desk.run("plan", "--detailed-exitcode")
    assert planned.code == 2
    assert planned.out.count("drift: what runs was changed from outside") == 2
    assert "version" not in planned.out.partition("deployment d")[2], "its spec did not change"
    desk.apply()
    desk.kubectl("set", "env", f"deployment/{variant}", "SPY=1")
    assert "SPY" in desk.run("plan").out
    desk.apply()
    assert desk.run("plan", "--detailed-exitcode").code == 0


def test_a_route_that_was_deleted_is_shown_as_drift_and_made_again(desk: KubeDesk) -> None:
    desk.spec({"d": "v1"})
    desk.apply()
    desk.kubectl("delete", "service", "d")
    desk.kubectl("delete", "httproute", "d")
    planned = desk.run("plan").out
    assert "deployment d  (drift: what runs was changed from outside)\n        route  none -> present" in planned
    desk.apply()
    assert desk.run("plan", "--detailed-exitcode").code == 0


def test_the_objects_of_a_plan_are_those_that_the_round_makes_changes_and_removes(desk: KubeDesk) -> None:
    desk.spec({"d": "v1"})
    created = desk.planned_objects()
    assert {action for action, _ in created} == {"create"}
    desk.apply()
    assert desk.made().keys() == {name for _, name in created}
    assert desk.planned_objects() == set()
    variant = desk.serving("d")
    desk.kubectl("set", "env", f"deployment/{variant}", "API_TOKEN=not-to-be-seen-1")
    shown = desk.run("plan", "--objects").out
    assert f"~ Deployment {desk.mark}-demo/{variant}\n" in shown
    assert "env[API_TOKEN]" in shown
    assert "not-to-be-seen-1" not in shown
    desk.spec({"e": "v1"})
    gone = {name for action, name in desk.planned_objects() if action == "delete"}
    assert gone == {name for name, one in desk.made().items() if variant in str(one)}


def test_a_selector_that_is_not_ours_is_replaced_as_the_plan_says_around_the_same_pods(desk: KubeDesk) -> None:
    desk.spec({"d": {"version": "v1", "replicas": 2}})
    desk.apply()
    variant, pods = desk.serving("d"), desk.named("Pod")
    (made,) = (one for one in desk.objects() if one["kind"] == "Deployment")
    desk.kubectl("delete", "deployment", variant, "--cascade=orphan")
    labels = made["spec"]["template"]["metadata"]["labels"]
    metadata = {key: made["metadata"][key] for key in ("name", "namespace", "labels", "annotations")}
    wider = {**made["spec"], "selector": {"matchLabels": {name: labels[name] for name in (VARIANT, DEPLOYMENT)}}}
    other = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": wider}
    desk.kube.apply(other, manager="somebody")
    planned = desk.run("plan", "--objects").out
    assert "±   deployment d  (drift: what runs was changed from outside)" in planned
    assert "its spec.selector can't be changed in place; its pods stay and keep serving" in planned
    assert f"± Deployment {desk.mark}-demo/{variant}\n" in planned
    assert "Plan: 1 to replace" in planned
    assert desk.run("plan", "--out", "saved").code == 0
    assert desk.run("apply", "--plan", "saved").code == 0
    assert desk.named("Pod") == pods
    assert desk.run("plan", "--detailed-exitcode").code == 0


def test_killed_in_the_middle_the_next_round_goes_on(desk: KubeDesk) -> None:
    desk.spec({"d": "v1"})
    command = command_line("apply", "--yes")
    with subprocess.Popen(
        command, cwd=desk.folder, env=environment(**desk.variables), stderr=subprocess.PIPE, text=True
    ) as applying:
        assert applying.stderr is not None
        assert any("starting d-" in line for line in iter(applying.stderr.readline, ""))
        applying.kill()
    desk.apply("--lock-timeout", "60")
    assert desk.status("d")["phase"] == "Ready"
    assert desk.named("Deployment") == [desk.serving("d")]


def test_what_the_plan_refuses_is_not_begun(desk: KubeDesk) -> None:
    desk.spec({"d": {"version": "v1", "replicas": 9}})
    planned = desk.run("plan")
    assert planned.code == 1
    assert "Tenant does not fit into its quota" in planned.out
    assert "9 pods of 5" in planned.out
    desk.apply(code=1)
    assert desk.objects() == []
    desk.spec({"d": {"traffic": {"v1": 90, "v2": 10}}}, ["v1", "v2"])
    assert "This routing can't split traffic" in desk.run("plan").out
    desk.platform(kubernetes={**desk.operator["kubernetes"], "routing": "service"})
    desk.spec({"d": {"version": "v1", "replicas": {"min": 1, "max": 9}}})
    assert "warning: all replicas that its autoscalers may start would need" in desk.run("plan").out


def test_a_tenant_that_the_operator_removes_leaves_nothing(desk: KubeDesk) -> None:
    desk.spec({"d": "v1"})
    desk.spec({"e": "v1"}, tenant="stays", path="stays/kubeserve.yaml")
    desk.apply()
    (desk.folder / "kubeserve.yaml").unlink()
    desk.platform(tenants={"demo": {"state": "removed"}, "stays": {}})
    removed = desk.apply("-o", "json")
    assert {r["id"]: r["phase"] for r in removed.data["results"]} == {
        "deployment/demo/d": "Gone",
        "tenant/demo": "Gone",
    }
    eventually(lambda: desk.named("Namespace") == [f"{desk.mark}-stays"], "the namespace goes")
    assert desk.status("stays/e")["phase"] == "Ready"


def test_without_helm_what_runs_can_still_be_seen(desk: KubeDesk, tmp_path: Path) -> None:
    desk.spec({"d": "v1"})
    desk.apply()
    absent = str(tmp_path / "absent")
    assert desk.run("status", "-o", "json", KUBESERVE_HELM=absent).data["deployments"][0]["phase"] == "Ready"
    desk.spec({"d": {"version": "v1", "replicas": 2}})
    refused = desk.run("plan", KUBESERVE_HELM=absent)
    assert refused.code == 1
    assert "https://helm.sh" in refused.err + refused.out


def test_a_cluster_that_does_not_answer_is_said_in_a_sentence(desk: KubeDesk, tmp_path: Path) -> None:
    desk.spec({"d": "v1"})
    document = yaml.safe_load(desk.kubeconfig.read_text())
    document["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:9"
    dead = tmp_path / "dead"
    dead.write_text(yaml.safe_dump(document))
    refused = desk.run("plan", "--kubeconfig", str(dead))
    assert refused.code == 1
    assert "does not answer" in refused.err
    unknown = desk.run("plan", "--context", "nowhere")
    assert "error: No such context\n  There is no context 'nowhere' in the kubeconfig; it has " in unknown.err
    assert "Traceback" not in refused.err + unknown.err


def test_a_saved_plan_is_refused_once_the_chart_of_the_operator_renders_otherwise(desk: KubeDesk) -> None:
    shutil.copytree(own_chart(), desk.folder / "chart")
    desk.platform(kubernetes={**desk.operator["kubernetes"], "chart": "chart"})
    desk.spec({"d": "v1"})
    assert desk.run("plan", "--out", "plan.json").code == 0
    template = desk.folder / "chart" / "templates" / "deployment.yaml"
    template.write_text(template.read_text().replace("revisionHistoryLimit: ", "revisionHistoryLimit: 1"))
    refused = desk.run("apply", "--plan", "plan.json")
    assert "what would be applied changed since. Plan again." in refused.err
    assert desk.objects() == []

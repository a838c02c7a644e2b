"""KubeServe as an operator runs it: the service account of a platform, with exactly the rights of its manifest."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import yaml

from reconciler.targets.kubernetes.client import KubeClient, KubeError
from reconciler.targets.kubernetes.client.settings import ClusterSettings
from reconciler.targets.kubernetes.tenancy.permissions import account, manifest
from specs.models.platform import Platform
from tests.support.kubernetes.bench import kubectl
from tests.support.patience import eventually


@contextmanager
def rights_of(given: Platform, kubeconfig: Path, path: Path) -> Iterator[Path]:
    """Applies the manifest with an administrator's `kubeconfig`, and writes the service account's to `path`. In the end
    its own rules go, and the namespaces with them; the ClusterRoles are those of every installation there."""
    rules = manifest(given)
    own = yaml.safe_dump_all([one for one in rules if one["kind"] != "ClusterRole"])
    _kubectl(kubeconfig, "apply", "-f", "-", stdin=yaml.safe_dump_all(rules))
    try:
        as_service_account(kubeconfig, account(given), path)
        eventually(partial(_is_fenced, path), "the policy in force")
        yield path
    finally:
        _kubectl(kubeconfig, "delete", "--wait=false", "--ignore-not-found", "-f", "-", stdin=own)


def as_service_account(kubeconfig: Path, who: tuple[str, str], path: Path) -> Path:
    """The same cluster, asked as a service account (namespace, name)."""
    namespace, name = who
    token = _kubectl(kubeconfig, "create", "token", name, "-n", namespace).strip()
    document = yaml.safe_load(kubeconfig.read_text())
    for user in document["users"]:
        user["user"] = {"token": token}
    path.write_text(yaml.safe_dump(document))
    return path


def _is_fenced(kubeconfig: Path) -> bool:
    """The API server learns of a new policy a moment later."""
    kube = KubeClient(ClusterSettings(kubeconfig))
    bare = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "kubeserve-may-not-make-this"}}
    try:
        kube.apply(bare, dry_run=True)
    except KubeError as error:
        return "no namespace but its own" in error.message
    finally:
        kube.close()
    return False


def _kubectl(kubeconfig: Path, *arguments: str, stdin: str = "") -> str:
    command = [kubectl(), "--kubeconfig", str(kubeconfig), *arguments]
    done = subprocess.run(command, input=stdin, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout

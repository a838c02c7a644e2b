"""An API server beside KubeServe's own client: its metrics, a bare flood of patches, and kubectl's apply."""

from __future__ import annotations

import asyncio
import resource
import ssl
import subprocess
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import aiohttp
import orjson

from reconciler.targets.kubernetes.client.settings import ClusterSettings, open_api
from tests.benchmarks.cluster.meter import Cost, timed
from tests.support.kubernetes.bench import kubectl

CONNECTIONS = 32
FIRST = ("Namespace",)
"""Kinds without which the others can't be made."""


class Server:
    """Asked as whom a kubeconfig names."""

    def __init__(self, kubeconfig: Path) -> None:
        self.kubeconfig = kubeconfig
        api, _ = open_api(ClusterSettings(kubeconfig))
        configuration = api.configuration
        self.host: str = configuration.host.rstrip("/")
        self.context = ssl.create_default_context(cafile=configuration.ssl_ca_cert)
        self.context.check_hostname = configuration.assert_hostname is not False
        if configuration.cert_file:
            self.context.load_cert_chain(configuration.cert_file, configuration.key_file)
        token = configuration.api_key.get("authorization")
        self.headers = {"Authorization": token} if token else {}

    def metrics(self) -> str:
        return asyncio.run(self._text("/metrics"))

    def flood(self, objects: Sequence[dict[str, Any]]) -> Cost:
        """Server-side apply of them all, as many at once as help: what the server can take. Namespaces come first."""
        begun, used = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)
        asyncio.run(self._flood(objects))
        wall, now = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_SELF)
        cpu = now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime
        return Cost(wall, cpu, 0.0)

    def kubectl_apply(self, file: Path) -> Cost:
        command = [kubectl(), "--kubeconfig", str(self.kubeconfig), "apply", "--server-side", "--force-conflicts"]
        started = [*command, "-f", str(file)]
        cost, code, output = timed(lambda: subprocess.Popen(started, stdout=subprocess.PIPE))
        if code:
            raise SystemExit(f"kubectl ended with {code}: {output[-2000:]}")
        return cost

    def drift(self, namespace_of: Callable[[int], str], numbers: Iterable[int]) -> int:
        """Edits the stable Service of each of these deployments, as a person would. Answers how many."""
        return asyncio.run(self._drift([f"{namespace_of(number)}/services/d-{number}" for number in numbers]))

    def remove_namespaces(self, prefix: str) -> None:
        """Waits until they and all that was in them are gone."""
        asyncio.run(self._remove_namespaces(prefix))

    async def _flood(self, objects: Sequence[dict[str, Any]]) -> None:
        async with self._session() as session:
            paths = await _paths(session, self.host, objects)
            for chosen in (True, False):
                some = [one for one in objects if (one["kind"] in FIRST) is chosen]
                waiting = iter(some)
                workers = (self._patch(session, paths, waiting) for _ in range(CONNECTIONS))
                await asyncio.gather(*workers)

    async def _patch(
        self, session: aiohttp.ClientSession, paths: dict[tuple[str, str], str], waiting: Iterable[dict[str, Any]]
    ) -> None:
        headers = {"Content-Type": "application/apply-patch+yaml"}
        for one in waiting:
            metadata = one["metadata"]
            path = paths[one["apiVersion"], one["kind"]].replace("{namespace}", metadata.get("namespace", ""))
            url = f"{path}/{metadata['name']}?fieldManager=flood&force=true&fieldValidation=Strict"
            async with session.patch(url, data=orjson.dumps(one), headers=headers) as answer:
                body = await answer.read()
                if answer.status >= 300:
                    raise SystemExit(f"{url}: {answer.status} {body[:500]!r}")

    async def _drift(self, paths: Sequence[str]) -> int:
        headers = {"Content-Type": "application/merge-patch+json"}
        body = orjson.dumps({"spec": {"selector": {"app.kubernetes.io/name": "somebody-elses"}}})
        async with self._session() as session:
            for path in paths:
                url = f"{self.host}/api/v1/namespaces/{path}?fieldManager=kubectl-edit"
                async with session.patch(url, data=body, headers=headers) as answer:
                    answer.raise_for_status()
        return len(paths)

    async def _text(self, path: str) -> str:
        async with self._session() as session, session.get(f"{self.host}{path}") as answer:
            answer.raise_for_status()
            return await answer.text()

    async def _remove_namespaces(self, prefix: str) -> None:
        async with self._session() as session:
            while True:
                async with session.get(f"{self.host}/api/v1/namespaces") as answer:
                    items = (await answer.json())["items"]
                left = [one["metadata"] for one in items if one["metadata"]["name"].startswith(prefix)]
                if not left:
                    return
                for metadata in left:
                    if "deletionTimestamp" not in metadata:
                        url = f"{self.host}/api/v1/namespaces/{metadata['name']}"
                        async with session.delete(url) as answer:
                            if answer.status not in (404, 409):  # it went by itself, or is just going
                                answer.raise_for_status()
                await asyncio.sleep(1)

    def _session(self) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(limit=CONNECTIONS, ssl=self.context)
        return aiohttp.ClientSession(connector=connector, headers=self.headers)


async def _paths(
    session: aiohttp.ClientSession, host: str, objects: Iterable[dict[str, Any]]
) -> dict[tuple[str, str], str]:
    """(apiVersion, kind) -> the URL of a namespace's collection, `{namespace}` being its place."""
    found = {}
    for version in {one["apiVersion"] for one in objects}:
        root = f"{host}/{'apis' if '/' in version else 'api'}/{version}"
        async with session.get(root) as answer:
            answer.raise_for_status()
            for entry in (await answer.json())["resources"]:
                if "/" not in entry["name"]:
                    middle = "/namespaces/{namespace}" if entry["namespaced"] else ""
                    found[version, entry["kind"]] = f"{root}{middle}/{entry['name']}"
    return found

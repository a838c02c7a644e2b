"""The verbs that the target needs, on raw objects: list, get, server-side apply, delete with preconditions."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import orjson

from reconciler.model.resources import JSON
from reconciler.targets.kubernetes.client.errors import KubeError, Reason
from reconciler.targets.kubernetes.client.settings import ClusterSettings, open_api
from reconciler.targets.kubernetes.client.stream import Stream
from reconciler.targets.kubernetes.client.transport import READ_SECONDS, Transport
from reconciler.targets.kubernetes.objects.identity import MANAGER, Object, ObjectRef, Propagation

PAGE = 500  # objects a page of a list
WATCH_SECONDS = 20  # that the server keeps a watch open; it is begun again from where it stood
WATCH_GRACE_SECONDS = 5.0  # of silence beyond that, until the connection counts as dead
METADATA_ONLY = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
APPLY = "application/apply-patch+yaml"  # JSON is YAML
JSON_PATCH = "application/json-patch+json"


@dataclass(frozen=True, slots=True)
class Resource:
    """How the API serves a kind."""

    api_version: str
    kind: str
    plural: str
    namespaced: bool

    def path(self, namespace: str = "", name: str = "") -> str:
        root = "/api" if "/" not in self.api_version else "/apis"
        middle = f"/namespaces/{namespace}" if self.namespaced and namespace else ""
        return f"{root}/{self.api_version}{middle}/{self.plural}" + (f"/{name}" if name else "")


class KubeClient:
    """One cluster. Safe for threads."""

    def __init__(self, settings: ClusterSettings, *, page: int = PAGE, watch_seconds: int = WATCH_SECONDS) -> None:
        """`page`: objects a page of a list; `watch_seconds`: how long the server keeps a watch open."""
        self._api, self.context = open_api(settings)
        self._transport = Transport(self._api)
        self._page = page
        self._watch_seconds = watch_seconds
        self._resources: dict[tuple[str, str], Resource | None] = {}

    @property
    def requests(self) -> Mapping[str, int]:
        """How many requests of each HTTP verb were sent."""
        return self._transport.requests

    def guard(self, check: Callable[[], None]) -> None:
        """Calls `check` right before each write from now on; an exception that it raises stops the write."""
        self._transport.guard = check

    def close(self) -> None:
        self._api.rest_client.pool_manager.clear()

    def version(self) -> str:
        """`v1.36.3`."""
        answer = self._transport.json("GET", "/version", what="version")
        return str(answer["gitVersion"])

    def serves(self, api_version: str, kind: str) -> bool:
        """Whether the cluster knows a kind, built in or by its CRD. Asked once a group."""
        return self._find(api_version, kind) is not None

    def allows(self, verb: str, group: str, resource: str, *, namespace: str = "", name: str = "") -> bool:
        """Whether we may do this, as the cluster itself says. `resource`: a plural, `pods/log`; without a namespace: in
        all of them."""
        resource, _, subresource = resource.partition("/")
        asked = {"verb": verb, "group": group, "resource": resource, "subresource": subresource}
        spec = {"resourceAttributes": {**asked, "namespace": namespace, "name": name}}
        review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "spec": spec}
        path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
        answer = self._transport.json("POST", path, None, review, what="ask for our own rights", guarded=False)
        return bool(answer["status"].get("allowed"))

    def list(self, api_version: str, kind: str, *, labels: str = "", namespace: str = "") -> list[Object]:
        """Every object that the labels select, page by page; begun again when a page's token has expired."""
        return self.list_at(api_version, kind, labels=labels, namespace=namespace)[0]

    def list_at(
        self, api_version: str, kind: str, *, labels: str = "", namespace: str = ""
    ) -> tuple[builtins.list[Object], str]:
        """The same, and the resourceVersion of that state, from which a watch can start."""
        resource = self._resource(api_version, kind)
        try:
            return self._pages(resource, labels, namespace)
        except KubeError as error:
            if error.reason is not Reason.EXPIRED:
                raise
            return self._pages(resource, labels, namespace)

    def watch(self, api_version: str, kind: str, *, labels: str, since: int) -> Stream:
        """The changes of the objects that the labels select, for a limited time: one JSON document a line."""
        query = {"watch": "true", "allowWatchBookmarks": "true", "resourceVersion": str(since)}
        query |= {"timeoutSeconds": str(self._watch_seconds), "labelSelector": labels}
        resource = self._resource(api_version, kind)
        return self._transport.stream(
            resource.path(), query, what=f"watch {resource.plural}", silence=self._watch_seconds + WATCH_GRACE_SECONDS
        )

    def get(self, ref: ObjectRef) -> Object | None:
        """The object, or None if it does not exist."""
        path = self._resource(ref.api_version, ref.kind).path(ref.namespace, ref.name)
        try:
            found: Object = self._transport.json("GET", path, what=f"get {ref}")
        except KubeError as error:
            if error.reason is Reason.NOT_FOUND:
                return None
            raise
        return found

    def metadata(self, ref: ObjectRef) -> Object | None:
        """Only the metadata of an object, so that nothing of a Secret's content is sent. None if it does not exist."""
        path = self._resource(ref.api_version, ref.kind).path(ref.namespace, ref.name)
        try:
            found = orjson.loads(self._transport.send("GET", path, what=f"get {ref}", accept=METADATA_ONLY))
        except KubeError as error:
            if error.reason is Reason.NOT_FOUND:
                return None
            raise
        return {"apiVersion": ref.api_version, "kind": ref.kind, "metadata": found["metadata"]}

    def apply(self, desired: Object, *, dry_run: bool = False, force: bool = False, manager: str = MANAGER) -> Object:
        """Server-side apply with strict validation. KubeError CONFLICT names the other manager and the field."""
        ref = ObjectRef.of(desired)
        path = self._resource(ref.api_version, ref.kind).path(ref.namespace, ref.name)
        query = {"fieldManager": manager, "fieldValidation": "Strict"}
        query |= {"force": "true"} if force else {}
        query |= {"dryRun": "All"} if dry_run else {}
        applied: Object = self._transport.json("PATCH", path, query, desired, what=f"apply {ref}", content_type=APPLY)
        return applied

    def delete(
        self,
        ref: ObjectRef,
        uid: str,
        *,
        resource_version: str = "",
        propagation: Propagation = Propagation.BACKGROUND,
    ) -> bool:
        """Deletes an object if it still has this UID. Returns whether it is gone already: one with finalizers or a
        grace period goes later."""
        path = self._resource(ref.api_version, ref.kind).path(ref.namespace, ref.name)
        preconditions = {"uid": uid} | ({"resourceVersion": resource_version} if resource_version else {})
        body = {"preconditions": preconditions, "propagationPolicy": propagation.value}
        try:
            answer = self._transport.json("DELETE", path, None, body, what=f"delete {ref}")
        except KubeError as error:
            if error.reason is Reason.NOT_FOUND:
                return True
            raise
        metadata = answer.get("metadata") or {}  # what is gone is answered by a Status, or itself, as Services are
        return not metadata.get("deletionTimestamp") and not metadata.get("finalizers")

    def create(self, new: Object, *, guarded: bool = True) -> Object:
        """Creates, once: KubeError ALREADY_EXISTS when it is there."""
        ref = ObjectRef.of(new)
        path = self._resource(ref.api_version, ref.kind).path(ref.namespace)
        query = {"fieldManager": MANAGER}
        made: Object = self._transport.json("POST", path, query, new, what=f"create {ref}", once=True, guarded=guarded)
        return made

    def replace(self, changed: Object, *, guarded: bool = True) -> Object:
        """Updates, once, with the resourceVersion that the object carries: KubeError CONFLICT when it has moved on."""
        ref = ObjectRef.of(changed)
        path = self._resource(ref.api_version, ref.kind).path(ref.namespace, ref.name)
        query = {"fieldManager": MANAGER}
        done: Object = self._transport.json(
            "PUT", path, query, changed, what=f"update {ref}", once=True, guarded=guarded
        )
        return done

    def rewrite_managers(self, live: Object, entries: JSON) -> Object:
        """Replaces the record of who owns which field, unless the object has changed: KubeError INVALID then."""
        ref = ObjectRef.of(live)
        path = self._resource(ref.api_version, ref.kind).path(ref.namespace, ref.name)
        patch = [
            {"op": "test", "path": "/metadata/resourceVersion", "value": live["metadata"]["resourceVersion"]},
            {"op": "replace", "path": "/metadata/managedFields", "value": entries},
        ]
        query = {"fieldManager": MANAGER}
        what = f"take over what was edited into {ref}"
        done: Object = self._transport.json("PATCH", path, query, patch, what=what, content_type=JSON_PATCH)
        return done

    def log(self, namespace: str, pod: str, container: str, *, lines: int, previous: bool = False) -> str:
        """The last lines of a container's log; "" where there is none, or if its node does not answer."""
        query = {"container": container, "tailLines": str(lines)} | ({"previous": "true"} if previous else {})
        path = f"/api/v1/namespaces/{namespace}/pods/{pod}/log"
        try:
            text = self._transport.send("GET", path, query, what=f"log of {pod}", accept="*/*", once=True)
        except KubeError:
            return ""
        return text.decode(errors="replace")

    def log_lines(self, namespace: str, pod: str, container: str, *, lines: int, follow: bool) -> Iterator[str]:
        """The last lines of a container's log, and what is added until it ends. KubeError when it can't be had."""
        query = {"container": container, "tailLines": str(lines)} | ({"follow": "true"} if follow else {})
        path = f"/api/v1/namespaces/{namespace}/pods/{pod}/log"
        silence = None if follow else READ_SECONDS
        for line in self._transport.stream(path, query, what=f"log of {pod}", silence=silence):
            yield line.decode(errors="replace").rstrip("\r")

    def ask_service(
        self, namespace: str, service: str, path: str, body: bytes, *, seconds: float
    ) -> tuple[int, bytes, Mapping[str, str]]:
        """POSTs to a Service through the API server, with the user's own rights. Answers what the Service answers."""
        proxied = f"/api/v1/namespaces/{namespace}/services/http:{service}:http/proxy{path}"
        return self._transport.ask(proxied, body, what=f"ask Service {namespace}/{service}", seconds=seconds)

    def _pages(self, resource: Resource, labels: str, namespace: str) -> tuple[builtins.list[Object], str]:
        query = {"limit": str(self._page)} | ({"labelSelector": labels} if labels else {})
        found: list[Object] = []
        while True:
            page = self._transport.json("GET", resource.path(namespace), query, what=f"list {resource.plural}")
            found += ({"apiVersion": resource.api_version, "kind": resource.kind, **item} for item in page["items"])
            token = page["metadata"].get("continue")
            if not token:
                return found, page["metadata"]["resourceVersion"]
            query["continue"] = token

    def _resource(self, api_version: str, kind: str) -> Resource:
        found = self._find(api_version, kind)
        if found is None:
            raise KubeError(Reason.NOT_FOUND, kind, f"the cluster does not serve {api_version} {kind}", 404)
        return found

    def _find(self, api_version: str, kind: str) -> Resource | None:
        key = (api_version, kind)
        if key not in self._resources:
            self._discover(api_version)
            self._resources.setdefault(key, None)
        return self._resources[key]

    def _discover(self, api_version: str) -> None:
        root = "/api" if "/" not in api_version else "/apis"
        try:
            group = self._transport.json("GET", f"{root}/{api_version}", what=f"discover {api_version}")
        except KubeError as error:
            if error.reason is Reason.NOT_FOUND:
                return
            raise
        for entry in group["resources"]:
            if "/" not in entry["name"]:
                found = Resource(api_version, entry["kind"], entry["name"], bool(entry["namespaced"]))
                self._resources[api_version, entry["kind"]] = found

"""The operator's file: all of the example is understood, and every mistake is shown at its place."""

from __future__ import annotations

import pytest

from specs.loading.loader import load_platform
from specs.models.platform import (
    DirectorySpec,
    FilesystemStoreSpec,
    GitSpec,
    Platform,
    Routing,
    S3StoreSpec,
    TargetKind,
    TenantState,
    default_platform,
)
from specs.problems import Problem, SpecErrors
from tests.support.specs.texts import marked

HEAD = "apiVersion: kubeserve.io/v1\n"

WHOLE = """\
apiVersion: kubeserve.io/v1
installation: prod
target: kubernetes
sources:
  - {name: models, url: https://git.example.org/ml/models.git, ref: main, interval: 60s}
  - {name: here, path: .}
artifactStore: {type: s3, bucket: ml-models, prefix: models, endpoint: https://s3.example.org/, pathStyle: true,
                podEndpoint: http://s3.storage.svc:9000, podAccess: {secret: kubeserve/store-read}}
state: s3://ml-models/kubeserve/state.json
runtime: {image: "registry.example.org/kubeserve-runtime:1.0", pullSecret: kubeserve/registry}
kubernetes:
  context: prod
  namespacePrefix: kubeserve-
  routing: gateway
  gateway: platform/public
  host: models.example.org
  url: https://models.example.org
  gatewayNamespace: platform
  monitoringNamespace: monitoring
tenants:
  fraud:
    paths: ["teams/fraud/**"]
    quota: {cpu: "2", memory: 4Gi, pods: 5}
    egress: [package-index, {name: hub, cidrs: [203.0.113.0/24], ports: [443]}]
    storeAccess: {secret: kubeserve/store-fraud}
    members: [alice@example.org]
  annotated: {storeAccess: {serviceAccountAnnotations: {eks.amazonaws.com/role-arn: "arn:aws:iam::1:role/x"}}}
  gone: {state: removed}
limits: {artifact: 2Gi, requirements: 64Ki}
guards: {maxDeletions: 10, maxDeletionPercent: 50}
gateway: {host: 0.0.0.0, port: 8080}
allow: {localGit: true, privateAddresses: true}
"""


def parse(text: str) -> Platform:
    return load_platform("platform.yaml", text.encode())


def refused(text: str) -> tuple[Problem, ...]:
    with pytest.raises(SpecErrors) as errors:
        parse(text)
    return errors.value.problems


def test_the_whole_file_is_understood() -> None:
    platform = parse(WHOLE)
    assert (platform.installation, platform.target) == ("prod", TargetKind.KUBERNETES)
    assert platform.sources == (
        GitSpec(name="models", url="https://git.example.org/ml/models.git", ref="main", interval="60s"),  # type: ignore[arg-type]
        DirectorySpec(name="here", path="."),
    )
    store = platform.artifact_store
    assert isinstance(store, S3StoreSpec)
    assert (store.bucket, store.prefix, store.endpoint) == ("ml-models", "models/", "https://s3.example.org")
    assert store.path_style
    assert store.pod_access is not None
    assert store.pod_access.secret == "kubeserve/store-read"
    assert platform.state == "s3://ml-models/kubeserve/state.json"
    assert platform.runtime.pull_secret == "kubeserve/registry"
    assert (platform.kubernetes.routing, platform.kubernetes.gateway) == (Routing.GATEWAY, "platform/public")
    fraud = platform.tenants["fraud"]
    assert fraud.quota is not None
    assert (fraud.quota.cpu_millicores, fraud.quota.memory_bytes, fraud.quota.pods) == (2000, 4 * 2**30, 5)
    assert fraud.may_speak_at("teams/fraud/kubeserve.yaml")
    assert not fraud.may_speak_at("teams/other/kubeserve.yaml")
    assert platform.tenants["gone"].state is TenantState.REMOVED
    assert (platform.limits.artifact_bytes, platform.limits.requirements_bytes) == (2 * 2**30, 64 * 2**10)
    assert (platform.guards.max_deletions, platform.guards.max_deletion_percent) == (10, 50)
    assert (platform.gateway.host, platform.gateway.port) == ("0.0.0.0", 8080)
    assert (platform.allow.local_git, platform.allow.private_addresses) == (True, True)


def test_without_a_file_everything_is_local_and_small() -> None:
    platform = default_platform()
    assert platform.target is TargetKind.LOCAL
    assert platform.sources == (DirectorySpec(name="default", path="."),)
    assert platform.artifact_store == FilesystemStoreSpec(type="filesystem", path=".kubeserve/store")
    assert platform.state == ".kubeserve/state.json"
    assert platform.tenants == {}
    assert platform.may_speak_at("anybody", "anywhere/kubeserve.yaml")
    assert (platform.limits.artifact_bytes, platform.limits.requirements_bytes) == (500 * 2**20, 2**20)
    assert (platform.guards.max_deletions, platform.guards.max_deletion_percent) == (5, 30)
    assert (platform.gateway.host, platform.gateway.port) == ("127.0.0.1", None)
    assert not platform.allow.local_git
    assert not platform.allow.private_addresses


def test_the_default_is_what_the_shortest_file_says() -> None:
    assert parse(HEAD) == default_platform()


def test_where_tenants_are_listed_others_may_not_speak() -> None:
    platform = parse(HEAD + "tenants: {fraud: {}}\n")
    assert platform.may_speak_at("fraud", "any/kubeserve.yaml")
    assert not platform.may_speak_at("other", "any/kubeserve.yaml")


K8S = HEAD + "target: kubernetes\n"
S3 = "artifactStore: {type: s3, bucket: abc}\n"
IMAGE = "runtime: {image: i:1}\n"

CASES = {
    "nothing is written": ("‸", "Not a platform.yaml", "It has nothing in it."),
    "there are two documents": (f"‸{HEAD}---\n{HEAD}", "Not a platform.yaml", "It has several documents."),
    "it is a list": ("- ‸a\n", "Not a mapping", "The file takes 'name: value' pairs, and has a list."),
    "the language is missing": (
        "‸installation: x\n",
        "Missing field",
        "Files start with 'apiVersion: kubeserve.io/v1'.",
    ),
    "a field is unknown": (HEAD + "‸tenant: {}\n", "Unknown field", "Did you mean 'tenants'?"),
    "a field has no value": (HEAD + "kubernetes: {host: ‸}\n", "Nothing is written here", "`host:` is empty."),
    "the target is unknown": (
        HEAD + "target: ‸kubernets\n",
        "Unknown value",
        "`target:` is local or kubernetes, and not 'kubernets'. Did you mean 'kubernetes'?",
    ),
    "the installation's name is malformed": (HEAD + "installation: ‸My_Prod\n", "Invalid name", "'my-prod'"),
    "a store's type is unknown": (
        HEAD + "‸artifactStore: {type: gcs}\n",
        "Unknown value",
        "The `type:` of `artifactStore:` is filesystem or s3, and not 'gcs'.",
    ),
    "a store has no type": (HEAD + "‸artifactStore: {bucket: x}\n", "Missing field", "`artifactStore:` needs `type:`."),
    "a store has the field of another": (
        HEAD + "artifactStore: {type: filesystem, ‸bucket: x}\n",
        "Unknown field",
        "'bucket' is no field of `artifactStore:`.\nIt has type and path.",
    ),
    "a bucket's name is malformed": (
        HEAD + "artifactStore: {type: s3, bucket: ‸My_Bucket}\n",
        "Malformed value",
        "must be the name of a bucket",
    ),
    "a prefix starts with a slash": (
        HEAD + "artifactStore: {type: s3, bucket: abc, prefix: ‸/x}\n",
        "Not a prefix of keys",
        "like models/prod/",
    ),
    "an endpoint is no URL": (
        HEAD + "artifactStore: {type: s3, bucket: abc, endpoint: ‸s3.example.org}\n",
        "URL without a host",
        "scheme://host",
    ),
    "an endpoint has credentials": (
        HEAD + "artifactStore: {type: s3, bucket: abc, endpoint: ‸https://a:b@s3.example.org}\n",
        "Credentials inside a URL",
        "revoke it",
    ),
    "a boolean is in quotes": (
        HEAD + 'artifactStore: {type: s3, bucket: abc, pathStyle: ‸"yes"}\n',
        "Neither true nor false",
        "`pathStyle:` is true or false, and not 'yes'.",
    ),
    "a source is neither Git nor directory": (
        HEAD + "sources: [{‸name: a}]\n",
        "Missing field",
        "the `url:` of a Git repository, or the `path:` of a directory",
    ),
    "a source is both": (
        HEAD + "sources: [{name: a, url: https://h/x, ‸path: .}]\n",
        "Unknown field",
        "'path' is no field of item 1 of `sources:`.",
    ),
    "there is no source": (HEAD + "‸sources: []\n", "Nothing is written here", "needs at least one entry"),
    "two sources have one name": (
        HEAD + "sources: [{name: a, path: .}, {name: ‸a, path: x}]\n",
        "A name defined twice",
        "Two sources are named 'a'.",
    ),
    "a repository is fetched without encryption": (
        HEAD + "sources: [{name: a, url: ‸http://h/x}]\n",
        "Unsupported kind of Git URL",
        "over https or ssh, not over http",
    ),
    "a repository's URL is a command": (
        HEAD + "sources: [{name: a, url: ‸'ext::sh -c x'}]\n",
        "Not a Git URL",
        "is refused",
    ),
    "a repository's URL is an option": (
        HEAD + "sources: [{name: a, url: ‸--upload-pack=x}]\n",
        "Not a Git URL",
        "is refused",
    ),
    "a repository's host is an option": (
        HEAD + "sources: [{name: a, url: ‸'ssh://-oProxyCommand=x/y'}]\n",
        "Not a Git URL",
        "is refused",
    ),
    "a repository's URL has a password": (
        HEAD + "sources: [{name: a, url: ‸https://me:pw@h/x}]\n",
        "Credentials inside a URL",
        "let the environment or a file provide it",
    ),
    "a repository is on this machine": (
        HEAD + "sources: [{name: a, url: ‸/srv/models.git}]\n",
        "A Git repository of this machine",
        "`allow: {localGit: true}`",
    ),
    "a ref is an option": (
        HEAD + "sources: [{name: a, url: https://h/x, ref: ‸--all}]\n",
        "Not a Git ref",
        "no branch, tag or commit",
    ),
    "a ref is a range": (HEAD + "sources: [{name: a, url: https://h/x, ref: ‸a..b}]\n", "Not a Git ref", "'a..b'"),
    "an interval is none": (
        HEAD + "sources: [{name: a, url: https://h/x, interval: ‸0s}]\n",
        "Interval out of bounds",
        "every 1s to every 24h",
    ),
    "state is kept elsewhere": (HEAD + "state: ‸https://h/x\n", "Unsupported place for state", "s3://bucket/key"),
    "state has no key": (HEAD + "state: ‸s3://bucket\n", "Not an S3 object", "s3://bucket/key"),
    "a tenant's name is reserved": (HEAD + "tenants: {‸api: {}}\n", "Reserved name", "'api'"),
    "a tenant has nothing": (HEAD + "tenants:\n  fraud:‸\n", "Nothing is written here", "Tenant 'fraud' is empty."),
    "a glob is absolute": (HEAD + "tenants: {a: {paths: [‸/x/**]}}\n", "Not a glob of paths", "teams/fraud/**"),
    "a quota is in milli-bytes": (
        HEAD + "tenants: {a: {quota: {memory: ‸4m}}}\n",
        "Memory in thousandths of a byte",
        "Did you mean '4Mi'?",
    ),
    "a tenant's state is unknown": (
        HEAD + "tenants: {a: {state: ‸remove}}\n",
        "Unknown value",
        "`state:` is active or removed, and not 'remove'. Did you mean 'removed'?",
    ),
    "egress is to something unknown": (
        HEAD + "tenants: {a: {egress: [‸internet]}}\n",
        "Unknown value",
        "`egress:` is package-index, and not 'internet'.",
    ),
    "egress is to one address": (
        HEAD + "tenants: {a: {egress: [{name: x, cidrs: [‸203.0.113.7], ports: [1]}]}}\n",
        "Not a network",
        "Write 203.0.113.7/32",
    ),
    "egress is to a network with host bits": (
        HEAD + "tenants: {a: {egress: [{name: x, cidrs: [‸203.0.113.7/24], ports: [1]}]}}\n",
        "Not a network",
        "has host bits set",
    ),
    "a port is a boolean": (
        HEAD + "gateway: {port: ‸true}\n",
        "Not a whole number",
        "`port:` takes a whole number, and has true.",
    ),
    "a port is none": (HEAD + "gateway: {port: ‸70000}\n", "Number out of bounds", "at most 65535, and not 70000"),
    "two rules have one name": (
        HEAD + "tenants: {a: {egress: [package-index, ‸package-index]}}\n",
        "A name defined twice",
        "Two rules of `egress:` are named 'package-index'.",
    ),
    "access to the store is given twice": (
        HEAD + "tenants: {a: {‸storeAccess: {secret: a/b, serviceAccountAnnotations: {x: y}}}}\n",
        "Not one way to the store",
        "either",
    ),
    "a secret has no namespace": (
        HEAD + "runtime: {pullSecret: ‸registry}\n",
        "Not NAMESPACE/NAME",
        "must be written as namespace/name",
    ),
    "an annotation's name is malformed": (
        HEAD + "tenants: {a: {storeAccess: {serviceAccountAnnotations: {‸'a b': c}}}}\n",
        "Not the name of an annotation",
        "example.org/name",
    ),
    "a host is a URL": (HEAD + "kubernetes: {host: ‸https://x.org}\n", "Not a host name", "models.example.org"),
    "a prefix leaves no room for a tenant": (
        HEAD + f"kubernetes: {{namespacePrefix: ‸{'a' * 23}}}\n",
        "Too long",
        "at most 22 characters",
    ),
    "a gateway is named and not used": (
        HEAD + "kubernetes: {routing: ingress, gateway: ‸a/b}\n",
        "Gateway without gateway routing",
        "With 'routing: ingress' no route has a gateway as its parent.",
    ),
    "pods can't reach the store": (
        f"{K8S}{IMAGE}‸artifactStore: {{type: filesystem}}\n",
        "A store that pods can't reach",
        "`artifactStore: {type: s3, bucket: …}`",
    ),
    "pods have no image": (f"‸{K8S}{S3}", "No runtime image", "`runtime: {image: …}`"),
    "a limit is in milli-bytes": (HEAD + "limits: {artifact: ‸5m}\n", "Memory in thousandths of a byte", "'5Mi'"),
    "a percentage is more than all": (
        HEAD + "guards: {maxDeletionPercent: ‸101}\n",
        "Number out of bounds",
        "at most 100, and not 101",
    ),
    "the address to listen on is malformed": (HEAD + "gateway: {host: ‸'a b'}\n", "Not a host name", "'a b'"),
}


@pytest.mark.parametrize(("text", "summary", "detail"), CASES.values(), ids=CASES.keys())
def test_a_mistake_of_the_operator_has_its_own_message_at_its_place(text: str, summary: str, detail: str) -> None:
    plain, line, column = marked(text)
    [problem] = refused(plain)
    assert problem.summary == summary
    assert detail in problem.detail
    assert str(problem.place) == f"platform.yaml:{line}:{column}", problem.render()


def test_all_mistakes_of_the_operator_are_shown_together() -> None:
    problems = refused(HEAD + "target: x\ntenants: {api: {}}\nfoo: 1\ntarget: y\n")
    assert [(p.place.line if p.place else 0, p.summary) for p in problems] == [
        (2, "Unknown value"),
        (3, "Reserved name"),
        (4, "Unknown field"),
        (5, "A name defined twice"),
    ]


def test_a_local_repository_is_fine_where_the_operator_says_so() -> None:
    platform = parse(HEAD + "sources: [{name: a, url: ../models.git}]\nallow: {localGit: true}\n")
    [source] = platform.sources
    assert isinstance(source, GitSpec)
    assert source.is_local
    assert (source.ref, source.interval) == ("HEAD", 60.0)


@pytest.mark.parametrize(
    "url", ["https://h/x.git", "ssh://git@h:22/x.git", "git@h:x/y.git", "h:x", "https://[2001:db8::1]/x"]
)
def test_a_remote_repository_is_remote(url: str) -> None:
    [source] = parse(f"{HEAD}sources: [{{name: a, url: '{url}'}}]\n").sources
    assert isinstance(source, GitSpec)
    assert not source.is_local


def test_what_a_tenant_is_granted_is_written_as_one_would_write_it() -> None:
    grant = parse(WHOLE).tenants["fraud"]
    written = grant.model_dump(mode="json", by_alias=True, exclude_none=True)
    assert (
        written
        | {
            "paths": ["teams/fraud/**"],
            "quota": {"cpu": "2", "memory": "4Gi", "pods": 5},
            "egress": ["package-index", {"name": "hub", "cidrs": ["203.0.113.0/24"], "ports": [443]}],
            "storeAccess": {"secret": "kubeserve/store-fraud"},
            "members": ["alice@example.org"],
            "state": "active",
        }
        == written
    )


def test_the_whole_file_survives_being_written_and_read() -> None:
    platform = parse(WHOLE)
    assert Platform.model_validate(platform.model_dump(mode="json", by_alias=True, exclude_none=True)) == platform

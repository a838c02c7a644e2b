"""Every mistake in a kubeserve.yaml has its own message, and is shown where it was made."""

from __future__ import annotations

import pytest

from specs.problems import Severity
from tests.support.specs.texts import CHURN, HEAD, load, only_problem

SHA = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"


def version(fields: str) -> str:
    return f"{HEAD}models:\n  churn:\n    versions:\n      v1: {fields}\n"


def deployment(fields: str) -> str:
    return f"{CHURN}deployments:\n  churn:\n    model: churn\n    {fields}\n"


def served(fields: str) -> str:
    return deployment(f"version: v1\n    {fields}")


CASES = {
    "the language is another": (
        "apiVersion: ‸kubeserve.io/v9\ntenant: fraud\n",
        "Unknown apiVersion",
        "This KubeServe reads kubeserve.io/v1, and not 'kubeserve.io/v9'.",
    ),
    "the language is missing": ("‸tenant: fraud\n", "Missing field", "Files start with 'apiVersion: kubeserve.io/v1'."),
    "the tenant is missing": ("‸apiVersion: kubeserve.io/v1\n", "Missing field", "Write 'tenant: NAME'"),
    "a tenant's name is malformed": (
        "apiVersion: kubeserve.io/v1\ntenant: ‸Fraud_Team\n",
        "Invalid name",
        "lower-case letters, digits and '-', and start and end with a letter or digit. Did you mean 'fraud-team'?",
    ),
    "a tenant's name is too long": (
        f"apiVersion: kubeserve.io/v1\ntenant: ‸{'a' * 41}\n",
        "Invalid name",
        "has 41 characters; at most 40",
    ),
    "a tenant is named like a path of the gateway": (
        "apiVersion: kubeserve.io/v1\ntenant: ‸metrics\n",
        "Reserved name",
        "No tenant can be named 'metrics'",
    ),
    "a tenant is named like a namespace of Kubernetes": (
        "apiVersion: kubeserve.io/v1\ntenant: ‸kube-system\n",
        "Reserved name",
        "names that start with 'kube-'",
    ),
    "a tenant raises its own quota": (
        HEAD + "‸quota: {cpu: 99}\n",
        "Not a tenant's to set",
        "`quota:` is the operator's, in platform.yaml.",
    ),
    "a tenant claims paths": (
        HEAD + '‸paths: ["**"]\n',
        "Not a tenant's to set",
        "`paths:` is the operator's, in platform.yaml.",
    ),
    "a field at the top is unknown": (
        HEAD + "‸deployment: {}\n",
        "Unknown field",
        "'deployment' is no field of the file. Did you mean 'deployments'?",
    ),
    "a field of a deployment is unknown": (
        served("‸replica: 3"),
        "Unknown field",
        "'replica' is no field of deployment 'churn'. Did you mean 'replicas'?\n"
        "It has model, version, traffic, replicas, resources, env, checks and timeouts.",
    ),
    "a field deep inside is unknown": (
        served("resources: {cpu: 1, ‸mem: 1Gi}"),
        "Unknown field",
        "'mem' is no field of `resources:`. Did you mean 'memory'?",
    ),
    "a field is written as in Python": (
        HEAD + "‸api_version: x\n",
        "Unknown field",
        "Did you mean 'apiVersion'?",
    ),
    "a field of a version is unknown": (
        version("{artifact: a, ‸sha265: x}"),
        "Unknown field",
        "'sha265' is no field of version 'v1' of model 'churn'. Did you mean 'sha256'?",
    ),
    "a group is empty": (HEAD + "models:‸\n", "Nothing is written here", "`models:` is empty."),
    "a group is a list": (
        HEAD + "‸models: [churn]\n",
        "Not a mapping",
        "`models:` takes 'name: value' pairs, and has a list.",
    ),
    "a model is text": (
        HEAD + "models: {churn: ‸a.joblib}\n",
        "Not a mapping",
        "Model 'churn' takes 'name: value' pairs",
    ),
    "a model has no versions": (
        HEAD + "models:\n  churn: {‸versions: {}}\n",
        "Nothing is written here",
        "`versions:` needs at least one entry.",
    ),
    "a model doesn't mention versions": (
        HEAD + "models:\n  ‸churn: {description: x}\n",
        "Missing field",
        "Model 'churn' needs `versions:`.",
    ),
    "a model's name is malformed": (
        HEAD + "models:\n  ‸my.model: {versions: {v1: {artifact: a}}}\n",
        "Invalid name",
        "The model name 'my.model' must consist of",
    ),
    "a deployment's name is malformed": (
        CHURN + "deployments: {‸-x: {model: churn, version: v1}}\n",
        "Invalid name",
        "The deployment name '-x' must consist of",
    ),
    "a version's name is malformed": (
        HEAD + "models: {churn: {versions: {‸v1-: {artifact: a}}}}\n",
        "Invalid name",
        "The version name 'v1-' must consist of letters, digits, '.', '_' and '-'",
    ),
    "a version is empty": (
        version("‸").replace(" ‸", "‸"),
        "Nothing is written here",
        "Version 'v1' of model 'churn' is empty.",
    ),
    "a version has no artifact": (
        HEAD + "models: {churn: {versions: {‸v1: {format: onnx}}}}\n",
        "No artifact",
        "or the `digest:` that `kubeserve push` printed",
    ),
    "a version has both artifact and digest": (
        version(f'{{‸artifact: a, digest: "sha256:{SHA}"}}').replace("‸artifact: a", "artifact: ‸a"),
        "Digest and more",
        "`artifact:` has no say",
    ),
    "a digest is malformed": (version('{digest: ‸"sha256:12"}'), "Malformed value", "must be 'sha256:' and 64"),
    "a sha256 is malformed": (version("{artifact: a, sha256: ‸xyz}"), "Malformed value", "64 lower-case hex digits"),
    "a sha256 was forgotten": (
        version("{artifact: a, sha256: ‸}"),
        "Nothing is written here",
        "`sha256:` is empty. Write its value, or remove the line.",
    ),
    "a format is unknown": (
        version("{artifact: a, format: ‸onix}"),
        "Unknown value",
        "and not 'onix'. Did you mean 'onnx'?",
    ),
    "a description is a number": (
        version("{artifact: a, description: ‸2024}"),
        "Name without quotes",
        'YAML takes 2024 for a number. Write it in quotes: "2024".',
    ),
    "a remote artifact has no sha256": (
        version("{artifact: ‸https://example.org/m.onnx}"),
        "Remote artifact without sha256",
        "`sha256sum FILE` prints it",
    ),
    "an artifact is fetched without encryption": (
        version(f"{{artifact: ‸http://example.org/m.onnx, sha256: {SHA}}}"),
        "Unsupported kind of URL",
        "not from http://. Did you mean 'https'?",
    ),
    "an artifact's URL is a file of the machine": (
        version(f"{{artifact: ‸file:///etc/passwd, sha256: {SHA}}}"),
        "Unsupported kind of URL",
        "not from file://",
    ),
    "an S3 artifact names no key": (
        version(f"{{artifact: ‸s3://bucket, sha256: {SHA}}}"),
        "Not an S3 object",
        "s3://bucket/key",
    ),
    "an S3 bucket has too short a name": (
        version(f"{{artifact: ‸s3://b/key, sha256: {SHA}}}"),
        "Not an S3 object",
        "A bucket's name has 3 to 63 lower-case letters",
    ),
    "an artifact's URL has no host": (
        version(f"{{artifact: ‸https:///x, sha256: {SHA}}}"),
        "URL without a host",
        "scheme://host/path",
    ),
    "an artifact's URL can't be read": (
        version(f"{{artifact: ‸https://h:99999/x, sha256: {SHA}}}"),
        "Not a URL",
        "can't be read",
    ),
    "an artifact leaves the repository": (
        version("{artifact: ‸../../../etc/passwd}"),
        "Path leaves the repository",
        "'../../../etc/passwd' leads out of the repository.",
    ),
    "an artifact is absolute": (version("{artifact: ‸/etc/passwd}"), "Not a relative path", "inside this repository"),
    "an artifact is in a home": (version("{artifact: ‸~/m.onnx}"), "Not a relative path", "inside this repository"),
    "an artifact has a drive": (version("{artifact: ‸C:m.onnx}"), "Not a relative path", "inside this repository"),
    "an artifact has backslashes": (
        version(r"{artifact: ‸models\m.onnx}"),
        "Backslash in a path",
        "Write 'models/m.onnx', with slashes.",
    ),
    "an artifact has a NUL": (version(r'{artifact: ‸"a\0b"}'), "Control character in a path", r"'a\x00b'"),
    "an artifact is nothing": (version('{artifact: ‸""}'), "Empty path", "relative to the folder of this file"),
    "an artifact's path is too long": (
        version(f"{{artifact: ‸{'a' * 1025}}}"),
        "Path is too long",
        "at most 1024 characters; this has 1025",
    ),
    "requirements leave the repository": (
        version("{artifact: a, requirements: ‸../../../r.txt}"),
        "Path leaves the repository",
        "leads out of the repository",
    ),
    "requirements are remote": (
        version("{artifact: a, requirements: ‸https://example.org/r.txt}"),
        "Requirements are a file",
        "Commit requirements.txt beside this file",
    ),
    "a deployment has no model": (
        CHURN + "deployments:\n  ‸churn: {version: v1}\n",
        "Missing field",
        "Deployment 'churn' needs `model:`.",
    ),
    "a deployment asks for a model that isn't there": (
        CHURN + "deployments: {d: {model: ‸chrun, version: v1}}\n",
        "Unknown model",
        "Deployment 'd' asks for model 'chrun'; this tenant has churn.\nDid you mean 'churn'?",
    ),
    "a deployment asks for a version that isn't there": (
        deployment("version: ‸v3"),
        "Unknown model version",
        "Deployment 'churn' asks for version 'v3' of model 'churn', which has v1 and v2.\nDid you mean 'v2'?",
    ),
    "traffic goes to a version that isn't there": (
        deployment("traffic: {v1: 50, ‸v9: 50}"),
        "Unknown model version",
        "asks for version 'v9' of model 'churn'",
    ),
    "a deployment has neither version nor traffic": (
        CHURN + "deployments: {‸churn: {model: churn}}\n",
        "No version",
        "serves a `version:`, or shares its `traffic:`",
    ),
    "a deployment has both version and traffic": (
        served("‸traffic: {v1: 100}"),
        "Both version and traffic",
        "not both",
    ),
    "weights don't add up": (
        deployment("‸traffic: {v1: 50, v2: 40}"),
        "Weights don't add up to 100",
        "50 + 40 is 90, not 100.",
    ),
    "there are no weights": (deployment("‸traffic: {}"), "Weights don't add up to 100", "`traffic:` is empty."),
    "a weight is a fraction": (deployment("traffic: {v1: ‸99.5, v2: 1}"), "Not a whole number", "and has 99.5."),
    "a weight is in quotes": (
        deployment('traffic: {v1: ‸"100"}'),
        "Not a whole number",
        "and has '100'. Remove the quotes.",
    ),
    "a weight is negative": (
        deployment("traffic: {v1: ‸-10, v2: 110}").replace("110", "100"),
        "Number out of bounds",
        "`v1:` is at least 0, and not -10.",
    ),
    "a version is read as a number": (
        deployment("version: ‸1.10"),
        "Name without quotes",
        'YAML takes 1.10 for the number 1.1. Write it in quotes: "1.10".',
    ),
    "a version is read as an infinite number": (
        deployment("version: ‸12e4567"),
        "Name without quotes",
        'YAML takes 12e4567 for the number inf. Write it in quotes: "12e4567".',
    ),
    "a model is read as a boolean": (
        HEAD + "deployments: {d: {model: ‸true, version: v1}}\n",
        "Name without quotes",
        'YAML takes true for a boolean. Write it in quotes: "true".',
    ),
    "a defined version is read as a number": (
        HEAD + "models: {churn: {versions: {‸1.10: {artifact: a}}}}\n",
        "Name without quotes",
        'YAML takes 1.10 for the number 1.1. Write it in quotes: "1.10".',
    ),
    "a model's name is read as a boolean": (
        HEAD + "models: {‸on: {versions: {v1: {artifact: a}}}}\n",
        "Name without quotes",
        "YAML takes on for a boolean.",
    ),
    "a version's name is read as a date": (
        HEAD + "models: {churn: {versions: {‸2024-01-31: {artifact: a}}}}\n",
        "Name without quotes",
        "YAML takes 2024-01-31 for a date.",
    ),
    "a tenant is read as nothing": (
        "apiVersion: kubeserve.io/v1\ntenant: ‸null\n",
        "Nothing is written here",
        "`tenant:` is empty.",
    ),
    "replicas are none": (served("replicas: ‸0"), "Number out of bounds", "`replicas:` is at least 1, and not 0."),
    "replicas are a boolean": (served("replicas: ‸true"), "Not a number of replicas", "{min: 1, max: 5}"),
    "replicas are the wrong way round": (
        served("replicas: {min: ‸5, max: 1}"),
        "More replicas at least than at most",
        "'min: 5' is more than 'max: 1'.",
    ),
    "memory is in thousandths of a byte": (
        served("resources: {memory: ‸512m}"),
        "Memory in thousandths of a byte",
        "Did you mean '512Mi'?",
    ),
    "memory has an unknown unit": (
        served("resources: {memory: ‸4GB}"),
        "Invalid amount of memory",
        "'4GB' is no amount of memory. Write a number and a unit: Ki, Mi, Gi, Ti (powers of 1024) or k, M, G, T "
        "(powers of 1000), like 512Mi. Did you mean '4Gi'?",
    ),
    "memory has no unit": (
        served("resources: {memory: ‸512}"),
        "Amount of memory out of bounds",
        "did you mean 512Mi?",
    ),
    "CPU has lost its unit": (served("resources: {cpu: ‸500}"), "Amount of CPU out of bounds", "Did you mean 500m?"),
    "CPU is a word": (served("resources: {cpu: ‸two}"), "Invalid amount of CPU", "'two' is no amount of CPU."),
    "CPU is a boolean": (served("resources: {cpu: ‸true}"), "Not an amount", "Write a number"),
    "CPU is a list": (served("resources: {‸cpu: [1]}"), "Not an amount", "Write a number"),
    "a timeout has no unit": (
        served("timeouts: {ready: ‸30}"),
        "Invalid duration",
        "'30' is no duration. Write a number and a unit: ms, s, m, h or d, like 60s. Did you mean '30s'?",
    ),
    "a timeout is too short": (served("timeouts: {drain: ‸1ms}"), "Timeout out of bounds", "from 1s to 24h"),
    "a variable has no value": (
        served("env: {LEVEL: ‸}"),
        "Nothing is written here",
        'Write "" for an empty value, or remove the line.',
    ),
    "a variable is a list": (served("env: {‸LEVEL: [a]}"), "Not text", "`LEVEL:` takes text, and has a list."),
    "a variable's name is malformed": (
        served("env: {‸MY-LEVEL: info}"),
        "Invalid environment variable name",
        "'MY-LEVEL' must consist of letters, digits and '_'",
    ),
    "a variable is the platform's own": (
        served("env: {‸KUBESERVE_PORT: '1'}"),
        "Reserved environment variable",
        "KUBESERVE_PORT can't be set",
    ),
    "a variable has a NUL": (served(r'env: {LEVEL: ‸"a\0"}'), "Value can't be in an environment", "none of them NUL"),
    "a secret's reference is incomplete": (
        served("env: {‸HUB: {secret: hub}}"),
        "Missing field",
        "`HUB:` needs `key:`.",
    ),
    "a secret's reference leaves its folder": (
        served("env: {HUB: {secret: hub, key: ‸../../passwd}}"),
        "Malformed value",
        "the name of a key in the secret",
    ),
    "a check has no inputs": (
        served("checks: [{‸outputs: [1]}]"),
        "Missing field",
        "Item 1 of `checks:` needs `inputs:`.",
    ),
    "a check has another number of outputs": (
        served("checks:\n      - inputs: [[1], [2]]\n        ‸outputs: [1]"),
        "Not one output for each input",
        "The check asks for 2 predictions and lists 1.",
    ),
    "a check has what JSON has not": (
        served("checks: [{‸inputs: [[.nan]]}]"),
        "Not a number of JSON",
        "neither .nan nor .inf",
    ),
    "a check's outputs were forgotten": (
        served("checks: [{inputs: [[1]], outputs: ‸}]"),
        "Nothing is written here",
        "`outputs:` is empty.",
    ),
    "a check's tolerance is text": (
        served("checks: [{inputs: [[1]], tolerance: ‸little}]"),
        "Not a number",
        "`tolerance:` takes a number, and has 'little'.",
    ),
    "there are too many checks": (
        served(f"‸checks: [{', '.join(['{inputs: [1]}'] * 33)}]"),
        "Too long",
        "`checks:` has at most 32 entries",
    ),
    "checks are no list": (
        served("‸checks: {inputs: [[1]]}"),
        "Not a list",
        "`checks:` takes a list, [like, this], and has a mapping.",
    ),
}


@pytest.mark.parametrize(("text", "summary", "detail"), CASES.values(), ids=CASES.keys())
def test_a_mistake_has_its_own_message_at_its_place(text: str, summary: str, detail: str) -> None:
    problem = only_problem(text)
    assert problem.severity is Severity.ERROR
    assert problem.summary == summary
    assert detail in problem.detail


@pytest.mark.parametrize("text", [text for text, _, _ in CASES.values()], ids=CASES.keys())
def test_a_mistake_leaves_the_tenant_out_and_its_things_in_peace(text: str) -> None:
    loaded = load(text.replace("‸", ""))
    assert loaded.tenants == {}
    assert not loaded.ok
    assert loaded.protected is None or "fraud" in loaded.protected


def test_all_mistakes_of_a_file_are_shown_together_in_file_order() -> None:
    loaded = load(
        HEAD
        + "models:\n  churn: {versions: {v1: {artifact: /a}}}\n"
        + "deployments:\n  a: {model: churn, version: v9, replica: 1}\n  b: {model: nothing, traffic: {v1: 9}}\n"
    )
    shown = [(p.place.line if p.place else 0, p.summary) for p in loaded.problems]
    assert shown == [
        (4, "Not a relative path"),
        (6, "Unknown model version"),
        (6, "Unknown field"),
        (7, "Unknown model"),
        (7, "Weights don't add up to 100"),
    ]


def test_a_problem_shows_the_offending_line() -> None:
    [problem] = load(deployment("version: v3")).problems
    assert problem.render() == (
        "teams/fraud/kubeserve.yaml:8:14: error: Unknown model version\n"
        "  Deployment 'churn' asks for version 'v3' of model 'churn', which has v1 and v2.\n"
        "  Did you mean 'v2'?\n"
        "     8 |     version: v3\n"
        "       |              ^"
    )


def test_a_flood_of_mistakes_is_cut_short_and_says_so() -> None:
    entries = "\n".join(f"  d{n}: {{model: churn, version: v9}}" for n in range(5000))
    loaded = load(f"{CHURN}deployments:\n{entries}\n")
    assert len(loaded.problems) == 101
    assert loaded.problems[-1].summary == "Too many problems"


def test_a_flood_of_warnings_hides_no_error_and_breaks_nothing() -> None:
    entries = "\n".join(f"  d{n}: {{model: churn, version: v1, env: {{A_TOKEN: abc{n}}}}}" for n in range(300))
    loaded = load(f"{CHURN}deployments:\n{entries}\n")
    assert loaded.ok
    assert len(loaded.tenants["fraud"].deployments) == 300
    broken = load(f"{CHURN}deployments:\n{entries}\n  last: {{model: churn, version: v9}}\n")
    assert "Unknown model version" in [problem.summary for problem in broken.problems]
    assert broken.tenants == {}

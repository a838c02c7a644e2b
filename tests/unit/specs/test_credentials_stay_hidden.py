"""What may be a credential is warned about where it was meant for reading, and shown nowhere."""

from __future__ import annotations

import pytest

from specs.credentials import hide_credentials, is_credential_name, looks_like_credential
from specs.names import quoted
from specs.problems import Severity
from tests.support.specs.texts import CHURN, HEAD, load, only_problem

SECRET = "hunter2-correct-horse"
SHA = "ab" * 32
PEM = "-----BEGIN RSA PRIVATE KEY-----"


def env(text: str) -> str:
    return f"{CHURN}deployments:\n  churn:\n    model: churn\n    version: v1\n    env:\n{text}"


LITERALS = {
    "a token by its name": f"      HUB_TOKEN: ‸{SECRET}\n",
    "a password by its name": f"      PASSWORD: ‸{SECRET}\n",
    "a secret by its name": f'      CLIENT_SECRET: ‸"{SECRET}"\n',
    "a key by its name": f"      API_KEY: ‸{SECRET}\n",
    "a key of AWS": "      WHO: ‸AKIAIOSFODNN7EXAMPLE\n",
    "a token of GitHub": f"      WHO: ‸ghp_{'a1' * 18}\n",
    "a token of Hugging Face": f"      WHO: ‸hf_{'a1' * 17}\n",
    "a private key": f"      WHO: ‸|\n        {PEM}\n        MIIEow\n",
    "a URL with a password": f"      DATABASE_URL: ‸postgres://me:{SECRET}@db/x\n",
    "a URL with a long password": f"      DATABASE_URL: ‸postgres://me:{SECRET * 40}@db/x\n",
    "a header by its name": f"      AUTHORIZATION: ‸{SECRET}\n",
    "a bearer's token": f"      WHO: ‸Bearer {SECRET}\n",
    "a name and a password in base64": "      WHO: ‸basic bWU6YWJjZGVm\n",
    "a value on the next line": f"      HUB_TOKEN:\n        ‸{SECRET}\n",
}


@pytest.mark.parametrize("text", LITERALS.values(), ids=LITERALS.keys())
def test_a_literal_credential_is_a_warning_that_does_not_repeat_it(text: str) -> None:
    problem = only_problem(env(text))
    assert problem.severity is Severity.WARNING
    assert problem.summary == "A credential in the open?"
    assert "{secret: NAME, key: KEY}" in problem.detail
    assert SECRET not in problem.render()
    assert "AKIA" not in problem.render()
    assert "MIIE" not in problem.render()
    assert "hp_a" not in problem.render()


@pytest.mark.parametrize("text", LITERALS.values(), ids=LITERALS.keys())
def test_a_warning_stops_nobody(text: str) -> None:
    loaded = load(env(text.replace("‸", "")))
    assert loaded.ok
    assert set(loaded.tenants) == {"fraud"}


HARMLESS = [
    "LEVEL: info",
    "MAX_TOKENS: 512",
    "API_KEY: ''",
    "USE_AUTH: true",
    "MONKEY_KIND: ape",
    "MODEL: sk-learn-like-names-are-fine",
    "KIND: Basic classifier",
    "KIND: bearer of good news",
]


@pytest.mark.parametrize("line", HARMLESS)
def test_what_is_no_credential_is_no_warning(line: str) -> None:
    assert load(env(f"      {line}\n")).problems == ()


def test_a_reference_is_what_is_wanted() -> None:
    assert load(env("      TOKEN: {secret: hub, key: token}\n")).problems == ()


BROKEN = {
    "another mistake on its line": f"{{API_TOKEN: {SECRET}, 1X: y}}",
    "a list": f"{{API_TOKEN: [{SECRET}]}}",
    "a mapping that is no reference": f"{{API_TOKEN: {{value: {SECRET}}}}}",
    "a reference with the secret in it": f"{{API_TOKEN: {{secret: {SECRET}!, key: x}}}}",
    "the same name twice": f"{{API_TOKEN: {SECRET}, API_TOKEN: {SECRET}}}",
    "an unquoted percent sign": f"{{API_TOKEN: {SECRET}, B: %x}}",
    "a tag": f"{{API_TOKEN: !!str {SECRET}}}",
}


@pytest.mark.parametrize("value", BROKEN.values(), ids=BROKEN.keys())
def test_no_other_problem_shows_a_credential(value: str) -> None:
    loaded = load(f"{CHURN}deployments: {{d: {{model: churn, version: v1, env: {value}}}}}\n")
    assert not loaded.ok
    assert SECRET not in "\n".join(problem.render() for problem in loaded.problems)
    assert SECRET not in repr(loaded.problems)


def test_an_unknown_field_that_holds_a_password_does_not_show_it() -> None:
    [problem] = load(f"{HEAD}password: {SECRET}\n").problems
    assert problem.summary == "Unknown field"
    assert SECRET not in problem.render()


@pytest.mark.parametrize(
    "url",
    [
        f"https://me:{SECRET}@example.org/m.onnx",
        f"https://{SECRET}@example.org/m.onnx",
        f"https://example.org/m.onnx?X-Amz-Signature={SECRET}",
        f"https://me:a/{SECRET}@example.org/m.onnx",
        f"https://me:a {SECRET}@example.org/m.onnx",
        f"s3://me:{SECRET}@bucket/m.onnx",
    ],
)
def test_a_url_with_a_credential_is_refused_and_not_shown(url: str) -> None:
    loaded = load(f'{HEAD}models: {{m: {{versions: {{v1: {{artifact: "{url}", sha256: {SHA}}}}}}}}}\n')
    [problem] = loaded.problems
    assert problem.severity is Severity.ERROR
    assert SECRET not in problem.render()


def test_the_message_about_a_password_in_a_url_says_what_to_do() -> None:
    text = f"{HEAD}models: {{m: {{versions: {{v1: {{artifact: ‸https://a:b@c/d, sha256: {SHA}}}}}}}}}\n"
    problem = only_problem(text)
    assert problem.summary == "Credentials inside a URL"
    assert "Remove what stands before the '@', revoke it" in problem.detail


def test_a_syntax_error_inside_of_a_private_key_does_not_show_it() -> None:
    text = env(f"      WHO: {PEM}\n        MIIEowSECRET: x: y\n")
    rendered = "\n".join(problem.render() for problem in load(text).problems)
    assert "Not valid YAML" in rendered
    assert "MIIE" not in rendered


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("env: {LEVEL: info, API_TOKEN: x, B: y}", "env: {LEVEL: info, API_TOKEN: ********"),
        ("TOKEN: {secret: hub, key: token}", "TOKEN: {secret: ********"),
        ("hotkey: banana", "hotkey: banana"),
        ("apiKey = x", "apiKey = ********"),
        ("artifact: https://a:b@c/d", "artifact: https://********"),
        ("TOKEN:", "TOKEN:"),
        ("Authorization: Digest x", "Authorization: ********"),
        ("curl --api-key x y", "curl --api-key ********"),
        ("login -password x", "login -password ********"),
        ("login --password", "login --password"),
        ("login --password-file x", "login --password-file x"),
        ("login --max-tokens 5", "login --max-tokens 5"),
        ("say password twice", "say password twice"),
    ],
)
def test_a_line_is_shown_up_to_where_a_credential_may_begin(line: str, shown: str) -> None:
    assert hide_credentials(line) == shown


def test_quoting_hides_credentials_and_what_a_terminal_would_obey() -> None:
    assert quoted("AKIAIOSFODNN7EXAMPLE") == "'********'"
    assert quoted("a\x1b[2Jb") == r"'a\x1b[2Jb'"
    assert quoted("x" * 100) == "'" + "x" * 60 + "… (40 more characters)'"


def test_a_name_alone_makes_no_credential_of_a_plain_word() -> None:
    assert not looks_like_credential("true", "AUTH")
    assert looks_like_credential("abc", "AUTH")


@pytest.mark.parametrize("name", ["Authorization", "proxy-authorization", "Cookie", "X-Api-Key", "DB_PASS", "apiKey"])
def test_names_of_headers_and_fields_are_known(name: str) -> None:
    assert is_credential_name(name)


@pytest.mark.parametrize("name", ["authorizations", "COMPASS", "bypass", "keyboard", "tokenizer", "monkey"])
def test_names_that_only_begin_or_end_alike_are_none(name: str) -> None:
    assert not is_credential_name(name)

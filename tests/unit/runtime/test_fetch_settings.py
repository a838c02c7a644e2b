from __future__ import annotations

from pathlib import Path

import pytest

from runtime.errors import SettingsError
from runtime.fetch.settings import Place, settings_of

DIGEST = "sha256:" + "0a" * 32
LEAST = {
    "KUBESERVE_STORE_BUCKET": "models",
    "KUBESERVE_TENANT": "fraud",
    "KUBESERVE_MODEL": "churn",
    "KUBESERVE_VERSION": "v1.0_x",
    "KUBESERVE_DIGEST": DIGEST,
}


def test_the_least_settings_mean_aws_and_the_folder_of_the_image() -> None:
    settings = settings_of(LEAST)
    assert settings.place == Place("models")
    assert settings.folder == Path("/artifacts")
    assert settings.wanted.folder == f"fraud/churn/v1.0_x/{'0a' * 32}/"


def test_an_empty_variable_is_one_that_is_not_set() -> None:
    optional = ("STORE_PREFIX", "STORE_ENDPOINT", "STORE_REGION", "STORE_PATH_STYLE", "ARTIFACTS")
    assert settings_of(LEAST | {f"KUBESERVE_{name}": "" for name in optional}) == settings_of(LEAST)


def test_all_that_leads_to_the_store_can_be_said() -> None:
    place = {
        "KUBESERVE_STORE_PREFIX": "a/b/",
        "KUBESERVE_STORE_ENDPOINT": "http://s3.storage.svc:9000",
        "KUBESERVE_STORE_REGION": "eu-central-1",
        "KUBESERVE_STORE_PATH_STYLE": "True",
    }
    expected = Place("models", "a/b/", "http://s3.storage.svc:9000", "eu-central-1", path_style=True)
    assert settings_of(LEAST | place).place == expected


@pytest.mark.parametrize("name", sorted(LEAST))
def test_what_is_lacking_is_named(name: str) -> None:
    with pytest.raises(SettingsError, match=f"{name} is not set"):
        settings_of(LEAST | {name: ""})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("KUBESERVE_TENANT", "../other"),
        ("KUBESERVE_MODEL", "a/b"),
        ("KUBESERVE_VERSION", ".."),
        ("KUBESERVE_DIGEST", "0a" * 32),
        ("KUBESERVE_DIGEST", DIGEST[:-1]),
        ("KUBESERVE_STORE_PREFIX", "models"),
        ("KUBESERVE_STORE_PATH_STYLE", "maybe"),
        ("KUBESERVE_STORE_ENDPOINT", "s3.example.org:9000"),
        ("KUBESERVE_STORE_ENDPOINT", "https://"),
        ("KUBESERVE_STORE_ENDPOINT", "http://[::1"),
    ],
)
def test_what_can_not_be_used_is_named(name: str, value: str) -> None:
    with pytest.raises(SettingsError) as raised:
        settings_of(LEAST | {name: value})
    assert name in raised.value.detail


def test_a_password_in_an_endpoint_is_refused_and_not_repeated() -> None:
    with pytest.raises(SettingsError) as raised:
        settings_of(LEAST | {"KUBESERVE_STORE_ENDPOINT": "https://key:hunter2@s3.example.org"})
    assert "hunter2" not in str(raised.value)

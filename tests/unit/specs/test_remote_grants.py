"""Which remote artifacts a tenant may name."""

from __future__ import annotations

import pytest

from specs.models.remote import RemotePolicy, StoreLocation, check_grant
from specs.problems import Refusal

STORE = StoreLocation("ml-models", "models/", frozenset({"s3.example.org", "10.0.0.9"}))


@pytest.mark.parametrize(
    "grant",
    [
        *["s3://bucket", "s3://bucket/", "s3://bucket/team/", "s3://bucket/team/model v1.joblib"],
        *["https://*", "https://models.example.org", "https://models.example.org:8443", "https://[2001:db8::1]"],
    ],
)
def test_a_place_can_be_granted(grant: str) -> None:
    assert check_grant(grant) == grant


@pytest.mark.parametrize(
    "grant",
    [
        *["", "bucket", "s3://", "s3://B", "s3://bucket/../other", "s3://bucket//x", "s3://bucket/**", "s3://*"],
        *["https://", "https://*.example.org", "https://example.org/models", "https://me@example.org"],
        *["http://example.org", "https://example.org:99999", "https://example.org?x", "HTTPS//x", "https://[::1"],
        *["s3://bucket/a\nb", "ftp://x"],
    ],
)
def test_what_is_no_place_cannot_be_granted(grant: str) -> None:
    with pytest.raises(Refusal, match="Not a place of remote artifacts"):
        check_grant(grant)


@pytest.mark.parametrize(
    ("grants", "url"),
    [
        (("https://*",), "https://anywhere.example.org:8443/x"),
        (("https://models.example.org",), "https://MODELS.example.org./x?version=2"),
        (("https://models.example.org:8443",), "https://models.example.org:8443/x"),
        (("https://münchen.example.org",), "https://xn--mnchen-3ya.example.org/x"),
        (("s3://bucket",), "s3://bucket/any/key"),
        (("s3://bucket/team",), "s3://bucket/team/model?#%.joblib"),
        (("s3://bucket/team/",), "s3://bucket/team/a/b"),
        (("s3://bucket/team/model.joblib",), "s3://bucket/team/model.joblib"),
        (("https://*", "s3://bucket/team/"), "s3://bucket/team/x"),
    ],
)
def test_what_is_granted_may_be_fetched(grants: tuple[str, ...], url: str) -> None:
    RemotePolicy("fraud", grants, STORE).check(url)


@pytest.mark.parametrize(
    ("grants", "url", "missing"),
    [
        (("https://*",), "s3://bucket/team/x", '["https://*", "s3://bucket/team/"]'),
        (("https://*",), "s3://bucket/x", '"s3://bucket/x"'),
        ((), "https://example.org/x", '["https://example.org"]'),
        (("https://example.org",), "https://example.org:8443/x", '"https://example.org:8443"'),
        (("https://example.org:8443",), "https://example.org/x", '"https://example.org"'),
        (("https://example.org",), "https://evil.example.org/x", '"https://evil.example.org"'),
        (("https://example.org",), "https://example.org.evil.net/x", '"https://example.org.evil.net"'),
        (("s3://bucket/team",), "s3://bucket/team-secret/x", '"s3://bucket/team-secret/"'),
        (("s3://bucket/team",), "s3://bucket-2/team/x", '"s3://bucket-2/team/"'),
        (("s3://bucket/team/x",), "s3://bucket/team/xy", '"s3://bucket/team/"'),
        (("s3://bucket/team",), "s3://bucket/Team/x", '"s3://bucket/Team/"'),
        (("s3://bucket/team",), "s3://bucket/team/%2e%2e/secret/x", "team"),
        (("s3://bucket/team",), "s3://bucket/team/%252e%252e/secret/x", "team"),
    ],
)
def test_what_is_not_granted_is_refused_and_the_missing_line_is_named(
    grants: tuple[str, ...], url: str, missing: str
) -> None:
    with pytest.raises(Refusal) as refused:
        RemotePolicy("fraud", grants, STORE).check(url)
    assert refused.value.code == "artifact-not-granted"
    assert "fraud: {artifacts: " in refused.value.detail
    assert missing in refused.value.detail


@pytest.mark.parametrize(
    "url",
    [
        "s3://ml-models/models/fraud/churn/v1/0/model.tar",
        "S3://ml-models/models/x",
        "s3://ml-models/%6dodels/x",
        "s3://ml-models/%256dodels/x",
        "s3://ml-models/Models/x",
        "https://s3.example.org/ml-models/models/x",
        "https://S3.EXAMPLE.ORG./ml-models/models/x",
        "https://s3.example.org:9443//ml-models//models/x",
        "https://s3.example.org/ML-models/x/../models/x",
        "https://s3.example.org/x/%2e%2e/ml-models/models/x",
        "https://s3.example.org/ml%2Dmodels%2Fmodels%2Fx",
        "https://s3.example.org/ml-models?prefix=models/",
        "https://s3.example.org/ml-models/?list-type=2",
        "https://ml-models.s3.example.org/models/x",
        "https://ml-models.s3.example.org/",
        "https://10.0.0.9/ml-models/models/x",
        "https://s3.amazonaws.com/ml-models/models/x",
        "https://s3.eu-central-1.amazonaws.com/ml-models/models/x",
        "https://s3-eu-west-1.amazonaws.com/ml-models/models/x",
        "https://s3.dualstack.eu-west-1.amazonaws.com/ml-models/models/x",
        "https://s3.cn-north-1.amazonaws.com.cn/ml-models/models/x",
        "https://ml-models.s3.amazonaws.com/models/x",
        "https://ml-models.s3.eu-central-1.amazonaws.com/models/x",
        "https://ml-models.s3-accelerate.amazonaws.com/models/x",
        "https://ml-models.s3-website-eu-west-1.amazonaws.com/models/x",
        "https://ml-models.s3.eu-west-1.api.aws/models/x",
    ],
)
def test_the_stores_own_objects_are_refused_however_they_are_spelled_and_granted(url: str) -> None:
    grants = ("https://*", "s3://ml-models", "https://s3.example.org", "https://ml-models.s3.example.org")
    with pytest.raises(Refusal) as refused:
        RemotePolicy("search", grants, STORE).check(url)
    assert refused.value.code == "artifact-of-the-store"


@pytest.mark.parametrize(
    "url",
    [
        *["s3://ml-models/datasets/x", "s3://ml-models/models-2/x", "https://s3.example.org/ml-models/models-2/x"],
        *["https://s3.example.org/other/models/x", "https://other.s3.example.org/models/x"],
        *["https://example.org/ml-models/models/x", "https://ml-models.s3.example.org/other/x"],
    ],
)
def test_what_lies_beside_the_store_may_be_granted(url: str) -> None:
    RemotePolicy("search", ("https://*", "s3://ml-models"), STORE).check(url)


def test_a_store_that_fills_its_bucket_leaves_nothing_to_grant() -> None:
    store = StoreLocation("ml-models", "")
    for url in ("s3://ml-models/any", "https://ml-models.s3.amazonaws.com/any"):
        with pytest.raises(Refusal, match="store's own objects"):
            RemotePolicy("search", ("https://*", "s3://ml-models"), store).check(url)


@pytest.mark.parametrize(
    "url", ["https://alias.example.net/ml-models/models/x", "https://ml-models.alias.example.net/models/x"]
)
def test_another_name_of_the_stores_server_is_refused_in_both_styles(url: str) -> None:
    host, _, path = url.removeprefix("https://").partition("/")
    assert not STORE.holds_path(host, f"/{path}")
    assert STORE.holds_path(host, f"/{path}", same_server=True)

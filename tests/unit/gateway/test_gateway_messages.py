"""Paths and heads: whose a path is, and what of a head goes further."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.targets.local.gateway.headers import answer_head, request_head, signature
from reconciler.targets.local.gateway.paths import origin_form, path_of, route_key

END = b"X-Forwarded-For: peer\r\nX-Forwarded-Proto: http\r\n\r\n"


def head(*headers: tuple[bytes, bytes], connection: tuple[str, ...] = (), framing: bytes = b"") -> bytes:
    return request_head("POST", "/a/b?c", headers, connection, "peer", framing)


@pytest.mark.parametrize(
    ("target", "key"),
    [
        ("/fraud/churn", "fraud/churn"),
        ("/fraud/churn/", "fraud/churn"),
        ("/fraud/churn/predict", "fraud/churn"),
        ("/fraud/churn?a=/b/c", "fraud/churn"),
        ("/fraud?a=/churn/x", "fraud"),
        ("/api/v1/predict/fraud/churn", "fraud/churn"),
        ("/api/v1/predict/fraud/churn/ready?x", "fraud/churn"),
        ("/api/v1/predict/fraud", "fraud"),
        ("/api/v1/predict", "api/v1"),
        ("/", ""),
        ("//fraud/churn", "/fraud"),
        ("/fraud//churn", "fraud/"),
        ("/fraud/../spam/x", "fraud/.."),
        ("/fraud%2Fchurn/x", "fraud%2Fchurn/x"),
    ],
)
def test_a_path_belongs_to_its_first_two_segments(target: str, key: str) -> None:
    assert route_key(target) == key


@given(st.text("/abc.%2F?"))
def test_a_key_is_spelled_out_in_its_path(rest: str) -> None:
    target = f"/{rest}"
    assert route_key(target) in path_of(target)


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/a/b?c", "/a/b?c"),
        ("http://host/a/b?c", "/a/b?c"),
        ("HTTPS://host:1/a//b", "/a//b"),
        ("http://host", "/"),
        ("*", None),
        ("host:443", None),
        ("ftp://host/a", None),
        ("a/b", None),
    ],
)
def test_targets_have_one_form_inside(target: str, path: str | None) -> None:
    assert origin_form(target) == path


def test_a_head_has_our_framing_and_never_the_clients() -> None:
    sent = ((b"Content-Length", b"5"), (b"transfer-encoding", b"chunked"), (b"Expect", b"100-continue"))
    framing = b"Content-Length: 7\r\n"
    assert head(*sent, framing=framing) == b"POST /a/b?c HTTP/1.1\r\nHost: localhost\r\n" + framing + END


def test_headers_keep_their_spelling_order_and_bytes() -> None:
    sent = ((b"HOST", b"h"), (b"x-B", b"\xe9"), (b"X-a", b""), (b"x-B", b"2"))
    assert head(*sent) == b"POST /a/b?c HTTP/1.1\r\nHost: h\r\nx-B: \xe9\r\nX-a: \r\nx-B: 2\r\n" + END


def test_what_connection_names_goes_no_further_wherever_it_stands() -> None:
    sent = ((b"X-Mine", b"1"), (b"Connection", b"close, x-mine"), (b"X-MINE", b"2"), (b"X-Kept", b"3"))
    assert (
        head(*sent, connection=("close, x-mine",)) == b"POST /a/b?c HTTP/1.1\r\nHost: localhost\r\nX-Kept: 3\r\n" + END
    )


def test_the_peer_is_added_to_those_before_it() -> None:
    sent = ((b"X-Forwarded-For", b"1.2.3.4"), (b"X-Forwarded-Proto", b"https"))
    assert head(*sent).endswith(b"X-Forwarded-For: 1.2.3.4, peer\r\nX-Forwarded-Proto: https\r\n\r\n")


def answer(*headers: tuple[bytes, bytes], connection: tuple[str, ...] = ()) -> bytes:
    return answer_head(b"HTTP/1.1 200 OK\r\n", headers, connection, signature("churn-a", "v1"))


SIGNED = b"X-KubeServe-Variant: churn-a\r\nX-KubeServe-Version: v1\r\n\r\n"


def test_an_answer_says_who_gave_it_whatever_it_says_itself() -> None:
    sent = ((b"x-kubeserve-variant", b"other"), (b"A", b"1"), (b"a", b"\xe9"))
    assert answer(*sent) == b"HTTP/1.1 200 OK\r\nA: 1\r\na: \xe9\r\n" + SIGNED


def test_an_answers_headers_for_one_hop_stay_behind() -> None:
    sent = (
        (b"Connection", b"close, X-Hop"),
        (b"X-Hop", b"1"),
        (b"Keep-Alive", b"5"),
        (b"Transfer-Encoding", b"chunked"),
        (b"Content-Length", b"9"),
        (b"Date", b"today"),
    )
    assert answer(*sent, connection=("close, X-Hop",)) == b"HTTP/1.1 200 OK\r\nDate: today\r\n" + SIGNED


@pytest.mark.parametrize("value", [b"1\rX-B: 2", b"1\nX-B: 2", b"1\r\nX-B: 2"])
def test_a_head_with_a_line_break_in_a_header_is_no_head(value: bytes) -> None:
    with pytest.raises(ValueError, match="line break"):
        answer((b"X-A", value))


def test_a_status_line_that_is_two_is_no_head() -> None:
    with pytest.raises(ValueError, match="line break"):
        answer_head(b"HTTP/1.1 200 O\rK\r\n", (), (), b"")

"""What names and amounts may look like, and what is suggested for those that don't."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from specs.models.quantities import (
    format_cpu,
    format_duration,
    format_memory,
    parse_cpu,
    parse_duration,
    parse_memory,
)
from specs.names import check_env_name, check_label, check_tenant, check_version, did_you_mean, listing, nearest
from specs.problems import Refusal


@pytest.mark.parametrize("name", ["a", "fraud", "team-7", "0a", "a" * 40])
def test_a_label_is_a_name(name: str) -> None:
    assert check_label(name, "model") == name


@pytest.mark.parametrize("name", ["", "-a", "a-", "A", "a.b", "a_b", "ä", "a" * 41, "a\n", "a b"])
def test_what_is_no_label_is_refused(name: str) -> None:
    with pytest.raises(Refusal, match="Invalid name"):
        check_label(name, "model")


@pytest.mark.parametrize("name", ["v1", "1.10", "2024-01-31", "a_b", "A.B-c", "a" * 63])
def test_a_version_has_more_letters_to_choose_from(name: str) -> None:
    assert check_version(name) == name


@pytest.mark.parametrize("name", ["", ".", "..", "v1.", "-v1", "_v", "v/1", "v 1", "a" * 64, "v1\n"])
def test_what_is_no_version_is_refused(name: str) -> None:
    with pytest.raises(Refusal, match="Invalid name"):
        check_version(name)


@pytest.mark.parametrize("name", ["api", "health", "metrics", "v1", "v2", "kube-system", "kube-x"])
def test_the_platforms_own_names_are_reserved(name: str) -> None:
    with pytest.raises(Refusal, match="Reserved name"):
        check_tenant(name)


@pytest.mark.parametrize("name", ["v3", "kube", "apis", "kubernetes"])
def test_names_beside_the_reserved_ones_are_free(name: str) -> None:
    assert check_tenant(name) == name


@pytest.mark.parametrize("name", ["1A", "A-B", "", "A=B", "KUBESERVE_X", "A" * 129])
def test_what_is_no_variable_is_refused(name: str) -> None:
    with pytest.raises(Refusal):
        check_env_name(name)


@pytest.mark.parametrize(
    ("word", "candidates", "meant"),
    [
        ("v3", ["v1", "v2"], "v2"),
        ("chrun", ["churn", "fraud"], "churn"),
        ("Churn", ["churn"], "churn"),
        ("replica", ["replicas", "resources"], "replicas"),
        ("x", ["churn"], None),
        ("churn", [], None),
    ],
)
def test_the_nearest_name_is_suggested(word: str, candidates: list[str], meant: str | None) -> None:
    assert nearest(word, candidates) == meant
    assert did_you_mean(word, candidates) == (f" Did you mean '{meant}'?" if meant else "")


def test_lists_of_names_read_like_a_sentence_and_end() -> None:
    assert [listing(["a", "b", "c"][:n]) for n in range(4)] == ["none", "a", "a and b", "a, b and c"]
    assert listing(map(str, range(12)), limit=3) == "0, 1, 2, … and 9 more"


@pytest.mark.parametrize(("text", "millicores"), [("500m", 500), ("2", 2000), (2, 2000), (0.5, 500), ("1.25", 1250)])
def test_cpu_is_read_as_millicores(text: str | float, millicores: int) -> None:
    assert parse_cpu(text) == millicores


@pytest.mark.parametrize(
    ("text", "size"), [("512Mi", 2**29), ("4Gi", 2**32), ("1G", 10**9), ("1.5Ki", 1536), (1024, 1024), ("1k", 1000)]
)
def test_memory_is_read_as_bytes(text: str | int, size: int) -> None:
    assert parse_memory(text) == size


@pytest.mark.parametrize(
    ("text", "seconds"), [("60s", 60), ("5m", 300), ("1.5h", 5400), ("250ms", 0.25), ("1d", 86400), ("0s", 0)]
)
def test_durations_are_read_as_seconds(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "-1", "1e3", "x", "1 ", "0.5m", "1.2345", "½", "٣", True, "9" * 100])
def test_what_is_no_cpu_is_refused(text: str) -> None:
    with pytest.raises(Refusal):
        parse_cpu(text)


@pytest.mark.parametrize("text", ["", "-1Mi", "1e3", "512mb", "512 Mi", "Mi", "512m", "٣Mi", True, "9" * 100])
def test_what_is_no_memory_is_refused(text: str) -> None:
    with pytest.raises(Refusal):
        parse_memory(text)


@pytest.mark.parametrize("text", ["", "60", "1y", "-1s", "1 s", "1h30m", 60, True, "9" * 100 + "s"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(Refusal):
        parse_duration(text)


@given(st.integers(min_value=0, max_value=10**9 - 1))
def test_cpu_is_written_as_it_is_read(millicores: int) -> None:
    assert parse_cpu(format_cpu(millicores)) == millicores


@given(st.integers(min_value=0, max_value=2**45) | st.integers(0, 4096).map(lambda n: n * 2**30))
def test_memory_is_written_as_it_is_read(size: int) -> None:
    assert parse_memory(format_memory(size)) == size


@given(st.integers(min_value=0, max_value=10**9).map(lambda n: n / 1000))
def test_durations_are_written_as_they_are_read(seconds: float) -> None:
    assert parse_duration(format_duration(seconds)) == pytest.approx(seconds)


def test_amounts_are_written_in_the_largest_unit_that_fits() -> None:
    assert [format_cpu(n) for n in (0, 250, 2000)] == ["0", "250m", "2"]
    assert [format_memory(n) for n in (0, 7, 2**29, 10**9, 2**40)] == ["0", "7", "512Mi", "1G", "1Ti"]
    assert [format_duration(n) for n in (0, 0.25, 60, 90, 7200)] == ["0s", "0.25s", "1m", "90s", "2h"]

"""The records of a round as pure functions of the previous record: attempts, backoff, and what a phase keeps."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from reconciler.engine.ledger import (
    FIRST_BACKOFF_SECONDS,
    LONGEST_BACKOFF_SECONDS,
    RecordedFailure,
    RoundStamp,
    claimed,
    deleting,
    failed,
    interrupted,
    ready,
)
from reconciler.state.model import KEPT_LOG_LINES, Phase, Record

NOON = RoundStamp("round-1", datetime(2026, 11, 24, 12, tzinfo=UTC))
LATER = RoundStamp("round-2", datetime(2026, 11, 24, 13, tzinfo=UTC))
NO_WEIGHTS = RecordedFailure("NotReady", "no weights", tuple(map(str, range(100))))


def test_a_claim_keeps_what_was_applied_and_where_it_answers() -> None:
    record = claimed(ready(None, "a", "Serving", "http://x", NOON), "b", LATER)
    assert (record.phase, record.desired, record.applied, record.url) == (Phase.PROGRESSING, "b", "a", "http://x")
    assert record.round == "round-2"


@given(st.integers(1, 40))
def test_each_failure_of_the_same_content_counts_once_and_waits_longer_up_to_a_limit(times: int) -> None:
    record: Record | None = None
    waits = []
    for _ in range(times):
        record = failed(claimed(record, "a", NOON), Phase.FAILED, "a", NO_WEIGHTS, NOON)
        waits.append(datetime.fromisoformat(record.retry_after) - NOON.time)
    assert record is not None
    assert record.attempts == times
    assert waits == sorted(waits)
    assert waits[0] == timedelta(seconds=FIRST_BACKOFF_SECONDS)
    assert waits[-1] <= timedelta(seconds=LONGEST_BACKOFF_SECONDS)


def test_other_content_starts_to_count_anew() -> None:
    first = failed(claimed(None, "a", NOON), Phase.FAILED, "a", NO_WEIGHTS, NOON)
    assert failed(claimed(first, "b", LATER), Phase.FAILED, "b", NO_WEIGHTS, LATER).attempts == 1


def test_blaming_twice_in_one_round_is_one_attempt() -> None:
    once = failed(claimed(None, "a", NOON), Phase.DEGRADED, "a", NO_WEIGHTS, NOON)
    assert failed(once, Phase.DEGRADED, "a", NO_WEIGHTS, NOON).attempts == once.attempts == 1


def test_a_failure_keeps_the_last_lines_of_the_log() -> None:
    record = failed(None, Phase.FAILED, "a", NO_WEIGHTS, NOON)
    assert record.log == NO_WEIGHTS.log[-KEPT_LOG_LINES:]


def test_what_was_ready_with_the_same_content_has_been_so_since_then() -> None:
    first = ready(None, "a", "Serving", "", NOON)
    assert ready(first, "a", "Serving", "", LATER).since == first.since
    assert ready(first, "b", "Serving", "", LATER).since == str(LATER)


def test_being_deleted_and_being_interrupted_keep_the_rest_of_the_record() -> None:
    record = ready(None, "a", "Serving", "http://x", NOON)
    going = deleting(record, LATER)
    assert (going.phase, going.applied, going.round) == (Phase.DELETING, "a", "round-2")
    stopped = interrupted(record, LATER)
    assert stopped == replace(record, reason="Interrupted", message=stopped.message, round="round-2")

"""One writer: who comes second is told who holds the lock, and a dead owner's lock is free."""

from __future__ import annotations

import multiprocessing
import os
import signal
from pathlib import Path

import pytest

from reconciler.targets.local.lock import target_lock
from reconciler.targets.ownership import LockHeldError


def hold(folder: Path, ready: multiprocessing.synchronize.Event) -> None:
    with target_lock(folder, "kubeserve apply"):
        ready.set()
        signal.pause()


def test_the_second_is_told_who_the_first_is(tmp_path: Path) -> None:
    with target_lock(tmp_path, "kubeserve apply"):
        context = multiprocessing.get_context("spawn")
        with context.Pool(1) as pool:
            message = pool.apply(refused, (tmp_path,))
    assert f"kubeserve apply (process {os.getpid()}" in message


def refused(folder: Path) -> str:
    with pytest.raises(LockHeldError) as caught, target_lock(folder, "kubeserve apply"):
        pass
    return caught.value.detail


def test_a_killed_owners_lock_is_free_and_the_token_grows(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    process = context.Process(target=hold, args=(tmp_path, ready))
    process.start()
    assert ready.wait(30)
    process.kill()
    process.join()
    with target_lock(tmp_path, "kubeserve apply", timeout=5) as first:
        pass
    with target_lock(tmp_path, "kubeserve apply") as second:
        pass
    assert (first.token, second.token) == (2, 3)

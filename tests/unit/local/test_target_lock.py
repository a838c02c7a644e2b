"""One writer: who comes second is told who holds the lock, and a dead owner's lock is free."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import signal
from dataclasses import asdict
from pathlib import Path

import pytest

from reconciler.targets.local import lock
from reconciler.targets.local.lock import target_lock
from reconciler.targets.ownership import LockHeldError
from reconciler.targets.protocol import TargetError


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


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b'{"token": 7}'])
def test_a_spoiled_owner_file_stops_nobody(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "lock.json").write_bytes(content)
    with target_lock(tmp_path, "kubeserve apply") as owner:
        assert owner.token == 1


def test_a_token_that_is_no_number_is_no_owners(tmp_path: Path) -> None:
    with target_lock(tmp_path, "kubeserve apply") as owner:
        spoiled = asdict(owner) | {"token": "first"}
    (tmp_path / "lock.json").write_text(json.dumps(spoiled))
    with target_lock(tmp_path, "kubeserve apply") as owner:
        assert owner.token == 1


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.ENOSPC])
def test_a_folder_that_takes_no_files_is_an_error_in_plain_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(*arguments: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(lock, "_write", refuse)
    with pytest.raises(TargetError) as caught, target_lock(tmp_path, "kubeserve apply"):
        pass
    assert os.strerror(number) in caught.value.detail
    monkeypatch.undo()
    with target_lock(tmp_path, "kubeserve apply"):
        pass


def test_a_file_in_the_folders_place_is_an_error_in_plain_words(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("")
    with pytest.raises(TargetError, match="can't be locked"), target_lock(tmp_path / "run", "kubeserve apply"):
        pass

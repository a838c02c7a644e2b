"""Real Git repositories for tests, made by the git command in an environment of their own."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

SPEC = b"apiVersion: kubeserve.io/v1\ntenant: fraud\n"

_ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "HOME": "/nonexistent",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ALLOW_PROTOCOL": "file",
    "LC_ALL": "C.UTF-8",
    **{f"GIT_{who}_{what}": "tester@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
    **{f"GIT_{who}_DATE": "2026-01-01T00:00:00Z" for who in ("AUTHOR", "COMMITTER")},
}


@dataclass(frozen=True)
class Repository:
    path: Path

    @classmethod
    def create(cls, path: Path, *, bare: bool = False, object_format: str = "sha1") -> Repository:
        path.mkdir(parents=True, exist_ok=True)
        repository = cls(path)
        options = [f"--object-format={object_format}", *(["--bare"] if bare else [])]
        repository.git("init", "--quiet", "--initial-branch=main", *options)
        return repository

    def git(self, *arguments: str, data: bytes | None = None) -> str:
        done = subprocess.run(
            ["git", "-C", str(self.path), *arguments],
            input=data,
            capture_output=True,
            env=_ENVIRONMENT,
            check=False,
        )
        assert done.returncode == 0, done.stderr.decode(errors="replace")
        return done.stdout.decode(errors="surrogateescape").strip()

    def write(self, path: str, content: bytes = b"content\n") -> Path:
        file = self.path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        return file

    def commit(self, message: str = "change") -> str:
        """Everything as it is in the working tree; returns the commit's id."""
        self.git("add", "--all", "--force")
        self.git("commit", "--quiet", "--allow-empty", "--message", message)
        return self.git("rev-parse", "HEAD")

    def commit_tree(self, *entries: tuple[str, str, str], branch: str = "main") -> str:
        """A commit of (mode, object id, path) entries, such as no working tree could hold."""
        listed = "".join(f"{mode} {oid}\t{path}\0" for mode, oid, path in entries)
        self.git("read-tree", "--empty")
        self.git("update-index", "-z", "--index-info", data=listed.encode(errors="surrogateescape"))
        commit = self.git("commit-tree", self.git("write-tree"), "-m", "made by hand")
        self.git("update-ref", f"refs/heads/{branch}", commit)
        return commit

    def blob(self, content: bytes) -> str:
        return self.git("hash-object", "-w", "--stdin", data=content)

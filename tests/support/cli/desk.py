"""A directory with specs and the real `kubeserve` command on it, for end-to-end tests.

`Desk` writes predictors and specs from a few words, runs commands as processes, asks what they serve over HTTP, and
in the end destroys all of it and says what was left running.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import psutil
import yaml

from reconciler.targets.local import processes
from tests.support.patience import PATIENCE_SECONDS, eventually
from tests.support.runtime.models import write_python_predictor

ANSWERS = """
    class Predictor:
        def __init__(self, path):
            print("I am {name}", flush=True)

        def predict(self, inputs):
            return ["{name}" for _ in inputs]
"""
RAISES = """
    class Predictor:
        def __init__(self, path):
            for number in range(30):
                print("loading layer", number)
            raise RuntimeError("the weights are missing")

        def predict(self, inputs):
            return inputs
"""
SLEEPS = """
    import time

    class Predictor:
        def __init__(self, path):
            time.sleep(3600)

        def predict(self, inputs):
            return inputs
"""
DIES = """
    import os

    class Predictor:
        def __init__(self, path):
            print("about to die", flush=True)
            os.kill(os.getpid(), 9)

        def predict(self, inputs):
            return inputs
"""


@dataclass(frozen=True)
class Finished:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        return json.loads(self.out)

    def __str__(self) -> str:
        return f"exit {self.code}\n{self.out}\n{self.err}"


def command_line(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "reconciler", *arguments]


def environment(**changes: str) -> dict[str, str]:
    """This process's, without what would change how a command behaves."""
    dropped = ("KUBESERVE_", "NO_COLOR", "TERM", "COLUMNS", "PYTHONWARNINGS", "PYTHONUNBUFFERED")
    return {name: value for name, value in os.environ.items() if not name.startswith(dropped)} | changes


class Desk:
    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.home = folder / ".kubeserve"
        self._started: list[subprocess.Popen[str]] = []

    def predictor(self, name: str, body: str = ANSWERS) -> None:
        """A folder's predictor, by default one that answers its own name: quick to start, as it imports nothing."""
        write_python_predictor(self.folder / name, body.replace("{name}", name))

    def spec(
        self,
        deployments: Mapping[str, Mapping[str, Any] | str],
        versions: Sequence[str] = ("v1",),
        *,
        tenant: str = "demo",
        path: str = "kubeserve.yaml",
    ) -> None:
        """A spec with the model `m`; a deployment that is given as a string serves that version. A version's artifact
        is the folder of its name in this directory, made here if it isn't there."""
        for version in versions:
            if not (self.folder / version).exists():
                self.predictor(version)
        up = "../" * path.count("/")
        document = {
            "apiVersion": "kubeserve.io/v1",
            "tenant": tenant,
            "models": {"m": {"versions": {version: {"artifact": f"{up}{version}"} for version in versions}}},
            "deployments": {
                name: {"model": "m", **({"version": spec} if isinstance(spec, str) else spec)}
                for name, spec in deployments.items()
            },
        }
        self.write(path, yaml.safe_dump(document, sort_keys=False))

    def write(self, path: str, text: str) -> Path:
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    def run(self, *arguments: str, stdin: str = "", cwd: Path | None = None, **variables: str) -> Finished:
        """One command, run to its end."""
        done = subprocess.run(
            command_line(*arguments),
            input=stdin,
            capture_output=True,
            text=True,
            cwd=cwd or self.folder,
            env=environment(**variables),
            timeout=PATIENCE_SECONDS,
            check=False,
        )
        return Finished(done.returncode, done.stdout, done.stderr)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """One command that goes on, leader of its own group as a shell's job is."""
        started = subprocess.Popen(
            command_line(*arguments),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.folder,
            env=environment(),
            process_group=0,
        )
        self._started.append(started)
        return started

    def apply(self, *arguments: str, code: int = 0) -> Finished:
        """An apply that has to end with this code."""
        done = self.run("apply", "--yes", *arguments)
        assert done.code == code, done
        return done

    def status(self, name: str) -> dict[str, Any]:
        """Of one deployment, TENANT/NAME or a name of the tenant demo."""
        found = self.run("status", "-o", "json", "--only", _full(name)).data["deployments"]
        assert len(found) == 1, found
        status: dict[str, Any] = found[0]
        return status

    def ask(self, name: str, inputs: Any = ((1,),)) -> Any:
        """The predictions of a deployment, over HTTP."""
        url = self.state["resources"][f"deployment/{_full(name)}"]["url"]
        answer = httpx2.post(f"{url}/predict", json={"inputs": inputs}, timeout=PATIENCE_SECONDS)
        assert answer.status_code == 200, answer.text
        return answer.json()["predictions"]

    @property
    def state(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads((self.home / "state.json").read_bytes())
        return content

    def secret(self, name: str, key: str, value: str) -> None:
        file = self.home / "secrets" / name / key
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(value)
        file.chmod(0o600)

    def processes(self) -> list[psutil.Process]:
        """What was started out of this directory: model servers and the gateway."""
        return [
            psutil.Process(bearer.process.pid)
            for bearer in processes.bearers((self.home / "run").resolve())
            if processes.leads_group(bearer.process)
        ]

    def servers(self) -> list[psutil.Process]:
        """The model servers alone."""
        return [process for process in self.processes() if "runtime" in process.cmdline()]

    def gateway(self) -> psutil.Process:
        (gateway,) = (process for process in self.processes() if "runtime" not in process.cmdline())
        return gateway

    def clean_up(self) -> list[str]:
        """Destroys everything, then kills what is left even so. Answers the command lines of that."""
        for command in self._started:
            command.kill()
            command.wait()
            for pipe in (command.stdout, command.stderr):
                if pipe is not None:
                    pipe.close()
        destroyed = (
            self.run("destroy", "--yes", "--prune-unclaimed", "--lock-timeout", "10") if self.processes() else None
        )
        left = [(process, " ".join(process.cmdline())) for process in self.processes()]
        for process, _ in left:
            process.kill()
        eventually(lambda: not self.processes(), "the end of what was killed")
        return [f"{line}\n{destroyed}" for _, line in left]


def _full(name: str) -> str:
    """Of a deployment: with its tenant, which is demo where none is named."""
    return name if "/" in name else f"demo/{name}"


@contextmanager
def desk_at(folder: Path) -> Iterator[Desk]:
    """A desk, and nothing of it left running behind: `destroy` has to have ended it all."""
    desk = Desk(folder)
    try:
        yield desk
    finally:
        left = desk.clean_up()
    assert not left, f"still ran after destroy: {left}"

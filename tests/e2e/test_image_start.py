"""`start.sh` and the commands of the image, run for real with this interpreter in the image's place."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from tests.support.network.package_index import PackageIndex, package_index
from tests.support.patience import eventually
from tests.support.runtime.models import write_python_predictor, write_version
from tests.support.runtime.process import ROOT, RuntimeProcess
from tests.support.runtime.wheels import write_wheel

START = ROOT / "runtime" / "start.sh"
USES_PACKAGE = """
    import numpy
    import tinypackage

    class Predictor:
        def __init__(self, path): ...
        def predict(self, inputs): return [tinypackage.__file__, numpy.__file__]
"""


@pytest.fixture
def index(tmp_path: Path) -> Iterator[PackageIndex]:
    """Has tinypackage 1.0 and 2.0."""
    for version in ("1.0", "2.0"):
        write_wheel(tmp_path / "wheels", "tinypackage", version, requires=["numpy"])
    with package_index(tmp_path / "wheels") as index:
        yield index


class Container(RuntimeProcess):
    """The image's default command. What is in `root` outlives it, as a pod's volumes do a container."""

    def __init__(self, root: Path, index: PackageIndex, **environment: str) -> None:
        volumes = {"KUBESERVE_ARTIFACTS": str(root / "artifacts"), "KUBESERVE_OVERLAY": str(root / "overlay")}
        folder = Path(tempfile.mkdtemp(dir=root))
        reason = {"KUBESERVE_REASON_FILE": str(folder / "reason")}
        path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
        super().__init__(
            folder,
            root / "artifacts",
            environment={**index.environment, **volumes, **reason, "PATH": path, **environment},
            command=[str(START)],
        )


def test_a_version_without_requirements_is_served_by_the_first_process(tmp_path: Path, index: PackageIndex) -> None:
    digest = write_version(tmp_path / "artifacts", write_python_predictor(tmp_path / "model"))
    with Container(tmp_path, index, KUBESERVE_DIGEST=digest, KUBESERVE_VERSION="v1") as container:
        container.wait_until_ready()
        assert container.record["pid"] == container.process.pid
        assert container.get("/ready").json()["version"] == "v1"
        assert container.predict([1, 2]) == [1, 2]


def test_nothing_is_asked_of_an_index_where_nothing_is_missing(tmp_path: Path, index: PackageIndex) -> None:
    requirements = "numpy>=1.20\nno-such-package; python_version < '3'\n"
    write_version(tmp_path / "artifacts", write_python_predictor(tmp_path / "model"), requirements)
    with Container(tmp_path, index) as container:
        container.wait_until_ready()
        assert container.record["pid"] == container.process.pid
    assert index.seen == []
    assert not (tmp_path / "overlay").exists()


@pytest.mark.slow
def test_only_what_is_missing_is_installed_and_only_once(tmp_path: Path, index: PackageIndex) -> None:
    model = write_python_predictor(tmp_path / "model", USES_PACKAGE)
    write_version(tmp_path / "artifacts", model, "tinypackage<2\nnumpy>=1.20\n")
    with Container(tmp_path, index) as container:
        package, numpy = container.wait_until_ready().predict([1, 2])
        assert container.record["pid"] == container.process.pid
        assert "Installing packages that this runtime lacks: tinypackage==1.0" in container.log
    assert Path(package).is_relative_to(tmp_path / "overlay")
    assert not Path(numpy).is_relative_to(tmp_path / "overlay")
    index.seen.clear()
    with Container(tmp_path, index) as container:
        assert container.wait_until_ready().predict([1, 2]) == [package, numpy]
    assert index.seen == []


@pytest.mark.parametrize(
    ("requirements", "words"),
    [
        ("no-such-package==9\n", "No matching distribution found for no-such-package==9"),
        ("-r other.txt\n", "Unsupported line in requirements.txt: Line 1 is '-r other.txt'"),
    ],
)
def test_requirements_that_can_not_be_installed_are_the_reason(
    tmp_path: Path, index: PackageIndex, requirements: str, words: str
) -> None:
    write_version(tmp_path / "artifacts", write_python_predictor(tmp_path / "model"), requirements)
    with Container(tmp_path, index) as container:
        assert container.wait() == 1
        assert words in container.log.splitlines()[-1]
        assert '{"code": "requirements", "reason": "' in container.reason_file.read_text()


def test_a_package_of_the_servers_name_is_refused_before_it_takes_the_servers_place(
    tmp_path: Path, index: PackageIndex
) -> None:
    write_wheel(tmp_path / "wheels", "runtime", "1.0")
    write_version(tmp_path / "artifacts", write_python_predictor(tmp_path / "model"), "runtime\n")
    with Container(tmp_path, index) as container:
        assert container.wait() == 1
        assert "installs a module called 'runtime', which is the server's own" in container.log.splitlines()[-1]


def test_an_index_that_does_not_answer_is_told_from_one_that_lacks_the_package(
    tmp_path: Path, index: PackageIndex
) -> None:
    write_version(tmp_path / "artifacts", write_python_predictor(tmp_path / "model"), "tinypackage\n")
    nowhere = {"PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_RETRIES": "1"}
    with Container(tmp_path, index, **nowhere) as container:
        assert container.wait() == 1
        assert "The package index did not answer." in container.log.splitlines()[-1]


def test_sigterm_reaches_the_server_which_finishes_what_it_began(tmp_path: Path, index: PackageIndex) -> None:
    body = f"""
        import pathlib, time
        class Predictor:
            def __init__(self, path): ...
            def predict(self, inputs):
                pathlib.Path({str(tmp_path / "waiting")!r}).touch()
                while not pathlib.Path({str(tmp_path / "go")!r}).exists(): time.sleep(0.01)
                return inputs
    """
    write_version(tmp_path / "artifacts", write_python_predictor(tmp_path / "model", body), "numpy\n")
    with Container(tmp_path, index) as container, ThreadPoolExecutor() as pool:
        container.wait_until_ready()
        request = pool.submit(container.predict, [1])
        eventually((tmp_path / "waiting").exists, "the model was not asked")
        container.process.send_signal(signal.SIGTERM)
        (tmp_path / "go").touch()
        assert request.result() == [1]
        assert container.wait() == 0


def test_sigterm_ends_an_installation_and_what_it_left_is_in_nobodys_way(tmp_path: Path, index: PackageIndex) -> None:
    model = write_python_predictor(tmp_path / "model", USES_PACKAGE)
    write_version(tmp_path / "artifacts", model, "tinypackage\n")
    index.answers.clear()
    with Container(tmp_path, index) as container:
        eventually(lambda: index.seen, "the index was not asked")
        (installer,) = psutil.Process(container.process.pid).children()
        assert container.stop() == 143
        assert not installer.is_running()
    index.answers.set()
    with Container(tmp_path, index) as container:
        container.wait_until_ready()


@pytest.mark.parametrize("name", ["kubeserve-runtime", "kubeserve-fetch"])
def test_the_commands_of_the_image_run_what_they_name(name: str) -> None:
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    shown = subprocess.run(
        [ROOT / "runtime" / "bin" / name, "--help"],
        env={"PATH": path, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "Exit codes:" in shown.stdout

"""`kubeserve init`: a spec that holds, of whatever models lie there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from tests.support.runtime.models import write_pickle, write_python_predictor

Call = Callable[..., Any]


def document(folder: Path) -> Any:
    return yaml.safe_load((folder / "kubeserve.yaml").read_text())


def test_without_a_model_a_script_that_trains_one_is_written(call: Call, folder: Path) -> None:
    done = call("init", "shop")
    assert done.code == 0
    assert done.out == "Wrote shop/kubeserve.yaml\nWrote shop/train.py\n"
    assert done.err == "Next: cd shop && python train.py && kubeserve validate && kubeserve apply\n"
    assert document(folder / "shop")["tenant"] == "shop"
    compile((folder / "shop/train.py").read_text(), "train.py", "exec")


def test_every_model_that_is_there_is_deployed_in_its_newest_version(call: Call, folder: Path) -> None:
    for name in ("models/Churn_Rate-v2.pkl", "models/Churn_Rate-v10.pkl", "odd place/risk: x.pkl", "true.pkl"):
        write_pickle(folder / name, [1])
    write_python_predictor(folder / "tickets")
    write_python_predictor(folder / ".venv/lib/not-mine")
    assert call("init", "--tenant", "0123").code == 0
    spec = document(folder)
    assert spec["tenant"] == "0123"
    assert spec["models"]["churn-rate"]["versions"].keys() == {"v2", "v10"}
    assert spec["models"]["risk-x"]["versions"] == {"v1": {"artifact": "odd place/risk: x.pkl"}}
    assert spec["models"]["tickets"]["versions"] == {"v1": {"artifact": "tickets"}}
    assert spec["deployments"]["churn-rate"] == {"model": "churn-rate", "version": "v10"}
    assert spec["deployments"].keys() == {"churn-rate", "risk-x", "tickets", "true"}
    assert call("validate").out == "Good: 1 tenant, 4 models, 5 versions, 4 deployments.\n"


def test_nothing_is_overwritten(call: Call, folder: Path) -> None:
    (folder / "kubeserve.yaml").write_text("mine")
    done = call("init")
    assert done.code == 1
    assert "error: Not overwritten" in done.err
    assert (folder / "kubeserve.yaml").read_text() == "mine"
    assert not (folder / "train.py").exists()


def test_where_nothing_can_be_written_it_says_so(call: Call, folder: Path) -> None:
    (folder / "file").write_text("")
    assert "error: Scaffold can't be written\n  file/in: Not a directory." in call("init", "file/in").err


def test_the_hints_of_a_scaffold_are_good_spec(call: Call, folder: Path) -> None:
    write_python_predictor(folder / "m")
    call("init")
    spec = folder / "kubeserve.yaml"
    text = spec.read_text()
    for hint in ("replicas", "resources", "env", "checks", "  - inputs"):
        assert f"# {hint}" in text
        text = text.replace(f"# {hint}", hint)
    spec.write_text(text)
    assert call("validate").code == 0

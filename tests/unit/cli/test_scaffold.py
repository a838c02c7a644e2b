"""`kubeserve init`: a spec that holds, of whatever models lie there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from reconciler.authoring import scaffold
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


@pytest.mark.parametrize(
    ("names", "models"),
    [
        (["resnet18", "resnet50"], {"resnet18": ["v1"], "resnet50": ["v1"]}),
        (["f16", "f32"], {"f16": ["v1"], "f32": ["v1"]}),
        (["fraud-2.0", "fraud-10.0"], {"fraud": ["v10.0", "v2.0"]}),
        (["churn_2024-01-05", "churn_2024-02-05"], {"churn": ["v2024-01-05", "v2024-02-05"]}),
        (["churn_2024_01_05"], {"churn": ["v2024-01-05"]}),
        (["churn.20240105"], {"churn": ["v20240105"]}),
        (["churn-v2", "churn_v10", "churn"], {"churn": ["v1", "v10", "v2"]}),
        (["churn-v2-1", "churnv3"], {"churn": ["v2-1"], "churnv3": ["v1"]}),
        (["2024-01-05", "1.0"], {"2024-01-05": ["v1"], "1-0": ["v1"]}),
        (["-x"], {"x": ["v1"]}),
    ],
)
def test_a_version_is_what_follows_a_separator(
    call: Call, folder: Path, names: list[str], models: dict[str, list[str]]
) -> None:
    for name in names:
        write_pickle(folder / f"{name}.pkl", [1])
    done = call("init", "--tenant", "names")
    assert {name: sorted(model["versions"]) for name, model in document(folder)["models"].items()} == models
    assert "left out" not in done.err
    assert call("validate").code == 0


def test_the_newest_version_is_deployed(call: Call, folder: Path) -> None:
    for name in ("a-2.9", "a-2.10", "b-2024-9-1", "b-2024-10-1", "c", "c-2"):
        write_pickle(folder / f"{name}.pkl", [1])
    call("init", "--tenant", "names")
    newest = {name: deployment["version"] for name, deployment in document(folder)["deployments"].items()}
    assert newest == {"a": "v2.10", "b": "v2024-10-1", "c": "v2"}


def test_what_is_left_out_is_named(call: Call, folder: Path) -> None:
    for name in ("-x", "x", "X", "---", "caf\udce9"):
        write_pickle(folder / "models" / f"{name}.pkl", [1])
    done = call("init", "--tenant", "names")
    taken = "was left out: its name would be x, version v1, as that of 'models/-x.pkl'."
    assert f"'models/x.pkl' {taken}\n" in done.err
    assert f"'models/X.pkl' {taken}\n" in done.err
    assert "'models/---.pkl' was left out: no letter or digit" in done.err
    assert "'models/caf?.pkl' was left out: its name is not UTF-8." in done.err
    assert document(folder)["models"].keys() == {"x"}


def test_more_models_than_a_first_spec_holds_are_not_dropped_silently(
    call: Call, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scaffold, "MAX_FILES", 2)
    for name in "abc":
        write_pickle(folder / f"{name}.pkl", [1])
    assert "'c.pkl' and what follows it were left out: at most 2 are written" in call("init", "--tenant", "names").err


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

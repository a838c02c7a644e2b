from __future__ import annotations

import stat
from pathlib import Path

import pytest

from reconciler.model.resources import Scope, tenant_id, variant_id
from reconciler.targets.local.identity import ProcessLabels
from reconciler.targets.local.marks import TenantMark, VariantMark, read, write
from reconciler.targets.local.rundir import RunDir

TENANT = TenantMark("default", "fraud", "2026-01-01T00:00:00+00:00")


def variant_mark(tenant: str = "fraud", deployment: str = "churn") -> VariantMark:
    name = f"{deployment}-0a1b2c3d4e"
    fields = {"version": "v1", "cpu": "500m"}
    return VariantMark(
        "default", tenant, deployment, name, "m", "v1", "sha256:00", fields, 1, 1, 3, 500, 2**20, 30.0, 5.0, ""
    )


def test_a_mark_is_read_as_it_was_written_in_the_order_of_its_fields(tmp_path: Path) -> None:
    mark = variant_mark()
    write(tmp_path / "a" / "variant.json", mark)
    found = read(tmp_path / "a" / "variant.json", VariantMark)
    assert found == mark
    assert list(found.fields) == ["version", "cpu"]


def test_marks_and_their_folders_are_their_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "tenant.json"
    write(path, TENANT)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert {stat.S_IMODE(folder.stat().st_mode) for folder in (path.parent, path.parent.parent)} == {0o700}
    assert [file.name for file in path.parent.iterdir()] == ["tenant.json"]


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"tenant": "fraud"}', '{"unknown": 1}'])
def test_what_is_no_mark_is_nobodys(content: str, tmp_path: Path) -> None:
    run_dir = RunDir(tmp_path)
    write(run_dir.tenant_file("fraud"), TENANT)
    write(run_dir.variant(variant_mark().id).mark_file, variant_mark())
    run_dir.tenant_file("fraud").write_text(content)
    run_dir.variant(variant_mark().id).mark_file.write_text(content)
    assert list(run_dir.tenant_marks()) == []
    assert list(run_dir.variant_marks()) == []


def test_a_mark_in_a_folder_of_another_name_is_nobodys(tmp_path: Path) -> None:
    run_dir = RunDir(tmp_path)
    write(run_dir.tenant_file("risk"), TENANT)
    write(run_dir.variant(variant_id("fraud", "other-0a1b2c3d4e")).mark_file, variant_mark())
    assert list(run_dir.tenant_marks()) == []
    assert list(run_dir.variant_marks()) == []


def test_marks_are_found_within_a_scope(tmp_path: Path) -> None:
    run_dir = RunDir(tmp_path)
    marks = [variant_mark("fraud", "churn"), variant_mark("fraud", "score"), variant_mark("risk", "churn")]
    for mark in marks:
        write(run_dir.variant(mark.id).mark_file, mark)
    assert [mark for _, mark in run_dir.variant_marks()] == marks
    assert [mark for _, mark in run_dir.variant_marks(Scope.of("fraud"))] == marks[:2]
    assert [mark for _, mark in run_dir.variant_marks(Scope.of("fraud/score"))] == [marks[1]]


def test_a_discarded_folder_is_gone_with_what_others_left_in_the_trash(tmp_path: Path) -> None:
    run_dir = RunDir(tmp_path)
    write(run_dir.tenant_file("fraud"), TENANT)
    (tmp_path / "trash" / "of-one-who-was-killed").mkdir(parents=True)
    run_dir.discard(tmp_path / "tenants" / "fraud")
    run_dir.discard(tmp_path / "tenants" / "never-was")
    assert list((tmp_path / "tenants").iterdir()) == []
    assert list((tmp_path / "trash").iterdir()) == []


def test_the_environment_of_a_process_tells_whose_it_is() -> None:
    owner = ProcessLabels("default", "fraud", "churn", "m", "v1", "churn-0a1b2c3d4e")
    environment = owner.to_environment()
    assert environment["KUBESERVE_TENANT"] == "fraud"
    assert ProcessLabels.of({**environment, "HOME": "/"}) == owner
    assert ProcessLabels.of({name: value for name, value in environment.items() if name != "KUBESERVE_VARIANT"}) is None


def test_marks_know_their_resources() -> None:
    assert TENANT.id == tenant_id("fraud")
    assert str(variant_mark().id) == "variant/fraud/churn-0a1b2c3d4e"
    assert str(variant_mark().deployment_id) == "deployment/fraud/churn"

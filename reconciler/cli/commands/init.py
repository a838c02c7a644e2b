"""`kubeserve init`: a first kubeserve.yaml."""

from __future__ import annotations

import shlex
from pathlib import Path

import click


@click.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path), default=".")
@click.option("--tenant", help="The tenant's name; by default the folder's.")
def command(folder: Path, tenant: str | None) -> None:
    """Write a first kubeserve.yaml: a deployment for each model file below FOLDER.

    Without a model there, also writes a small script that trains one.
    """
    from reconciler.authoring.scaffold import TRAINING_NAME, write_scaffold
    from reconciler.cli.console import print_text, talk
    from reconciler.model.text import terminal
    from specs.names import check_tenant
    from specs.problems import Refusal

    name = tenant or _tenant_of(folder)
    try:
        check_tenant(name)
    except Refusal as error:
        raise click.UsageError(f"{error} Name the tenant with --tenant.") from None
    scaffold = write_scaffold(folder, name)
    for path in scaffold.written:
        print_text(terminal("Wrote {}", path))
    steps = ["kubeserve validate", "kubeserve apply"]
    if any(path.name == TRAINING_NAME for path in scaffold.written):
        steps.insert(0, f"python {TRAINING_NAME}")
    for sentence in scaffold.left_out:
        talk(terminal("{}", sentence))
    where = "" if folder == Path() else f"cd {shlex.quote(str(folder))} && "
    talk(terminal("Next: {}{}", where, " && ".join(steps)))


def _tenant_of(folder: Path) -> str:
    import re

    return re.sub(r"[^a-z0-9]+", "-", folder.resolve().name.lower()).strip("-")[:40].strip("-") or "demo"

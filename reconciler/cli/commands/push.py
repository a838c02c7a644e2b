"""`kubeserve push`: uploads a version whose bytes are not in Git."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from reconciler.cli.options import request_options

if TYPE_CHECKING:
    from reconciler.workspace import Request

FORMATS = ("joblib", "pickle", "skops", "onnx", "xgboost", "lightgbm", "python")
_PATH = click.Path(path_type=Path)


@click.command()
@click.argument("file", metavar="FILE", type=_PATH)
@request_options
@click.option("--tenant", required=True, help="The tenant that owns the version.")
@click.option("--model", required=True, help="The model's name.")
@click.option("--version", required=True, help="The version's name. A version never changes once it is stored.")
@click.option(
    "--requirements",
    type=_PATH,
    help="A requirements.txt: what the model needs besides the runtime.",
)
@click.option(
    "--format", "format_name", type=click.Choice(FORMATS), help="Its format, if the file name doesn't show it."
)
@click.option("--write", type=_PATH, metavar="SPEC", help="Add the version's line to this kubeserve.yaml.")
def command(
    file: Path,
    request: Request,
    tenant: str,
    model: str,
    version: str,
    requirements: Path | None,
    format_name: str | None,
    write: Path | None,
) -> None:
    """Upload a model to the store as a version, and print its digest.

    FILE is a model file, or a folder with a predictor.py. The platform that the other options select names the store.
    """
    from reconciler.artifacts.push import NewVersion, prepare_push
    from reconciler.authoring.spec_edit import add_digest_line, check_digest_line
    from reconciler.cli.console import print_text, talk
    from reconciler.cli.progress import uploading, working
    from reconciler.model.text import terminal
    from runtime.formats import Format

    new = NewVersion(file, tenant, model, version, requirements, Format(format_name) if format_name else None)
    with request.open() as workspace:
        with working():
            workspace.say(f"reading {file}")
            pushed = prepare_push(new, workspace.platform.limits)
        if write is not None:
            check_digest_line(write, pushed.ref)
        workspace.prepare_home()
        with uploading(f"{model}/{version}", pushed.size) as report:
            workspace.store.put(pushed.ref, pushed.manifest, pushed.files, report)
    print_text(terminal("{}", pushed.ref.digest))
    if write is None:
        line = terminal('{}: {{digest: "{}"}}', version, pushed.ref.digest)
        talk(terminal("Name it in a spec, under `versions:` of model {}:\n  {}", model, line))
    elif add_digest_line(write, pushed.ref):
        talk(terminal("Added version {} of model {} to {}.", version, model, write))
    else:
        talk(terminal("{} already has version {} of model {}.", write, version, model))

"""`kubeserve push`: a version into the store without Git ever holding its bytes."""

from __future__ import annotations

from pathlib import Path

import click

from reconciler.cli.options import opened, workspace_options

FORMATS = ("joblib", "pickle", "skops", "onnx", "xgboost", "lightgbm", "python")
_PATH = click.Path(path_type=Path)


@click.command()
@click.argument("file", metavar="FILE", type=_PATH)
@workspace_options
@click.option("--tenant", required=True, help="Whose version it is.")
@click.option("--model", required=True, help="The model's name.")
@click.option("--version", required=True, help="The version's name. A version never changes once it is stored.")
@click.option("--requirements", type=_PATH, help="A requirements.txt of what it needs beside the runtime.")
@click.option("--format", "format_name", type=click.Choice(FORMATS), help="Its format, where the name doesn't tell.")
@click.option("--write", type=_PATH, metavar="SPEC", help="Add the version's line to this kubeserve.yaml.")
def command(
    file: Path,
    source: str | None,
    ref: str | None,
    platform: Path | None,
    tenant: str,
    model: str,
    version: str,
    requirements: Path | None,
    format_name: str | None,
    write: Path | None,
) -> None:
    """Put a model into the store as a version, and print its digest.

    FILE is a model's file, or a folder with a predictor.py. The store is the one of the platform that the other
    options choose.
    """
    from reconciler.artifacts.push import NewVersion, prepare_push
    from reconciler.authoring.spec_edit import add_digest_line, check_digest_line
    from reconciler.cli.console import talk
    from reconciler.cli.progress import uploading, working
    from runtime.formats import Format

    new = NewVersion(file, tenant, model, version, requirements, Format(format_name) if format_name else None)
    with opened(source, ref, platform) as workspace:
        with working() as say:
            say(f"reading {file}")
            pushed = prepare_push(new, workspace.platform.limits)
        if write is not None:
            check_digest_line(write, pushed.ref)
        workspace.prepare_home()
        with uploading(f"{model}/{version}", pushed.size) as report:
            workspace.store.put(pushed.ref, pushed.manifest, pushed.files, report)
    click.echo(pushed.ref.digest)
    if write is None:
        talk(f'Name it in a spec, under versions: of model {model}:\n  {version}: {{digest: "{pushed.ref.digest}"}}')
    elif add_digest_line(write, pushed.ref):
        talk(f"Added version {version} of model {model} to {write}.")
    else:
        talk(f"{write} has version {version} of model {model} already.")

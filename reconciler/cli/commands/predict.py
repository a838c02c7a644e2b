"""`kubeserve predict`: sends one request to a deployment, as any client does."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from reconciler.cli.exit_codes import ExitCode
from reconciler.cli.options import request_options

if TYPE_CHECKING:
    from typing import BinaryIO

    from reconciler.workspace import Request

VARIANT_HEADER = "x-kubeserve-variant"


@click.command()
@click.argument("deployment", metavar="[TENANT/]DEPLOYMENT")
@request_options
@click.option("-d", "--data", help="The inputs as JSON: '[[5.1, 3.5]]', or a whole body '{\"inputs\": …}'.")
@click.option("-f", "--file", "body_file", type=click.File("rb"), help="Read the inputs from a file; - is stdin.")
@click.option("--variant", help="Ask this variant or version, regardless of its share of the traffic.")
def command(
    deployment: str,
    request: Request,
    data: str | None,
    body_file: BinaryIO | None,
    variant: str | None,
) -> int:
    """Ask a deployment for predictions and print its JSON answer.

    For example: kubeserve predict iris -d '[[5.1, 3.5, 1.4, 0.2]]'

    Prints control characters of the answer as JSON escapes. Exits with 1 when the answer is an error, which is printed
    too.
    """
    from reconciler.cli.console import talk
    from reconciler.cli.naming import find_deployment
    from reconciler.model.text import terminal

    body = _body(data, body_file)
    if variant is not None:
        _check_variant(variant)
    with request.open() as workspace:
        name = find_deployment(workspace, deployment)
        status, answer, headers = workspace.target.predict(name, body, variant)
    print_answer(answer)
    if status != 200:
        talk(terminal("HTTP status {}.", status))
        return ExitCode.FAILED
    answered = {key.lower(): value for key, value in headers.items()}.get(VARIANT_HEADER)
    if answered and sys.stderr.isatty():
        talk(terminal("Answered by {}.", answered))
    return ExitCode.OK


def print_answer(answer: bytes) -> None:
    """JSON keeps its data, and gets escapes for characters that a terminal obeys; anything else is shown as text."""
    import orjson

    from reconciler.cli.console import print_data, print_text
    from reconciler.model.text import json_visible, terminal_block

    try:
        orjson.loads(answer)
    except orjson.JSONDecodeError:
        print_text(terminal_block(answer.decode(errors="replace").removesuffix("\n"), ""))
    else:
        print_data(json_visible(answer.decode()))


def _body(data: str | None, body_file: BinaryIO | None) -> bytes:
    import orjson

    if (data is None) == (body_file is None):
        raise click.UsageError("Give the inputs with either --data or --file.")
    # Arguments that are not UTF-8 become their bytes again, so that the parser refuses them.
    raw = data.encode(errors="surrogateescape") if data is not None else body_file.read() if body_file else b""
    try:
        parsed = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        reason = str(error) if _is_utf8(raw) else "they are not UTF-8"
        raise click.UsageError(f"The inputs are not JSON: {reason}. For example: -d '[[5.1, 3.5]]'") from None
    return raw if isinstance(parsed, dict) else orjson.dumps({"inputs": parsed})


def _is_utf8(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True


def _check_variant(name: str) -> None:
    """Refuses what no variant or version can be named, before a header of HTTP has to hold it."""
    from specs.names import check_version, quoted
    from specs.problems import Refusal

    try:
        check_version(name)
    except Refusal:
        raise click.UsageError(
            f"There is no variant {quoted(name)}. Its name consists of letters, digits, '.', '_' and '-'."
        ) from None

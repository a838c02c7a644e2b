"""`kubeserve-runtime`: from the command line and the environment to a process that serves.

Also `python -m runtime`. Imports little, so that the socket is bound, the record written and the log opened
before the libraries are there; `server/serve.py` does the rest. Exit codes: 0 stopped by SIGTERM, after what
was in flight; 1 not served: the artifact, the model, a check or the address failed, and the reason is the last
line of the log; 64 wrong usage; 130 interrupted.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any, NoReturn

import click

from runtime.errors import RuntimeFault, SettingsError
from runtime.formats import Format
from runtime.logs import redirect_output, set_up_logging
from runtime.notes import report, write_record
from runtime.settings import Identity, Limits, Settings, apply_threads, checks_of, prefixes_of

EXIT_FAILED = 1
EXIT_USAGE = 64

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command(
    context_settings={"auto_envvar_prefix": "KUBESERVE", "show_default": True, "max_content_width": 110},
    help="""Serve one model over HTTP.

    ARTIFACT is a model's file (.joblib .pkl .pickle .skops .onnx .ubj .json .txt), a folder with predictor.py, or a
    version's folder with manifest.json, whose every byte is verified first. Each option can be given as
    KUBESERVE_OPTION in the environment.

    Exit codes: 0 stopped by SIGTERM, 1 not served (the last line of the log says why), 64 wrong usage, 130
    interrupted.""",
)
@click.argument("artifact", type=click.Path(path_type=Path))
@click.option("--host", default="127.0.0.1", help="Address to listen on.")
@click.option("--port", default=8080, type=click.IntRange(0, 65535), help="0 takes any free one.")
@click.option("--digest", help="sha256:… that the version's manifest must have.")
@click.option(
    "--format",
    "model_format",
    type=click.Choice([each.value for each in Format]),
    envvar="KUBESERVE_FORMAT",
    help="For a name that does not tell.",
)
@click.option("--tenant", default="", help="Whom the metrics and /ready name.")
@click.option("--deployment", default="", help="Likewise.")
@click.option("--model", default="", help="Likewise.")
@click.option("--version", default="", help="Likewise.")
@click.option("--variant", default="", help="Likewise.")
@click.option("--replica", default="", help="Likewise.")
@click.option("--prefixes", help="Comma-separated paths to answer under too.  [default: by tenant and deployment]")
@click.option("--checks", help="JSON, or a file of it: [{inputs, outputs, tolerance}, …].")
@click.option("--request-timeout", default=30.0, type=click.FloatRange(min=0.001), help="Seconds for one answer.")
@click.option("--max-body", default=16 * 1024**2, type=click.IntRange(1), help="Bytes of one request.")
@click.option("--threads", type=click.IntRange(1), help="CPUs that one prediction may use.  [default: all]")
@click.option("--concurrency", type=click.IntRange(1), help="Predictions at once.  [default: --threads]")
@click.option("--queue", default=1024, type=click.IntRange(0), help="Requests that may wait.")
@click.option("--grace", default=30.0, type=click.FloatRange(0), help="Seconds for requests in flight at SIGTERM.")
@click.option("--linger", default=0.25, type=click.FloatRange(0), help="Seconds to go on accepting at SIGTERM.")
@click.option("--record-file", type=_FILE, help="Write pid, start time, host and port here once bound.")
@click.option("--reason-file", type=_FILE, help="Write here why the process could not serve.")
@click.option("--log-file", type=_FILE, help="Send stdout and stderr here.")
@click.option("--log-limit", default=10 * 1024**2, type=click.IntRange(1024), help="Bytes of the log file.")
def command(**options: Any) -> None:
    try:
        if options["log_file"]:
            redirect_output(options["log_file"], options["log_limit"])
        set_up_logging()
        code = _serve(options)
    except RuntimeFault as fault:
        report(fault, options["reason_file"])
        code = EXIT_USAGE if isinstance(fault, SettingsError) else EXIT_FAILED
    except SystemExit as stopped:  # by SIGTERM, before there was anything to drain
        code = int(stopped.code or 0)
    _end(code)


def main() -> None:
    """The entry point: click's own exit code for wrong usage becomes 64."""
    # First of all, and until the server drains at it: a container's first process is not ended by a signal that it
    # does not handle.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        command.main(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(EXIT_USAGE)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)


def _end(code: int) -> NoReturn:
    """Ends the process now: a thread in which a model hangs must not keep it, nor have the last word."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _serve(options: dict[str, Any]) -> int:
    settings = _settings(options)
    from runtime.server.listen import listen

    listener = listen(options["host"], options["port"])
    host, port = listener.getsockname()[:2]
    if options["record_file"]:
        write_record(options["record_file"], host, port, settings.identity)
    from runtime.server.serve import serve

    return serve(settings, listener)


def _settings(options: dict[str, Any]) -> Settings:
    threads = apply_threads(options["threads"])
    identity = Identity(*(options[field] for field in Identity.__slots__))
    return Settings(
        artifact=options["artifact"],
        digest=options["digest"],
        model_format=options["model_format"] and Format(options["model_format"]),
        identity=identity,
        prefixes=prefixes_of(options["prefixes"], identity),
        checks=checks_of(options["checks"]),
        limits=Limits(
            request_seconds=options["request_timeout"],
            body_bytes=options["max_body"],
            concurrency=options["concurrency"] or threads,
            queue=options["queue"],
        ),
        threads=threads,
        grace_seconds=options["grace"],
        linger_seconds=options["linger"],
    )

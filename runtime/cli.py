"""`kubeserve-runtime`, also `python -m runtime`: from the command line and the environment to a server.

Imports little, so that the socket is bound, the record written and the log opened before the libraries are imported.
Then `supervisor.py` forks the process that serves. Exit codes: 0 stopped by SIGTERM, after the requests in flight; 1
not served: the artifact, the model, a check or the address failed, and the last line of the log is the reason; 64 wrong
usage; 130 interrupted.
"""

from __future__ import annotations

import faulthandler
import logging
import signal
import sys
from pathlib import Path
from socket import socket
from typing import Any

import click

from runtime.errors import RuntimeFault, SettingsError
from runtime.formats import Format
from runtime.logs import cap_output, redirect_output, set_up_logging
from runtime.notes import report, write_record
from runtime.server.serve import listen, serve
from runtime.settings import Identity, Limits, Settings, apply_threads, checks_of, prefixes_of
from runtime.supervisor import Link, Supervisor

EXIT_FAILED = 1
EXIT_USAGE = 64
EXIT_INTERRUPTED = 130

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command(
    context_settings={"auto_envvar_prefix": "KUBESERVE", "show_default": True, "max_content_width": 110},
    help="""Serve one model over HTTP.

    ARTIFACT is a model's file (.joblib .pkl .pickle .skops .onnx .ubj .json .txt), a folder with predictor.py, or a
    version's folder with manifest.json, of which every byte is verified first. Each option can also be set as
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
    help="For a file whose name does not say its format.",
)
@click.option("--tenant", default="", help="Named in metrics and by /ready.")
@click.option("--deployment", default="", help="Likewise.")
@click.option("--model", default="", help="Likewise.")
@click.option("--version", default="", help="Likewise.")
@click.option("--variant", default="", help="Likewise.")
@click.option("--replica", default="", help="Likewise.")
@click.option("--prefixes", help="Comma-separated paths to answer under as well.  [default: by tenant and deployment]")
@click.option("--checks", help="JSON, or a file with it: [{inputs, outputs, tolerance}, …].")
@click.option("--request-timeout", default=30.0, type=click.FloatRange(min=0.001), help="Seconds for one answer.")
@click.option("--max-body", default=16 * 1024**2, type=click.IntRange(1), help="Bytes of one request.")
@click.option("--max-values", default=1_000_000, type=click.IntRange(1), help="JSON values of one request.")
@click.option("--max-waiting", default=64 * 1024**2, type=click.IntRange(1), help="Bytes of all requests that wait.")
@click.option("--head-timeout", default=10.0, type=click.FloatRange(min=0.001), help="Seconds for a request's head.")
@click.option("--threads", type=click.IntRange(1), help="Threads that one prediction may use.  [default: the CPUs]")
@click.option("--concurrency", type=click.IntRange(1), help="Predictions at once.  [default: --threads]")
@click.option("--queue", default=1024, type=click.IntRange(0), help="Requests that may wait beyond those.")
@click.option("--grace", default=30.0, type=click.FloatRange(0), help="Seconds for requests in flight at SIGTERM.")
@click.option("--linger", default=0.25, type=click.FloatRange(0), help="Seconds to go on accepting at SIGTERM.")
@click.option(
    "--restart/--no-restart", default=True, help="Start the server again when a model that was ready hangs or crashes."
)
@click.option("--record-file", type=_FILE, help="Write pid, start time, host and port here once bound.")
@click.option("--reason-file", type=_FILE, help="Write here why the process could not serve.")
@click.option("--log-file", type=_FILE, help="Send stdout and stderr here.")
@click.option("--log-limit", default=10 * 1024**2, type=click.IntRange(1024), help="Bytes of the log file.")
def command(**options: Any) -> None:
    try:
        if options["log_file"]:
            redirect_output(options["log_file"])
        set_up_logging()
        code = _supervise(options)
    except RuntimeFault as fault:
        report(fault, options["reason_file"])
        code = EXIT_USAGE if isinstance(fault, SettingsError) else getattr(fault, "exit_code", EXIT_FAILED)
    sys.exit(code)


def main() -> None:
    """The entry point: click's own exit code for wrong usage becomes 64."""
    # Before anything else, until the server drains on SIGTERM: the kernel sends a container's first process no signal
    # for which it has no handler.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        command.main(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(EXIT_USAGE)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(EXIT_INTERRUPTED)


def _supervise(options: dict[str, Any]) -> int:
    """What is here happens once, however often the server is started again: the socket stays bound, the record true."""
    settings = _settings(options)
    listener = listen(options["host"], options["port"])
    host, port = listener.getsockname()[:2]
    if options["record_file"]:
        write_record(options["record_file"], host, port, settings.identity)
    log_file = options["log_file"]
    supervisor = Supervisor(
        serve=lambda link: _serve(settings, listener, link, log_file, options["log_limit"]),
        restart=options["restart"],
        stop_seconds=settings.linger_seconds + settings.grace_seconds,
        on_stop=listener.close,
        before_report=lambda: redirect_output(log_file) if log_file else None,
    )
    return supervisor.run()


def _serve(settings: Settings, listener: socket, link: Link, log_file: Path | None, log_limit: int) -> int:
    """The server's process, from its start to its exit code; the supervisor reports its fault."""
    code = EXIT_FAILED
    try:
        faulthandler.enable(link.dump)
        if log_file:
            cap_output(log_file, log_limit)
        code = serve(settings, listener, link)
        link.stopped()
    except RuntimeFault as fault:
        link.fail(fault)
        code = EXIT_USAGE if isinstance(fault, SettingsError) else EXIT_FAILED
    except SystemExit as stopped:  # by SIGTERM, before there was anything to drain
        code = int(stopped.code or 0)
        link.stopped()
    except KeyboardInterrupt:
        code = EXIT_INTERRUPTED
        link.stopped()
    except Exception as error:
        logging.getLogger("runtime").exception("Unexpected failure")
        link.fail(RuntimeFault("The server failed", f"{type(error).__name__}: {error}"))
    return code


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
            head_seconds=options["head_timeout"],
            body_bytes=options["max_body"],
            values=options["max_values"],
            waiting_bytes=max(options["max_waiting"], options["max_body"]),
            concurrency=options["concurrency"] or threads,
            queue=options["queue"],
        ),
        threads=threads,
        grace_seconds=options["grace"],
        linger_seconds=options["linger"],
    )

"""`kubeserve-fetch`: from the environment to an exit code. Also `python -m runtime.fetch`.

Exit codes: 0 the folder holds the version, verified; 1 it does not, and the last line of the log says why; 64 wrong
usage; 130 interrupted; 143 SIGTERM. The next run continues with the bytes that were fetched until then.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Mapping
from time import monotonic
from typing import NoReturn

from runtime.errors import RuntimeFault, SettingsError
from runtime.fetch.errors import FetchError
from runtime.fetch.retries import PATIENT, Patience
from runtime.fetch.settings import Settings, settings_of
from runtime.fetch.version import fetch_version, is_whole
from runtime.logs import set_up_logging
from runtime.notes import default_reason_file, report

EXIT_FAILED = 1
EXIT_USAGE = 64
EXIT_INTERRUPTED = 130
EXIT_TERMINATED = 128 + signal.SIGTERM

HELP = """Usage: kubeserve-fetch

Fetches one version of a model from an S3 store by its digest, and verifies every byte. A folder that holds it
already is only verified; what an earlier run left is continued. Settings come from the environment:

  KUBESERVE_TENANT, KUBESERVE_MODEL, KUBESERVE_VERSION, KUBESERVE_DIGEST   which version
  KUBESERVE_STORE_BUCKET      the bucket
  KUBESERVE_STORE_PREFIX      what its keys start with  [default: nothing]
  KUBESERVE_STORE_ENDPOINT    URL of the S3 API  [default: AWS]
  KUBESERVE_STORE_REGION      region of the bucket
  KUBESERVE_STORE_PATH_STYLE  true: the bucket is a part of the path  [default: false]
  KUBESERVE_ARTIFACTS         the folder  [default: /artifacts]
  KUBESERVE_REASON_FILE       where to write why it failed  [default: /dev/termination-log where there is one]

Credentials come as boto3 finds them: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a web identity, an instance.

Exit codes: 0 fetched and verified, 1 not (the last line of the log says why), 64 wrong usage, 130 interrupted,
143 SIGTERM."""
_log = logging.getLogger("runtime")


def main() -> NoReturn:
    signal.signal(signal.SIGTERM, lambda *_: os._exit(EXIT_TERMINATED))  # nothing to finish: the next run continues
    if sys.argv[1:]:
        is_question = sys.argv[1:] in (["--help"], ["-h"])
        print(HELP, file=sys.stdout if is_question else sys.stderr)
        sys.exit(0 if is_question else EXIT_USAGE)
    set_up_logging()
    code = run(os.environ)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # not held up by threads that wait for a server


def run(environment: Mapping[str, str], patience: Patience = PATIENT) -> int:
    """Fetches, reports what failed, and returns the exit code."""
    try:
        _fetch(settings_of(environment), patience)
        return 0
    except RuntimeFault as error:
        fault = error
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except Exception as error:
        _log.exception("Unexpected failure")
        fault = FetchError("The version can't be fetched", f"{type(error).__name__}: {error}")
    report(fault, default_reason_file(environment))
    return EXIT_USAGE if isinstance(fault, SettingsError) else EXIT_FAILED


def _fetch(settings: Settings, patience: Patience) -> None:
    wanted, folder, began = settings.wanted, settings.folder, monotonic()
    if is_whole(folder, wanted.digest):
        _log.info("%s is in %s already; verified", wanted, folder)
        return
    from runtime.fetch.store import S3

    store = S3(settings.place)
    _log.info("Fetching %s from %s", wanted, store.where(wanted.folder))
    fetch_version(store, wanted, folder, patience)
    _log.info("Fetched and verified in %.1f s, digest %s", monotonic() - began, wanted.digest)

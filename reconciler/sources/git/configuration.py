"""The configuration file and environment variables that git gets from us.

The user's and the machine's configuration are not read, and git gets only the variables that are named here, so that
neither a repository nor an environment can make git run or read anything else. Called by `mirror.py`.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from pathlib import Path

from reconciler.sources.git.address import Address, GitTransport
from reconciler.sources.git.credentials import Credentials

PASSED = frozenset(
    {
        *("HOME", "PATH", "TMPDIR", "USER", "LOGNAME", "SSH_AUTH_SOCK", "SSL_CERT_DIR"),
        *("http_proxy", "https_proxy", "all_proxy", "no_proxy", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"),
    }
)
"""The variables of our environment that git inherits."""

SSH_KEY = "KUBESERVE_GIT_SSH_KEY_FILE"
SSH_KNOWN_HOSTS = "KUBESERVE_GIT_KNOWN_HOSTS_FILE"
SSH_CONNECT_SECONDS = 20
STALLED_SECONDS = 60
"""Seconds without a byte after which an HTTP transfer is given up."""

HELPER_REFUSED = "KUBESERVE_HELPER_REFUSED"
"""The path of a file that exists once the server has refused the login of this command."""

HELPER_USERNAME = "KUBESERVE_HELPER_USERNAME"
HELPER_PASSWORD = "KUBESERVE_HELPER_PASSWORD"  # noqa: S105 - the variable's name

# gitcredentials(7). A refused login is not offered again, because git-lfs would try it for ever.
_HELPER = (
    f'!f() {{ case "$1" in get) test -e "${HELPER_REFUSED}" || '
    f'printf \'username=%s\\npassword=%s\\n\' "${HELPER_USERNAME}" "${HELPER_PASSWORD}";; '
    f'erase) : > "${HELPER_REFUSED}";; esac; }}; f'
)
_FALSE, _NEVER = "false", "never"


def git_config(address: Address, environ: Mapping[str, str], *, has_credentials: bool) -> str:
    """The text of the configuration file for all commands on one mirror. Holds no secret."""
    sections: dict[str, list[tuple[str, str]]] = {
        # Larger blobs are streamed and never deltified; the window bounds how much of a pack is mapped at once.
        "core": [
            ("bigFileThreshold", "1m"),
            ("packedGitWindowSize", "8m"),
            ("packedGitLimit", "32m"),
            ("hooksPath", os.devnull),
            ("fsmonitor", _FALSE),
        ],
        "protocol": [("allow", _NEVER)],
        f'protocol "{address.transport}"': [("allow", "always")],
        # Every fetch becomes one pack; `mirror.py` decides when they are put together.
        "fetch": [("unpackLimit", "1"), ("recurseSubmodules", _FALSE), ("writeCommitGraph", _FALSE)],
        # Models are not alike: looking for differences costs a minute where there are a thousand of them. This is for
        # a local repository, which packs by this configuration, and for our own putting together of packs.
        "pack": [("window", "0"), ("compression", "1")],
        "gc": [("auto", "0")],
        "maintenance": [("auto", _FALSE)],
        "init": [("defaultBranch", "none")],
        "http": [("followRedirects", "initial"), ("lowSpeedLimit", "1"), ("lowSpeedTime", str(STALLED_SECONDS))],
        # Where Git LFS looks for the server of the objects.
        'remote "origin"': [("url", address.url)],
    }
    if bundle := environ.get("SSL_CERT_FILE"):
        sections["http"].append(("sslCAInfo", bundle))
    if address.transport is GitTransport.FILE:
        # A user who names a repository of somebody else trusts it: git-upload-pack, which runs in it, asks.
        sections["safe"] = [("directory", address.url), ("directory", f"{address.url}/.git")]
    if address.origin and has_credentials:
        # The empty value clears the list. Git asks the helper for this server only, also after a redirect.
        sections[f'credential "{address.origin}"'] = [("helper", ""), ("helper", _HELPER)]
    return "".join(
        f"[{section}]\n" + "".join(f"\t{key} = {_quote(value)}\n" for key, value in entries)
        for section, entries in sections.items()
    )


def git_variables(
    address: Address, config: Path, credentials: Credentials | None, environ: Mapping[str, str]
) -> dict[str, str]:
    """The variables that are set for git, besides those that it inherits."""
    variables = {
        "GIT_CONFIG_GLOBAL": str(config),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_ALLOW_PROTOCOL": str(address.transport),
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_SSH_COMMAND": _ssh_command(environ),
    }
    if credentials:
        variables[HELPER_USERNAME] = credentials.username
        variables[HELPER_PASSWORD] = credentials.password
    return variables


def _ssh_command(environ: Mapping[str, str]) -> str:
    options = ["BatchMode=yes", f"ConnectTimeout={SSH_CONNECT_SECONDS}", "ControlMaster=no", "ClearAllForwardings=yes"]
    command = ["ssh", *(word for option in options for word in ("-o", option))]
    if key := environ.get(SSH_KEY):
        command += ["-i", key, "-o", "IdentitiesOnly=yes"]
    if hosts := environ.get(SSH_KNOWN_HOSTS):
        command += ["-o", f"UserKnownHostsFile={hosts}", "-o", "StrictHostKeyChecking=yes"]
    return shlex.join(command)


def _quote(value: str) -> str:
    """A value of git-config(1)."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'

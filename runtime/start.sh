#!/bin/sh
# The container's first process. It compares a version's requirements with the installed packages, and installs only
# the missing ones, into a folder that Python searches first. Then this process becomes the server, which therefore gets
# the container's signals. Arguments are the server's.
#
#   KUBESERVE_ARTIFACTS   the version's folder  [/artifacts]
#   KUBESERVE_OVERLAY     a writable folder for packages  [/overlay]
set -eu

artifacts=${KUBESERVE_ARTIFACTS:-/artifacts}
overlay=${KUBESERVE_OVERLAY:-/overlay}

set -- python -P -m runtime "$artifacts" "$@"
if [ -f "$artifacts/requirements.txt" ]; then
    set -- python -P -m runtime.overlay "$artifacts/requirements.txt" "$overlay" "$@"
fi
exec "$@"

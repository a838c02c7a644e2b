#!/bin/sh
# The container's first process. A version's requirements are compared with what is installed; what is missing, and
# only that, is installed into a folder that goes in front. Then this process becomes the server, which so gets the
# signals itself. Arguments are the server's.
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

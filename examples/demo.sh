#!/usr/bin/env bash
# From a kubeserve.yaml to an answer over HTTP: what `make demo` runs. Needs `kubeserve` on PATH.
set -euo pipefail
cd "$(dirname "$0")/.."

bold='' plain=''
if [ -t 1 ]; then bold=$'\033[1m' plain=$'\033[0m'; fi

# Shows a command as it can be typed, and runs it.
step() {
  local argument line='$'
  for argument in "$@"; do
    case $argument in
      *[!A-Za-z0-9_./-]*) line+=" '$argument'" ;;
      *) line+=" $argument" ;;
    esac
  done
  printf '\n%s%s%s\n' "$bold" "$line" "$plain"
  "$@"
}

step kubeserve plan examples/quickstart
step kubeserve apply examples/quickstart --yes
step kubeserve status examples/quickstart
step kubeserve predict iris examples/quickstart --data '[[5.1, 3.5, 1.4, 0.2], [6.7, 3.0, 5.2, 2.3]]'

url=$(kubeserve status examples/quickstart -o json | python3 -c 'import json, sys; print(json.load(sys.stdin)["deployments"][0]["url"])')
cat <<END

The model answers at $url and goes on doing so. Next (after: source .venv/bin/activate):

  curl -s $url/predict -H 'Content-Type: application/json' -d '{"inputs": [[5.1, 3.5, 1.4, 0.2]]}'
  \$EDITOR examples/quickstart/kubeserve.yaml       # replicas: 2, say
  kubeserve apply examples/quickstart               # shows what changes, and asks
  kubeserve logs -f iris examples/quickstart
  kubeserve init my-models                          # a kubeserve.yaml of your own

To stop it: kubeserve destroy examples/quickstart
END

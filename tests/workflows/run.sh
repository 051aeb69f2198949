#!/usr/bin/env bash
# Lints the workflows and the action, those for users too, the Dockerfile, the shell
# scripts, and the Python of the benchmarks. Exit code 1 if a linter finds anything. Installs
# the linters.
set -euo pipefail
cd "$(dirname "$0")/../.."
work=$(realpath -m "${CARGO_TARGET_DIR:-target}")/workflows
. tests/support/install.sh

install_python_packages "$work" tests/workflows/requirements.txt \
    'the workflows, the Dockerfile, the shell scripts and the benchmarks' || exit 0
export PATH=$work/python/bin:$PATH

# Lists files of the repository, also those that are not committed yet.
files() {
    git ls-files --cached --others --exclude-standard -- "$@"
}
mapfile -t workflows < <(files '.github/workflows/*.yml' 'deploy/github-actions/*.yml')
mapfile -t scripts < <(files .ci '*.sh')

echo "actionlint: ${workflows[*]}"
actionlint "${workflows[@]}"
# Offline: the audits that ask GitHub about an action can't be repeated.
echo "zizmor: ${workflows[*]} action.yml"
zizmor --quiet --offline --pedantic --strict-collection "${workflows[@]}" action.yml
echo "shellcheck: ${scripts[*]}"
shellcheck --external-sources "${scripts[@]}"
echo "ruff: benches"
ruff check --quiet benches
ruff format --quiet --check benches
echo 'hadolint: Dockerfile'
hadolint Dockerfile

# Sourced by the scripts that try the project with what other registries have.
# shellcheck shell=bash

# Installs the Python packages of a list, for "$directory/python/bin/python". If that
# can't be done, says so on behalf of what needs them, and returns 1.
install_python_packages() {
    local directory=$1 list=$2 what=$3
    if ! command -v python3 >/dev/null; then
        echo "SKIPPED: $what: there is no python3"
        return 1
    fi
    mkdir -p "$directory"
    if ! { python3 -m venv "$directory/python" &&
        "$directory/python/bin/python" -m pip install --quiet --disable-pip-version-check \
            --requirement "$list"; } >"$directory/python.log" 2>&1; then
        echo "SKIPPED: $what: it can't be installed: $(tail -n 1 "$directory/python.log")"
        return 1
    fi
}

# The same for npm's packages, into "$directory/npm".
install_npm_packages() {
    local directory=$1 list=$2 what=$3
    if ! command -v npm >/dev/null; then
        echo "SKIPPED: $what: there is no npm"
        return 1
    fi
    mkdir -p "$directory/npm"
    cp "$list" "$directory/npm/package.json"
    if ! npm install --prefix "$directory/npm" --no-audit --no-fund --no-package-lock \
        --ignore-scripts >"$directory/npm.log" 2>&1; then
        echo "SKIPPED: $what: it can't be installed: $(tail -n 1 "$directory/npm.log")"
        return 1
    fi
}

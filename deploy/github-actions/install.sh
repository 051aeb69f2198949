#!/usr/bin/env bash
# Installs a release of the command into $RUNNER_TEMP/cf-service-tokens, after it has
# checked the archive's SHA-256 and, unless the input sha256 is set, its attestation. A step of
# action.yml.
set -euo pipefail

fail() {
    echo "::error title=cf-service-tokens::$1"
    exit 1
}

# A value of the workflow becomes part of a URL, and of a message.
[[ $INPUT_VERSION =~ ^[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.]+)?$ ]] ||
    fail 'the input version is not a version, such as 0.1.0'
[[ $INPUT_SHA256 =~ ^([0-9a-f]{64})?$ ]] ||
    fail 'the input sha256 is not 64 hexadecimal digits'

case $RUNNER_OS-$RUNNER_ARCH in
Linux-X64) target=x86_64-unknown-linux-gnu ;;
Linux-ARM64) target=aarch64-unknown-linux-gnu ;;
macOS-X64) target=x86_64-apple-darwin ;;
macOS-ARM64) target=aarch64-apple-darwin ;;
*) fail "there is no release for $RUNNER_OS on $RUNNER_ARCH; use a runner with Linux or macOS" ;;
esac

directory=$RUNNER_TEMP/cf-service-tokens
name=cf-service-tokens-cli-$target
url=https://github.com/cf-service-tokens/cf-service-tokens/releases/download/v$INPUT_VERSION
rm -rf "$directory"
mkdir -p "$directory"
cd "$directory"

download() {
    curl --fail --silent --show-error --location --proto =https --tlsv1.2 --retry 3 \
        --output "$1" "$url/$1" ||
        fail "$url/$1 can't be downloaded; is $INPUT_VERSION a release?"
}

sha256() {
    if command -v sha256sum >/dev/null; then
        sha256sum "$1"
    else
        shasum --algorithm 256 "$1"
    fi | cut -c 1-64
}

# Whether gh is installed, and recent enough to compare the tag.
can_attest() {
    local help
    help=$(gh attestation verify --help 2>/dev/null) && [[ $help == *--source-ref* ]]
}

# Verifies that the workflow of the tag built the archive, on a runner of GitHub.
attest() {
    local repository=cf-service-tokens/cf-service-tokens
    gh attestation verify "$1" --hostname github.com --repo "$repository" \
        --signer-workflow "$repository/.github/workflows/release.yml" \
        --source-ref "refs/tags/v$INPUT_VERSION" --deny-self-hosted-runners
}

download "$name.tar.gz"
expected=$INPUT_SHA256
if [ -z "$expected" ]; then
    download "$name.tar.gz.sha256"
    expected=$(cut -c 1-64 "$name.tar.gz.sha256")
fi
actual=$(sha256 "$name.tar.gz")
[ "$actual" = "$expected" ] ||
    fail "$name.tar.gz has the SHA-256 $actual, not the expected one, so it is not run. Repeat the job in case the download was damaged, or correct the input sha256"
if [ -z "$INPUT_SHA256" ]; then
    if can_attest; then
        attest "$name.tar.gz" ||
            fail "$name.tar.gz has no attestation that can be verified, so it is not run; the log above says why. If gh can't reach github.com from this runner, set the input sha256"
    else
        echo "::notice title=cf-service-tokens::$name.tar.gz has the SHA-256 that the release states. Its attestation was not verified, since this runner has no recent gh: install gh, or set the input sha256"
    fi
fi

tar -xzf "$name.tar.gz" --strip-components 1
./cf-service-tokens --version

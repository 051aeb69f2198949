#!/usr/bin/env bash
# Builds the images of the Dockerfile without a daemon, with the command as cargo builds
# it for tests, and runs their file systems: see try.sh. Exit code 1 if one doesn't do what
# is expected of it. Needs root, and installs buildah if it is missing.
set -euo pipefail
cd "$(dirname "$0")/../../../.."
here=$PWD/crates/cli/tests/image
work=${CARGO_TARGET_DIR:-$PWD/target}/image
mkdir -p "$work"
. tests/support/install.sh

base=docker.io/library/debian:trixie-slim

# Runs buildah on a storage of its own.
storage() {
    as_root buildah --root "$work/storage" --runroot "$work/run" --storage-driver vfs "$@"
}

# Takes Debian's image from the registry. If that can't be reached, makes it as Debian
# does, from Debian's packages.
debian() {
    local container
    storage inspect --type image "$base" >/dev/null 2>&1 && return
    echo "$base: from the registry"
    storage pull --quiet "$base" && return
    echo "$base: from Debian's packages"
    command -v mmdebstrap >/dev/null ||
        install_debian_packages "$work" 'the image' mmdebstrap debian-archive-keyring || exit 0
    as_root mmdebstrap --quiet --variant=minbase trixie "$work/debian.tar" http://deb.debian.org/debian
    container=$(storage from scratch)
    storage add --quiet "$container" "$work/debian.tar" /
    storage commit --quiet --rm "$container" "$base"
}

if [[ $OSTYPE != linux* ]] || ! as_root true; then
    skip 'the image: needs root on Linux'
    exit 0
fi
if ! command -v buildah >/dev/null; then
    install_debian_packages "$work" 'the image' buildah || exit 0
fi

# With the workspace's features, so that what `cargo test --workspace` built is used.
cargo build --quiet --workspace --bins
architecture=$(dpkg --print-architecture)
install -D "${CARGO_TARGET_DIR:-target}/debug/cf-service-tokens" "$work/build/$architecture/cf-service-tokens"

debian
for target in '' shell; do
    name=try${target:+-$target}
    # apt needs the machine's network.
    storage build --quiet --layers --isolation chroot --network host --pull-never \
        --build-arg TARGETARCH="$architecture" --build-context build="$work/build" \
        ${target:+--target "$target"} --tag "$name" . >/dev/null
    for field in User Env Entrypoint; do
        storage inspect --type image --format "{{println .OCIv1.Config.$field}}" "$name" |
            tr -d '[]' >"$work/$field"
    done
    container=$(storage from --pull-never "$name")
    root=$(storage mount "$container")
    echo "the image ${target:+with a }${target:-without a shell}"
    as_root env TARGET="$target" unshare --mount --net --pid --fork \
        bash "$here/try.sh" "$root" "$work"
    storage rm "$container" >/dev/null
done

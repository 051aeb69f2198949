#!/usr/bin/env bash
# Builds and runs a dependent of the crates as `cargo package` made them: with the
# default features, with none, and with all.
set -euo pipefail
cd "$(dirname "$0")/../.."
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
unpacked=target/consumer
rm -rf "$unpacked/cf-service-tokens" "$unpacked/cf-service-tokens-simulator"
mkdir -p "$unpacked"
for crate in cf-service-tokens cf-service-tokens-simulator; do
    tar -xzf "$target/package/$crate-$version.crate" -C "$unpacked"
    mv "$unpacked/$crate-$version" "$unpacked/$crate"
done
# The versions that the workspace is tested with.
cp Cargo.lock tests/consumer/Cargo.lock
for features in '' '--no-default-features' '--no-default-features --features all'; do
    echo "consumer ${features:-with the default features}"
    # shellcheck disable=SC2086  # two words
    cargo run --quiet --manifest-path tests/consumer/Cargo.toml \
        --target-dir "$unpacked/target" $features
done

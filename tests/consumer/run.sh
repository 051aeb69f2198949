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

# What is downloaded is what isn't here yet of the versions that the workspace is
# tested with; from then on the network and other versions are out of reach.
cp Cargo.lock tests/consumer/Cargo.lock
cargo fetch --quiet --manifest-path tests/consumer/Cargo.toml \
    --target "$(rustc -vV | sed -n "s/^host: //p")"
packages() {
    sed -n '/^name = /{N;s/^name = "\(.*\)"\nversion = "\(.*\)"/\1 \2/p}' "$1" | sort
}
others=$(comm -23 <(packages tests/consumer/Cargo.lock) <(packages Cargo.lock) |
    grep -v '^consumer ' || true)
if [ -n "$others" ]; then
    echo "the consumer would be built with what the workspace is not tested with: $others" >&2
    exit 1
fi
for features in '' '--no-default-features' '--no-default-features --features all'; do
    echo "consumer ${features:-with the default features}"
    # shellcheck disable=SC2086  # two words
    cargo run --quiet --locked --offline --manifest-path tests/consumer/Cargo.toml \
        --target-dir "$unpacked/target" $features
done

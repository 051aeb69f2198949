#!/usr/bin/env bash
# Builds and runs a dependent of the crates as `cargo package` made them: with the
# default features, with none, and with all. Then builds their documentation as docs.rs
# does.
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

# Downloads the locked versions that are missing here. From then on the network and other
# versions are out of reach.
cp Cargo.lock tests/consumer/Cargo.lock
cargo fetch --quiet --manifest-path tests/consumer/Cargo.toml \
    --target "$(rustc -vV | sed -n "s/^host: //p")"
packages() {
    sed -n '/^name = /{N;s/^name = "\(.*\)"\nversion = "\(.*\)"/\1 \2/p}' "$1" | sort
}
others=$(comm -23 <(packages tests/consumer/Cargo.lock) <(packages Cargo.lock) |
    grep -v '^consumer ' || true)
if [ -n "$others" ]; then
    echo "the consumer would be built with versions that the workspace's tests don't use: $others" >&2
    exit 1
fi
for features in '' '--no-default-features' '--no-default-features --features all'; do
    echo "consumer ${features:-with the default features}"
    # shellcheck disable=SC2086  # two words
    cargo run --quiet --locked --offline --manifest-path tests/consumer/Cargo.toml \
        --target-dir "$unpacked/target" $features
done

# docs.rs has no network, sets DOCS_RS, and uses a nightly rustdoc, as which RUSTC_BOOTSTRAP
# lets another one pass. Outside this repository, the crates see none of its files.
docs=$(mktemp -d)
trap 'rm -r "$docs"' EXIT
cp -r "$unpacked/cf-service-tokens" "$unpacked/cf-service-tokens-simulator" "$docs"
printf '#!/bin/sh\nRUSTC_BOOTSTRAP=1 exec rustdoc "$@"\n' >"$docs/rustdoc"
chmod +x "$docs/rustdoc"
# The SDK tests itself with the simulator, which the registry has after the first release.
simulator="patch.crates-io.cf-service-tokens-simulator.path='$docs/cf-service-tokens-simulator'"
for crate in cf-service-tokens-simulator cf-service-tokens; do
    echo "documentation of $crate"
    cp Cargo.lock "$docs/$crate"
    DOCS_RS=1 RUSTDOC=$docs/rustdoc RUSTDOCFLAGS='--cfg docsrs -D warnings' \
        cargo doc --quiet --offline --no-deps --lib --all-features --config "$simulator" \
        --manifest-path "$docs/$crate/Cargo.toml" --target-dir "$unpacked/target"
done

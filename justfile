# `minimum-rust`, `public-api`, `deny`, `install`, `release` and `bench-smoke` are jobs of CI
# of their own; `fuzz` is one for a short time.
# `just --list` shows the last line of each comment.

# Run CI's first job. The other recipes are its steps.
ci:
    bash .ci/run

# Check the format.
format:
    cargo fmt --all --check
    cargo fmt --all --check --manifest-path benches/Cargo.toml
    cargo fmt --check --manifest-path fuzz/Cargo.toml

# Run clippy on every member, with all features and with none, and on the benchmarks.
lint:
    cargo clippy --workspace --all-targets --all-features -- -D warnings
    cargo clippy --package cf-service-tokens --all-targets --no-default-features -- -D warnings
    cargo clippy --manifest-path benches/Cargo.toml --workspace --all-targets --locked -- -D warnings

# Needs cargo-hack.
# Compile the libraries with each of their features alone, and with none.
features:
    cargo hack check --package cf-service-tokens --package cf-service-tokens-simulator --each-feature --no-dev-deps

# Run the tests of the workspace, and those of the SDK with other features.
test:
    cargo test --workspace
    cargo test --package cf-service-tokens --all-features
    cargo test --package cf-service-tokens --no-default-features --test calls
    cargo test --package cf-service-tokens --no-default-features --features rustls-no-provider --test calls tls::
    cargo test --package cf-service-tokens --no-default-features --features native-tls --test calls tls::

# Lint the workflows and the shell scripts.
workflows:
    bash tests/support/install_test.sh
    bash tests/workflows/run.sh

# Run the examples.
examples:
    cargo run --quiet --example refresh
    cargo run --quiet --example renew
    cargo run --quiet --example watch
    cargo run --quiet --example service
    cargo run --quiet --example accounts
    cargo test --quiet --example testing

# Check that Cloudflare's own document generates and compiles.
spec:
    cargo xtask try crates/xtask/tests/data/upstream-2026-10-03.json

# Compare the public API with tests/public-api.txt.
public-api:
    cargo xtask public-api --check

# Needs cargo-semver-checks, and a published version.
# Compare the public API with the last published version, by the rules of SemVer.
semver:
    cargo semver-checks --workspace --exclude xtask --exclude cf-service-tokens-cli

# Compare Cloudflare's document with the fragment.
drift path:
    cargo xtask drift {{path}}

# Check the dependencies against deny.toml. Needs cargo-deny.
deny:
    cargo deny --workspace check

# Compile with the oldest supported Rust. Needs that toolchain.
minimum-rust:
    cargo +1.88 check --workspace --all-features

# Install the command as README says. The last line shows the size that README states.
install:
    cargo install --locked --path crates/cli --root target/installed
    target/installed/bin/cf-service-tokens --simulate renew
    ls -l target/installed/bin/cf-service-tokens

# Build this machine's archive of a release and the installer, and try them.
release:
    bash crates/cli/tests/release/run.sh

# Build the documentation without a warning.
docs:
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --all-features --no-deps

# Build the packaged crates, a program that depends on them, and their documentation.
package:
    cargo package --workspace --exclude xtask --allow-dirty
    cargo publish --workspace --exclude xtask --allow-dirty --dry-run --no-verify
    bash tests/consumer/run.sh

# Try the simulator with public clients in other languages.
peers:
    bash tests/peers/run.sh

# Needs Python and Node.js.
# Check the SDK, the command and the simulator against Cloudflare's document.
contract:
    bash tests/contract/run.sh

# Run the steps of the GitHub Action.
action:
    bash tests/action/run.sh

# Try the completions, the page, the metrics and the manifests with real programs.
operations:
    bash crates/cli/tests/completions/run.sh
    bash crates/cli/tests/page/run.sh
    bash crates/cli/tests/metrics/run.sh
    bash crates/cli/tests/deploy/run.sh
    bash crates/cli/tests/image/run.sh

# Watch this many accounts for ten years of virtual time each.
ten-years seeds="100":
    TEN_YEARS_SEEDS={{seeds}} cargo test --release --test renewal ten_years -- --nocapture

# Run this many random schedules of calls and faults.
soak schedules="10000":
    SOAK_SCHEDULES={{schedules}} cargo test --release --test soak -- --nocapture

# The targets are duration, envelope, headers, response and usage. Needs cargo-fuzz and a
# nightly compiler.
# Fuzz a target for this many seconds.
fuzz target seconds="600":
    cargo +nightly fuzz run {{target}} -- -max_total_time={{seconds}}

# The parts are job, accounts, rest, instructions, refreshes, start, fleet, durations and
# build. With --targets, only what the table of targets needs. Needs Python, Node.js, curl,
# jq and valgrind.
# Measure everything, or only the named parts, and write benches/RESULTS.md.
bench *parts:
    python3 benches/run.py {{parts}}

# Check that every benchmark runs. Takes two minutes, once it is built.
bench-smoke:
    python3 benches/run.py --smoke

# Fail if a refresh takes more instructions than benches/figures/instructions.json says.
bench-guard:
    python3 benches/run.py --guard

# Do the tests notice when these files are changed for the worse? Only the tests that
# are named run, such as `just mutants 'src/renewal/*' --test=renewal --test=watch`, or
# all of them; what they noticed once is not tried again. Needs cargo-mutants.
mutants files *tests:
    cargo mutants --package cf-service-tokens --iterate --file '{{files}}' {{replace(tests, "--", "--cargo-arg=--")}}

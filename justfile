# Of what CI does, `minimum-rust`, `public-api`, `deny` and `install` are jobs of their
# own. The last line of a comment is what `just --list` shows.

# Does all hold that CI's first job asks? Its steps are among the other recipes.
ci:
    bash .ci/run

# Is the code formatted?
format:
    cargo fmt --all --check

# Does clippy have nothing to say, of any member, with any features?
lint:
    cargo clippy --workspace --all-targets --all-features -- -D warnings
    cargo clippy --package cf-service-tokens --all-targets --no-default-features -- -D warnings

# Do the tests pass, for the workspace and for the SDK with other features?
test:
    cargo test --workspace
    cargo test --package cf-service-tokens --all-features
    cargo test --package cf-service-tokens --no-default-features --lib --tests

# Have the linters nothing to say of the workflows and of the shell scripts?
workflows:
    bash tests/support/install_test.sh
    bash tests/workflows/run.sh

# Do the examples run?
examples:
    cargo run --quiet --example refresh
    cargo run --quiet --example renew
    cargo run --quiet --example watch

# Would Cloudflare's own document still generate and compile?
spec:
    cargo xtask try crates/xtask/tests/data/upstream-2026-10-03.json

# Is the public API as it is written down?
public-api:
    cargo xtask public-api --check

# What has changed in Cloudflare's document since the fragment was written?
drift path:
    cargo xtask drift {{path}}

# Are the dependencies as deny.toml wants them? Needs cargo-deny.
deny:
    cargo deny --workspace check

# Does it compile with the oldest Rust that is supported? Needs that toolchain.
minimum-rust:
    cargo +1.88 check --workspace --all-features

# Does the command install as README says? The last line shows the size that it states.
install:
    cargo install --locked --path crates/cli --root target/installed
    target/installed/bin/cf-service-tokens --simulate renew
    ls -l target/installed/bin/cf-service-tokens

# Does the documentation build without a warning?
docs:
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --all-features --no-deps

# Would the published crates build, and a program that depends on them?
package:
    cargo package --workspace --exclude xtask --allow-dirty
    bash tests/consumer/run.sh

# Do public clients in other languages agree with the simulator?
peers:
    bash tests/peers/run.sh

# Do the SDK, the command, Cloudflare's own clients and the simulator keep to Cloudflare's
# document? Needs Python and Node.js.
contract:
    bash tests/contract/run.sh

# Do a browser, Prometheus, Kubernetes and systemd accept what is made for them?
operations:
    bash crates/cli/tests/page/run.sh
    bash crates/cli/tests/metrics/run.sh
    bash crates/cli/tests/deploy/run.sh

# Watches so many accounts for ten years of virtual time each.
ten-years seeds="100":
    TEN_YEARS_SEEDS={{seeds}} cargo test --release --test renewal ten_years -- --nocapture

# Runs so many random schedules of calls and faults.
soak schedules="10000":
    SOAK_SCHEDULES={{schedules}} cargo test --release --test soak -- --nocapture

# The targets are duration, envelope, headers and response. Needs cargo-fuzz and a
# nightly compiler.
# Looks for inputs that break a target, for so many seconds.
fuzz target seconds="600":
    cargo +nightly fuzz run {{target}} -- -max_total_time={{seconds}}

# The parts are peers, start, instructions, micro, fleet and build. Needs Python,
# Node.js, curl and valgrind.
# Measures everything, or only the parts named, and writes benches/RESULTS.md.
bench *parts:
    python3 benches/run.py {{parts}}

# Do all that is measured still run? Takes a minute, once it is built.
bench-smoke:
    python3 benches/run.py --smoke

# Counts the instructions of a refresh, to guard a change, even on a busy machine.
bench-instructions:
    python3 benches/run.py instructions

# Do the tests notice when these files are changed for the worse? Only the tests that
# are named run, such as `just mutants 'src/renewal/*' --test=renewal --test=watch`, or
# all of them; what they noticed once is not tried again. Needs cargo-mutants.
mutants files *tests:
    cargo mutants --package cf-service-tokens --iterate --file '{{files}}' {{replace(tests, "--", "--cargo-arg=--")}}

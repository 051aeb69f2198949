# What CI does, step by step; `just` alone does all of it.
ci: format lint test docs package

# Is the code formatted?
format:
    cargo fmt --all --check

# Does clippy have nothing to say, of any member, with any features?
lint:
    cargo clippy --workspace --all-targets --all-features -- -D warnings
    cargo clippy --package cf-service-tokens --all-targets --no-default-features -- -D warnings

# Do the tests pass, for the workspace and for the SDK alone?
test:
    cargo test --workspace
    cargo test --package cf-service-tokens
    cargo test --package cf-service-tokens --all-features
    cargo test --package cf-service-tokens --no-default-features

# Does the documentation build without a warning?
docs:
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --all-features --no-deps

# Would the published crates build?
package:
    cargo package --workspace --allow-dirty

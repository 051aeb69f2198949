# The image of the command: the command and what it needs of Debian, without a shell.
# `--target shell` makes one with a shell and apt, for sinks that run a command.

# A release puts the commands that it has built in the place of this stage.
FROM docker.io/library/rust:1.95-slim-trixie AS build
ARG TARGETARCH
WORKDIR /source
COPY . .
RUN cargo build --locked --profile dist --package cf-service-tokens-cli \
    && install -D target/dist/cf-service-tokens "/$TARGETARCH/cf-service-tokens"

FROM docker.io/library/debian:trixie-slim AS debian
# The certificates of the day when the image is built, whatever their version.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 65532 nonroot \
    && useradd --uid 65532 --gid 65532 --home-dir /var/lib/cf-service-tokens nonroot \
    && install --directory --mode 0700 --owner 65532 --group 65532 /var/lib/cf-service-tokens

# The root directory of the image without a shell: the command, the libraries that it
# loads, the certificates to trust, how to look up hosts, and the user.
FROM debian AS root
ARG TARGETARCH
COPY --from=build --chmod=0755 /$TARGETARCH/cf-service-tokens /usr/local/bin/cf-service-tokens
RUN install --directory --mode 0755 /root-of-image \
    && install --directory --mode 1777 /root-of-image/tmp \
    && cp --archive --parents --target-directory /root-of-image /var/lib/cf-service-tokens \
    && ldd /usr/local/bin/cf-service-tokens >/tmp/libraries \
    && grep --only-matching '/[^ ]*' /tmp/libraries >/tmp/files \
    && xargs --arg-file /tmp/files cp --dereference --parents --target-directory /root-of-image \
        /usr/local/bin/cf-service-tokens /etc/ssl/certs/ca-certificates.crt \
        /etc/nsswitch.conf /etc/passwd /etc/group /etc/os-release

FROM debian AS shell
ARG TARGETARCH
COPY --from=build --chmod=0755 /$TARGETARCH/cf-service-tokens /usr/local/bin/cf-service-tokens
LABEL org.opencontainers.image.title="cf-service-tokens with a shell" \
    org.opencontainers.image.source="https://github.com/cf-service-tokens/cf-service-tokens" \
    org.opencontainers.image.licenses="MIT OR Apache-2.0"
# The journal of create and rotate: mount a volume here to keep it.
ENV STATE_DIRECTORY=/var/lib/cf-service-tokens
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/cf-service-tokens"]

FROM scratch
COPY --from=root /root-of-image /
LABEL org.opencontainers.image.title="cf-service-tokens" \
    org.opencontainers.image.source="https://github.com/cf-service-tokens/cf-service-tokens" \
    org.opencontainers.image.licenses="MIT OR Apache-2.0"
ENV STATE_DIRECTORY=/var/lib/cf-service-tokens
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/cf-service-tokens"]

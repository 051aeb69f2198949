#!/usr/bin/env bash
# Runs the file system of an image as a container runtime does: with its user, variables
# and entry point, read-only except for a volume for the journal, and here in a network of
# its own. Arguments: the file system, and a directory with the fields of the image's
# configuration. Needs root, and namespaces of its own for mounts, processes and the network.
set -euo pipefail
here=$(realpath "$(dirname "$0")")
root=$1
configuration=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
output=$work/output

fail() {
    echo "FAILED: $1" >&2
    cat "$output" >&2
    exit 1
}

user=$(<"$configuration/User")
read -ra variables <"$configuration/Env"
read -ra entrypoint <"$configuration/Entrypoint"
chroot=$(command -v chroot)

# Runs the image with arguments and the variables of the array `more`. Writes what it
# prints to $output.
more=()
image() {
    env --ignore-environment "${variables[@]}" "${more[@]}" \
        "$chroot" --userspec="$user" "$root" "${entrypoint[@]}" "$@" >"$output" 2>&1
}

# What runtimes add to a file system.
ip link set lo up
touch "$root/etc/hosts" "$root/etc/resolv.conf"
mkdir -p "$root/proc" "$root/dev" "$root/etc/cf-service-tokens" "$root/run/secrets" \
    "$root/run/delivered"
mount --bind "$root" "$root"
mount --rbind /dev "$root/dev"
mount -t proc proc "$root/proc"
echo '127.0.0.1 localhost' >"$work/hosts"
echo 'nameserver 127.0.0.1' >"$work/resolv.conf"
mkdir --mode 0755 "$work/configuration" "$work/secrets" "$work/delivered"
chown "$user" "$work/delivered"
for file in hosts resolv.conf; do
    mount --bind "$work/$file" "$root/etc/$file"
done
mount --bind "$work/configuration" "$root/etc/cf-service-tokens"
mount --bind "$work/secrets" "$root/run/secrets"
mount --bind "$work/delivered" "$root/run/delivered"
mount -o remount,bind,ro "$root"
if touch "$root/var/lib/cf-service-tokens/file" 2>/dev/null; then
    fail 'the file system can be written'
fi

[ "$user" = 65532:65532 ] || fail "the image's user is $user, not 65532:65532"
image --version || fail '--version'
cat "$output"
image --simulate renew || fail '--simulate renew'
tail -n 1 "$output"

# From now on the calls are those to a simulated account.
exec {simulator}< <(
    env --ignore-environment "${variables[@]}" "$chroot" --userspec="$user" "$root" \
        "${entrypoint[@]}" simulate 2>/dev/null
)
for _ in url token account; do
    read -r -u "$simulator" _ variable || fail 'simulate'
    more+=("$variable")
done
address=$(sed -E 's#^CLOUDFLARE_BASE_URL=http://([^/]*)/.*#\1#' <<<"${more[0]}")
more+=(CLOUDFLARE_BASE_URL=https://api.example.test/client/v4)

# DNS and TLS: the name is known only to the name server of resolv.conf, and the
# certificate only where it is added to those of the image.
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 \
    -subj /CN=api.example.test -addext subjectAltName=DNS:api.example.test,DNS:hosts.example.test \
    -addext basicConstraints=critical,CA:FALSE -keyout "$work/key" -out "$work/certificate" 2>"$output"
cat "$work/key" "$work/certificate" >"$work/server.pem"
exec {network}< <(python3 "$here/network.py" "$work/server.pem" "$address")
read -r -u "$network" _ || fail 'network.py'

certificates=$root/etc/ssl/certs/ca-certificates.crt
echo "trusts $(grep -c BEGIN "$certificates") certificates"
code=0
image --deadline 5s list || code=$?
[ "$code" = 4 ] || fail "an unknown certificate: exit code $code, not 4"
grep -q 'UnknownIssuer' "$output" || fail 'an unknown certificate is not named'
cat "$certificates" "$work/certificate" >"$work/certificates"
mount --bind "$work/certificates" "$certificates"
image list || fail 'list, by a name server and over TLS'
grep -q 'Grafana scraper' "$output" || fail 'list, by a name server and over TLS'
echo 'resolves a host by a name server, and verifies its certificate'

echo '127.0.0.1 hosts.example.test' >>"$work/hosts"
more+=(CLOUDFLARE_BASE_URL=https://hosts.example.test/client/v4)
image list || fail 'list, by /etc/hosts'
echo 'resolves a host by /etc/hosts'

# Times are in UTC, whatever the time zone, and there is none in the image.
before=$(date -u +%H:%M)
more+=(TZ=Asia/Tokyo)
image --verbose list || fail 'list --verbose'
grep -qE "^($before|$(date -u +%H:%M)):[0-9]{2} GET " "$output" || fail 'a time is not in UTC'
echo 'prints times in UTC'

# Nothing is changed where the journal can't be kept.
code=0
image rotate 'Grafana scraper' --secret-to stdout || code=$?
grep -q 'nothing was changed' "$output" || fail "rotate without a volume: exit code $code"
mount -t tmpfs -o mode=0700,uid="${user%:*}",gid="${user#*:}" volume "$root/var/lib/cf-service-tokens"
image rotate 'Grafana scraper' --secret-to stdout || fail 'rotate with a volume'
[ -n "$(ls "$root/var/lib/cf-service-tokens")" ] || fail 'the journal is not in the volume'
echo 'keeps its journal in /var/lib/cf-service-tokens'

# Only the image with a shell runs commands.
code=0
image create nightly --secret-to 'command:cat >/dev/null' || code=$?
if [ -z "$TARGET" ]; then
    [ ! -e "$root/bin/sh" ] || fail 'there is a shell'
    [ "$code" != 0 ] || fail 'a command ran without a shell'
    grep -m 1 '^error' "$output"
else
    [ "$code" = 0 ] || fail 'create with a command'
    echo 'runs the command of a sink'
fi

# keep: a configuration and an API token that are mounted, and the journal in the volume. The
# sink is a file or, with a shell, a command.
echo "${more[1]#*=}" >"$work/secrets/api-token"
chgrp "${user#*:}" "$work/secrets/api-token"
chmod 0440 "$work/secrets/api-token"
sink='file:/run/delivered/secret'
[ -z "$TARGET" ] || sink='command:cat >/run/delivered/secret'
cat >"$work/configuration/keep.toml" <<END
[[account]]
name = "prod"
id = "${more[2]#*=}"
api_token_file = "/run/secrets/api-token"

[[account.rotate]]
token = "Terraform Cloud"
every = "90d"
secret_to = "$sink"
END
# Without the API token and the account in the environment.
more=("${more[0]}" "${more[@]:3}")
secrets=()
for expected in rotated 'not due'; do
    image keep --config /etc/cf-service-tokens/keep.toml || fail "keep, $expected"
    grep -qE "^Terraform Cloud .* $expected " "$output" || fail "keep does not say $expected"
    secrets+=("$(<"$work/delivered/secret")")
done
[ -n "${secrets[0]}" ] || fail 'keep did not deliver the secret'
[ "${secrets[0]}" = "${secrets[1]}" ] || fail 'keep rotated again'
echo "keeps by a configuration, and delivers a secret to ${sink%%:*}"

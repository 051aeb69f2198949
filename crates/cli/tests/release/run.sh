#!/usr/bin/env bash
# Builds this machine's archive and the installer as a release does, installs from them in
# empty directories, and tries what is there. Exit code 1 if anything is missing. Needs curl,
# man and Python; installs dist if it is missing, which takes five minutes. The build takes
# about as long.
set -euo pipefail
cd "$(dirname "$0")/../../../.."
target=$(rustc -vV | sed -n 's/^host: //p')
directory=${CARGO_TARGET_DIR:-$PWD/target}
archives=$directory/distrib
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail() {
    echo "FAILED: $1" >&2
    exit 1
}

version=$(sed -n 's/^cargo-dist-version = "\(.*\)"$/\1/p' dist-workspace.toml)
export PATH=$directory/dist-$version/bin:$PATH
if [ "$(dist --version 2>/dev/null)" != "cargo-dist $version" ]; then
    cargo install --quiet --locked "cargo-dist@$version" --root "$directory/dist-$version"
fi

echo 'release.yml is what dist generates'
dist generate --check
# Only a release knows these names for certain, before it makes them.
dist plan --output-format=json >"$work/plan.json"
python3 - "$work/plan.json" docs/installing.md <<'END'
import json, sys

plan = json.load(open(sys.argv[1]))
page = open(sys.argv[2]).read()
unnamed = [name for name in plan["artifacts"] if f"`{name}`" not in page]
assert plan["artifacts"] and not unnamed, f"{sys.argv[2]} does not name {unnamed}"
print(f"docs/installing.md names all {len(plan['artifacts'])} files of a release")
END

.ci/pages "$target"
rm -rf "$archives"
dist build --artifacts=local --target "$target" --print=linkage --output-format=json >"$work/build.json"
# From what was built, as in a release.
cp "$work/build.json" "$archives/$target-dist-manifest.json"
dist build --artifacts=global --output-format=json >"$work/build.json"
archive=cf-service-tokens-cli-$target.tar.gz
(cd "$archives" && { sha256sum --check "$archive.sha256" || shasum -a 256 --check "$archive.sha256"; })

# Runs a command with no more than a fresh machine has.
fresh() {
    env --ignore-environment HOME="$work/home" PATH=/usr/local/bin:/usr/bin:/bin "$@"
}
mkdir "$work/home" "$work/unpacked"
tar -xzf "$archives/$archive" --directory "$work/unpacked" --strip-components 1
(cd "$work/unpacked" && find . -type f | sort)
command=$work/unpacked/cf-service-tokens
size=$(wc -c <"$command")
echo "the command has $size bytes, its archive $(wc -c <"$archives/$archive")"
[ "$size" -le 8500000 ] || fail 'the command has more than 8.5 MB'

if [[ $target == *-linux-gnu ]]; then
    needed=$(objdump -T "$command" | grep -o 'GLIBC_[0-9.]*' | sort --version-sort | tail -n 1)
    supported=$(sed -n 's/^"\*" = "\(.*\)"$/GLIBC_\1/p' dist-workspace.toml)
    [ "$(printf '%s\n' "$needed" "$supported" | sort --version-sort | tail -n 1)" = "$supported" ] ||
        fail "the command needs $needed; dist-workspace.toml and docs/installing.md name $supported"
fi

fresh "$command" --version
fresh "$command" --simulate renew | tail -n 1
# shellcheck disable=SC2016  # expanded by the inner shell
fresh bash --norc -c 'source "$1" && complete -p cf-service-tokens' bash \
    "$work/unpacked/completions/cf-service-tokens.bash"
! command -v zsh >/dev/null || zsh -n "$work/unpacked/completions/_cf-service-tokens"
! command -v fish >/dev/null || fish -n "$work/unpacked/completions/cf-service-tokens.fish"
for page in "$work"/unpacked/man/*.1; do
    fresh MANWIDTH=80 man "$page" | col -b | grep NAME >/dev/null || fail "man can't show $page"
done
for file in README.md CHANGELOG.md LICENSE-APACHE LICENSE-MIT; do
    [ -s "$work/unpacked/$file" ] || fail "the archive has no $file"
done

# The installer, with a server of this machine in the place of GitHub's.
exec {server}< <(cd "$archives" && exec python3 -u -m http.server --bind 127.0.0.1 0 2>/dev/null)
trap 'kill $! 2>/dev/null; rm -rf "$work"' EXIT
read -r -u "$server" _ _ _ _ _ port _ || fail 'the server'
url=http://127.0.0.1:$port
started=$SECONDS
fresh INSTALLER_DOWNLOAD_URL="$url" bash -c "curl -LsSf $url/cf-service-tokens-cli-installer.sh | sh"
fresh "$work/home/.local/bin/cf-service-tokens" --simulate renew --dry-run | tail -n 1 || [ $? = 5 ]
echo "from nothing to a dry run by the installer: $((SECONDS - started)) s"

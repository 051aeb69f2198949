"""A service token's whole life, by the PyPI package `cloudflare`.

Takes the simulator from the environment, as its program prints it. Ends with
exit code 1 at the first answer that isn't what Cloudflare documents.
"""

import os
import re
import urllib.error
import urllib.request
from datetime import datetime, timedelta, timezone

import cloudflare
from cloudflare import Cloudflare

BASE_URL = os.environ["CLOUDFLARE_BASE_URL"]
ACCOUNT = {"account_id": os.environ["CLOUDFLARE_ACCOUNT_ID"]}
ZONE = {"zone_id": os.environ["CLOUDFLARE_ZONE_ID"]}
PROTECTED_URL = BASE_URL.removesuffix("/client/v4") + "/app"
# Between what the simulator's clock said and what this one says.
CLOCKS_DIFFER_BY = timedelta(minutes=5)

tokens = Cloudflare(max_retries=0).zero_trust.access.service_tokens


def check(what, holds, seen=None):
    if not holds:
        raise SystemExit(f"FAILED: {what}; seen: {seen!r}")
    print(f"  ok: {what}")


def refused(what, error_type, call):
    try:
        answer = call()
    except error_type as error:
        check(what, True)
        return error
    raise SystemExit(f"FAILED: {what}; it succeeded with {type(answer).__name__}")


def lasts(token, lifetime):
    expected = datetime.now(timezone.utc) + lifetime
    return abs(token.expires_at - expected) < CLOCKS_DIFFER_BY


def visit(client_id, client_secret):
    """The status with which the protected app answers."""
    headers = {
        "CF-Access-Client-Id": client_id,
        "CF-Access-Client-Secret": client_secret,
    }
    request = urllib.request.Request(PROTECTED_URL, headers=headers)
    try:
        with urllib.request.urlopen(request) as response:
            return response.status
    except urllib.error.HTTPError as error:
        return error.code


def live(scope, where):
    """The part of a life that an account and a zone have in common; the token is left alive."""
    created = tokens.create(name=f"python {where}", duration="17520h", **scope)
    check(f"{where}: create gives an id", bool(created.id), created.id)
    check(
        f"{where}: create gives a Client ID",
        created.client_id.endswith(".access"),
        created.client_id,
    )
    check(
        f"{where}: create gives a Client Secret in the new format",
        re.fullmatch(r"cfast_[0-9A-Za-z]{40}[0-9A-Za-z]{8}", created.client_secret),
    )
    check(f"{where}: the duration is echoed", created.duration == "17520h", created.duration)
    check(
        f"{where}: the secret opens the app",
        visit(created.client_id, created.client_secret) == 200,
    )

    others = [tokens.create(name=f"other {n} {where}", **scope) for n in range(4)]
    ids = [token.id for token in tokens.list(per_page=2, **scope)]
    check(
        f"{where}: the list's pages hold each token once",
        len(ids) == len(set(ids)) and {created.id, *(other.id for other in others)} <= set(ids),
        ids,
    )
    found = [token.id for token in tokens.list(name=f"python {where}", **scope)]
    check(f"{where}: the list is filtered by name", found == [created.id], found)
    for other in others:
        deleted = tokens.delete(other.id, **scope)
        check(f"{where}: delete answers with the token", deleted.id == other.id, deleted.id)

    got = tokens.get(created.id, **scope)
    check(f"{where}: get finds it", got.name == f"python {where}", got.name)
    check(f"{where}: it lasts for its duration", lasts(got, timedelta(hours=17520)), got.expires_at)
    check(f"{where}: get gives no secret", "client_secret" not in got.to_dict())

    updated = tokens.update(created.id, name=f"renamed {where}", duration="100h", **scope)
    check(f"{where}: update renames", updated.name == f"renamed {where}", updated.name)
    check(
        f"{where}: update counts the duration from now",
        lasts(updated, timedelta(hours=100)),
        updated.expires_at,
    )
    disabled = tokens.update(created.id, enabled=False, **scope)
    check(f"{where}: update disables", disabled.enabled is False, disabled.enabled)
    check(
        f"{where}: a disabled token is refused by the app",
        visit(created.client_id, created.client_secret) == 403,
    )
    tokens.update(created.id, enabled=True, **scope)
    return created


def end(scope, where, token):
    tokens.delete(token.id, **scope)
    refused(
        f"{where}: get of a deleted token is a 404",
        cloudflare.NotFoundError,
        lambda: tokens.get(token.id, **scope),
    )


created = live(ACCOUNT, "account")

refreshed = tokens.refresh(created.id, **ACCOUNT)
check("account: refresh adds a year", lasts(refreshed, timedelta(hours=8760)), refreshed.expires_at)
check("account: refresh gives no secret", "client_secret" not in refreshed.to_dict())
check(
    "account: the secret still opens the app",
    visit(created.client_id, created.client_secret) == 200,
)

rotated = tokens.rotate(created.id, **ACCOUNT)
check("account: rotate keeps the Client ID", rotated.client_id == created.client_id)
check("account: rotate gives a new secret", rotated.client_secret != created.client_secret)
check(
    "account: rotate raises the version",
    rotated.to_dict().get("client_secret_version") == 2,
    rotated.to_dict().get("client_secret_version"),
)
check(
    "account: the new secret opens the app",
    visit(rotated.client_id, rotated.client_secret) == 200,
)
check(
    "account: the old secret is dead",
    visit(created.client_id, created.client_secret) == 403,
)
grace = datetime.now(timezone.utc) + timedelta(hours=1)
with_grace = tokens.rotate(
    created.id, previous_client_secret_expires_at=grace.isoformat(), **ACCOUNT
)
check(
    "account: with a grace both secrets open the app",
    visit(created.client_id, rotated.client_secret) == 200
    and visit(created.client_id, with_grace.client_secret) == 200,
)
end(ACCOUNT, "account", created)

in_zone = live(ZONE, "zone")
error = refused(
    "the account doesn't see the zone's token",
    cloudflare.NotFoundError,
    lambda: tokens.get(in_zone.id, **ACCOUNT),
)
check("the error is in the envelope", bool(error.errors), error.errors)
end(ZONE, "zone", in_zone)

stranger = Cloudflare(api_token="not-a-token", max_retries=0).zero_trust.access.service_tokens
error = refused(
    "a wrong API token is refused",
    cloudflare.PermissionDeniedError,
    lambda: stranger.get(created.id, **ACCOUNT),
)
check("the refusal has code 10000", error.errors[0].code == 10000, error.errors)

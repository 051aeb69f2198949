"""A service token's whole life, by the PyPI package `cloudflare`.

Takes the simulator from the environment: the variables that its program prints, and
`PROTECTED_URL`. Ends with exit code 1 at the first answer that isn't what Cloudflare
documents.

With the argument `refusal` it deletes the token `TOKEN_ID` instead, and prints the
status of the refusal.
"""

import os
import re
import sys
import urllib.error
import urllib.request
from datetime import datetime, timedelta, timezone

import cloudflare
from cloudflare import Cloudflare

ACCOUNT = {"account_id": os.environ["CLOUDFLARE_ACCOUNT_ID"]}
# Between the simulator's clock and this one.
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
    request = urllib.request.Request(os.environ["PROTECTED_URL"], headers=headers)
    try:
        with urllib.request.urlopen(request) as response:
            return response.status
    except urllib.error.HTTPError as error:
        return error.code


def life():
    created = tokens.create(name="python", duration="17520h", **ACCOUNT)
    check("create gives an id", bool(created.id), created.id)
    check("create gives a Client ID", created.client_id.endswith(".access"), created.client_id)
    check(
        "create gives a Client Secret in the new format",
        re.fullmatch(r"cfast_[0-9A-Za-z]{40}[0-9A-Za-z]{8}", created.client_secret),
    )
    check("the duration is echoed", created.duration == "17520h", created.duration)
    check("the secret opens the app", visit(created.client_id, created.client_secret) == 200)

    others = [tokens.create(name=f"other {n}", **ACCOUNT) for n in range(4)]
    ids = [token.id for token in tokens.list(per_page=2, **ACCOUNT)]
    check(
        "the list's pages hold each token once",
        len(ids) == len(set(ids)) and {created.id, *(other.id for other in others)} <= set(ids),
        ids,
    )
    found = [token.id for token in tokens.list(name="python", **ACCOUNT)]
    check("the list is filtered by name", found == [created.id], found)
    for other in others:
        deleted = tokens.delete(other.id, **ACCOUNT)
        check("delete answers with the token", deleted.id == other.id, deleted.id)

    got = tokens.get(created.id, **ACCOUNT)
    check("get finds it", got.name == "python", got.name)
    check("it lasts for its duration", lasts(got, timedelta(hours=17520)), got.expires_at)
    check("get gives no secret", "client_secret" not in got.to_dict())

    updated = tokens.update(created.id, name="renamed", duration="100h", **ACCOUNT)
    check("update renames", updated.name == "renamed", updated.name)
    check(
        "update counts the duration from now",
        lasts(updated, timedelta(hours=100)),
        updated.expires_at,
    )
    disabled = tokens.update(created.id, enabled=False, **ACCOUNT)
    check("update disables", disabled.enabled is False, disabled.enabled)
    status = visit(created.client_id, created.client_secret)
    check("a disabled token can't authenticate to the app", status == 401, status)
    tokens.update(created.id, enabled=True, **ACCOUNT)

    refreshed = tokens.refresh(created.id, **ACCOUNT)
    check("refresh adds a year", lasts(refreshed, timedelta(hours=8760)), refreshed.expires_at)
    check("refresh gives no secret", "client_secret" not in refreshed.to_dict())
    check("the secret still opens the app", visit(created.client_id, created.client_secret) == 200)

    rotated = tokens.rotate(created.id, **ACCOUNT)
    check("rotate keeps the Client ID", rotated.client_id == created.client_id)
    check("rotate gives a new secret", rotated.client_secret != created.client_secret)
    check("the new secret opens the app", visit(rotated.client_id, rotated.client_secret) == 200)
    status = visit(created.client_id, created.client_secret)
    check("the old secret is dead", status == 401, status)
    grace = datetime.now(timezone.utc) + timedelta(hours=1)
    with_grace = tokens.rotate(
        created.id, previous_client_secret_expires_at=grace.isoformat(), **ACCOUNT
    )
    check(
        "with a grace both secrets open the app",
        visit(created.client_id, rotated.client_secret) == 200
        and visit(created.client_id, with_grace.client_secret) == 200,
    )

    refusal = refused(
        "a duration outside Go's grammar is refused",
        cloudflare.BadRequestError,
        lambda: tokens.update(created.id, duration="1 year", **ACCOUNT),
    )
    check("the refusal has errors", bool(refusal.errors), refusal.errors)
    tokens.delete(created.id, **ACCOUNT)
    refused(
        "get of a deleted token is a 404",
        cloudflare.NotFoundError,
        lambda: tokens.get(created.id, **ACCOUNT),
    )
    stranger = Cloudflare(api_token="not-a-token", max_retries=0)
    refusal = refused(
        "a wrong API token is refused",
        cloudflare.AuthenticationError,
        lambda: stranger.zero_trust.access.service_tokens.get(created.id, **ACCOUNT),
    )
    check("the refusal has code 10000", refusal.errors[0].code == 10000, refusal.errors)


def refusal():
    try:
        tokens.delete(os.environ["TOKEN_ID"], **ACCOUNT)
    except cloudflare.APIStatusError as error:
        print(error.status_code)
    else:
        raise SystemExit("FAILED: the call was not refused")


match sys.argv[1:]:
    case []:
        life()
    case ["refusal"]:
        refusal()
    case _:
        raise SystemExit("usage: service_tokens.py [refusal]")

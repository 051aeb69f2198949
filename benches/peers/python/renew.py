"""Renews the tokens of an account that expire within 30 days, by the PyPI package `cloudflare`."""

import os
import sys
from datetime import UTC, datetime, timedelta

import cloudflare

ACCOUNT = os.environ["CLOUDFLARE_ACCOUNT_ID"]

tokens = cloudflare.Cloudflare().zero_trust.access.service_tokens
due_before = datetime.now(UTC) + timedelta(days=30)
listed = tokens.list(account_id=ACCOUNT, per_page=1000)
due = [token for token in listed if token.expires_at < due_before]
failed = False
for token in due:
    try:
        after = tokens.refresh(token.id, account_id=ACCOUNT).expires_at
    except cloudflare.APIError as error:
        print(f"{token.id}: not renewed: {error}", file=sys.stderr)
        failed = True
        continue
    if after is None or after <= token.expires_at:
        print(f"{token.id}: not renewed", file=sys.stderr)
        failed = True
        continue
    print(f"{token.id}: {token.expires_at} -> {after}")
sys.exit(failed)

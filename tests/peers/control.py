"""The simulator's control plane, from a language that isn't Rust: nothing but HTTP.

Takes the simulator from the environment: the variables that its program prints, and
`PROTECTED_URL`. Ends with exit code 1 at the first wrong answer.
"""

import json
import os
import urllib.error
import urllib.request
from datetime import datetime, timedelta

BASE_URL = os.environ["CLOUDFLARE_BASE_URL"]
CONTROL_URL = BASE_URL.removesuffix("/client/v4") + "/_simulator"
API_TOKEN = os.environ["CLOUDFLARE_API_TOKEN"]
CONTROL = {"X-Simulator-Control": "1"}

TOKEN = {
    "id": "f174e90a-fafe-4643-bbbc-4a0ed4fc8415",
    "name": "seeded",
    "client_id": "88bf3b6d86161464f6509f7219099e57.access",
    "client_secret": "bdd31cbc4dec990953e39163fbbb194c93313ca9f0a6e420346af9d326b1d2a5",
    "expires_in": "24h",
}
TOKEN_URL = (
    f"{BASE_URL}/accounts/{os.environ['CLOUDFLARE_ACCOUNT_ID']}"
    f"/access/service_tokens/{TOKEN['id']}"
)


def check(what, holds, seen=None):
    if not holds:
        raise SystemExit(f"FAILED: {what}; seen: {seen!r}")
    print(f"  ok: {what}")


def send(method, url, headers, body=None):
    """The status, and the body as text."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, headers, method=method)
    try:
        with urllib.request.urlopen(request) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def control(method, path, body=None):
    status, text = send(method, CONTROL_URL + path, CONTROL, body)
    if status >= 300:
        raise SystemExit(f"FAILED: {method} {path}: {status} {text}")
    return json.loads(text) if text else None


def call(method, path="", api_token=API_TOKEN):
    """The status of a call on the seeded token."""
    return send(method, TOKEN_URL + path, {"Authorization": f"Bearer {api_token}"})[0]


def visit():
    """The status with which the protected app answers."""
    headers = {
        "CF-Access-Client-Id": TOKEN["client_id"],
        "CF-Access-Client-Secret": TOKEN["client_secret"],
    }
    return send("GET", os.environ["PROTECTED_URL"], headers)[0]


def now():
    return datetime.fromisoformat(control("GET", "/clock")["now"].replace("Z", "+00:00"))


status, text = send("GET", f"{CONTROL_URL}/tokens", {})
check("without its header, the control plane refuses", status == 403, (status, text))
status, text = send("GET", f"{CONTROL_URL}/tokens", {**CONTROL, "Host": "example.com"})
check("for a host that isn't this machine, it refuses", status == 403, (status, text))

seeded = control("POST", "/tokens", TOKEN)
check("a token is seeded", seeded["id"] == TOKEN["id"], seeded)
check("the API finds it", call("GET") == 200)
status = visit()
check("it opens the app", status == 200, status)

before = now()
control("POST", "/clock", {"advance": "25h"})
passed = now() - before
check("the clock moves", timedelta(hours=25) <= passed < timedelta(hours=26), passed)
status = visit()
check("past its expiry, it can't authenticate to the app", status == 401, status)
check("a refresh succeeds", call("POST", "/refresh") == 200)
status = visit()
check("refreshed, it opens the app again", status == 200, status)

control("PATCH", f"/tokens/{TOKEN['id']}", {"enabled": False})
status = visit()
check("disabled behind everybody's back, it can't authenticate", status == 401, status)

control("POST", "/faults", {"fault": {"status": 503}, "on": "get", "times": 2})
statuses = [call("GET") for _ in range(3)]
check("a scripted fault meets the next two gets", statuses == [503, 503, 200], statuses)

log = control("GET", "/requests")
statuses = [one["status"] for one in log if one["operation"] == "get"]
check("the request log has each get", statuses == [200, 503, 503, 200], statuses)
headers = [dict(one["headers"]) for one in log]
check(
    "the request log masks credentials",
    any(one.get("authorization") == "[masked]" for one in headers)
    and any(one.get("cf-access-client-secret") == "[masked]" for one in headers),
    headers,
)
text = json.dumps(log)
check("no secret is in it", API_TOKEN not in text and TOKEN["client_secret"] not in text)
count = control("GET", "/requests/count?operation=refresh")["count"]
check("requests are counted by operation", count == 1, count)

control("POST", "/accounts", {"id": "staging"})
for api_token, limits, expected in [
    ("reader", {"read_only": True}, [200, 403]),
    ("foreign", {"accounts": ["staging"]}, [403, 403]),
    ("expired", {"expires_at": "2026-01-01T00:00:00Z"}, [401, 401]),
    ("elsewhere", {"only_from": ["192.0.2.1"]}, [403, 403]),
]:
    control("POST", "/api_tokens", {"api_token": api_token, **limits})
    statuses = [call("GET", "", api_token), call("POST", "/refresh", api_token)]
    check(f"an API token with {limits} may do no more", statuses == expected, statuses)

control("POST", "/reset")
check("after a reset the request log is empty", control("GET", "/requests") == [])
check("after a reset the token is gone", call("GET") == 404)
check("after a reset the API tokens are gone", call("GET", "", "reader") == 401)
check("after a reset the clock is back", now() - before < timedelta(hours=1))

"""Holds the SDK, the command and the simulator to Cloudflare's document.

`run.sh` starts it, with the places of the programs in its environment. README.md says
what each part checks. Exit code 1 if a check fails.
"""

import json
import os
import re
import shutil
import signal
import socket
import sys
import urllib.parse
from pathlib import Path

from processes import completed, prism, send, simulator
from tighten import is_neighbour, tighten

HERE = Path(__file__).parent
REPOSITORY = HERE.parent.parent
DOCUMENT = REPOSITORY / "crates/xtask/tests/data/upstream-2026-10-03.json"
PEERS = REPOSITORY / "tests/peers"

WORK = Path(os.environ["WORK"])
PRISM = os.environ["PRISM"]
SCHEMATHESIS = os.environ["SCHEMATHESIS"]
SIMULATOR = os.environ["SIMULATOR"]
DRIVER = os.environ["DRIVER"]
PEERS_INSTALLED = Path(os.environ["PEERS_INSTALLED"])

# A service token that no account has.
NO_TOKEN = "f174e90a-fafe-4643-bbbc-4a0ed4fc8415"

# An account that no API token reaches.
FOREIGN_ACCOUNT = "699d98642c564d2e855e9661899b7252"

# None takes so long, even on a busy machine.
CLIENT_SECONDS = 120
SCHEMATHESIS_SECONDS = 300

OK = "  ok: "

# Each is a program that takes a token through its whole life; with the argument
# `refusal` it prints the status with which its delete is refused.
CLIENTS = {
    "the SDK, asynchronous": [DRIVER, "async"],
    "the SDK, blocking": [DRIVER, "blocking"],
    "the command": [sys.executable, HERE / "command.py"],
    "PyPI cloudflare": [PEERS_INSTALLED / "python/bin/python", PEERS / "service_tokens.py"],
    "npm cloudflare": ["node", PEERS / "service_tokens.mjs"],
}


class Tally:
    """Counts checks, and prints those that fail."""

    def __init__(self):
        self.passed = 0
        self.failed = 0
        self.counted = 0

    def check(self, what, holds, seen=""):
        if holds:
            self.passed += 1
        else:
            self.failed += 1
            print(f"FAILED: {what}\n{seen}".rstrip(), flush=True)

    def end_of(self, part):
        checks = self.passed + self.failed
        print(f"{part}: {checks - self.counted} checks", flush=True)
        self.counted = checks


tally = Tally()


def run(command, variables):
    """Runs a client, without any setting of the caller's."""
    own = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("CLOUDFLARE_", "CF_"))
    }
    own["PEER_DIRECTORY"] = str(PEERS_INSTALLED / "npm")
    return completed(command, CLIENT_SECONDS, env={**own, **variables})


def run_checks(what, command, variables):
    """Runs a client that prints a line for each thing that it checked."""
    ran = run(command, variables)
    for _ in range(ran.stdout.count(OK)):
        tally.check(what, True)
    tally.check(what, ran.returncode == 0 and OK in ran.stdout, ran.stdout + ran.stderr)


def check_agreement(what, proxy):
    disagreements = proxy.disagreements()
    tally.check(f"{what}: Prism agrees", not disagreements, "\n".join(disagreements))


def operation_of(document, request):
    """What the document says of a request that the simulator received."""
    path = request["path"].removeprefix("/client/v4")
    for template, item in document["paths"].items():
        pattern = re.sub(r"\{[^}]+\}", "[^/]+", template)
        if re.fullmatch(pattern, path):
            return item.get(request["method"].lower())
    return None


def resolved(document, parameter):
    """A parameter, or what it refers to."""
    if "$ref" not in parameter:
        return parameter
    return document["components"]["parameters"][parameter["$ref"].rsplit("/", 1)[1]]


def undocumented(document, requests):
    """The requests of no operation, and the query parameters that theirs doesn't have."""
    found = []
    for request in requests:
        operation = operation_of(document, request)
        if operation is None:
            found.append(f"{request['method']} {request['path']}")
            continue
        query = urllib.parse.parse_qsl(request["query"] or "", keep_blank_values=True)
        parameters = [resolved(document, one) for one in operation.get("parameters", [])]
        known = {one["name"] for one in parameters if one["in"] == "query"}
        found += [
            f"{operation['operationId']}: ?{name}" for name, _ in query if name not in known
        ]
    return found


def mock_document():
    """The document, with the form of a Client Secret: the SDK refuses a text that can be none.

    It also lets an API token list the accounts.
    """
    document = json.loads(DOCUMENT.read_text(encoding="utf-8"))
    secret = document["components"]["schemas"]["access_client_secret"]
    # The example is for fixed answers, the pattern for random ones.
    secret.update(example="0123456789abcdef" * 4, pattern="^[0-9a-f]{64}$")
    # The definition of this call is older than the rest, and names the global key alone.
    accounts = document["paths"]["/accounts"]["get"]
    accounts["security"].append({"api_token": []})
    path = WORK / "mock-document.json"
    path.write_text(json.dumps(document, indent=1), encoding="utf-8")
    return path


def mock_part():
    """Each call of the SDK is valid for the document, and can read what it allows."""
    fixed, random = [], ["--dynamic", "--seed", "7"]
    api_token = {"CLOUDFLARE_API_TOKEN": "any"}
    global_key = {"CLOUDFLARE_EMAIL": "a@example.com", "CLOUDFLARE_API_KEY": "any"}
    document = mock_document()
    for kind, options, credentials in (
        ("fixed answers", fixed, api_token),
        ("random answers", random, api_token),
        ("the global key", fixed, global_key),
    ):
        with prism(PRISM, WORK / "mock.log", "mock", document, *options) as mock:
            variables = {
                **credentials,
                "CLOUDFLARE_BASE_URL": mock.url(),
                "CLOUDFLARE_ACCOUNT_ID": "023e105f4ecef8ad9ca31a8372d0c353",
            }
            for way in ("async", "blocking"):
                what = f"mock, {kind}, {way}"
                run_checks(what, [DRIVER, way, "calls"], variables)
                # A listing of random answers has no end.
                if options is fixed:
                    run_checks(f"{what}, neighbours", [DRIVER, way, "neighbours"], variables)
                check_agreement(what, mock)
    tally.end_of("Prism as a mock")


def refusals(here):
    """Ways to have a delete refused: the status, why, and what is different."""
    in_use = here.control("POST", "/tokens", {"name": "in use"})
    # The command asks what uses the token, if it may, and then makes no call.
    narrow = {"api_token": "narrow", "permissions": ["Access: Service Tokens Write"]}
    here.control("POST", "/api_tokens", narrow)
    rule = {"service_token": {"token_id": in_use["id"]}}
    access = {"policies": [{"name": "policy", "include": [rule]}]}
    here.control("PATCH", f"/accounts/{here.account}", {"access": access})
    read_only = here.variables["READ_ONLY_API_TOKEN"]
    yield 401, "a wrong API token", {"CLOUDFLARE_API_TOKEN": "not-a-token"}
    yield 403, "an API token that may only read", {"CLOUDFLARE_API_TOKEN": read_only}
    yield 403, "another account", {"CLOUDFLARE_ACCOUNT_ID": FOREIGN_ACCOUNT}
    yield 404, "no such token", {"TOKEN_ID": NO_TOKEN}
    yield 400, "a token in use", {"TOKEN_ID": in_use["id"], "CLOUDFLARE_API_TOKEN": "narrow"}
    # Longer than any client waits before it tries again.
    too_many = {"too_many_requests": {"retry_after_seconds": 3600}}
    here.control("POST", "/faults", {"fault": too_many, "on": "delete"})
    yield 429, "too many calls", {}


def check_client(client, command, here, proxy, document, neighbours):
    variables = {
        **here.variables,
        "CLOUDFLARE_BASE_URL": proxy.url(),
        "PROTECTED_URL": f"{here.origin}/app",
        "TOKEN_ID": NO_TOKEN,
        "COMMAND": os.environ["COMMAND"],
        "WORK": str(WORK),
    }
    here.control("POST", "/reset")
    what = f"{client}: a token's life"
    run_checks(what, command, variables)
    check_agreement(what, proxy)
    for status, why, different in refusals(here):
        what = f"{client}: {why}: {status}"
        ran = run([*command, "refusal"], {**variables, **different})
        tally.check(what, ran.stdout.strip() == str(status), ran.stdout + ran.stderr)
        check_agreement(what, proxy)
    requests = here.requests()
    found = undocumented(both(document, neighbours), requests)
    tally.check(f"{client}: nothing undocumented is asked", not found, "\n".join(found))
    operations = [operation_of(document, request) for request in requests]
    asked = {operation["operationId"] for operation in operations if operation}
    every = {one["operationId"] for item in document["paths"].values() for one in item.values()}
    tally.check(f"{client}: asks for every operation", asked >= every, every - asked)


def both(document, neighbours):
    """One document with the operations of two."""
    return {**document, "paths": {**document["paths"], **neighbours["paths"]}}


def proxy_part(document, neighbours):
    """The clients and the simulator, each held to the tightened document."""
    tight = WORK / "tightened-with-neighbours.json"
    tight.write_text(json.dumps(both(document, neighbours), indent=1), encoding="utf-8")
    with (
        simulator(DRIVER, "serve") as here,
        prism(PRISM, WORK / "proxy.log", "proxy", tight, here.base_url) as proxy,
    ):
        for client, command in CLIENTS.items():
            check_client(client, command, here, proxy, document, neighbours)
            tally.end_of(f"Prism as a proxy: {client}")


def neighbours_part(neighbours):
    """What the simulator says of the neighbours, held to the tightened document."""
    tight = WORK / "neighbours.json"
    tight.write_text(json.dumps(neighbours, indent=1), encoding="utf-8")
    with (
        simulator(SIMULATOR) as here,
        prism(PRISM, WORK / "neighbours.log", "proxy", tight, here.base_url) as proxy,
    ):
        api_token = here.variables["CLOUDFLARE_API_TOKEN"]
        owned = {"api_token": "owned", "owned_by_account": here.account}
        here.control("POST", "/api_tokens", {**owned, "expires_at": "2100-01-01T00:00:00Z"})
        here.control("POST", "/api_tokens", {"api_token": "narrow", "permissions": []})
        tokens = [token["id"] for token in here.control("GET", "/tokens")]
        full = {"access": full_access(tokens)}

        def check(what, different):
            for path in neighbours["paths"]:
                by_account = path == "/accounts/{account_id}/tokens/verify"
                used, status = different.get(path, ("owned" if by_account else api_token, 200))
                here.variables["CLOUDFLARE_API_TOKEN"] = used
                path = path.replace("{account_id}", here.account)
                answered = here.call("GET", path, through=proxy.url())
                tally.check(f"{what}: {path}: {status}", answered[0] == status, answered)
            check_agreement(what, proxy)

        refused = "/accounts", *(path for path in neighbours["paths"] if "/access/" in path)
        check("a realistic account", {})
        here.control("PATCH", f"/accounts/{here.account}", full)
        check("an account with everything", {})
        check("a wrong API token", {path: ("not-a-token", 401) for path in neighbours["paths"]})
        check("no permission", {path: ("narrow", 403) for path in refused})
        owner = {"/accounts": ("owned", 400), "/user/tokens/verify": ("owned", 401)}
        check("the wrong owner", owner)
        here.control("PATCH", f"/accounts/{here.account}", {"access": None})
        off = {path: (api_token, 403) for path in neighbours["paths"] if "/access/" in path}
        check("an account without Access", off)
    tally.end_of("Prism as a proxy: the neighbours")


def full_access(tokens):
    """An Access configuration with each thing that the simulator can hold."""
    rules = [
        {"service_token": {"token_id": tokens[0]}},
        {"any_valid_service_token": {}},
        {"group": {"id": "group"}},
        {"email_domain": {"domain": "example.com"}},
        {"everyone": {}},
    ]
    group = {"id": "group", "name": "group", "include": rules}
    decisions = ("allow", "deny", "non_identity", "bypass")
    return {
        "service_token_inactivity": {
            "enabled": True,
            "inactivity_threshold_days": 365,
            "action": "delete",
        },
        "groups": [{**group, "require": rules, "exclude": rules}],
        "policies": [
            {"name": name, "decision": name, "include": rules, "require": rules, "exclude": rules}
            for name in decisions
        ],
        "apps": [
            {
                "name": f"{n} tokens for SCIM",
                "domain": f"app{n}.example.com",
                "policies": [{"name": "own", "include": rules}],
                "reusable_policies": decisions,
                "scim_service_tokens": tokens[:n],
            }
            for n in range(3)
        ],
    }


def sdk_neighbours_part():
    """The SDK reads what is around the simulator's tokens, held to the document as it is."""
    document = json.loads(mock_document().read_text(encoding="utf-8"))
    paths = {path: item for path, item in document["paths"].items() if is_neighbour(path)}
    path = WORK / "neighbours-as-they-are.json"
    path.write_text(json.dumps({**document, "paths": paths}, indent=1), encoding="utf-8")
    with (
        simulator(DRIVER, "serve") as here,
        prism(PRISM, WORK / "neighbours-as-they-are.log", "proxy", path, here.base_url) as proxy,
    ):
        for way in ("async", "blocking"):
            here.control("DELETE", "/requests")
            what = f"neighbours, {way}"
            variables = {**here.variables, "CLOUDFLARE_BASE_URL": proxy.url()}
            run_checks(what, [DRIVER, way, "neighbours"], variables)
            check_agreement(what, proxy)
            found = undocumented(document, here.requests())
            tally.check(f"{what}: nothing undocumented is asked", not found, found)
            asked = {operation_of(document, one)["operationId"] for one in here.requests()}
            every = {one["operationId"] for item in paths.values() for one in item.values()}
            # The API token is a user's.
            every.remove("account-api-tokens-verify-token")
            tally.check(f"{what}: asks for every operation", asked == every, every - asked)
    tally.end_of("Prism as a proxy: the SDK and the neighbours")


def known_document(here):
    """The document with what the simulator knows beyond it, as known.json has it."""
    listed = here.call("GET", here.tokens_path)[1]["result"]
    to_delete = [
        here.call("POST", here.tokens_path, {"name": f"to delete {n}"})[1]["result"]["id"]
        for n in range(3)
    ]
    ids = [token["id"] for token in listed]
    values = {
        "{account}": [here.account],
        "{kept}": ids[:4],
        "{to rotate}": ids[4:6],
        "{to delete}": to_delete,
    }
    text = (HERE / "known.json").read_text(encoding="utf-8")
    for placeholder, value in values.items():
        text = text.replace(json.dumps(placeholder), json.dumps(value))
    known = {entry["at"]: entry["adds"] for entry in json.loads(text)}
    document = tighten(json.loads(DOCUMENT.read_text(encoding="utf-8")), known)
    path = WORK / "known-document.json"
    path.write_text(json.dumps(document, indent=1), encoding="utf-8")
    return path


def schemathesis(here, document, *options):
    """Sends what the document allows and what it forbids, the same each time."""
    return completed(
        [
            SCHEMATHESIS,
            *("--config-file", HERE / "schemathesis.toml"),
            *("run", document, "--url", here.base_url),
            *("--header", f"Authorization: Bearer {here.variables['CLOUDFLARE_API_TOKEN']}"),
            *("--generation-deterministic", "--no-color", *options),
        ],
        SCHEMATHESIS_SECONDS,
        cwd=WORK,
    )


def untried(document, requests):
    """The operations that lack an accepted request or a refused one."""
    tried = set()
    for request in requests:
        operation = operation_of(document, request)
        if operation is not None and request["status"] is not None:
            tried.add((operation["operationId"], request["status"] // 100))
    every = [one["operationId"] for item in document["paths"].values() for one in item.values()]
    found = [(name, kind) for name in every for kind in (2, 4)]
    return [f"{name}: no {kind}xx" for name, kind in found if (name, kind) not in tried]


def schemathesis_part(tight):
    document = json.loads(tight.read_text(encoding="utf-8"))
    # Each valid create makes a token; the account must hold them all.
    with simulator(SIMULATOR, "--token-limit", "100000") as here:
        known = known_document(here)
        here.control("DELETE", "/requests")
        ran = schemathesis(here, known)
        missed = untried(document, here.requests())
    output = ran.stdout + ran.stderr
    tally.check("schemathesis finds nothing", ran.returncode == 0, output)
    tally.check("schemathesis has each operation accepted and refused", not missed, missed)
    generated = re.search(r"([1-9]\d*) generated", ran.stdout)
    tally.check("schemathesis says how many cases it made", generated, output)
    tally.passed += int(generated[1]) if generated and ran.returncode == 0 else 0
    tally.end_of("schemathesis")


def disagreement(here, document, log):
    """What Prism finds in the simulator's list and create."""
    with prism(PRISM, WORK / log, "proxy", document, here.base_url) as proxy:
        listed = here.call("GET", here.tokens_path, through=proxy.url())
        created = here.call("POST", here.tokens_path, {"name": "new"}, through=proxy.url())
    answers = [answer for _, answer in (listed, created)]
    return "\n".join(one["message"] for answer in answers for one in answer.get("validation", []))


def stopped(action):
    """The message with which the referee would end."""
    try:
        action()
    except SystemExit as end:
        return str(end)
    return ""


def start(*program, seconds):
    with simulator(*program, seconds=seconds):
        pass


def stall_checks():
    """Whatever stalls is given up, with a message."""
    stalls = ("tail", "-f", os.devnull)
    found = completed(stalls, 0.2)
    noticed = found.returncode is None and "longer than 0.2 s" in found.stderr
    tally.check("notices a program that stalls", noticed, found)
    found = stopped(lambda: start(*stalls, seconds=0.2))
    tally.check("notices a simulator that does not start", "did not start" in found, found)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        found = stopped(lambda: send("GET", url, {}, seconds=0.2))
    tally.check("notices a server that does not answer", "no answer within" in found, found)


def self_checks(tight):
    """The referee notices what it is there to notice."""
    stall_checks()
    document = json.loads(tight.read_text(encoding="utf-8"))
    with simulator(SIMULATOR) as here:
        found = disagreement(here, tight, "agreed.log")
        tally.check("as it is, there is nothing to notice", not found, found)

        # From where Prism stands, a field renamed in the document is one renamed in the answer.
        for field in ("updated_at", "client_secret"):
            renamed = WORK / "renamed.json"
            text = tight.read_text(encoding="utf-8")
            renamed.write_text(text.replace(f'"{field}"', f'"{field}_2"'), encoding="utf-8")
            found = disagreement(here, renamed, "renamed.log")
            expected = f"must have required property '{field}_2'"
            tally.check(f"notices that {field} is renamed", expected in found, found)

        here.control("DELETE", "/requests")
        here.call("GET", f"{here.tokens_path}?name=a&nmae=b")
        found = undocumented(document, here.requests())
        expected = ["access-service-tokens-list-service-tokens: ?nmae"]
        tally.check("notices an undocumented query", found == expected, found)

    with simulator(SIMULATOR, "--null-timestamps") as here:
        found = disagreement(here, tight, "null.log")
        expected = "last_seen_at must be string"
        tally.check("notices a timestamp that is null", expected in found, found)
        ran = schemathesis(here, known_document(here), "--include-method", "GET")
        noticed = ran.returncode == 1 and "null is not of type" in ran.stdout
        tally.check("schemathesis notices it too", noticed, ran.stdout + ran.stderr)
        found = untried(document, here.requests())
        expected = "access-service-tokens-refresh-a-service-token: no 2xx"
        tally.check("notices an operation that is not tried", expected in found, found)

    with simulator(SIMULATOR, "--lenient-answers") as here:
        found = disagreement(here, tight, "lenient.log")
        expected = "must NOT have additional properties; found 'client_secret_version'"
        tally.check("notices an undocumented field", expected in found, found)
    tally.end_of("the referee itself")


def main():
    # So that the servers end with it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    # A journal of the command's would be continued.
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(parents=True)
    document = json.loads(DOCUMENT.read_text(encoding="utf-8"))
    tokens, neighbours = tighten(document), tighten(document, neighbours=True)
    tight = WORK / "tightened.json"
    tight.write_text(json.dumps(tokens, indent=1), encoding="utf-8")
    mock_part()
    proxy_part(tokens, neighbours)
    neighbours_part(neighbours)
    sdk_neighbours_part()
    schemathesis_part(tight)
    self_checks(tight)
    print(f"{tally.passed} passed, {tally.failed} failed")
    sys.exit(1 if tally.failed else 0)


if __name__ == "__main__":
    main()

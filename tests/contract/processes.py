"""The servers that the referee starts, each of which ends with its `with`."""

import contextlib
import json
import os
import re
import subprocess
import threading
import time
import urllib.error
import urllib.request

# How long a server may take to start, and to answer. None takes so long, even on a busy
# machine.
START_SECONDS = 60
ANSWER_SECONDS = 60


def completed(command, seconds, **options):
    """Runs a program to its end. One that stalls is killed, and has no exit code."""
    try:
        return subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=seconds, **options
        )
    except subprocess.TimeoutExpired as stalled:
        # Bytes, whatever `text` says.
        stdout, stderr = (
            (output or b"").decode(errors="replace") for output in (stalled.stdout, stalled.stderr)
        )
        why = f"{stderr}\nkilled, since it took longer than {seconds} s"
        return subprocess.CompletedProcess(command, None, stdout, why)


@contextlib.contextmanager
def ended(process):
    """A process, ended with the block, whatever happens there."""
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class Simulator:
    """A running simulator of Cloudflare's API."""

    def __init__(self, variables):
        self.variables = variables
        self.base_url = variables["CLOUDFLARE_BASE_URL"]
        self.origin = self.base_url.removesuffix("/client/v4")
        self.account = variables["CLOUDFLARE_ACCOUNT_ID"]
        self.tokens_path = f"/accounts/{self.account}/access/service_tokens"

    def call(self, method, path, body=None, through=None):
        """Calls the API, through a proxy of it or not: the status, and the answer."""
        headers = {
            "Authorization": f"Bearer {self.variables['CLOUDFLARE_API_TOKEN']}",
            "Content-Type": "application/json",
        }
        return send(method, f"{through or self.base_url}{path}", headers, body)

    def control(self, method, path, body=None):
        """Calls the control plane: its answer."""
        headers = {"X-Simulator-Control": "1", "Content-Type": "application/json"}
        url = f"{self.origin}/_simulator{path}"
        status, answer = send(method, url, headers, body)
        if status >= 300:
            raise SystemExit(f"{method} {url}: {status}: {answer}")
        return answer

    def requests(self):
        """The requests to the API that it received since its log was cleared."""
        log = self.control("GET", "/requests")
        return [one for one in log if one["path"].startswith("/client/v4/")]


def send(method, url, headers, body=None, seconds=ANSWER_SECONDS):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, headers, method=method)
    try:
        try:
            with urllib.request.urlopen(request, timeout=seconds) as response:
                return response.status, json.loads(response.read() or b"null")
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())
    except OSError as error:
        raise SystemExit(f"{method} {url}: no answer within {seconds} s: {error}") from error


@contextlib.contextmanager
def simulator(program, *arguments, seconds=START_SECONDS):
    process = subprocess.Popen([program, *arguments], stdout=subprocess.PIPE, text=True)
    with ended(process):
        # Ends its output, and so the wait for the next line.
        stall = threading.Timer(seconds, process.kill)
        stall.start()
        variables = {}
        try:
            # The last line that it prints once it listens.
            while "CLOUDFLARE_ACCOUNT_ID" not in variables:
                line = process.stdout.readline()
                if not line:
                    raise SystemExit(f"the simulator ended, or did not start within {seconds} s")
                name, value = line.rstrip("\n").split("=", 1)
                variables[name] = value
        finally:
            stall.cancel()
        yield Simulator(variables)


class Prism:
    """A running Prism, which holds requests and answers to a document."""

    LISTENS = re.compile(r"Prism is listening on (http://\S+)")

    def __init__(self, log):
        self.log = log
        self.seen = 0

    def url(self):
        found = self.LISTENS.search(self.log.read_text(encoding="utf-8"))
        return found and found[1]

    def disagreements(self):
        """The lines with which it refused a request or an answer since this was last asked."""
        lines = self.log.read_text(encoding="utf-8").splitlines()
        new, self.seen = lines[self.seen :], len(lines)
        return [line for line in new if "terminated with error" in line or "Violation" in line]


@contextlib.contextmanager
def prism(program, log, *arguments):
    with open(log, "w", encoding="utf-8") as output:
        process = subprocess.Popen(
            # Any free port. `--errors` has it answer a disagreement with an error.
            [program, *arguments, "--errors", "--port", "0"],
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, "NO_COLOR": "1"},
        )
    with ended(process):
        running = Prism(log)
        deadline = time.monotonic() + START_SECONDS
        while not running.url():
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"Prism did not start:\n{log.read_text(encoding='utf-8')}")
            time.sleep(0.05)
        yield running

"""Has a Prometheus server scrape both formats of /metrics, and answer all that the dashboard
asks.

Usage: scrape.py METRICS PROMETHEUS
"""

import http.server
import pathlib
import sys
import threading

import expressions
import prometheus

directory, program = pathlib.Path(sys.argv[1]), sys.argv[2]
TYPES = {
    "metrics.txt": "text/plain; version=0.0.4; charset=utf-8",
    "keep.txt": "text/plain; version=0.0.4; charset=utf-8",
    "openmetrics.txt": "application/openmetrics-text; version=1.0.0; charset=utf-8",
}


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        name = self.path.lstrip("/")
        body = (directory / name).read_bytes()
        self.send_response(200)
        self.send_header("content-type", TYPES[name])
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


http_server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=http_server.serve_forever, daemon=True).start()
address = f"127.0.0.1:{http_server.server_port}"

with prometheus.scraping(program, {name: (address, f"/{name}") for name in TYPES}) as server:
    for name in TYPES:
        count = server.ask(f'count({{__name__=~"cf_service_tokens_.*", job="{name}"}})')
        lines = (directory / name).read_text().splitlines()
        expected = sum(not line.startswith("#") for line in lines)
        found = int(count[0]["value"][1])
        assert found == expected, f"{name}: {found} samples, not {expected}"
        print(f"a Prometheus server scrapes {expected} samples of {name}")
    asked = [
        expression
        for panel in expressions.panels()
        for expression, _ in expressions.targets(panel)
    ]
    # Nothing changes, so what has to be more than 0 never is. The rest has a result once
    # there is a second sample.
    unanswered = [each for each in asked if not each.endswith("> 0")]

    def all_answered():
        unanswered[:] = [each for each in unanswered if not server.ask(each)]
        return not unanswered

    server.until(lambda: "\n".join(["no result:", *unanswered]), all_answered)
    print(f"it answers all {len(asked)} expressions of the dashboard")

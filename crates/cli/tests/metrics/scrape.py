"""Has a Prometheus server scrape both formats of /metrics, and answer all that the dashboard
asks.

Usage: scrape.py METRICS PROMETHEUS
"""

import http.server
import json
import pathlib
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request

import expressions

directory, prometheus = pathlib.Path(sys.argv[1]), sys.argv[2]
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


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    port = free.getsockname()[1]


def ask(query):
    query = urllib.parse.urlencode({"query": query})
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/query?{query}") as answer:
        return json.load(answer)["data"]["result"]


with tempfile.TemporaryDirectory() as work:
    jobs = [
        {
            "job_name": name,
            "metrics_path": f"/{name}",
            "scrape_interval": "1s",
            "static_configs": [{"targets": [f"127.0.0.1:{server.server_port}"]}],
        }
        for name in TYPES
    ]
    config = pathlib.Path(work, "prometheus.yml")
    # JSON is YAML.
    config.write_text(json.dumps({"scrape_configs": jobs}))
    process = subprocess.Popen(
        [
            prometheus,
            f"--config.file={config}",
            f"--storage.tsdb.path={work}/data",
            f"--web.listen-address=127.0.0.1:{port}",
            "--log.level=error",
        ]
    )
    try:
        give_up_at = time.monotonic() + 60
        while True:
            try:
                if len(ask("up == 1")) == len(TYPES):
                    break
            except OSError:
                pass
            if process.poll() is not None or time.monotonic() > give_up_at:
                raise SystemExit("Prometheus has not scraped all")
            time.sleep(0.2)
        for name in TYPES:
            count = ask(f'count({{__name__=~"cf_service_tokens_.*", job="{name}"}})')
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
        unanswered = [each for each in asked if not ask(each) and not each.endswith("> 0")]
        while unanswered:
            if time.monotonic() > give_up_at:
                raise SystemExit("\n".join(["no result:", *unanswered]))
            time.sleep(0.2)
            unanswered = [each for each in unanswered if not ask(each)]
        print(f"it answers all {len(asked)} expressions of the dashboard")
    finally:
        process.terminate()
        process.wait()

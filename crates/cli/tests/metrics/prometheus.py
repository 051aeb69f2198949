"""Runs a Prometheus server that scrapes each second.

Not a program of its own.
"""

import contextlib
import json
import pathlib
import socket
import subprocess
import tempfile
import time
import urllib.parse
import urllib.request


class Server:
    def __init__(self, process, port):
        self.process = process
        self.port = port
        self.give_up_at = time.monotonic() + 60

    def ask(self, query):
        """The result of a query, or none as long as the server does not listen."""
        query = urllib.parse.urlencode({"query": query})
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/api/v1/query?{query}") as answer:
                return json.load(answer)["data"]["result"]
        except OSError:
            return []

    def until(self, what, is_so):
        """Waits for what a scrape brings."""
        while not is_so():
            if self.process.poll() is not None or time.monotonic() > self.give_up_at:
                raise SystemExit(f"Prometheus: {what()}")
            time.sleep(0.2)


@contextlib.contextmanager
def scraping(program, targets):
    """A server with a job for each name, and its address and path."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    jobs = [
        {
            "job_name": name,
            "metrics_path": path,
            "scrape_interval": "1s",
            "static_configs": [{"targets": [address]}],
        }
        for name, (address, path) in targets.items()
    ]
    with tempfile.TemporaryDirectory() as work:
        config = pathlib.Path(work, "prometheus.yml")
        # JSON is YAML.
        config.write_text(json.dumps({"scrape_configs": jobs}))
        process = subprocess.Popen(
            [
                program,
                f"--config.file={config}",
                f"--storage.tsdb.path={work}/data",
                f"--web.listen-address=127.0.0.1:{port}",
                "--log.level=error",
            ]
        )
        try:
            server = Server(process, port)
            server.until(lambda: "has not scraped all", lambda: len(server.ask("up == 1")) == len(targets))
            yield server
        finally:
            process.terminate()
            process.wait()

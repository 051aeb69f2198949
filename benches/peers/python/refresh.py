"""Refreshes by the PyPI package `cloudflare`, with its defaults.

    refresh.py sync|async once
    refresh.py sync|async load CALLS IN_FLIGHT

The same contract as the contenders in Rust (`contender/src/lib.rs`): it ends
with a line of JSON.
"""

import asyncio
import json
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import cloudflare

ACCOUNT = os.environ["CLOUDFLARE_ACCOUNT_ID"]
TOKEN = os.environ["BENCH_TOKEN_ID"]


def peak_kib():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM:"))


def figures(calls, seconds, cpu_seconds, latencies):
    latencies.sort()
    at = lambda share: latencies[min(calls * share // 100, calls - 1)] * 1e6
    return {
        "calls": calls,
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,
        "p50_us": at(50),
        "p99_us": at(99),
        "peak_kib": peak_kib(),
    }


class Sync:
    """One call after the other, or as many threads as calls in flight."""

    def __init__(self):
        self.tokens = cloudflare.Cloudflare().zero_trust.access.service_tokens

    def refresh(self):
        started = time.perf_counter()
        if self.tokens.refresh(TOKEN, account_id=ACCOUNT).expires_at is None:
            raise SystemExit("no expiry")
        return time.perf_counter() - started

    def once(self):
        self.refresh()
        return {"peak_kib": peak_kib()}

    def load(self, calls, in_flight):
        with ThreadPoolExecutor(in_flight) as pool:
            refresh = lambda _: self.refresh()
            list(pool.map(refresh, range(in_flight * 2 + 20)))
            started, cpu = time.perf_counter(), time.process_time()
            if in_flight == 1:
                latencies = [self.refresh() for _ in range(calls)]
            else:
                latencies = list(pool.map(refresh, range(calls)))
            return figures(
                calls, time.perf_counter() - started, time.process_time() - cpu, latencies
            )


class Async:
    """One thread, and as many tasks as calls in flight."""

    def __init__(self):
        self.tokens = cloudflare.AsyncCloudflare().zero_trust.access.service_tokens

    async def refresh(self):
        started = time.perf_counter()
        if (await self.tokens.refresh(TOKEN, account_id=ACCOUNT)).expires_at is None:
            raise SystemExit("no expiry")
        return time.perf_counter() - started

    def once(self):
        asyncio.run(self.refresh())
        return {"peak_kib": peak_kib()}

    async def burst(self, work, in_flight):
        work, results = iter(work), []

        async def worker():
            for call in work:
                results.append(await call())

        await asyncio.gather(*(worker() for _ in range(in_flight)))
        return results

    def load(self, calls, in_flight):
        async def run():
            await self.burst([self.refresh] * (in_flight * 2 + 20), in_flight)
            started, cpu = time.perf_counter(), time.process_time()
            latencies = await self.burst([self.refresh] * calls, in_flight)
            return figures(
                calls, time.perf_counter() - started, time.process_time() - cpu, latencies
            )

        return asyncio.run(run())


client = {"sync": Sync, "async": Async}[sys.argv[1]]()
print(json.dumps(getattr(client, sys.argv[2])(*map(int, sys.argv[3:]))))

// Refreshes by the npm package `cloudflare`, with its defaults.
//
//   refresh.mjs once
//   refresh.mjs load CALLS IN_FLIGHT
//
// The same contract as the contenders in Rust (contender/src/lib.rs): it ends
// with a line of JSON. It runs from where the package is installed.

import { readFileSync } from 'node:fs';
import Cloudflare from 'cloudflare';

const account_id = process.env.CLOUDFLARE_ACCOUNT_ID;
const tokens = new Cloudflare().zeroTrust.access.serviceTokens;

function peakKib() {
  const status = readFileSync('/proc/self/status', 'utf8');
  return Number(status.match(/VmHWM:\s*(\d+)/)[1]);
}

async function refresh() {
  const answer = await tokens.refresh(process.env.BENCH_TOKEN_ID, { account_id });
  if (!answer.expires_at) throw new Error('no expiry');
}

// Has so many workers do the work.
async function burst(work, inFlight) {
  const left = work[Symbol.iterator]();
  const latencies = [];
  const worker = async () => {
    for (const call of left) {
      const started = performance.now();
      await call();
      latencies.push(performance.now() - started);
    }
  };
  await Promise.all(Array.from({ length: inFlight }, worker));
  return latencies;
}

const modes = {
  async once() {
    await refresh();
    return { peak_kib: peakKib() };
  },

  async load(calls, inFlight) {
    const so = (count) => Array.from({ length: count }, () => () => refresh());
    await burst(so(inFlight * 2 + 100), inFlight);
    const [started, cpu] = [performance.now(), process.cpuUsage()];
    const latencies = await burst(so(calls), inFlight);
    const seconds = (performance.now() - started) / 1000;
    const { user, system } = process.cpuUsage(cpu);
    latencies.sort((a, b) => a - b);
    const at = (share) => latencies[Math.min(Math.floor((calls * share) / 100), calls - 1)] * 1000;
    return {
      calls,
      seconds,
      cpu_seconds: (user + system) / 1e6,
      p50_us: at(50),
      p99_us: at(99),
      peak_kib: peakKib(),
    };
  },
};

const [mode, ...numbers] = process.argv.slice(2);
console.log(JSON.stringify(await modes[mode](...numbers.map(Number))));

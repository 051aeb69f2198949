// Renews the tokens of an account that expire within 30 days, by the npm package `cloudflare`.
// It runs from the directory where the package is installed.

import Cloudflare from 'cloudflare';

const account_id = process.env.CLOUDFLARE_ACCOUNT_ID;
const tokens = new Cloudflare().zeroTrust.access.serviceTokens;
const dueBefore = Date.now() + 30 * 24 * 3600 * 1000;

const due = [];
for await (const token of tokens.list({ account_id, per_page: 1000 })) {
  if (Date.parse(token.expires_at) < dueBefore) due.push(token);
}

async function renew({ id, expires_at }) {
  const after = (await tokens.refresh(id, { account_id })).expires_at;
  if (!(Date.parse(after) > Date.parse(expires_at))) throw new Error('the expiry has not moved');
  console.log(`${id}: ${expires_at} -> ${after}`);
}

const results = await Promise.allSettled(due.map(renew));
for (const [index, { reason }] of results.entries()) {
  if (reason) {
    console.error(`${due[index].id}: not renewed: ${reason.message}`);
    process.exitCode = 1;
  }
}

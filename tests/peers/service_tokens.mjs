// A service token's whole life, by the npm package `cloudflare`.
//
// Takes the simulator from the environment, as its program prints it. Ends with
// exit code 1 at the first answer that isn't what Cloudflare documents.

import process from "node:process";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

// The package lies under target/, where no import statement would look for it.
const require = createRequire(pathToFileURL(`${process.env.PEER_DIRECTORY}/`));
const { default: Cloudflare } = await import(
  pathToFileURL(require.resolve("cloudflare")).href
);

const baseUrl = process.env.CLOUDFLARE_BASE_URL;
const account = { account_id: process.env.CLOUDFLARE_ACCOUNT_ID };
const zone = { zone_id: process.env.CLOUDFLARE_ZONE_ID };
const protectedUrl = `${baseUrl.replace(/\/client\/v4$/, "")}/app`;
const hour = 60 * 60 * 1000;
// Between what the simulator's clock said and what this one says.
const clocksDifferBy = hour / 12;

const tokens = new Cloudflare({ maxRetries: 0 }).zeroTrust.access.serviceTokens;

function check(what, holds, seen) {
  if (!holds) {
    console.error(`FAILED: ${what}; seen: ${JSON.stringify(seen)}`);
    process.exit(1);
  }
  console.log(`  ok: ${what}`);
}

async function refused(what, errorType, call) {
  try {
    await call();
  } catch (error) {
    check(what, error instanceof errorType, error.constructor.name);
    return error;
  }
  check(what, false, "it succeeded");
}

function lasts(token, hours) {
  const expected = Date.now() + hours * hour;
  return Math.abs(Date.parse(token.expires_at) - expected) < clocksDifferBy;
}

// The status with which the protected app answers.
async function visit(clientId, clientSecret) {
  const response = await fetch(protectedUrl, {
    headers: {
      "CF-Access-Client-Id": clientId,
      "CF-Access-Client-Secret": clientSecret,
    },
  });
  await response.arrayBuffer();
  return response.status;
}

async function idsOf(list) {
  const ids = [];
  for await (const token of list) {
    ids.push(token.id);
  }
  return ids;
}

// The part of a life that an account and a zone have in common; the token is
// left alive.
async function live(scope, where) {
  const created = await tokens.create({
    name: `typescript ${where}`,
    duration: "17520h",
    ...scope,
  });
  check(`${where}: create gives an id`, created.id, created.id);
  check(
    `${where}: create gives a Client ID`,
    created.client_id.endsWith(".access"),
    created.client_id,
  );
  check(
    `${where}: create gives a Client Secret in the new format`,
    /^cfast_[0-9A-Za-z]{40}[0-9A-Za-z]{8}$/.test(created.client_secret),
  );
  check(`${where}: the duration is echoed`, created.duration === "17520h", created.duration);
  check(
    `${where}: the secret opens the app`,
    (await visit(created.client_id, created.client_secret)) === 200,
  );

  const others = [];
  for (let n = 0; n < 4; n += 1) {
    others.push(await tokens.create({ name: `other ${n} ${where}`, ...scope }));
  }
  const ids = await idsOf(tokens.list({ per_page: 2, ...scope }));
  check(
    `${where}: the list's pages hold each token once`,
    new Set(ids).size === ids.length &&
      [created, ...others].every((token) => ids.includes(token.id)),
    ids,
  );
  const found = await idsOf(tokens.list({ name: `typescript ${where}`, ...scope }));
  check(
    `${where}: the list is filtered by name`,
    found.length === 1 && found[0] === created.id,
    found,
  );
  for (const other of others) {
    const deleted = await tokens.delete(other.id, scope);
    check(`${where}: delete answers with the token`, deleted.id === other.id, deleted.id);
  }

  const got = await tokens.get(created.id, scope);
  check(`${where}: get finds it`, got.name === `typescript ${where}`, got.name);
  check(`${where}: it lasts for its duration`, lasts(got, 17520), got.expires_at);
  check(`${where}: get gives no secret`, !("client_secret" in got));

  const updated = await tokens.update(created.id, {
    name: `renamed ${where}`,
    duration: "100h",
    ...scope,
  });
  check(`${where}: update renames`, updated.name === `renamed ${where}`, updated.name);
  check(
    `${where}: update counts the duration from now`,
    lasts(updated, 100),
    updated.expires_at,
  );
  const disabled = await tokens.update(created.id, { enabled: false, ...scope });
  check(`${where}: update disables`, disabled.enabled === false, disabled.enabled);
  check(
    `${where}: a disabled token is refused by the app`,
    (await visit(created.client_id, created.client_secret)) === 403,
  );
  await tokens.update(created.id, { enabled: true, ...scope });
  return created;
}

async function end(scope, where, token) {
  await tokens.delete(token.id, scope);
  await refused(`${where}: get of a deleted token is a 404`, Cloudflare.NotFoundError, () =>
    tokens.get(token.id, scope),
  );
}

const created = await live(account, "account");

const refreshed = await tokens.refresh(created.id, account);
check("account: refresh adds a year", lasts(refreshed, 8760), refreshed.expires_at);
check("account: refresh gives no secret", !("client_secret" in refreshed));
check(
  "account: the secret still opens the app",
  (await visit(created.client_id, created.client_secret)) === 200,
);

const rotated = await tokens.rotate(created.id, account);
check("account: rotate keeps the Client ID", rotated.client_id === created.client_id);
check(
  "account: rotate gives a new secret",
  rotated.client_secret !== created.client_secret,
);
check(
  "account: rotate raises the version",
  rotated.client_secret_version === 2,
  rotated.client_secret_version,
);
check(
  "account: the new secret opens the app",
  (await visit(rotated.client_id, rotated.client_secret)) === 200,
);
check(
  "account: the old secret is dead",
  (await visit(created.client_id, created.client_secret)) === 403,
);
const withGrace = await tokens.rotate(created.id, {
  previous_client_secret_expires_at: new Date(Date.now() + hour).toISOString(),
  ...account,
});
check(
  "account: with a grace both secrets open the app",
  (await visit(created.client_id, rotated.client_secret)) === 200 &&
    (await visit(created.client_id, withGrace.client_secret)) === 200,
);
await end(account, "account", created);

const inZone = await live(zone, "zone");
const unseen = await refused(
  "the account doesn't see the zone's token",
  Cloudflare.NotFoundError,
  () => tokens.get(inZone.id, account),
);
check("the error is in the envelope", unseen.errors.length > 0, unseen.errors);
await end(zone, "zone", inZone);

const stranger = new Cloudflare({ apiToken: "not-a-token", maxRetries: 0 });
const refusal = await refused(
  "a wrong API token is refused",
  Cloudflare.PermissionDeniedError,
  () => stranger.zeroTrust.access.serviceTokens.get(created.id, account),
);
check("the refusal has code 10000", refusal.errors[0].code === 10000, refusal.errors);

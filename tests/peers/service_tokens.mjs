// A service token's whole life, by the npm package `cloudflare`.
//
// Takes the simulator from the environment: the variables that its program prints, and
// `PROTECTED_URL`. Ends with exit code 1 at the first answer that isn't what Cloudflare
// documents.
//
// With the argument `refusal` it deletes the token `TOKEN_ID` instead, and prints the
// status of the refusal.

import process from "node:process";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

// The package lies under target/, where no import statement would look for it.
const require = createRequire(pathToFileURL(`${process.env.PEER_DIRECTORY}/`));
const { default: Cloudflare } = await import(
  pathToFileURL(require.resolve("cloudflare")).href
);

const account = { account_id: process.env.CLOUDFLARE_ACCOUNT_ID };
const hour = 60 * 60 * 1000;
// Between the simulator's clock and this one.
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
  const response = await fetch(process.env.PROTECTED_URL, {
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

async function life() {
  const created = await tokens.create({ name: "typescript", duration: "17520h", ...account });
  check("create gives an id", created.id, created.id);
  check("create gives a Client ID", created.client_id.endsWith(".access"), created.client_id);
  check(
    "create gives a Client Secret in the new format",
    /^cfast_[0-9A-Za-z]{40}[0-9A-Za-z]{8}$/.test(created.client_secret),
  );
  check("the duration is echoed", created.duration === "17520h", created.duration);
  check(
    "the secret opens the app",
    (await visit(created.client_id, created.client_secret)) === 200,
  );

  const others = [];
  for (let n = 0; n < 4; n += 1) {
    others.push(await tokens.create({ name: `other ${n}`, ...account }));
  }
  const ids = await idsOf(tokens.list({ per_page: 2, ...account }));
  check(
    "the list's pages hold each token once",
    new Set(ids).size === ids.length &&
      [created, ...others].every((token) => ids.includes(token.id)),
    ids,
  );
  const found = await idsOf(tokens.list({ name: "typescript", ...account }));
  check("the list is filtered by name", found.length === 1 && found[0] === created.id, found);
  for (const other of others) {
    const deleted = await tokens.delete(other.id, account);
    check("delete answers with the token", deleted.id === other.id, deleted.id);
  }

  const got = await tokens.get(created.id, account);
  check("get finds it", got.name === "typescript", got.name);
  check("it lasts for its duration", lasts(got, 17520), got.expires_at);
  check("get gives no secret", !("client_secret" in got));

  const updated = await tokens.update(created.id, {
    name: "renamed",
    duration: "100h",
    ...account,
  });
  check("update renames", updated.name === "renamed", updated.name);
  check("update counts the duration from now", lasts(updated, 100), updated.expires_at);
  const disabled = await tokens.update(created.id, { enabled: false, ...account });
  check("update disables", disabled.enabled === false, disabled.enabled);
  const whileDisabled = await visit(created.client_id, created.client_secret);
  check("a disabled token can't authenticate to the app", whileDisabled === 401, whileDisabled);
  await tokens.update(created.id, { enabled: true, ...account });

  const refreshed = await tokens.refresh(created.id, account);
  check("refresh adds a year", lasts(refreshed, 8760), refreshed.expires_at);
  check("refresh gives no secret", !("client_secret" in refreshed));
  check(
    "the secret still opens the app",
    (await visit(created.client_id, created.client_secret)) === 200,
  );

  const rotated = await tokens.rotate(created.id, account);
  check("rotate keeps the Client ID", rotated.client_id === created.client_id);
  check("rotate gives a new secret", rotated.client_secret !== created.client_secret);
  check(
    "the new secret opens the app",
    (await visit(rotated.client_id, rotated.client_secret)) === 200,
  );
  const afterRotate = await visit(created.client_id, created.client_secret);
  check("the old secret is dead", afterRotate === 401, afterRotate);
  const withGrace = await tokens.rotate(created.id, {
    previous_client_secret_expires_at: new Date(Date.now() + hour).toISOString(),
    ...account,
  });
  check(
    "with a grace both secrets open the app",
    (await visit(created.client_id, rotated.client_secret)) === 200 &&
      (await visit(created.client_id, withGrace.client_secret)) === 200,
  );

  const badDuration = await refused(
    "a duration outside Go's grammar is refused",
    Cloudflare.BadRequestError,
    () => tokens.update(created.id, { duration: "1 year", ...account }),
  );
  check("the refusal has errors", badDuration.errors.length > 0, badDuration.errors);
  await tokens.delete(created.id, account);
  await refused("get of a deleted token is a 404", Cloudflare.NotFoundError, () =>
    tokens.get(created.id, account),
  );
  const stranger = new Cloudflare({ apiToken: "not-a-token", maxRetries: 0 });
  const wrongToken = await refused(
    "a wrong API token is refused",
    Cloudflare.AuthenticationError,
    () => stranger.zeroTrust.access.serviceTokens.get(created.id, account),
  );
  check("the refusal has code 10000", wrongToken.errors[0].code === 10000, wrongToken.errors);
}

async function refusal() {
  try {
    await tokens.delete(process.env.TOKEN_ID, account);
  } catch (error) {
    if (error instanceof Cloudflare.APIError && error.status) {
      console.log(error.status);
      return;
    }
    throw error;
  }
  check("the call is refused", false, "it succeeded");
}

const [mode] = process.argv.slice(2);
await { undefined: life, refusal }[mode]();

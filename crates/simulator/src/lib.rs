#![doc = include_str!("../README.md")]
//!
//! # Sources and choices
//!
//! The paths, the envelope, the fields of every result and the meaning of each call
//! follow [Cloudflare's documentation][docs]. The documentation leaves gaps;
//! this list has each choice that fills one, so that no test mistakes it for a fact.
//!
//! | Case | Response |
//! |---|---|
//! | no credentials, or only a service key, which is ignored | 401, code 10000 |
//! | an unknown API token, a wrong e-mail address or global key | 401, code 10000 |
//! | a malformed or repeated credential header, two schemes at once | 400, code 6003; `error_chain` names the header by 6111, 6102 or 6103 |
//! | half a scheme | 400, code 9106 |
//! | an expired or disabled API token | 401, code 9109; a verification responds with 200 and the token's status |
//! | an API token from an address that it isn't allowed from | 403, code 9109 with another message |
//! | an account that doesn't exist, or that the API token has no access to | 403, code 10000 |
//! | a call that needs a permission that the API token lacks, see [`Permission`] | 403, code 10000 |
//! | a verification of an API token whose owner the path doesn't name | 401, code 1000 |
//! | a verification of the global key | 400, code 1001, as publicly recorded |
//! | the list of accounts, by an API token that an account owns | 400, code 1001, as publicly recorded |
//! | a call about the Access of an account where Access is not enabled | 403, code 9999: the code is Cloudflare's, the status a choice |
//! | an unknown path, the deprecated zone level included | 404, codes 7003 and 7000 |
//! | a method that the path doesn't take, `HEAD` included | 405, code 10405 |
//! | a body that isn't a JSON object, a value of the wrong type or out of range | 400, code 12130; `source.pointer` names the field |
//! | a create beyond the account's limit of tokens | 400, code 12130: neither number nor message is known |
//! | a token that doesn't exist, or is in another account | 404, code [`SERVICE_TOKEN_NOT_FOUND`]: the message is Cloudflare's, the number is inferred |
//! | delete of a token that a policy, a group or a SCIM configuration names | 400, code 12139 |
//!
//! Cloudflare documents no particular status for refused credentials. Here 401 means that
//! they aren't valid, and 403 that valid ones don't permit the call.
//!
//! The simulator checks requests in this order: path and method, credentials,
//! account and permission, whether Access is enabled, body, token.
//!
//! - **Strictness**: a response holds the fields that Cloudflare's document of
//!   2026-10-03 has for its operation, and no others. Create and rotate respond
//!   without `expires_at` and `last_seen_at`, and no response holds
//!   `client_secret_version`. An unknown timestamp is left out, since the
//!   document makes none of them nullable. [`SimulatorBuilder`] can turn each of
//!   these off: [`lenient_answers`](SimulatorBuilder::lenient_answers),
//!   [`null_timestamps`](SimulatorBuilder::null_timestamps),
//!   [`list_only`](SimulatorBuilder::list_only),
//!   [`capped_pages`](SimulatorBuilder::capped_pages),
//!   [`app_authentication`](SimulatorBuilder::app_authentication).
//! - **`null`** in a request always has the wrong type, since the document makes no
//!   field nullable. Unknown fields and query parameters are
//!   ignored.
//! - **Names** have at most 350 characters, counted as JSON Schema does, and are not
//!   blank. Two tokens may have the same name.
//! - **`client_secret_version`** must be a whole number from 1 to 2^53, though the document
//!   says *number*. A rotation at the highest version leaves it unchanged.
//! - **Refresh** sets the expiry to 8760 hours from now, or leaves it unchanged
//!   if it is later. Counting from now, not from the old expiry, makes a repeat
//!   harmless, and no refresh makes a token expire earlier. Expired and disabled
//!   tokens can be refreshed; refreshing enables nothing.
//! - **Update** with a raised `client_secret_version` rotates, but the documented
//!   response has no place for the new `client_secret`, so only a lenient simulator
//!   shows it. A lowered version is refused, and so is a body that changes nothing.
//! - **An expired secret stays expired**: a later
//!   `previous_client_secret_expires_at` does not restore it.
//! - **`forever`** never expires, whatever `expires_at` says; `expires_at` is
//!   then a hundred years off, since the real one isn't null either.
//! - **Lists** are in order of creation, 1000 tokens a page unless `per_page`
//!   says otherwise (1 to 1000). `total_count` counts all tokens that the caller may
//!   see, whatever `name` and `search` are, as the document says of it.
//!   `total_pages` is the number of pages that those tokens would fill.
//! - **Policies, groups and applications** can only be listed, accounts too, and the
//!   organization's settings and the status of the API token only read. Responses hold a
//!   subset of the documented fields, and no others. `created_at` and `updated_at` are when
//!   the [`Access`] configuration was set.
//!   Lists take `page` and `per_page`, and ignore the filters that the document also has.
//!   Accounts come 5 to 50 to a page (20 by default), policies up to 1000 (100 by
//!   default), groups and applications up to 1000.
//! - **The list of accounts** holds the accounts that the credentials have access to, and
//!   needs the permission `Account Settings Read`.
//! - **An application** shows its own policies before the reusable ones, in the account's
//!   order. Its SCIM configuration shows `********` for the Client Secret.
//! - **A removed account** is like one that never existed: 403, code 10000.
//! - **The clean-up of inactive tokens** happens at the instant at which a token has been
//!   inactive for as many days as the threshold says: it counts from the latest of its
//!   creation, its last use and the last time it was enabled again, and not before the
//!   settings were set. It spares tokens that a rule of a policy names, in `include`,
//!   `require` or `exclude`, in a reusable policy or one of an application; not those that
//!   only a group or a SCIM configuration names, or that `any_valid_service_token` matches.
//!   A refresh, a rotation and any other call of the API don't count as use. A deleted
//!   token is still named by what named it. Disabling sets `updated_at`.
//! - **The protected app** is not one of the applications, and no policy decides about it. It
//!   responds with 401 to a caller that can't authenticate, whatever the reason, and with
//!   403 to a valid token that isn't allowed. Only an accepted token updates
//!   `last_seen_at`.
//! - **Ids, secrets and ray ids** come from a seeded generator, so a run can be
//!   replayed. The checksum of a Client Secret is the first eight hex digits of
//!   the SHA-256 of the forty characters before it; Cloudflare's isn't published.
//! - **`Date`** is the time of the simulator's clock.
//! - **The rate limit** (1,200 requests in five minutes) is counted for each API token,
//!   for the global key and for all requests without valid credentials together, and
//!   reported in the headers of each response. It is enforced if
//!   [asked for](SimulatorBuilder::enforce_rate_limit): the first request past it
//!   begins a window of its own, in which everything is refused with 429, code
//!   971 and `Retry-After`. Unknown paths are not refused, and the protected app
//!   has no limit.
//! - **Faults** come from a script or from a seed, see [`Fault`] and [`Injection`]. A
//!   failure that a fault makes up has the code 1000. A call that meets a fault and
//!   must not take effect runs on a copy of the state, so that its response looks
//!   real.
//! - **The control plane** (`/_simulator/`) is not part of the API: its requests are not
//!   logged, not limited, and meet no faults. It refuses requests without a loopback
//!   `Host` or the header `X-Simulator-Control`, grants no preflight, and returns no
//!   secret. On an address that isn't a loopback one it is off unless
//!   [asked for](SimulatorBuilder::control_plane), and then takes any `Host`.
//! - **The request log** holds no body, and masks the values of all headers but a few
//!   harmless ones; see [`ReceivedRequest`].
//! - **TLS** fails: the simulator responds to a client's hello with the alert
//!   `handshake_failure`.
//!
//! [docs]: https://developers.cloudflare.com/api/resources/zero_trust/subresources/access/subresources/service_tokens/
#![doc = ""]
#![doc = include_str!("../CONTROL.md")]

mod api;
mod app;
mod behavior;
mod builder;
mod control;
mod faults;
mod program;
mod request_log;
mod shared;
mod simulator;
mod start;
mod state;
mod wire;

pub use api::Operation;
pub use api::authentication::{Permission, SeedApiToken};
pub use api::envelope::SERVICE_TOKEN_NOT_FOUND;
pub use behavior::AppAuthentication;
pub use builder::SimulatorBuilder;
pub use faults::Fault;
pub use faults::injection::Injection;
pub use faults::wrong_json::WrongJson;
pub use request_log::ReceivedRequest;
pub use simulator::Simulator;
pub use state::access::{
    Access, Decision, Rule, SeedApp, SeedGroup, SeedPolicy, ServiceTokenInactivity,
};
pub use state::seed::{SeedAccount, SeedToken};
pub use state::token::{Token, TokenField};

#![doc = include_str!("../README.md")]
//!
//! # What it answers, and where that comes from
//!
//! The paths, the envelope, the fields of a token and the meaning of each call
//! follow [Cloudflare's documentation][docs]. The documentation leaves gaps;
//! each choice made in one is listed here, so that no test mistakes it for a fact.
//!
//! | Case | Answer |
//! |---|---|
//! | no credentials | 401, code 10000 |
//! | credentials that aren't this simulator's | 403, code 10000 |
//! | two schemes at once, half a scheme, a malformed `Authorization` | 400, code 6003 |
//! | an account that isn't this simulator's | 403, code 10000: what Cloudflare says of an account that the credentials may not see |
//! | an unknown path, the deprecated zone level included | 404, codes 7003 and 7000 |
//! | a method that the path doesn't take, `HEAD` included | 405, code 10405 |
//! | a body that isn't a JSON object, or a value out of range | 400, code 12130; `source.pointer` names the field |
//! | a token that isn't there, or is in another account | 404, code [`SERVICE_TOKEN_NOT_FOUND`]: the message is Cloudflare's, the number is not known |
//! | delete of a token that a policy names | 400, code 12139 |
//!
//! Requests are judged in this order: path and method, credentials, account,
//! body, token.
//!
//! - **Refresh** sets the expiry to 8760 hours from now, or leaves it where it
//!   is if that is later. Counting from now, not from the old expiry, is what
//!   makes a repeat harmless; and a call that lengthens a life never shortens
//!   it. Expired and disabled tokens can be refreshed; refreshing enables nothing.
//! - **Update** with a raised `client_secret_version` answers with the new
//!   `client_secret`, as rotate does: a secret that nobody ever saw would be
//!   of no use. A lowered version is refused, and so is a body that changes
//!   nothing. `null` counts as not given.
//! - **A secret that has died stays dead**: moving
//!   `previous_client_secret_expires_at` forward revives nothing.
//! - **`forever`** never expires, whatever `expires_at` says; `expires_at` is
//!   then a hundred years off, since the real one isn't null either.
//! - **Lists** are in order of creation, 25 tokens a page unless `per_page`
//!   says otherwise (1 to 1000). `total_count` and `total_pages` count what
//!   the filters let through.
//! - **Ids, secrets and ray ids** come from a seeded generator, so a run can be
//!   replayed. The checksum of a Client Secret is the first eight hex digits of
//!   the SHA-256 of the forty characters before it; Cloudflare's isn't published.
//! - **The rate limit** (1,200 requests in five minutes) is counted and told in
//!   the headers of each answer. It is enforced if
//!   [asked for](SimulatorBuilder::enforce_rate_limit): the first request past it
//!   begins a window of its own, in which everything is refused with 429, code
//!   971 and `Retry-After`. Unknown paths are not refused, and the protected app
//!   has no limit.
//! - **Faults** come by script or from a seed, see [`Fault`] and [`Injection`]. A
//!   failure that one makes up has the code 1000. A call that meets a fault and
//!   must not take effect is carried out on a copy of the state, so that what is
//!   seen of its answer is what it would have been.
//! - **TLS** fails: a client's hello is answered with the alert
//!   `handshake_failure`.
//!
//! [docs]: https://developers.cloudflare.com/api/resources/zero_trust/subresources/access/subresources/service_tokens/

mod account;
mod authentication;
mod builder;
mod call;
mod connection;
mod delivery;
mod duration;
mod effect;
mod envelope;
mod fault;
mod fault_plan;
mod fields;
mod generator;
mod gzip;
mod html;
mod injection;
mod listener;
mod operation;
mod protected;
mod rate_limit;
mod rejection;
mod request_log;
mod routes;
mod secret;
mod seed;
mod server;
mod shared;
mod spoil;
mod state;
mod token;
mod wrong_json;

pub use builder::SimulatorBuilder;
pub use envelope::SERVICE_TOKEN_NOT_FOUND;
pub use fault::Fault;
pub use injection::Injection;
pub use operation::Operation;
pub use request_log::ReceivedRequest;
pub use seed::SeedToken;
pub use server::Simulator;
pub use token::{Token, TokenField};
pub use wrong_json::WrongJson;

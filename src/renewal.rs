//! Keeps the service tokens of an account from expiring.
//!
//! [`ServiceTokens::renew`] makes one pass over an account: it lists the tokens, decides
//! about each, renews the due ones, and checks that each renewal moved the expiry.
//! [`ServiceTokens::watch`] repeats that without end.
//!
//! ```
//! # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs")); fn main() { example(async |simulator, client, tokens, id| {
//! use cf_service_tokens::renewal::RenewalPolicy;
//! # let simulator = Simulator::builder().token(SeedToken::new("deploy").expires_in(TimeDelta::days(9))).start().await?;
//! # let (client, tokens) = connect(&simulator);
//!
//! let report = tokens.renew(&RenewalPolicy::new()).await;
//! println!("{report}");
//! report.into_result()?; // an error that names what failed
//! # Ok(()) }) }
//! ```
//!
//! [`ServiceTokens::renew`]: crate::ServiceTokens::renew
//! [`ServiceTokens::watch`]: crate::ServiceTokens::watch

mod decision;
mod outcome;
mod pass;
mod policy;
mod report;
mod shard;
mod watch;

pub use decision::{Decision, RenewReason, SkipReason, UnableReason};
pub use outcome::{RenewalError, RenewalOutcome, TokenRenewal};
pub use pass::{Renewal, RenewalEvent};
pub use policy::{RenewBy, RenewalPolicy};
pub use report::{RenewalFailure, RenewalReport};
pub use shard::Shard;
pub use watch::{Watch, WatchEvent};

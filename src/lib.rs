#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test may panic"))]

mod account;
mod answer;
#[cfg(feature = "blocking")]
#[cfg_attr(docsrs, doc(cfg(feature = "blocking")))]
pub mod blocking;
mod call;
mod client;
mod duration;
mod error;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
mod generated;
#[cfg(doctest)]
mod guide;
pub mod renewal;
mod response;
mod tokens;

pub use account::Account;
pub use account::api_token::ApiTokenStatus;
pub use account::organization::{CleanUp, InactivityAction};
pub use account::usage::{
    AccessKind, AccessObject, RulePlace, TokenUsage, UnreadListing, Usage, UsedBy,
};
pub use answer::message::{ApiMessage, ApiMessageSource};
pub use answer::problem::Problem;
pub use call::clock::{Clock, ManualClock};
pub use call::event::{Event, WaitReason};
pub use call::options::CallOptions;
pub use call::pages::EntryStream;
pub use call::rate_limit::RateLimit;
pub use call::raw::RawRequest;
pub use call::retry::Retry;
pub use client::Client;
pub use client::builder::ClientBuilder;
pub use client::credentials::Credentials;
pub use duration::{
    DurationRangeError, GoDuration, ParseDurationError, ParseDurationErrorKind, TokenDuration,
};
pub use error::{Error, ErrorKind};
pub use futures_util::stream::Stream;
pub use generated::types::{
    AccountInfo, ApiToken, Organization, ResultInfo, ServiceToken, ServiceTokenInactivity,
};
pub use http::Method;
pub use response::Response;
pub use tokens::ServiceTokens;
pub use tokens::id::{AccountId, ServiceTokenId, ToServiceTokenId};
pub use tokens::issued::{IssuedServiceToken, ServiceTokenCredentials};
pub use tokens::list::{ListServiceTokens, ServiceTokenPage};
pub use tokens::requests::{CreateServiceToken, RotateServiceToken, UpdateServiceToken};

/// Re-exports of the crates that provide types in this crate's signatures.
///
/// A program that uses these re-exports gets the versions that this crate uses.
///
/// ```
/// use cf_service_tokens::external::chrono::{TimeDelta, Utc};
/// use cf_service_tokens::{RotateServiceToken, ServiceToken};
///
/// let a_day = RotateServiceToken::grace(TimeDelta::days(1));
/// assert_eq!(ServiceToken::default().expires_in(Utc::now()), None);
/// ```
pub mod external {
    pub use {chrono, http, reqwest, secrecy};
}

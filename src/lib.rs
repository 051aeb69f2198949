#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test may panic"))]

mod answer;
#[cfg(feature = "blocking")]
#[cfg_attr(docsrs, doc(cfg(feature = "blocking")))]
pub mod blocking;
mod client;
mod client_builder;
mod clock;
mod credentials;
mod duration;
mod environment;
mod error;
mod expiry;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
mod generated;
#[cfg(doctest)]
mod guide;
mod id;
mod issued;
mod list;
mod operation;
mod options;
mod page;
mod rate_limit;
mod raw;
pub mod renewal;
mod request;
mod response;
mod retry;
mod service_tokens;
mod trace;
mod transport;

pub use answer::message::{ApiMessage, ApiMessageSource};
pub use answer::problem::Problem;
pub use client::Client;
pub use client_builder::ClientBuilder;
pub use clock::{Clock, ManualClock};
pub use duration::{
    DurationRangeError, GoDuration, ParseDurationError, ParseDurationErrorKind, TokenDuration,
};
pub use error::{Error, ErrorKind};
pub use generated::types::{ResultInfo, ServiceToken};
pub use http::Method;
pub use id::{AccountId, ServiceTokenId};
pub use issued::{IssuedServiceToken, ServiceTokenCredentials};
pub use list::{ListServiceTokens, ServiceTokenStream};
pub use options::CallOptions;
pub use page::ServiceTokenPage;
pub use rate_limit::RateLimit;
pub use raw::RawRequest;
pub use request::{CreateServiceToken, RotateServiceToken, UpdateServiceToken};
pub use response::Response;
pub use retry::Retry;
pub use service_tokens::ServiceTokens;

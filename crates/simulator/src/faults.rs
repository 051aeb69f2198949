pub(crate) mod gzip;
pub(crate) mod injection;
pub(crate) mod plan;
pub(crate) mod spoil;
pub(crate) mod wrong_json;

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::faults::wrong_json::WrongJson;

/// A fault that a call meets.
///
/// Give it to [`Simulator::inject`](crate::Simulator::inject), by itself for the
/// next call, or in an [`Injection`](crate::Injection) that says which calls
/// meet it.
///
/// Some faults prevent the call itself, others only disturb the response. So the
/// variants state whether the call *takes effect*: never, always, or as the injection
/// says.
///
/// ```
/// use cf_service_tokens_simulator::{Fault, Simulator};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let simulator = Simulator::builder().start().await?;
/// simulator.inject(Fault::HtmlPage(502));
/// let url = format!("{}/accounts/{}/access/service_tokens", simulator.base_url(), simulator.account_id());
/// assert_eq!(reqwest::get(url).await?.status(), 502);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Fault {
    /// The response is correct but late, by this much real time. Always takes effect.
    #[serde(rename = "latency_ms", with = "milliseconds")]
    Latency(Duration),
    /// The connection is reset once the request's head is read. Never takes
    /// effect.
    ResetAfterHead,
    /// The connection is reset once a part of the request's body is read; after
    /// the head, if there is no body. Never takes effect.
    ResetDuringRequest,
    /// The connection is reset once the whole request is read. Takes effect as
    /// the injection says.
    ResetAfterRequest,
    /// The connection is reset in the middle of the response body. Takes effect
    /// as the injection says.
    ResetDuringAnswer,
    /// No response is ever sent; the connection stays open. Takes effect as the
    /// injection says.
    StalledHeaders,
    /// The response stops in the middle of its body; the connection stays open.
    /// Takes effect as the injection says.
    StalledBody,
    /// The connection is closed cleanly before the response body is as long as
    /// `content-length` says. Takes effect as the injection says.
    TruncatedBody,
    /// The response body continues with endless blanks from its middle on. Takes
    /// effect as the injection says.
    EndlessBody,
    /// The response body arrives byte by byte, with this much real time before
    /// each byte. Always takes effect.
    #[serde(rename = "slow_drip_ms", with = "milliseconds")]
    SlowDrip(Duration),
    /// 429 with code 971. Never takes effect.
    TooManyRequests {
        /// The value of `Retry-After`; `None` omits the header.
        retry_after_seconds: Option<u32>,
    },
    /// From this call on, every call is refused with 429 for five minutes of the
    /// simulator's clock, as the real API does past its limit. Never takes
    /// effect.
    LockOut,
    /// This status, with the envelope of a failure. A status from 300
    /// to 499 other than 408 never takes effect, any other as the injection
    /// says. A number outside 200 to 999 is sent as 500.
    Status(u16),
    /// This status, with a page for people instead of an envelope. Takes effect
    /// as with [`Status`](Self::Status).
    HtmlPage(u16),
    /// 200 with an envelope that says `"success": false`. Takes effect as the
    /// injection says.
    SuccessFalse,
    /// 200 with the token as it was before the call, as from a cache, to an update
    /// or a refresh; other calls get the correct response. Takes effect as the
    /// injection says. No client can detect this from the response alone, so a seed
    /// never draws this fault.
    StaleAnswer,
    /// The correct response, labelled `text/plain`. Always takes effect.
    WrongContentType,
    /// The correct response, compressed with gzip although the client didn't ask.
    /// Always takes effect.
    Gzip,
    /// The correct response, labelled as compressed although it is not. Always takes effect.
    FalseGzip,
    /// The correct response, with duplicate `content-type`, `cf-ray` and `ratelimit`
    /// headers of different values. Always takes effect.
    DuplicateHeaders,
    /// The correct response, with a header of one mebibyte. Always takes effect.
    OversizedHeaders,
    /// 307 to the host `elsewhere.invalid`, which doesn't exist. Never takes effect.
    Redirect,
    /// The response with wrong JSON, in one of many ways. Takes effect
    /// as [`WrongJson`] says.
    WrongJson(WrongJson),
}

/// Whether a call that meets a fault takes effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// The response says that nothing was done.
    Never,
    /// A client may read the response as a success.
    Always,
    /// The client can't know whether it did.
    Either,
}

impl Fault {
    pub(crate) fn effect(&self) -> Effect {
        match self {
            Self::ResetAfterHead
            | Self::ResetDuringRequest
            | Self::TooManyRequests { .. }
            | Self::LockOut
            | Self::Redirect => Effect::Never,
            Self::Status(status) | Self::HtmlPage(status) => match status {
                408 => Effect::Either,
                300..=499 => Effect::Never,
                _ => Effect::Either,
            },
            Self::Latency(_)
            | Self::SlowDrip(_)
            | Self::WrongContentType
            | Self::Gzip
            | Self::FalseGzip
            | Self::DuplicateHeaders
            | Self::OversizedHeaders => Effect::Always,
            Self::ResetAfterRequest
            | Self::ResetDuringAnswer
            | Self::StalledHeaders
            | Self::StalledBody
            | Self::TruncatedBody
            | Self::EndlessBody
            | Self::SuccessFalse
            | Self::StaleAnswer => Effect::Either,
            Self::WrongJson(wrong) => wrong.effect(),
        }
    }

    /// The faults that a seed draws from. Those with a duration are short.
    pub(crate) fn all() -> Vec<Self> {
        let mut faults = vec![
            Self::Latency(Duration::from_millis(10)),
            Self::ResetAfterHead,
            Self::ResetDuringRequest,
            Self::ResetAfterRequest,
            Self::ResetDuringAnswer,
            Self::StalledHeaders,
            Self::StalledBody,
            Self::TruncatedBody,
            Self::EndlessBody,
            Self::SlowDrip(Duration::from_millis(1)),
            Self::TooManyRequests {
                retry_after_seconds: None,
            },
            Self::TooManyRequests {
                retry_after_seconds: Some(2),
            },
            Self::LockOut,
            Self::HtmlPage(403),
            Self::HtmlPage(502),
            Self::SuccessFalse,
            Self::WrongContentType,
            Self::Gzip,
            Self::FalseGzip,
            Self::DuplicateHeaders,
            Self::OversizedHeaders,
            Self::Redirect,
        ];
        let statuses = [408, 500, 501, 502, 503, 504, 520, 521, 522, 523, 524, 530];
        faults.extend(statuses.map(Self::Status));
        faults.extend(WrongJson::ALL.map(Self::WrongJson));
        faults
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Latency(by) => write!(f, "latency of {by:?}"),
            Self::ResetAfterHead => f.write_str("reset after the request's head"),
            Self::ResetDuringRequest => f.write_str("reset during the request"),
            Self::ResetAfterRequest => f.write_str("reset after the request"),
            Self::ResetDuringAnswer => f.write_str("reset during the answer"),
            Self::StalledHeaders => f.write_str("stalled headers"),
            Self::StalledBody => f.write_str("stalled body"),
            Self::TruncatedBody => f.write_str("truncated body"),
            Self::EndlessBody => f.write_str("endless body"),
            Self::SlowDrip(pause) => write!(f, "slow drip, {pause:?} a byte"),
            Self::TooManyRequests {
                retry_after_seconds: None,
            } => f.write_str("429 without Retry-After"),
            Self::TooManyRequests {
                retry_after_seconds: Some(seconds),
            } => write!(f, "429, Retry-After: {seconds}"),
            Self::LockOut => f.write_str("lock-out"),
            Self::Status(status) => write!(f, "{status}"),
            Self::HtmlPage(status) => write!(f, "{status} with an HTML page"),
            Self::SuccessFalse => f.write_str("200 with success: false"),
            Self::StaleAnswer => f.write_str("stale answer"),
            Self::WrongContentType => f.write_str("wrong content type"),
            Self::Gzip => f.write_str("gzip unasked"),
            Self::FalseGzip => f.write_str("gzip in name only"),
            Self::DuplicateHeaders => f.write_str("duplicate headers"),
            Self::OversizedHeaders => f.write_str("oversized headers"),
            Self::Redirect => f.write_str("redirect elsewhere"),
            Self::WrongJson(wrong) => write!(f, "JSON: {wrong}"),
        }
    }
}

/// A duration in JSON, in whole milliseconds.
mod milliseconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(of: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u64(u64::try_from(of.as_millis()).unwrap_or(u64::MAX))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        u64::deserialize(from).map(Duration::from_millis)
    }
}

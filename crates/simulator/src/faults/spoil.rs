//! Turns a correct response into that of a fault.

use axum::body::{Body, Bytes};
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE, LOCATION};
use axum::http::{HeaderName, HeaderValue, Response, StatusCode};

use crate::api::envelope::Refusal;
use crate::app;
use crate::faults::Fault;
use crate::faults::gzip::gzip;
use crate::wire::delivery::{Delivery, Ending, collected};

/// Far more than any client's parser takes in.
const OVERSIZED: usize = 1 << 20;

/// Spoils a correct response. The faults on the wire come later, by the
/// [`Delivery`] that it is marked with.
pub(crate) async fn spoil(fault: &Fault, right: Response<Body>) -> Response<Body> {
    let right = collected(right).await;
    let whole = |answer: Response<Bytes>| answer.map(Body::from);
    let delivered = |delivery: Delivery| {
        let mut answer = right.clone();
        answer.extensions_mut().insert(delivery);
        whole(answer)
    };
    let with_header = |name: HeaderName, value: HeaderValue| {
        let mut answer = right.clone();
        answer.headers_mut().insert(name, value);
        answer
    };
    let text = HeaderValue::from_static;
    match fault {
        Fault::Latency(by) => delivered(Delivery::Late(*by)),
        // The lock-out and the first two resets happen before there is a response, and a stale
        // response is made, not spoiled.
        Fault::LockOut | Fault::StaleAnswer => whole(right),
        Fault::ResetAfterHead | Fault::ResetDuringRequest | Fault::ResetAfterRequest => {
            delivered(Delivery::Reset)
        }
        Fault::ResetDuringAnswer => delivered(Delivery::Half(Ending::Reset)),
        Fault::StalledHeaders => delivered(Delivery::Never),
        Fault::StalledBody => delivered(Delivery::Half(Ending::Stall)),
        Fault::TruncatedBody => delivered(Delivery::Half(Ending::Close)),
        Fault::EndlessBody => delivered(Delivery::Half(Ending::Blanks)),
        Fault::SlowDrip(pause) => delivered(Delivery::Drip(*pause)),
        Fault::TooManyRequests {
            retry_after_seconds,
        } => Refusal::throttled(*retry_after_seconds).into_response(),
        Fault::Status(status) => Refusal::injected(status_of(*status)).into_response(),
        Fault::HtmlPage(status) => app::page(status_of(*status), "An error occurred"),
        Fault::SuccessFalse => Refusal::injected(StatusCode::OK).into_response(),
        Fault::WrongContentType => whole(with_header(CONTENT_TYPE, text("text/plain"))),
        Fault::Gzip => {
            let answer = with_header(CONTENT_ENCODING, text("gzip"));
            whole(answer.map(|body| gzip(&body).into()))
        }
        Fault::FalseGzip => whole(with_header(CONTENT_ENCODING, text("gzip"))),
        Fault::DuplicateHeaders => {
            let mut answer = right.clone();
            let headers = answer.headers_mut();
            headers.append(CONTENT_TYPE, text("text/html"));
            headers.append("cf-ray", text("0000000000000000-FRA"));
            headers.append("ratelimit", text("\"burst\";r=199;t=1"));
            whole(answer)
        }
        Fault::OversizedHeaders => {
            let filler = HeaderValue::try_from("x".repeat(OVERSIZED));
            let filler = filler.unwrap_or_else(|_| text("x"));
            whole(with_header(HeaderName::from_static("x-filler"), filler))
        }
        Fault::Redirect => {
            let mut answer = app::page(StatusCode::TEMPORARY_REDIRECT, "Moved");
            let target = text("https://elsewhere.invalid/client/v4");
            answer.headers_mut().insert(LOCATION, target);
            answer
        }
        Fault::WrongJson(wrong) => whole(right.map(|body| wrong.spoil(&body).into())),
    }
}

fn status_of(status: u16) -> StatusCode {
    StatusCode::from_u16(status)
        .ok()
        .filter(|status| status.as_u16() >= 200)
        .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

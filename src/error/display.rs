//! What an error says: what happened, with what, and what to do next.

use std::fmt;

use super::{Error, Kind};

impl Error {
    /// What the reader can do about it.
    fn advice(&self) -> Option<&'static str> {
        if self.is_auth() {
            return Some(
                "check that the credentials are right, that they have the permission \"Access: Service Tokens Write\", and that they belong to the account",
            );
        }
        if matches!(self.0.kind, Kind::Throttled(_)) {
            return Some("wait, or give the call a longer deadline");
        }
        if self.is_rate_limited() {
            return Some("wait as long as `Retry-After` says, or five minutes");
        }
        if self.is_token_not_found() {
            return Some("check the id: a service token's `client_id` is not its `id`");
        }
        // `find` has words of its own.
        if matches!(self.0.kind, Kind::NoMatch(_)) {
            return None;
        }
        if self.is_not_found() || self.is_no_route() {
            return Some("check the base URL and the ids");
        }
        match &self.0.kind {
            Kind::Connect => Some("check the network, the proxy settings and the base URL"),
            Kind::Tls => Some("check the system's certificates and clock, and the base URL"),
            Kind::Redirect(_) => Some("check the base URL"),
            // The caller holds the answer that tells of it.
            Kind::OtherType { .. } => None,
            _ if self.may_have_been_applied() => {
                Some("the call may have taken effect; look at the token to be sure")
            }
            _ => None,
        }
    }

    fn fmt_kind(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.kind {
            Kind::Configuration(words)
            | Kind::Credentials(words)
            | Kind::InvalidId(words)
            | Kind::InvalidRequest(words)
            | Kind::NoMatch(words)
            | Kind::Ambiguous(words) => f.write_str(words),
            Kind::Throttled(wait) => write!(
                f,
                "the rate limit holds the call up for {wait:?}, which is past its deadline"
            ),
            Kind::Connect => f.write_str("no connection came about"),
            Kind::Tls => f.write_str("no secure connection came about"),
            Kind::Timeout(limit) => {
                let limit = limit.as_millis();
                write!(f, "no complete answer within {limit} ms")
            }
            Kind::Transport => f.write_str("the connection broke before the answer was complete"),
            Kind::BodyTooLarge(limit) => {
                write!(
                    f,
                    "the answer's body is larger than the {limit} bytes allowed"
                )
            }
            Kind::Redirect(Some(host)) => {
                write!(
                    f,
                    "the answer is a redirect to {host:?}, which is not followed"
                )
            }
            Kind::Redirect(None) => f.write_str("the answer is a redirect, which is not followed"),
            Kind::Refused => f.write_str("the API refused the call"),
            Kind::Status if self.api_errors().is_empty() => {
                f.write_str("the answer is an error without the API's envelope")
            }
            Kind::Status => {
                f.write_str("the answer is an error, though its envelope does not say so")
            }
            Kind::NotJson => f.write_str("the answer is not JSON"),
            Kind::Shape { path, fault } => {
                write!(f, "the answer's JSON can't be read at `{path}`: {fault}")
            }
            Kind::NoResult => f.write_str("the answer says success but holds no result"),
            Kind::OtherType { path, fault } => write!(
                f,
                "the call succeeded, but its answer is not of the type asked for at `{path}`: {fault}"
            ),
            Kind::Pages(words) => f.write_str(words),
        }
    }

    fn fmt_response(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(response) = self.response() else {
            return Ok(());
        };
        write!(f, " (HTTP {}", response.received.status.as_u16())?;
        if let Some(ray_id) = self.ray_id() {
            write!(f, ", ray id {}", ray_id.escape_debug())?;
        }
        if let Some(wait) = self.retry_after() {
            write!(f, ", retry after {wait:?}")?;
        }
        if self.is_decode() || matches!(self.0.kind, Kind::Status) {
            match response.received.content_type() {
                Some(content_type) => write!(f, ", {}", content_type.escape_debug())?,
                None => f.write_str(", no content type")?,
            }
            write!(f, ", {} bytes", response.received.body.len())?;
        }
        f.write_str(")")?;
        for (index, error) in response.errors.iter().enumerate() {
            let separator = if index == 0 { ": " } else { ", " };
            write!(
                f,
                "{separator}{} {}",
                error.code,
                error.message.escape_debug()
            )?;
            if let Some(pointer) = error.source.as_ref().and_then(|s| s.pointer.as_ref()) {
                write!(f, " at {}", pointer.escape_debug())?;
            }
        }
        if response.errors.is_empty() && !response.excerpt.is_empty() {
            write!(f, ": {:?}", response.excerpt)?;
        }
        Ok(())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(call) = &self.0.call {
            write!(f, "{}: ", call.operation.words())?;
        }
        self.fmt_kind(f)?;
        if self.attempts() > 1 {
            write!(f, ", at the last of {} attempts", self.attempts())?;
        }
        self.fmt_response(f)?;
        if let Some(advice) = self.advice() {
            write!(f, "; {advice}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Error");
        // A program whose `main` returns an error shows this to its users.
        debug.field("message", &format_args!("{self}"));
        debug.field("kind", &self.kind_name());
        if let Some(call) = &self.0.call {
            debug
                .field("operation", &call.operation.id)
                .field("attempts", &call.attempts);
        }
        if let Some(response) = self.response() {
            debug
                .field("status", &response.received.status)
                .field("ray_id", &self.ray_id())
                .field("api_errors", &response.errors)
                .field("api_messages", &response.messages)
                .field("excerpt", &response.excerpt);
        }
        debug.field("source", &self.0.source).finish()
    }
}

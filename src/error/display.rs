//! The text of an error: the failure, its cause, and the next step.

use std::borrow::Cow;
use std::error::Error as _;
use std::fmt::{self, Write as _};

use super::{Error, ErrorKind};
use crate::answer::Answer;
use crate::answer::meaning::Meaning;
use crate::answer::message::ApiMessage;

/// The maximum number of characters of a text from the server to show.
const MAX_PROSE: usize = 500;
/// The maximum number of entries of `errors`, including their causes, to show.
const MAX_MESSAGES: usize = 10;

impl Error {
    /// Returns the reader's next step.
    fn advice(&self) -> Option<Cow<'static, str>> {
        let advice = if !self.secret_places().is_empty() {
            "the call may have taken effect; keep the body of the answer, and look for the secret there"
        } else if self.means(Meaning::AddressNotAllowed) {
            "call from an IP address that the API token allows, or change the token's client IP address filter"
        } else if self.means(Meaning::AccessNotEnabled) {
            "enable Access for the account: open Zero Trust in Cloudflare's dashboard"
        } else if self.is_auth() {
            return Some(self.advice_to_unauthorized());
        } else {
            return self.advice_by_kind().map(Cow::Borrowed);
        };
        Some(Cow::Borrowed(advice))
    }

    /// Returns the next step of a caller whose credentials the API rejects.
    fn advice_to_unauthorized(&self) -> Cow<'static, str> {
        let call = self.0.call.as_ref();
        match call.and_then(|call| call.operation.permission) {
            Some(permission) => Cow::Owned(format!(
                "check that the credentials are right, that they have the permission \"{permission}\", and that they belong to the account"
            )),
            None => Cow::Borrowed(
                "check that the credentials are right, and that they have the permission for this call",
            ),
        }
    }

    /// Returns the next step after a failure that is not about credentials.
    fn advice_by_kind(&self) -> Option<&'static str> {
        match self.kind() {
            ErrorKind::Throttled => return Some("retry later, or give the call a longer deadline"),
            ErrorKind::Blocked => return Some(self.advice_to_blocked()),
            _ => {}
        }
        if self.is_rate_limited() {
            return Some("wait for as long as `Retry-After` says, or for five minutes");
        }
        if self.is_token_not_found() {
            return Some("check the id: a service token's `client_id` is not its `id`");
        }
        // The text of `find` includes the next step.
        if self.kind() == ErrorKind::NoMatch {
            return None;
        }
        if self.is_not_found() || self.means(Meaning::NoRoute) {
            return Some("check the base URL and the ids");
        }
        match self.kind() {
            ErrorKind::Connect => Some("check the network, the proxy settings and the base URL"),
            ErrorKind::Tls => Some("check the system's certificates and clock, and the base URL"),
            ErrorKind::Proxy => Some(
                "check HTTPS_PROXY and ALL_PROXY: the proxy's URL must begin with `http://` or `https://`, and contain the user name and the password if the proxy requires them",
            ),
            ErrorKind::Redirect => Some("check the base URL"),
            // The caller holds the answer.
            _ if self.0.call.as_ref().is_some_and(|call| call.has_succeeded) => None,
            _ if self.may_have_been_applied() => {
                Some("the call may have taken effect; check the token to be sure")
            }
            _ => None,
        }
    }

    /// Returns the next step of a caller that the edge blocks.
    fn advice_to_blocked(&self) -> &'static str {
        if self.means(Meaning::ClientBlocked) {
            "send a `User-Agent` that names your program, and check that no proxy changes the request"
        } else if self.means(Meaning::AddressBlocked) {
            "call from another IP address, or ask Cloudflare's support with the ray id"
        } else if self.means(Meaning::RateBlocked) || self.is_rate_limited() {
            "send fewer requests from this IP address, and wait for as long as `Retry-After` says"
        } else {
            "call from an IP address with a better reputation, with a `User-Agent` that names your program"
        }
    }

    /// Whether the API's own texts may be shown. A call that makes a secret, and may have
    /// taken effect, may have an answer that holds the secret in an unknown form.
    fn may_quote_messages(&self) -> bool {
        let call = self.0.call.as_ref();
        let makes_secret = call.is_some_and(|call| !call.operation.idempotent);
        !(makes_secret && self.may_have_been_applied())
    }

    fn fmt_answer(&self, answer: &Answer, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, " (HTTP {}", answer.status.as_u16())?;
        if answer.is_challenge() {
            f.write_str(", a challenge for browsers")?;
        }
        if let Some(ray_id) = answer.ray_id() {
            write!(f, ", ray id {}", Prose(ray_id))?;
        }
        if let Some(wait) = answer.retry_after() {
            write!(f, ", retry after {wait:?}")?;
        }
        if matches!(self.kind(), ErrorKind::Decode | ErrorKind::Status) {
            match answer.content_type() {
                Some(content_type) => write!(f, ", {}", Prose(content_type))?,
                None => f.write_str(", no content type")?,
            }
            write!(f, ", {} bytes", answer.body.len())?;
        }
        f.write_str(")")?;
        let may_quote = self.may_quote_messages();
        fmt_messages(&answer.errors, may_quote, f)?;
        if !answer.errors.is_empty() || !may_quote {
            return Ok(());
        }
        match &answer.problem {
            Some(problem) => {
                if let Some(title) = &problem.title {
                    write!(f, ": {}", Prose(title))?;
                } else if let Some(code) = problem.error_code {
                    write!(f, ": error code {code}")?;
                }
                if let Some(detail) = &problem.detail {
                    write!(f, ": {}", sentence(detail))?;
                }
                Ok(())
            }
            None if answer.excerpt.is_empty() || answer.is_challenge() => Ok(()),
            None => write!(f, ": \"{}\"", Prose(&answer.excerpt)),
        }
    }
}

/// Writes the entries of `errors`, each with its causes behind it; only their codes, unless
/// their texts may be quoted.
fn fmt_messages(errors: &[ApiMessage], may_quote: bool, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut count = 0;
    for error in errors {
        for (depth, message) in error.with_chain().enumerate() {
            count += 1;
            if count > MAX_MESSAGES {
                continue;
            }
            let separator = match (count, depth) {
                (1, _) | (_, 1..) => ": ",
                _ => ", ",
            };
            write!(f, "{separator}{}", message.code)?;
            if !may_quote {
                continue;
            }
            if !message.message.is_empty() {
                write!(f, " {}", sentence(&message.message))?;
            }
            if let Some(pointer) = message.source.as_ref().and_then(|s| s.pointer.as_ref()) {
                write!(f, " at {}", Prose(pointer))?;
            }
        }
    }
    match count.saturating_sub(MAX_MESSAGES) {
        0 => Ok(()),
        left_out => write!(f, ", and {left_out} more"),
    }
}

/// Returns a sentence of the server without its full stop, since the text goes on.
fn sentence(text: &str) -> Prose<'_> {
    Prose(text.strip_suffix('.').unwrap_or(text))
}

/// A text from the server: truncated, and with control characters escaped.
pub(crate) struct Prose<'a>(pub(crate) &'a str);

impl fmt::Display for Prose<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, character) in self.0.chars().enumerate() {
            if index == MAX_PROSE {
                return f.write_char('…');
            }
            if is_control(character) {
                write!(f, "{}", character.escape_default())?;
            } else {
                f.write_char(character)?;
            }
        }
        Ok(())
    }
}

/// Whether a character controls a terminal, is invisible, or changes the direction of the
/// text. The joiners of emoji and of Persian are visible in what they join.
fn is_control(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{61c}'
                | '\u{200b}'
                | '\u{200e}'
                | '\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{2069}'
                | '\u{feff}'
        )
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(call) = &self.0.call {
            write!(f, "{}: ", call.operation.words())?;
        }
        f.write_str(&self.0.words)?;
        if self.attempts() > 1 {
            write!(f, ", after {} attempts", self.attempts())?;
        }
        if let Some(answer) = self.answer() {
            self.fmt_answer(answer, f)?;
        }
        for (index, place) in self.secret_places().iter().enumerate() {
            let separator = if index == 0 {
                "; a secret may be at"
            } else {
                " or"
            };
            write!(f, "{separator} `{}`", Prose(place))?;
        }
        // `{:#}` is for programs that give their own advice.
        if let Some(advice) = self.advice().filter(|_| !f.alternate()) {
            write!(f, "; {advice}")?;
        }
        Ok(())
    }
}

/// Writes the same text and the causes in one line, since Rust prints the `Debug` of an
/// error that `main` returns.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not `Display::fmt`: in `{:#?}` it would leave out the advice.
        write!(f, "{self}")?;
        let mut cause = self.source();
        while let Some(error) = cause {
            write!(f, "; cause: {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prose_escapes_only_control_characters() {
        let shown = |text: &str| Prose(text).to_string();
        assert_eq!(shown("can't: \"é→🦀\""), "can't: \"é→🦀\"");
        assert_eq!(shown("a\u{1b}[2J\n\u{202e}b"), r"a\u{1b}[2J\n\u{202e}b");
        assert_eq!(shown("\u{61c}\u{200b}\u{feff}"), r"\u{61c}\u{200b}\u{feff}");
        assert_eq!(
            shown("\u{1f469}\u{200d}\u{1f4bb}"),
            "\u{1f469}\u{200d}\u{1f4bb}"
        );
        assert_eq!(shown(&"x".repeat(600)).chars().count(), MAX_PROSE + 1);
    }
}

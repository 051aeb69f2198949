//! Judges a token by two answers of an app, without the token and with it.

use reqwest::header::{HeaderMap, LOCATION, WWW_AUTHENTICATE};
use reqwest::{StatusCode, Url};
use serde::Serialize;

use crate::failure::Exit;

/// The verdict on the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    Accepted,
    Refused,
    NotAllowed,
    Login,
    NotProtected,
    Unclear,
}

impl Outcome {
    /// The exit code of the command.
    pub(super) fn exit(self) -> Exit {
        match self {
            Self::Accepted => Exit::Success,
            Self::Refused | Self::NotAllowed | Self::Login | Self::NotProtected => Exit::Failed,
            // As where the app can't be reached at all: nothing is known of the token.
            Self::Unclear => Exit::Unreachable,
        }
    }
}

/// An answer, as far as it can tell who gave it.
pub(in crate::commands) struct Answer {
    pub(in crate::commands) status: StatusCode,
    pub(super) redirect: Option<Url>,
    giver: Giver,
}

/// The origin of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Giver {
    /// Access, which redirects to a login.
    Login,
    /// Access, which refuses: HTTP 401 or 403. Without its headers, it may be the app.
    Refusal { is_marked: bool },
    /// The app behind Access.
    App,
    /// Perhaps neither, for this reason.
    Unknown(String),
}

impl Answer {
    pub(super) fn new(url: &Url, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Self {
        let location = headers.get(LOCATION).and_then(|to| to.to_str().ok());
        let redirect = match status.is_redirection() {
            true => location.and_then(|location| url.join(location).ok()),
            false => None,
        };
        let giver = match &redirect {
            Some(target) => giver_of_redirect(url, target),
            None => giver(status, headers, body),
        };
        Self {
            status,
            redirect,
            giver,
        }
    }

    /// Judges the answer to a request without the token. `None` if Access protects the
    /// app, so that the token can be tried.
    pub(in crate::commands) fn before(&self) -> Option<(Outcome, String)> {
        match &self.giver {
            Giver::Login | Giver::Refusal { .. } => None,
            Giver::App => Some((
                Outcome::NotProtected,
                "not protected by Access at this URL: the app answers without a token".to_owned(),
            )),
            Giver::Unknown(reason) => Some((Outcome::Unclear, reason.clone())),
        }
    }

    /// Judges the answer to the same request with the token.
    pub(super) fn after(&self, without: &Self) -> (Outcome, String) {
        let (outcome, meaning) = match (&self.giver, self.status.as_u16()) {
            (Giver::Unknown(reason), _) => return (Outcome::Unclear, reason.clone()),
            (Giver::App, _) => (Outcome::Accepted, "Access lets the token in"),
            (Giver::Login, _) => (
                Outcome::Login,
                "Access redirects to a login page: the token is unknown, expired or disabled, \
                 its secret is wrong, or no policy with the action Service Auth allows it",
            ),
            (Giver::Refusal { .. }, 401) => (
                Outcome::Refused,
                "the token can't authenticate: it is unknown, expired or disabled, or its \
                 secret is wrong; without strict service token authentication, it may also be \
                 that no policy with the action Service Auth allows it",
            ),
            // Only strict authentication changes 401 to 403.
            (Giver::Refusal { .. }, _) if without.status == StatusCode::UNAUTHORIZED => (
                Outcome::NotAllowed,
                "the token can authenticate, but no policy with the action Service Auth allows it",
            ),
            (Giver::Refusal { .. }, _) => (
                Outcome::Refused,
                "no policy with the action Service Auth allows the token; without strict \
                 service token authentication, it may also be unknown, expired or disabled, or \
                 its secret may be wrong",
            ),
        };
        let mut meaning = meaning.to_owned();
        if self.giver == (Giver::Refusal { is_marked: false }) {
            meaning += &format!("; or the app itself answers with {}", self.status.as_u16());
        }
        (outcome, meaning)
    }
}

fn giver_of_redirect(url: &Url, target: &Url) -> Giver {
    if leads_to_login(target) {
        Giver::Login
    } else if target.origin() == url.origin() {
        Giver::App
    } else {
        Giver::Unknown(
            "a redirect to another host, which Access did not make; use the URL that it leads \
             to, if that is the app"
                .to_owned(),
        )
    }
}

/// Whether Access sends a caller here to log in.
fn leads_to_login(url: &Url) -> bool {
    let is_access =
        |host: &str| host == "cloudflareaccess.com" || host.ends_with(".cloudflareaccess.com");
    url.host_str().is_some_and(is_access) || url.path().starts_with("/cdn-cgi/access/")
}

fn giver(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Giver {
    let unknown = |reason: &str| Giver::Unknown(reason.to_owned());
    if headers
        .get("cf-mitigated")
        .is_some_and(|value| value == "challenge")
    {
        return unknown(
            "Cloudflare's edge asks for a browser's challenge before Access; let this caller \
             pass in the WAF's rules",
        );
    }
    if let Some(code) = edge_code(status, body) {
        let next = match code {
            1_010 => "it takes this caller for a bot, so send another User-Agent with --header",
            1_015 => "too many requests, so try again later",
            _ => "Cloudflare's documentation explains the code",
        };
        return Giver::Unknown(format!(
            "Cloudflare's edge answers with error {code} before Access: {next}"
        ));
    }
    match status.as_u16() {
        // Access asks for no password.
        401 if asks_for_password(headers) => Giver::App,
        401 | 403 => Giver::Refusal {
            is_marked: is_marked(headers),
        },
        // The statuses of apps for a request that they don't serve.
        200..300 | 404..=406 | 410 | 415 | 422 | 426 => Giver::App,
        407 => unknown("a proxy asks for a password"),
        429 => unknown("too many requests; try again later"),
        500.. => unknown("the app or its tunnel fails; try again later"),
        _ => unknown("this answer is neither Access's nor surely the app's"),
    }
}

/// Whether Access put its headers on an answer.
fn is_marked(headers: &HeaderMap) -> bool {
    let mut challenges = headers.get_all(WWW_AUTHENTICATE).iter();
    headers.contains_key("cf-access-aud")
        || headers.contains_key("cf-access-domain")
        || challenges.any(|challenge| challenge.as_bytes().starts_with(b"Cloudflare-Access"))
}

fn asks_for_password(headers: &HeaderMap) -> bool {
    let mut schemes = headers.get_all(WWW_AUTHENTICATE).iter();
    schemes.any(|value| {
        let scheme = value.to_str().unwrap_or_default().split(' ').next();
        let is_password = |name: &str| scheme.is_some_and(|it| it.eq_ignore_ascii_case(name));
        ["Basic", "Digest", "Negotiate", "NTLM"]
            .into_iter()
            .any(is_password)
    })
}

/// Returns the code of an error that the edge reports, as text, page or problem JSON.
fn edge_code(status: StatusCode, body: &[u8]) -> Option<u16> {
    if status.is_success() {
        return None;
    }
    let body = String::from_utf8_lossy(body);
    ["error code: ", "cf-error-code\">", "\"error_code\":"]
        .into_iter()
        .filter_map(|before| body.split_once(before))
        .find_map(|(_, after)| {
            let after = after.trim_start();
            let end = after.find(|c: char| !c.is_ascii_digit());
            after.get(..end.unwrap_or(after.len()))?.parse().ok()
        })
        .filter(|code| (1_000..2_000).contains(code))
}

//! `verify`: does a token's secret open the app behind Access?

use std::env;
use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use cf_service_tokens::{CreateServiceToken, Retry, ServiceTokenCredentials};
use reqwest::header::{HeaderMap, HeaderName, LOCATION};
use reqwest::{StatusCode, Url};
use secrecy::SecretString;
use serde::Serialize;
use zeroize::Zeroizing;

use crate::arguments::{Global, Verify};
use crate::connection::Connection;
use crate::failure::{Exit, Failure};
use crate::output::{Cell, Output};
use crate::secret::sink;

const TIMEOUT: Duration = Duration::from_secs(30);

pub(crate) async fn verify(
    global: &Global,
    output: &Output,
    arguments: Verify,
) -> Result<Exit, Failure> {
    let simulation = match global.simulate {
        true => Some(Connection::open(global, Retry::none()).await?),
        false => None,
    };
    let url = url(&arguments, simulation.as_ref())?;
    let credentials = credentials(&arguments, simulation.as_ref()).await?;
    let headers = headers(&credentials, arguments.single_header.as_deref())?;
    let record = attempt(url, headers).await?;
    let fields = [
        ("App", Cell::plain(record.url.clone())),
        ("Outcome", record.outcome()),
        ("Meaning", Cell::plain(record.meaning)),
    ];
    output.record(&record, &fields)?;
    Ok(match record.outcome {
        Outcome::Accepted => Exit::Success,
        Outcome::Refused | Outcome::Login => Exit::Failed,
        // As where the app can't be reached at all: nothing is known of the token.
        Outcome::Unclear => Exit::Unreachable,
    })
}

/// The app's URL, if a secret may be sent there.
fn url(arguments: &Verify, simulation: Option<&Connection>) -> Result<Url, Failure> {
    let simulated = simulation.and_then(|connection| connection.simulator.as_ref());
    let text = match (&arguments.url, simulated) {
        (Some(url), _) => url.as_str(),
        (None, Some(simulator)) => simulator.protected_url(),
        (None, None) => return Err(Failure::usage("no app given: use --url")),
    };
    let url = Url::parse(text).map_err(|error| {
        Failure::usage(format!("{text:?} is not a URL"))
            .because(error)
            .next("use a complete URL, such as https://app.example.com/")
    })?;
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_loopback(&url) => Ok(url),
        _ => Err(
            Failure::usage("the URL is not https, so the secret would be sent unencrypted")
                .next("use https"),
        ),
    }
}

fn is_loopback(url: &Url) -> bool {
    let Some(host) = url.host_str() else {
        return false;
    };
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || address
            .parse()
            .is_ok_and(|address: IpAddr| address.is_loopback())
}

/// The credentials to try; of a simulated account, those of a new token.
async fn credentials(
    arguments: &Verify,
    simulation: Option<&Connection>,
) -> Result<ServiceTokenCredentials, Failure> {
    if let Some(path) = &arguments.env_file {
        return sink::credentials_in_env_file(path).map_err(|error| unreadable(path, &error));
    }
    if let (Some(client_id), Some(path)) = (&arguments.client_id, &arguments.secret_file) {
        let secret = fs::read_to_string(path).map_err(|error| unreadable(path, &error))?;
        let secret = Zeroizing::new(secret);
        return Ok(ServiceTokenCredentials::new(
            client_id.as_str(),
            SecretString::from(secret.trim_end()),
        ));
    }
    let variable = |name| {
        env::var(name)
            .ok()
            .filter(|value: &String| !value.is_empty())
    };
    match (
        variable("CF_ACCESS_CLIENT_ID"),
        variable("CF_ACCESS_CLIENT_SECRET"),
        simulation,
    ) {
        (Some(client_id), Some(secret), _) => Ok(ServiceTokenCredentials::new(client_id, secret)),
        (None, None, Some(connection)) => {
            let issued = connection
                .tokens
                .create(&CreateServiceToken::new("verify"))
                .await?;
            Ok(issued.credentials().clone())
        }
        _ => Err(Failure::new(Exit::Usage, "no token given").next(
            "set CF_ACCESS_CLIENT_ID and CF_ACCESS_CLIENT_SECRET, or use --env-file, \
             or --client-id with --secret-file",
        )),
    }
}

fn unreadable(path: &Path, error: &io::Error) -> Failure {
    Failure::usage(format!("can't read credentials from {}", path.display())).because(error)
}

fn headers(
    credentials: &ServiceTokenCredentials,
    single: Option<&str>,
) -> Result<HeaderMap, Failure> {
    let Some(name) = single else {
        return Ok(credentials.headers()?);
    };
    let name: HeaderName = name
        .parse()
        .map_err(|error| Failure::usage(format!("{name:?} is not a header name")).because(error))?;
    Ok(HeaderMap::from_iter([(name, credentials.single_header()?)]))
}

async fn attempt(url: Url, headers: HeaderMap) -> Result<VerifyRecord, Failure> {
    // A redirect followed would carry the secret along.
    let builder = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .tls_version_min(reqwest::tls::Version::TLS_1_2)
        .timeout(TIMEOUT);
    // A loopback URL may be plain HTTP, so the request must not go through a proxy.
    let builder = match is_loopback(&url) {
        true => builder.no_proxy(),
        false => builder,
    };
    let http = builder
        .build()
        .map_err(|error| Failure::new(Exit::Failed, "can't send a request").because(error))?;
    let shown = shown(&url);
    let answer = http
        .get(url.clone())
        .headers(headers)
        .send()
        .await
        .map_err(|error| {
            let failure = Failure::new(Exit::Unreachable, format!("could not reach {shown}"));
            failure
                .because_of_all(Some(&error.without_url()))
                .next("check the URL and the network")
        })?;
    let status = answer.status();
    let location = answer
        .headers()
        .get(LOCATION)
        .and_then(|to| to.to_str().ok());
    let redirect = location.and_then(|location| url.join(location).ok());
    let (outcome, meaning) = judge(status, redirect.as_ref());
    Ok(VerifyRecord {
        url: shown,
        outcome,
        status: status.as_u16(),
        redirected_to: redirect.as_ref().map(self::shown),
        meaning,
    })
}

/// Judges the token by the app's response.
fn judge(status: StatusCode, redirect: Option<&Url>) -> (Outcome, &'static str) {
    if status.is_redirection() {
        return match redirect.is_some_and(leads_to_login) {
            true => (
                Outcome::Login,
                "Access redirects to a login page: the token is unknown, expired or disabled, its secret \
                 is wrong, or no policy with the action Service Auth allows it",
            ),
            false => (Outcome::Accepted, "the app itself responds with a redirect"),
        };
    }
    match status.as_u16() {
        // The app behind Access may answer either as well.
        401 => (
            Outcome::Refused,
            "the token can't authenticate: it is unknown, expired or disabled, or its secret is wrong; or \
             the app itself responded with 401",
        ),
        403 => (
            Outcome::Refused,
            "no policy with the action Service Auth allows the token; without strict service token \
             authentication, it may also be unknown, expired or disabled, or its secret may be wrong; or \
             the app itself responded with 403",
        ),
        500.. => (
            Outcome::Unclear,
            "the app fails, which says nothing about the token; try again later",
        ),
        _ => (Outcome::Accepted, "the app accepts the token"),
    }
}

/// Whether Access sends a caller here to log in.
fn leads_to_login(url: &Url) -> bool {
    let is_access =
        |host: &str| host == "cloudflareaccess.com" || host.ends_with(".cloudflareaccess.com");
    url.host_str().is_some_and(is_access) || url.path().starts_with("/cdn-cgi/access/")
}

/// The URL without what may be a secret in it.
fn shown(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.set_fragment(None);
    // Only a URL without a host has neither.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.into()
}

/// The app's verdict on the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    Accepted,
    Refused,
    Login,
    Unclear,
}

#[derive(Debug, Serialize)]
struct VerifyRecord {
    url: String,
    outcome: Outcome,
    status: u16,
    redirected_to: Option<String>,
    meaning: &'static str,
}

impl VerifyRecord {
    fn outcome(&self) -> Cell {
        let status = self.status;
        match self.outcome {
            Outcome::Accepted => Cell::good(format!("accepted (HTTP {status})")),
            Outcome::Refused => Cell::bad(format!("refused (HTTP {status})")),
            Outcome::Login => Cell::bad(format!("redirected to a login (HTTP {status})")),
            Outcome::Unclear => Cell::warning(format!("unclear (HTTP {status})")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_told_apart() {
        let login: Url = "https://team.cloudflareaccess.com/cdn-cgi/access/login/x"
            .parse()
            .unwrap();
        let local: Url = "http://127.0.0.1/cdn-cgi/access/login/app".parse().unwrap();
        let elsewhere: Url = "https://notcloudflareaccess.com/start".parse().unwrap();
        for (status, redirect, outcome) in [
            (200, None, Outcome::Accepted),
            (404, None, Outcome::Accepted),
            (403, None, Outcome::Refused),
            (401, None, Outcome::Refused),
            (302, Some(&login), Outcome::Login),
            (302, Some(&local), Outcome::Login),
            (302, Some(&elsewhere), Outcome::Accepted),
            (502, None, Outcome::Unclear),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(judge(status, redirect).0, outcome, "{status} {redirect:?}");
        }
    }
}

//! `verify`: does a token open the app behind Access?

mod token;
mod verdict;

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use cf_service_tokens::{Retry, ServiceTokenCredentials};
use clap::Args;
use reqwest::header::{HOST, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, ClientBuilder, Url};
use serde::Serialize;
use tokio::time::{Instant, sleep};

use crate::arguments::Global;
use crate::connection::Connection;
use crate::failure::{Exit, Failure, Permission};
use crate::output::{self, Cell, Output};
use crate::progress;
use crate::time;
use token::Token;
pub(super) use verdict::{Answer, Outcome};

const TIMEOUT: Duration = Duration::from_secs(30);
const USER_AGENT: &str = concat!("cf-service-tokens/", env!("CARGO_PKG_VERSION"));
/// Enough for the page of an error, which names its code.
const BODY_LIMIT: usize = 32 * 1024;
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const MAX_PAUSE: Duration = Duration::from_secs(5);
/// How long a secret is retried that was just delivered, as `--wait` has it.
const DEFAULT_WAIT: Duration = Duration::from_secs(60);

#[derive(Args, Debug)]
#[command(override_usage = "cf-service-tokens verify [OPTIONS] --url <URL>")]
#[command(after_long_help = "\
The command first sends a request without the token, and sends the token only if Access
answers that one. It follows no redirect.

Outcomes:
  accepted       Access lets the token in
  refused        the token can't authenticate; without strict service token
                 authentication, it may also be that no policy allows it
  not_allowed    the token can authenticate, but no policy allows it
  login          Access redirects to a login, as for callers without a token
  not_protected  the app answers without a token
  unclear        the answer proves nothing about the token

The token comes from CF_ACCESS_CLIENT_ID and CF_ACCESS_CLIENT_SECRET, unless a file is
named. CLOUDFLARE_ACCESS_CLIENT_ID and _SECRET, as wrangler has them, and
TUNNEL_SERVICE_TOKEN_ID and _SECRET, as cloudflared has them, also work, in a file too.
With only --simulate, the command tries a new token on a simulated app.

Examples:
  cf-service-tokens verify --url https://app.example.com --env-file deploy.env
  cf-service-tokens verify --url https://app.example.com \\
    --client-id 88bf3b6d.access.example.com --secret-file /etc/deploy/secret")]
pub(crate) struct Verify {
    /// The URL of the app behind Access: https, or http on this machine
    #[arg(long)]
    url: Option<String>,
    /// A file with CF_ACCESS_CLIENT_ID=... and CF_ACCESS_CLIENT_SECRET=..., as
    /// `--secret-to env-file:` writes it
    #[arg(long, value_name = "FILE", conflicts_with_all = ["client_id", "secret_file"])]
    env_file: Option<PathBuf>,
    /// The client id for --secret-file
    #[arg(long, value_name = "ID", requires = "secret_file")]
    client_id: Option<String>,
    /// A file that holds only the secret, as `--secret-to FILE` writes it
    #[arg(long, value_name = "FILE", requires = "client_id")]
    secret_file: Option<PathBuf>,
    /// Send the client id and the secret in this one header, for an app that is configured
    /// to read it
    #[arg(long, value_name = "NAME")]
    single_header: Option<HeaderName>,
    /// Send this header too, such as 'User-Agent: probe/1'; may be repeated
    #[arg(long = "header", value_name = "NAME: VALUE", value_parser = header)]
    headers: Vec<(HeaderName, HeaderValue)>,
    /// How long to retry while Access refuses the token: a new secret takes a while to
    /// work
    #[arg(long, value_name = "SPAN", default_value = "1m", value_parser = time::span)]
    wait: Duration,
}

fn header(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let (name, value) = text
        .split_once(':')
        .ok_or("expected a name, a colon and a value")?;
    let name: HeaderName = name
        .parse()
        .map_err(|_| "the name is not that of a header")?;
    if name == HOST || name.as_str().starts_with("cf-access-") {
        return Err(format!("`{name}` can't be set: the command sends its own"));
    }
    let value = HeaderValue::from_str(value.trim())
        .map_err(|_| "the value holds a character that can't be sent in a header")?;
    Ok((name, value))
}

pub(crate) async fn verify(
    global: &Global,
    output: &Output,
    arguments: Verify,
) -> Result<Exit, Failure> {
    let simulation = match global.simulate {
        true => Some(Connection::open(global, Retry::none(), Permission::Write, |_| {}).await?),
        false => None,
    };
    let url = url(&arguments, simulation.as_ref())?;
    let token = Token::find(&arguments, simulation.as_ref(), output.quiet).await?;
    let trial = Trial::of(url, &arguments, &token, global.verbose > 0)?;
    let record = trial.run(arguments.wait, output.quiet).await?;
    output.record(&record, &record.fields(&token.source))?;
    Ok(record.outcome.exit())
}

/// Tries a new secret on an app, and waits as long as the command does by default until it
/// works.
pub(crate) async fn try_secret(
    url: &Url,
    credentials: ServiceTokenCredentials,
) -> Result<(), Failure> {
    let url = app_url(url.as_str())?;
    let headers = credentials.headers()?;
    let token = Token {
        credentials,
        source: String::new(),
    };
    let trial = Trial {
        token: &token,
        app: App::new(url, HeaderMap::new(), false)?,
        credentials: headers,
    };
    let Record {
        url,
        outcome,
        meaning,
        ..
    } = trial.run(DEFAULT_WAIT, true).await?;
    let exit = outcome.exit();
    match outcome {
        Outcome::Accepted => Ok(()),
        _ => Err(Failure::new(exit, format!("{url} did not accept it")).because(meaning)),
    }
}

/// The app's URL, if a secret may be sent there.
fn url(arguments: &Verify, simulation: Option<&Connection>) -> Result<Url, Failure> {
    let simulated = simulation.and_then(|connection| connection.simulator.as_ref());
    let text = match (&arguments.url, simulated) {
        (Some(url), _) => url.as_str(),
        (None, Some(simulator)) => simulator.protected_url(),
        (None, None) => return Err(Failure::usage("no app given: use --url")),
    };
    app_url(text)
}

/// Reads the URL of an app, if a secret may be sent there.
pub(crate) fn app_url(text: &str) -> Result<Url, Failure> {
    let url = Url::parse(text).map_err(|_| {
        Failure::usage(format!("{text:?} is not a complete URL"))
            .next("use a URL such as https://app.example.com/")
    })?;
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_loopback(&url) => Ok(url),
        _ => Err(
            Failure::usage("the URL is not https, so the secret would be sent unencrypted")
                .next("use https; http is for an app on this machine, such as http://localhost/"),
        ),
    }
}

/// Whether a URL is one of this machine.
pub(crate) fn is_loopback(url: &Url) -> bool {
    let Some(host) = url.host_str() else {
        return false;
    };
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || address
            .parse()
            .is_ok_and(|address: IpAddr| address.is_loopback())
}

/// Sets up requests that carry a secret: a followed redirect would carry it along. A
/// loopback URL may be plain HTTP, so its request must not go through a proxy.
pub(crate) fn http(is_loopback: bool) -> ClientBuilder {
    let builder = Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .tls_version_min(reqwest::tls::Version::TLS_1_2)
        .user_agent(USER_AGENT);
    match is_loopback {
        true => builder.no_proxy(),
        false => builder,
    }
}

/// An app, which may be behind Access.
pub(super) struct App {
    http: Client,
    url: Url,
    /// Whether to show each request.
    verbose: bool,
}

impl App {
    /// Sets up requests with these headers.
    pub(super) fn new(url: Url, headers: HeaderMap, verbose: bool) -> Result<Self, Failure> {
        let http = http(is_loopback(&url))
            .timeout(TIMEOUT)
            .default_headers(headers)
            .build()
            .map_err(|error| Failure::new(Exit::Failed, "can't send a request").because(error))?;
        Ok(Self { http, url, verbose })
    }

    /// Sends a request without a token.
    pub(super) async fn without_token(&self) -> Result<Answer, Failure> {
        let answer = self.get(HeaderMap::new()).await;
        answer.map_err(|error| self.failure(error, |_| true))
    }

    async fn get(&self, headers: HeaderMap) -> Result<Answer, reqwest::Error> {
        let with = if headers.is_empty() {
            "without"
        } else {
            "with"
        };
        let request = self.http.get(self.url.clone()).headers(headers);
        let began_at = Instant::now();
        let response = request.send().await;
        if self.verbose {
            let (url, time) = (shown(&self.url), began_at.elapsed().as_millis());
            let outcome = match &response {
                Ok(response) => format!("{} in", response.status().as_u16()),
                // The failure has the cause.
                Err(_) => "no response after".to_owned(),
            };
            progress::verbose(&format!("GET {url} {with} the token → {outcome} {time} ms"));
        }
        let mut response = response?;
        let mut body = Vec::new();
        // Only an error's page says more. A body that breaks off has said enough.
        while !response.status().is_success() && body.len() < BODY_LIMIT {
            match response.chunk().await {
                Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                Ok(None) | Err(_) => break,
            }
        }
        Ok(Answer::new(
            &self.url,
            response.status(),
            response.headers(),
            &body,
        ))
    }

    /// Explains why no answer came, by the causes that may be shown.
    fn failure(&self, error: reqwest::Error, may_be_shown: impl Fn(&str) -> bool) -> Failure {
        let what = format!("could not reach {}", shown(&self.url));
        let mut failure = Failure::new(Exit::Unreachable, what);
        let error = error.without_url();
        let mut cause: Option<&dyn std::error::Error> = Some(&error);
        while let Some(error) = cause {
            let words = error.to_string();
            if may_be_shown(&words) {
                failure = failure.because(words);
            }
            cause = error.source();
        }
        failure.next("check the URL and the network")
    }
}

/// A token on trial at an app.
struct Trial<'a> {
    token: &'a Token,
    app: App,
    /// The headers of the requests with the token.
    credentials: HeaderMap,
}

impl<'a> Trial<'a> {
    fn of(url: Url, arguments: &Verify, token: &'a Token, verbose: bool) -> Result<Self, Failure> {
        let credentials = match &arguments.single_header {
            None => token.credentials.headers()?,
            Some(name) => {
                HeaderMap::from_iter([(name.clone(), token.credentials.single_header()?)])
            }
        };
        let mut headers = HeaderMap::new();
        for (name, value) in &arguments.headers {
            if credentials.contains_key(name) {
                return Err(Failure::usage(format!(
                    "--header and --single-header both set `{name}`"
                )));
            }
            headers.append(name, value.clone());
        }
        Ok(Self {
            token,
            app: App::new(url, headers, verbose)?,
            credentials,
        })
    }

    /// Tries the token, and while Access refuses it, retries it for `wait`.
    async fn run(&self, wait: Duration, quiet: bool) -> Result<Record, Failure> {
        let without = self.request(HeaderMap::new()).await?;
        if let Some((outcome, meaning)) = without.before() {
            let meaning = format!("{meaning}; the token was not sent");
            return Ok(self.record(&without, None, outcome, meaning));
        }
        let deadline = Instant::now() + wait;
        let mut pause = FIRST_PAUSE;
        loop {
            let with = self.request(self.credentials.clone()).await?;
            let (outcome, mut meaning) = with.after(&without);
            let left = deadline.saturating_duration_since(Instant::now());
            let is_final = !matches!(outcome, Outcome::Refused | Outcome::Login);
            if is_final || left.is_zero() {
                if !is_final && !self.token.has_known_form() {
                    meaning = format!(
                        "the secret is probably wrong, since it is not `cfast_` and 48 letters \
                         and digits, or 64 hexadecimal digits; {meaning}"
                    );
                }
                return Ok(self.record(&without, Some(&with), outcome, meaning));
            }
            if pause == FIRST_PAUSE && !quiet {
                output::remark(format!(
                    "Access refuses the token (HTTP {}); trying again for {} s, since a new \
                     secret takes a while to work",
                    with.status.as_u16(),
                    wait.as_secs()
                ));
            }
            sleep(pause.min(left)).await;
            pause = (pause * 2).min(MAX_PAUSE);
        }
    }

    async fn request(&self, headers: HeaderMap) -> Result<Answer, Failure> {
        let answer = self.app.get(headers).await;
        // The app has seen the secret, and may have put it into a certificate.
        let may_be_shown = |words: &str| !self.token.is_in(words);
        answer.map_err(|error| self.app.failure(error, may_be_shown))
    }

    fn record(
        &self,
        without: &Answer,
        with: Option<&Answer>,
        outcome: Outcome,
        meaning: String,
    ) -> Record {
        let redirect = with.unwrap_or(without).redirect.as_ref();
        let host = redirect.and_then(Url::host_str);
        Record {
            url: shown(&self.app.url),
            client_id: self.token.client_id().map(str::to_owned),
            outcome,
            status: with.map(|answer| answer.status.as_u16()),
            status_without_token: without.status.as_u16(),
            // The app chooses the host, and has seen the secret.
            redirected_to: host
                .filter(|host| !self.token.is_in(host))
                .map(str::to_owned),
            meaning,
        }
    }
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

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Record {
    url: String,
    client_id: Option<String>,
    outcome: Outcome,
    status: Option<u16>,
    status_without_token: u16,
    redirected_to: Option<String>,
    meaning: String,
}

impl Record {
    fn fields(&self, source: &str) -> Vec<(&'static str, Cell)> {
        let client_id = self.client_id.as_deref().unwrap_or("a token");
        let mut fields = vec![
            ("App", Cell::plain(self.url.clone())),
            ("Token", Cell::plain(format!("{client_id} from {source}"))),
            ("Outcome", self.outcome()),
        ];
        if let Some(host) = &self.redirected_to {
            fields.push(("Redirect", Cell::plain(format!("to {host}"))));
        }
        fields.push(("Meaning", Cell::plain(self.meaning.clone())));
        fields
    }

    fn outcome(&self) -> Cell {
        let without = self.status_without_token;
        let http = match self.status {
            Some(status) => format!("(HTTP {status}, without the token HTTP {without})"),
            None => format!("(without the token HTTP {without})"),
        };
        match self.outcome {
            Outcome::Accepted => Cell::good(format!("accepted {http}")),
            Outcome::Refused => Cell::bad(format!("refused {http}")),
            Outcome::NotAllowed => Cell::bad(format!("not allowed {http}")),
            Outcome::Login => Cell::bad(format!("redirected to a login {http}")),
            Outcome::NotProtected => Cell::bad(format!("not protected {http}")),
            Outcome::Unclear => Cell::warning(format!("unclear {http}")),
        }
    }
}

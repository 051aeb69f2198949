use std::collections::HashSet;
use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Mutex;

use axum::http::HeaderValue;
use chrono::{DateTime, TimeDelta, Utc};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::api::authentication::Credentials;
use crate::api::limits::RateLimit;
use crate::behavior::{AppAuthentication, Behavior};
use crate::faults::plan::{FaultPlan, RandomFaults};
use crate::request_log::{Listener, ReceivedRequest, RequestLog};
use crate::shared::{Clock, Shared};
use crate::simulator::Simulator;
use crate::state::generator;
use crate::state::sample;
use crate::state::seed::SeedToken;
use crate::state::token::StoredToken;
use crate::state::{DEFAULT_TOKEN_LIMIT, State};

/// A simulator to start: its tokens, its clock and what it accepts.
///
/// Credentials and ids that aren't set come from the generator; see
/// [`seed`](Self::seed).
///
/// See the example of [`Simulator`].
#[must_use = "nothing listens before `start`"]
pub struct SimulatorBuilder {
    address: SocketAddr,
    clock: Clock,
    seed: u64,
    tokens: Vec<SeedToken>,
    account_id: Option<String>,
    api_token: Option<String>,
    email_and_api_key: Option<(String, String)>,
    token_limit: usize,
    behavior: Behavior,
    rate_limit: Option<(u32, TimeDelta)>,
    faults: FaultPlan,
    listener: Option<Listener>,
}

impl Simulator {
    /// Describes a simulator to start.
    ///
    /// See the example of [`Simulator`].
    pub fn builder() -> SimulatorBuilder {
        SimulatorBuilder::new()
    }
}

impl SimulatorBuilder {
    fn new() -> Self {
        Self {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            clock: Box::new(Utc::now),
            seed: 0,
            tokens: Vec::new(),
            account_id: None,
            api_token: None,
            email_and_api_key: None,
            token_limit: DEFAULT_TOKEN_LIMIT,
            behavior: Behavior::default(),
            rate_limit: None,
            faults: FaultPlan::default(),
            listener: None,
        }
    }

    /// Where to listen: a loopback address; port 0 takes a free one.
    /// Without it: `127.0.0.1:0`.
    ///
    /// ```
    /// # use cf_service_tokens_simulator::Simulator;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// let elsewhere = std::net::SocketAddr::from(([0, 0, 0, 0], 0));
    /// let error = Simulator::builder().listen(elsewhere).start().await.unwrap_err();
    /// assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
    /// # Ok(())
    /// # }
    /// ```
    pub fn listen(mut self, address: SocketAddr) -> Self {
        self.address = address;
        self
    }

    /// Where the simulator takes the time from. Without it: the system clock.
    ///
    /// It is asked at the start, for what seeds count from there, and for each
    /// request.
    ///
    /// ```
    /// use std::sync::{Arc, Mutex};
    /// use cf_service_tokens_simulator::{SeedToken, Simulator};
    /// use chrono::{DateTime, TimeDelta, Utc};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// let start: DateTime<Utc> = "2030-01-01T00:00:00Z".parse().unwrap();
    /// let now = Arc::new(Mutex::new(start));
    /// let simulator = Simulator::builder()
    ///     .clock({
    ///         let now = now.clone();
    ///         move || *now.lock().unwrap()
    ///     })
    ///     .token(SeedToken::new("CI deploy"))
    ///     .start()
    ///     .await?;
    ///
    /// assert_eq!(simulator.tokens()[0].created_at, start);
    /// *now.lock().unwrap() += TimeDelta::days(366); // and the token has expired
    /// # Ok(())
    /// # }
    /// ```
    pub fn clock(mut self, now: impl Fn() -> DateTime<Utc> + Send + Sync + 'static) -> Self {
        self.clock = Box::new(now);
        self
    }

    /// What the generator of ids, secrets, credentials and ray ids starts
    /// from. Without it: 0.
    ///
    /// The same seed gives the same values to the same requests in the same
    /// order, within one version of this crate. Two simulators that must not
    /// accept each other's credentials need two seeds.
    ///
    /// ```
    /// # use cf_service_tokens_simulator::Simulator;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// let one = Simulator::builder().seed(7).start().await?;
    /// let other = Simulator::builder().seed(7).start().await?;
    /// assert_eq!(one.api_token(), other.api_token());
    /// # Ok(())
    /// # }
    /// ```
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Adds a token to the account.
    ///
    /// See the example of [`Simulator`].
    pub fn token(mut self, token: SeedToken) -> Self {
        self.tokens.push(token);
        self
    }

    /// Adds ten tokens like those of a real account: most are in order, others are
    /// about to expire, expired, disabled, never expire, or have a duration that
    /// can't be read.
    ///
    /// ```
    /// # use cf_service_tokens_simulator::Simulator;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// let simulator = Simulator::builder().believable_account().start().await?;
    /// assert_eq!(simulator.tokens().len(), 10);
    /// # Ok(())
    /// # }
    /// ```
    pub fn believable_account(mut self) -> Self {
        self.tokens.extend(sample::account_tokens());
        self
    }

    /// The id of the account: letters, digits and `-`, at most 32 of them.
    ///
    /// ```
    /// # use cf_service_tokens_simulator::Simulator;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// let simulator = Simulator::builder().account_id("a1").start().await?;
    /// assert_eq!(simulator.account_id(), "a1");
    /// # Ok(())
    /// # }
    /// ```
    pub fn account_id(mut self, id: impl Into<String>) -> Self {
        self.account_id = Some(id.into());
        self
    }

    /// The API token to accept.
    ///
    /// ```
    /// # use cf_service_tokens_simulator::Simulator;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// let simulator = Simulator::builder()
    ///     .api_token("a token")
    ///     .email_and_api_key("admin@example.com", "a key")
    ///     .start()
    ///     .await?;
    /// assert_eq!(simulator.api_token(), "a token");
    /// assert_eq!((simulator.email(), simulator.api_key()), ("admin@example.com", "a key"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn api_token(mut self, token: impl Into<String>) -> Self {
        self.api_token = Some(token.into());
        self
    }

    /// The e-mail address and global API key to accept.
    ///
    /// See the example of [`api_token`](Self::api_token).
    pub fn email_and_api_key(mut self, email: impl Into<String>, key: impl Into<String>) -> Self {
        self.email_and_api_key = Some((email.into(), key.into()));
        self
    }

    /// Sets how many tokens an account may hold. The default is 50, as Cloudflare's.
    ///
    /// A create beyond it is refused with 400, code 12130. Seeds may exceed it.
    ///
    /// ```
    /// # use cf_service_tokens_simulator::Simulator;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let simulator = Simulator::builder().token_limit(0).start().await?;
    /// let account = format!("{}/accounts/{}", simulator.base_url(), simulator.account_id());
    /// let answer = reqwest::Client::new()
    ///     .post(format!("{account}/access/service_tokens"))
    ///     .bearer_auth(simulator.api_token())
    ///     .body(r#"{"name": "one too many"}"#)
    ///     .send()
    ///     .await?;
    /// assert_eq!(answer.status(), 400);
    /// # Ok(())
    /// # }
    /// ```
    pub fn token_limit(mut self, tokens: usize) -> Self {
        self.token_limit = tokens;
        self
    }

    /// Makes answers hold every field that is known, documented or not: `expires_at`,
    /// `last_seen_at` and `client_secret_version` after create and rotate,
    /// `client_secret_version` everywhere, and `client_secret` after an update that
    /// rotates. Without it, each answer holds what Cloudflare's document has.
    ///
    /// ```
    /// # use cf_service_tokens_simulator::Simulator;
    /// let lenient = Simulator::builder().lenient_answers().null_timestamps();
    /// ```
    pub fn lenient_answers(mut self) -> Self {
        self.behavior.lenient_answers = true;
        self
    }

    /// Makes answers show an unknown timestamp as `null`, which is undocumented.
    /// Without it, such a field is left out.
    ///
    /// See the example of [`lenient_answers`](Self::lenient_answers).
    pub fn null_timestamps(mut self) -> Self {
        self.behavior.null_timestamps = true;
        self
    }

    /// Makes lists show the tokens with these names or ids alone, and count no others,
    /// as Cloudflare does for a member with granular permissions. Nothing in the answer
    /// tells that tokens are missing, and all other calls see them.
    ///
    /// ```
    /// # use cf_service_tokens_simulator::Simulator;
    /// let filtered = Simulator::builder().believable_account().list_only(["Nightly backup"]);
    /// ```
    pub fn list_only<T: Into<String>>(mut self, names_or_ids: impl IntoIterator<Item = T>) -> Self {
        let visible = names_or_ids.into_iter().map(Into::into);
        self.behavior.list_only = Some(visible.collect());
        self
    }

    /// Makes a page hold at most so many tokens, whatever `per_page` asks for, and come
    /// without `result_info`. 0 counts as 1.
    ///
    /// ```
    /// # use cf_service_tokens_simulator::Simulator;
    /// let capped = Simulator::builder().believable_account().capped_pages(3);
    /// ```
    pub fn capped_pages(mut self, tokens: usize) -> Self {
        self.behavior.page_cap = Some(tokens.max(1));
        self
    }

    /// Sets how the protected app turns callers away. The default is
    /// [`AppAuthentication::Strict`].
    ///
    /// See the example of [`AppAuthentication`].
    pub fn app_authentication(mut self, authentication: AppAuthentication) -> Self {
        self.behavior.app = authentication;
        self
    }

    /// Enforces a rate limit: so many requests in a window of this length, by the
    /// simulator's clock. Past it everything is refused for as long as a window:
    /// 429 with code 971 and `Retry-After`. Without it: Cloudflare's limit is
    /// told in headers, and not enforced.
    ///
    /// ```
    /// use cf_service_tokens_simulator::Simulator;
    /// use chrono::TimeDelta;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let limited = Simulator::builder().enforce_rate_limit(100, TimeDelta::minutes(5));
    /// let simulator = limited.start().await?;
    /// simulator.spend(100); // as another program would
    /// let account = format!("{}/accounts/{}", simulator.base_url(), simulator.account_id());
    /// let url = format!("{account}/access/service_tokens");
    /// assert_eq!(reqwest::get(url).await?.status(), 429);
    /// # Ok(())
    /// # }
    /// ```
    pub fn enforce_rate_limit(mut self, requests: u32, window: TimeDelta) -> Self {
        self.rate_limit = Some((requests, window));
        self
    }

    /// Faults at random from the start; see
    /// [`inject_at_random`](Simulator::inject_at_random).
    ///
    /// ```
    /// # use cf_service_tokens_simulator::Simulator;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// let simulator = Simulator::builder().random_faults(7, 0.1).start().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn random_faults(mut self, seed: u64, probability: f64) -> Self {
        self.faults.set_random(RandomFaults::new(seed, probability));
        self
    }

    /// Calls this with each request, once it is answered, such as to show it. It is
    /// called from the server: it should not take long, and must not ask the
    /// simulator anything.
    ///
    /// ```
    /// use cf_service_tokens_simulator::Simulator;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// let simulator = Simulator::builder()
    ///     .on_request(|request| println!("{} {}", request.method, request.path))
    ///     .start()
    ///     .await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn on_request(
        mut self,
        listener: impl Fn(&ReceivedRequest) + Send + Sync + 'static,
    ) -> Self {
        self.listener = Some(Box::new(listener));
        self
    }

    /// Starts to listen, and serves on the current tokio runtime.
    ///
    /// See the examples of [`Simulator`] and [`listen`](Self::listen).
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) if the address isn't a
    /// loopback one, an id can't stand in a path, an id or Client ID is there
    /// twice, a credential can't stand in a header, or the window of the rate
    /// limit is shorter than a second; and whatever the system says when it won't give the address, such as
    /// [`AddrInUse`](io::ErrorKind::AddrInUse).
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub async fn start(self) -> io::Result<Simulator> {
        let address = self.address;
        if !address.ip().is_loopback() {
            return Err(invalid(format!(
                "can't listen on {address}: the simulator gives away its credentials, \
                 so it takes loopback addresses only, such as 127.0.0.1:0"
            )));
        }
        let shared = self.populate()?;
        Simulator::serve(address, shared)
    }

    fn populate(self) -> io::Result<Shared> {
        let mut rng = StdRng::seed_from_u64(self.seed);
        // A generator of its own, so that a request more moves no later id.
        let rays = StdRng::seed_from_u64(rng.random());

        // Everything is drawn, also what is set, so that setting one value
        // leaves the others as they were.
        let account_id = generator::hex(&mut rng, 32);
        let mut credentials = Credentials::generate(&mut rng);

        let account_id = self.account_id.unwrap_or(account_id);
        check_id("account id", &account_id, 32)?;

        if let Some(token) = self.api_token {
            credentials.api_token = token;
        }
        if let Some((email, key)) = self.email_and_api_key {
            credentials.email = email;
            credentials.api_key = key;
        }
        check_credential("API token", &credentials.api_token)?;
        check_credential("e-mail address", &credentials.email)?;
        check_credential("API key", &credentials.api_key)?;

        let start = (self.clock)();
        let tokens: Vec<StoredToken> = self
            .tokens
            .into_iter()
            .map(|seed| seed.plant(&account_id, start, &mut rng))
            .collect();
        check_tokens(&tokens)?;

        let rate_limit = match self.rate_limit {
            None => RateLimit::told(),
            Some((_, window)) if window < TimeDelta::seconds(1) => {
                return Err(invalid(format!(
                    "a rate limit can't have a window of {window}: \
                     the API tells its length in whole seconds, so use one second or more"
                )));
            }
            Some((requests, window)) => RateLimit::enforced(requests, window),
        };
        Ok(Shared {
            credentials,
            account_id,
            behavior: self.behavior,
            clock: self.clock,
            state: Mutex::new(State::new(tokens, self.token_limit, rng)),
            rate_limit: Mutex::new(rate_limit),
            faults: Mutex::new(self.faults),
            log: Mutex::new(RequestLog::new(self.listener)),
            rays: Mutex::new(rays),
        })
    }
}

fn check_tokens(tokens: &[StoredToken]) -> io::Result<()> {
    let mut ids = HashSet::new();
    let mut client_ids = HashSet::new();
    for StoredToken { token, .. } in tokens {
        check_id("token id", &token.id, 36)?;
        if !ids.insert(&token.id) {
            return Err(invalid(format!("token id \"{}\" is there twice", token.id)));
        }
        if !client_ids.insert(&token.client_id) {
            let client_id = &token.client_id;
            return Err(invalid(format!("Client ID \"{client_id}\" is there twice")));
        }
    }
    Ok(())
}

fn check_id(what: &str, id: &str, max: usize) -> io::Result<()> {
    let plain = id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if id.is_empty() || id.len() > max || !plain {
        return Err(invalid(format!(
            "{what} \"{id}\" can't stand in a path: \
             use letters, digits and '-', at most {max} of them"
        )));
    }
    Ok(())
}

/// Without naming the value: it is a secret.
fn check_credential(what: &str, value: &str) -> io::Result<()> {
    let visible = HeaderValue::from_str(value).is_ok_and(|value| value.to_str().is_ok());
    if value.is_empty() || value.trim() != value || !visible {
        return Err(invalid(format!(
            "the {what} can't stand in a header: \
             use visible ASCII characters, without spaces around them"
        )));
    }
    Ok(())
}

fn invalid(message: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, message)
}

impl fmt::Debug for SimulatorBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimulatorBuilder")
            .field("address", &self.address)
            .field("seed", &self.seed)
            .field("tokens", &self.tokens)
            .field("account_id", &self.account_id)
            .finish_non_exhaustive()
    }
}

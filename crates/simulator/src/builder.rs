use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use chrono::{DateTime, TimeDelta, Utc};

use crate::api::authentication::SeedApiToken;
use crate::behavior::{AppAuthentication, Behavior};
use crate::control::ControlPlane;
use crate::request_log::{Listener, ReceivedRequest};
use crate::shared::Shared;
use crate::simulator::Simulator;
use crate::start::{Drawn, Start, invalid};
use crate::state::access::Access;
use crate::state::clock::Clock;
use crate::state::sample;
use crate::state::seed::{SeedAccount, SeedToken};

/// A builder of a simulator: its tokens, its clock and the credentials that it accepts.
///
/// Unset credentials and ids come from the generator; see
/// [`seed`](Self::seed).
///
/// See the example of [`Simulator`].
#[must_use = "nothing listens before `start`"]
pub struct SimulatorBuilder {
    address: SocketAddr,
    /// `None` for the default, which the address decides.
    control_plane: Option<bool>,
    clock: Clock,
    seed: u64,
    /// The first account, without its id.
    account: SeedAccount,
    account_id: Option<String>,
    more_accounts: Vec<SeedAccount>,
    api_token: Option<SeedApiToken>,
    more_api_tokens: Vec<SeedApiToken>,
    email_and_api_key: Option<(String, String)>,
    behavior: Behavior,
    rate_limit: Option<(u32, TimeDelta)>,
    random_faults: Option<(u64, f64)>,
    listener: Option<Listener>,
}

impl Simulator {
    /// Returns a builder of a simulator.
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
            control_plane: None,
            clock: Clock::new(Utc::now),
            seed: 0,
            account: SeedAccount::new(String::new()),
            account_id: None,
            more_accounts: Vec::new(),
            api_token: None,
            more_api_tokens: Vec::new(),
            email_and_api_key: None,
            behavior: Behavior::default(),
            rate_limit: None,
            random_faults: None,
            listener: None,
        }
    }

    /// Sets the address to listen on; port 0 takes a free port. The default is
    /// `127.0.0.1:0`.
    ///
    /// Other machines and containers reach a simulator on any other than a loopback address,
    /// such as `0.0.0.0`. It holds no secret but those that a test gives it, and its own
    /// credentials come from a seed that anyone can guess. So keep it in a network of tests,
    /// and don't expose it. The [control plane](Self::control_plane) is off there.
    ///
    /// ```
    /// # use cf_service_tokens_simulator::Simulator;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// let everywhere = std::net::SocketAddr::from(([0, 0, 0, 0], 0));
    /// let simulator = Simulator::builder().listen(everywhere).start().await?;
    /// assert!(simulator.base_url().starts_with("http://127.0.0.1:"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn listen(mut self, address: SocketAddr) -> Self {
        self.address = address;
        self
    }

    /// Turns the control plane on or off. By default it is on if the simulator listens on a
    /// loopback address, and off on any other.
    ///
    /// On a loopback address it answers requests with a loopback `Host` alone. On any other
    /// address it accepts any `Host`, so anyone who can reach the port can use it: other
    /// machines, and a web page whose host name resolves to it. The header
    /// `X-Simulator-Control` is needed on each address.
    ///
    /// ```
    /// # use cf_service_tokens_simulator::Simulator;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let everywhere = std::net::SocketAddr::from(([0, 0, 0, 0], 0));
    /// let builder = Simulator::builder().listen(everywhere);
    /// let simulator = builder.control_plane(true).start().await?;
    /// let clock = simulator.base_url().replace("/client/v4", "/_simulator/clock");
    /// let request = reqwest::Client::new().get(clock).header("Host", "simulator:8787");
    /// let answer = request.header("X-Simulator-Control", "1").send().await?;
    /// assert_eq!(answer.status(), 200);
    /// # Ok(())
    /// # }
    /// ```
    pub fn control_plane(mut self, on: bool) -> Self {
        self.control_plane = Some(on);
        self
    }

    /// Sets the clock. The default is the system clock.
    ///
    /// The simulator reads it at the start, which seeds count from, and for each request.
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
        self.clock = Clock::new(now);
        self
    }

    /// Sets the seed of the generator of ids, secrets, credentials and ray ids. The default
    /// is 0.
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

    /// Adds a token to the first account.
    ///
    /// See the example of [`Simulator`].
    pub fn token(mut self, token: SeedToken) -> Self {
        self.account = self.account.token(token);
        self
    }

    /// Adds ten tokens like those of a real account: most are fine; others are due,
    /// expired or disabled, never expire, or have an unreadable duration. Also names the
    /// account, and replaces its [Access configuration](Self::access): policies, a group and
    /// applications name some of the tokens, and the clean-up of inactive tokens is off.
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
        self.account.tokens.extend(sample::tokens());
        self.account = self.account.name(sample::NAME).access(sample::access());
        self
    }

    /// Sets the id of the first account: letters, digits and `-`, at most 32 of them.
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

    /// Sets the name of the first account, of 1 to 100 characters. The default is its id.
    ///
    /// ```
    /// # use cf_service_tokens_simulator::Simulator;
    /// let builder = Simulator::builder().account_name("Widget Corps");
    /// ```
    pub fn account_name(mut self, name: impl Into<String>) -> Self {
        self.account = self.account.name(name);
        self
    }

    /// Sets the Access configuration of the first account, or with `None` makes it one where
    /// Access is not enabled: every call about its Access gets 403, code 9999.
    ///
    /// See the example of [`Access`].
    pub fn access(mut self, access: impl Into<Option<Access>>) -> Self {
        self.account = self.account.access(access);
        self
    }

    /// Adds another account beside the first one, which [`token`](Self::token),
    /// [`account_id`](Self::account_id), [`account_name`](Self::account_name),
    /// [`access`](Self::access) and [`token_limit`](Self::token_limit) configure.
    ///
    /// See the example of [`SeedApiToken`].
    pub fn account(mut self, account: SeedAccount) -> Self {
        self.more_accounts.push(account);
        self
    }

    /// Sets the API token that [`Simulator::api_token`] returns: a string, for one with all
    /// permissions in every account, or a [`SeedApiToken`].
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
    pub fn api_token(mut self, token: impl Into<SeedApiToken>) -> Self {
        self.api_token = Some(token.into());
        self
    }

    /// Adds an API token to accept, beside that of [`api_token`](Self::api_token).
    ///
    /// See the example of [`SeedApiToken`].
    pub fn add_api_token(mut self, token: impl Into<SeedApiToken>) -> Self {
        self.more_api_tokens.push(token.into());
        self
    }

    /// Sets the e-mail address and global API key to accept. They have all permissions in
    /// every account.
    ///
    /// See the example of [`api_token`](Self::api_token).
    pub fn email_and_api_key(mut self, email: impl Into<String>, key: impl Into<String>) -> Self {
        self.email_and_api_key = Some((email.into(), key.into()));
        self
    }

    /// Sets how many tokens the first account may hold. The default is 50, like
    /// Cloudflare's; for other accounts, use [`SeedAccount::token_limit`].
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
        self.account = self.account.token_limit(tokens);
        self
    }

    /// Adds every known field to responses, documented or not: `expires_at`,
    /// `last_seen_at` and `client_secret_version` after create and rotate,
    /// `client_secret_version` everywhere, and `client_secret` after an update that
    /// rotates. Without it, each response holds the documented fields.
    ///
    /// ```
    /// # use cf_service_tokens_simulator::Simulator;
    /// let lenient = Simulator::builder().lenient_answers().null_timestamps();
    /// ```
    pub fn lenient_answers(mut self) -> Self {
        self.behavior.lenient_answers = true;
        self
    }

    /// Shows an unknown timestamp in responses as `null`, which is undocumented.
    /// Without it, such a field is left out.
    ///
    /// See the example of [`lenient_answers`](Self::lenient_answers).
    pub fn null_timestamps(mut self) -> Self {
        self.behavior.null_timestamps = true;
        self
    }

    /// Limits lists to the tokens with these names or ids, and counts no others, as
    /// Cloudflare does for a member with granular permissions. Nothing in the response
    /// shows that tokens are missing, and all other calls see them.
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

    /// Limits a page to this many tokens, whatever `per_page` asks for, and omits
    /// `result_info`. 0 counts as 1.
    ///
    /// ```
    /// # use cf_service_tokens_simulator::Simulator;
    /// let capped = Simulator::builder().believable_account().capped_pages(3);
    /// ```
    pub fn capped_pages(mut self, tokens: usize) -> Self {
        self.behavior.page_cap = Some(tokens.max(1));
        self
    }

    /// Sets how the protected app refuses callers. The default is
    /// [`AppAuthentication::Strict`].
    ///
    /// See the example of [`AppAuthentication`].
    pub fn app_authentication(mut self, authentication: AppAuthentication) -> Self {
        self.behavior.app = authentication;
        self
    }

    /// Enforces a rate limit for each credential: this number of requests in a window of this
    /// length, by the simulator's clock. Requests without valid credentials share one limit.
    /// Beyond it every call is refused for as long as a window, with
    /// 429, code 971 and `Retry-After`. By default the headers report Cloudflare's limit,
    /// and nothing enforces it.
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
    /// let request = reqwest::Client::new().get(url).bearer_auth(simulator.api_token());
    /// assert_eq!(request.send().await?.status(), 429);
    /// # Ok(())
    /// # }
    /// ```
    pub fn enforce_rate_limit(mut self, requests: u32, window: TimeDelta) -> Self {
        self.rate_limit = Some((requests, window));
        self
    }

    /// Injects faults at random from the start; see
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
        self.random_faults = Some((seed, probability));
        self
    }

    /// Calls this function with each request, after the response and the log entry, such
    /// as to print it. The server waits for it, so it should be fast. It may call any
    /// method of the simulator.
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
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) if an id isn't valid in a path, an
    /// id, Client ID or API token is duplicated, an API token names an account that
    /// doesn't exist, a rule or an application names something that doesn't, the name of an
    /// account or the threshold of inactivity is out of range, a credential isn't a valid
    /// header value, or the window of the rate limit is shorter than a second. Otherwise the
    /// error of the system, if the address is unavailable, such as
    /// [`AddrInUse`](io::ErrorKind::AddrInUse).
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub async fn start(self) -> io::Result<Simulator> {
        let address = self.address;
        let control_plane = ControlPlane::at(address.ip(), self.control_plane);
        let shared = self.populate()?;
        Simulator::serve(address, control_plane, shared)
    }

    fn populate(self) -> io::Result<Shared> {
        // Everything is drawn, also what is set, so that setting one value
        // leaves the others as they were.
        let Drawn {
            account_id,
            mut credentials,
            ..
        } = Drawn::from_seed(self.seed);
        if let Some(token) = self.api_token {
            credentials.api_tokens = vec![token];
        }
        credentials.api_tokens.extend(self.more_api_tokens);
        if let Some((email, key)) = self.email_and_api_key {
            credentials.email = email;
            credentials.api_key = key;
        }

        let mut accounts = vec![SeedAccount {
            id: self.account_id.unwrap_or(account_id),
            ..self.account
        }];
        accounts.extend(self.more_accounts);
        let start = Start {
            seed: self.seed,
            accounts,
            credentials,
            rate_limit: self.rate_limit,
            random_faults: self.random_faults,
        };
        let world = start.world(self.clock.now()).map_err(invalid)?;
        start.check(&world.state)?;
        Ok(Shared::new(
            start,
            world,
            self.behavior,
            self.clock,
            self.listener,
        ))
    }
}

impl fmt::Debug for SimulatorBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimulatorBuilder")
            .field("address", &self.address)
            .field("seed", &self.seed)
            .field("account", &self.account)
            .field("account_id", &self.account_id)
            .finish_non_exhaustive()
    }
}

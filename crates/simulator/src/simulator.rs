use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use chrono::TimeDelta;

use crate::api::{self, Operation};
use crate::app;
use crate::control::ControlPlane;
use crate::faults::injection::Injection;
use crate::faults::plan::{FaultPlan, RandomFaults};
use crate::request_log::ReceivedRequest;
use crate::shared::Shared;
use crate::start::invalid;
use crate::state::access::Access;
use crate::state::account::AccountChange;
use crate::state::token::Token;
use crate::wire::Port;

/// A running simulator: a server on a port, and its state.
///
/// Serves for as long as the value lives. Dropping it closes the port and resets all
/// connections, stalled ones included. [`shutdown`](Self::shutdown)
/// does the same and waits for it.
///
/// ```
/// use cf_service_tokens_simulator::{SeedToken, Simulator};
/// use chrono::TimeDelta;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// let simulator = Simulator::builder()
///     .token(SeedToken::new("CI deploy").expires_in(TimeDelta::days(9)))
///     .start()
///     .await?;
///
/// assert!(simulator.base_url().starts_with("http://127.0.0.1:"));
/// assert_eq!(simulator.tokens().len(), 1);
/// simulator.shutdown().await;
/// # Ok(())
/// # }
/// ```
pub struct Simulator {
    shared: Arc<Shared>,
    base_url: String,
    protected_url: String,
    port: Port,
}

impl Simulator {
    /// Opens the port and serves there, until the simulator is dropped.
    pub(crate) fn serve(
        address: SocketAddr,
        control_plane: ControlPlane,
        shared: Shared,
    ) -> io::Result<Self> {
        let shared = Arc::new(shared);
        let port = Port::open(address, api::router(shared.clone(), control_plane))?;
        let origin = format!("http://{}", address_of_client(port.address()));
        Ok(Self {
            shared,
            base_url: format!("{origin}{}", api::API),
            protected_url: format!("{origin}{}", app::APP),
            port,
        })
    }

    /// Returns the base URL of the API, such as `http://127.0.0.1:41235/client/v4`.
    ///
    /// A simulator that listens on all addresses, `0.0.0.0` or `[::]`, returns the URL for
    /// this machine. From another one, put the name of this machine in its place.
    ///
    /// See the example of [`Simulator`].
    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    /// Returns the URL of an app that Access protects with strict service-token
    /// authentication: 401 for a caller that can't authenticate, 403 for a valid token
    /// that isn't allowed.
    /// [`app_authentication`](crate::SimulatorBuilder::app_authentication) changes that.
    ///
    /// It accepts any method, here and on every path below, and both forms of
    /// credentials: `CF-Access-Client-Id` with `CF-Access-Client-Secret`, or
    /// an `Authorization` header that holds both as a JSON object. (In an app
    /// of your own you choose the name of that header.) The response to a valid token is
    /// 200 and a JSON object whose `service_token` is its name.
    ///
    /// ```
    /// use cf_service_tokens_simulator::{SeedToken, Simulator};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let token = SeedToken::new("CI deploy").client_id("ci.access").client_secret("the secret");
    /// let simulator = Simulator::builder().token(token).start().await?;
    /// let app = reqwest::Client::new().get(simulator.protected_url());
    /// let answer = app.try_clone().ok_or("no clone")?.send().await?;
    /// assert_eq!(answer.status(), 401);
    /// let app = app.header("CF-Access-Client-Id", "ci.access");
    /// let answer = app.header("CF-Access-Client-Secret", "the secret").send().await?;
    /// assert_eq!(answer.status(), 200);
    /// # Ok(())
    /// # }
    /// ```
    pub fn protected_url(&self) -> &str {
        &self.protected_url
    }

    /// Returns the id of the first account, or the only one.
    ///
    /// See the example of [`SimulatorBuilder::account_id`](crate::SimulatorBuilder::account_id).
    pub fn account_id(&self) -> &str {
        self.shared.start.account_id()
    }

    /// Returns the API token that is accepted as `Authorization: Bearer`.
    ///
    /// See the example of [`SimulatorBuilder::api_token`](crate::SimulatorBuilder::api_token).
    pub fn api_token(&self) -> &str {
        let tokens = &self.shared.start.credentials.api_tokens;
        // The builder puts it there.
        tokens.first().map_or("", |token| token.secret.as_str())
    }

    /// Returns the address that is accepted as `X-Auth-Email`, beside [`api_key`](Self::api_key).
    ///
    /// See the example of [`SimulatorBuilder::api_token`](crate::SimulatorBuilder::api_token).
    pub fn email(&self) -> &str {
        &self.shared.start.credentials.email
    }

    /// Returns the global API key that is accepted as `X-Auth-Key`, beside [`email`](Self::email).
    ///
    /// See the example of [`SimulatorBuilder::api_token`](crate::SimulatorBuilder::api_token).
    pub fn api_key(&self) -> &str {
        &self.shared.start.credentials.api_key
    }

    /// Returns the tokens of all accounts, in order of creation.
    ///
    /// See the example of [`token`](Self::token).
    pub fn tokens(&self) -> Vec<Token> {
        self.shared.state().tokens().cloned().collect()
    }

    /// Returns the token with this id.
    ///
    /// ```
    /// use cf_service_tokens_simulator::{SeedToken, Simulator};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// let seed = SeedToken::new("CI deploy").id("f174e90a").duration("720h");
    /// let simulator = Simulator::builder().token(seed).start().await?;
    /// let token = simulator.token("f174e90a");
    /// assert_eq!(token.as_ref(), simulator.tokens().first());
    /// assert!(token.is_some_and(|token| token.enabled && token.duration == "720h"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn token(&self, id: &str) -> Option<Token> {
        self.shared
            .state()
            .tokens()
            .find(|token| token.id == id)
            .cloned()
    }

    /// Deletes the token without a request, even one that a policy names.
    ///
    /// Returns the token before the deletion, or `None` if no token has this id.
    ///
    /// ```
    /// # use cf_service_tokens_simulator::{SeedToken, Simulator};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// let seed = SeedToken::new("CI deploy").id("f174e90a");
    /// let simulator = Simulator::builder().token(seed).start().await?;
    /// assert!(simulator.disable("f174e90a").is_some_and(|token| !token.enabled));
    /// assert!(simulator.rename("f174e90a", "CI").is_some_and(|token| token.name == "CI"));
    /// assert!(simulator.expire("f174e90a").is_some());
    /// assert!(simulator.delete("f174e90a").is_some());
    /// assert_eq!(simulator.delete("f174e90a"), None);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use = "`None` says that there is no such token, and that nothing was changed"]
    pub fn delete(&self, id: &str) -> Option<Token> {
        self.shared.state().remove(id)
    }

    /// Disables the token without a request, as the dashboard does.
    ///
    /// Returns the changed token, or `None` if no token has this id.
    ///
    /// See the example of [`delete`](Self::delete).
    #[must_use = "`None` says that there is no such token, and that nothing was changed"]
    pub fn disable(&self, id: &str) -> Option<Token> {
        let now = self.shared.now();
        let mut state = self.shared.state();
        state.change(id, |stored| stored.set_enabled(false, now))
    }

    /// Renames the token without a request, as the dashboard does.
    ///
    /// Returns the changed token, or `None` if no token has this id.
    ///
    /// See the example of [`delete`](Self::delete).
    #[must_use = "`None` says that there is no such token, and that nothing was changed"]
    pub fn rename(&self, id: &str, name: impl Into<String>) -> Option<Token> {
        let (name, now) = (name.into(), self.shared.now());
        let mut state = self.shared.state();
        state.change(id, |stored| stored.token.rename(name, now))
    }

    /// Expires the token now. A token whose duration is `forever` gets the duration
    /// `8760h`, since it would never expire otherwise.
    ///
    /// Returns the changed token, or `None` if no token has this id.
    ///
    /// See the example of [`delete`](Self::delete).
    #[must_use = "`None` says that there is no such token, and that nothing was changed"]
    pub fn expire(&self, id: &str) -> Option<Token> {
        let now = self.shared.now();
        let mut state = self.shared.state();
        state.change(id, |stored| stored.token.expire_at(now))
    }

    /// Replaces the Access configuration of an account, or with `None` makes the account one
    /// where Access is not enabled.
    ///
    /// ```
    /// # use cf_service_tokens_simulator::{Access, Rule, SeedPolicy, SeedToken, Simulator};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// let seed = SeedToken::new("CI deploy").id("f174e90a");
    /// let simulator = Simulator::builder().account_id("a1").token(seed).start().await?;
    /// let policy = SeedPolicy::new("Deploy").include(Rule::service_token("f174e90a"));
    /// simulator.set_access("a1", Access::new().policy(policy))?; // it can't be deleted now
    /// assert!(simulator.set_access("a2", Access::new()).is_err());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) if no account has this id, or the
    /// configuration is one that a simulator wouldn't start with.
    pub fn set_access(
        &self,
        account_id: &str,
        access: impl Into<Option<Access>>,
    ) -> io::Result<()> {
        let now = self.shared.now();
        let mut state = self.shared.state();
        let change = AccountChange {
            access: Some(access.into()),
            ..AccountChange::default()
        };
        let changed = state.change_account(account_id, change, now);
        changed.map_err(invalid)
    }

    /// Removes an account with its tokens. From then on no list of accounts shows it, and a
    /// call about it gets 403, code 10000.
    ///
    /// Returns whether an account has this id.
    ///
    /// ```
    /// # use cf_service_tokens_simulator::{SeedAccount, Simulator};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// let simulator = Simulator::builder().account(SeedAccount::new("a2")).start().await?;
    /// assert!(simulator.remove_account("a2"));
    /// assert!(!simulator.remove_account("a2"));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use = "`false` says that there is no such account, and that nothing was changed"]
    pub fn remove_account(&self, id: &str) -> bool {
        self.shared.state().remove_account(id)
    }

    /// Sets whether the protected app's policies allow the token. A token that isn't
    /// allowed gets 403, though its credentials are valid.
    ///
    /// Returns the changed token, or `None` if no token has this id.
    ///
    /// ```
    /// # use cf_service_tokens_simulator::{SeedToken, Simulator};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// let seed = SeedToken::new("CI deploy").id("f174e90a").not_allowed_at_app();
    /// let simulator = Simulator::builder().token(seed).start().await?;
    /// let token = simulator.set_allowed_at_app("f174e90a", true);
    /// assert!(token.is_some_and(|token| token.allowed_at_app));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use = "`None` says that there is no such token, and that nothing was changed"]
    pub fn set_allowed_at_app(&self, id: &str, allowed: bool) -> Option<Token> {
        let mut state = self.shared.state();
        state.change(id, |stored| stored.token.allowed_at_app = allowed)
    }

    /// Returns the latest 10,000 requests, oldest first.
    ///
    /// ```
    /// use cf_service_tokens_simulator::{Operation, Simulator};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let simulator = Simulator::builder().start().await?;
    /// let account = format!("{}/accounts/{}", simulator.base_url(), simulator.account_id());
    /// reqwest::get(format!("{account}/access/service_tokens?page=1")).await?;
    ///
    /// let request = &simulator.requests()[0];
    /// assert_eq!(request.operation, Some(Operation::List));
    /// assert_eq!(request.query.as_deref(), Some("page=1"));
    /// assert_eq!(request.status, Some(401), "it had no credentials");
    /// # Ok(())
    /// # }
    /// ```
    pub fn requests(&self) -> Vec<ReceivedRequest> {
        self.shared.log().iter().cloned().collect()
    }

    /// Clears the request log.
    ///
    /// See the example of [`count`](Self::count).
    pub fn clear_requests(&self) {
        self.shared.log().clear();
    }

    /// Returns how many of the latest 10,000 requests asked for this operation, whatever
    /// the response.
    ///
    /// ```
    /// use cf_service_tokens_simulator::{Operation, Simulator};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let simulator = Simulator::builder().start().await?;
    /// let account = format!("{}/accounts/{}", simulator.base_url(), simulator.account_id());
    /// reqwest::get(format!("{account}/access/service_tokens")).await?;
    /// assert_eq!(simulator.count(Operation::List), 1);
    /// simulator.clear_requests();
    /// assert_eq!(simulator.count(Operation::List), 0);
    /// # Ok(())
    /// # }
    /// ```
    pub fn count(&self, operation: Operation) -> usize {
        let log = self.shared.log();
        let of_it = log
            .iter()
            .filter(|request| request.operation == Some(operation));
        of_it.count()
    }

    /// Moves the simulator's clock forward, or backward if the time is negative. It
    /// keeps this offset from the clock that it was given.
    ///
    /// ```
    /// use cf_service_tokens_simulator::{SeedToken, Simulator};
    /// use chrono::{TimeDelta, Utc};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let token = SeedToken::new("CI deploy").client_id("ci.access").client_secret("the secret");
    /// let simulator = Simulator::builder().token(token).start().await?;
    /// simulator.advance(TimeDelta::days(366)); // and the token has expired
    /// let app = reqwest::Client::new().get(simulator.protected_url());
    /// let app = app.header("CF-Access-Client-Id", "ci.access");
    /// let answer = app.header("CF-Access-Client-Secret", "the secret").send().await?;
    /// assert_eq!(answer.status(), 401);
    /// # Ok(())
    /// # }
    /// ```
    pub fn advance(&self, time: TimeDelta) {
        self.shared.clock.advance(time);
    }

    /// Injects a fault into the next call, or into those that an [`Injection`] names.
    ///
    /// Injections form a script. For each call, the first injection that matches it
    /// applies, in the order in which they were added; later ones don't count the
    /// call. A call that no injection matches may still meet a random fault. The
    /// protected app, unknown paths, and calls that the rate limit refuses meet
    /// none.
    ///
    /// ```
    /// use cf_service_tokens_simulator::{Fault, Injection, Operation, Simulator};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// let simulator = Simulator::builder().start().await?;
    /// simulator.inject(Fault::Status(503)); // the next call, whatever it is
    /// simulator.inject(Injection::new(Fault::StalledBody).on(Operation::Get).always());
    /// simulator.clear_faults();
    /// # Ok(())
    /// # }
    /// ```
    pub fn inject(&self, injection: impl Into<Injection>) {
        self.shared.faults().inject(injection.into());
    }

    /// Injects faults at random, into each call with this probability, from 0 for none to
    /// 1 for all. Replaces the earlier setting.
    ///
    /// Any [`Fault`](crate::Fault) may occur, stalls and endless bodies included,
    /// so the client needs a timeout and a limit. Where an injection would decide
    /// whether a call takes effect, chance does. The same seed gives the same
    /// faults to the same calls in the same order, within one version of this
    /// crate.
    ///
    /// ```
    /// # use cf_service_tokens_simulator::Simulator;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// let simulator = Simulator::builder().start().await?;
    /// simulator.inject_at_random(7, 0.1); // one call in ten
    /// simulator.clear_faults();
    /// # Ok(())
    /// # }
    /// ```
    pub fn inject_at_random(&self, seed: u64, probability: f64) {
        let random = RandomFaults::new(seed, probability);
        self.shared.faults().set_random(random);
    }

    /// Clears the script, and stops random faults. A lockout that has begun continues.
    ///
    /// See the example of [`inject`](Self::inject).
    pub fn clear_faults(&self) {
        *self.shared.faults() = FaultPlan::default();
    }

    /// Counts this number of requests against the rate limit of
    /// [`api_token`](Self::api_token), as if another program had sent them with it.
    ///
    /// See the example of [`SimulatorBuilder::enforce_rate_limit`](crate::SimulatorBuilder::enforce_rate_limit).
    pub fn spend(&self, requests: u32) {
        self.shared.spend(requests);
    }

    /// Resets all connections and refuses new ones, while the port stays bound.
    ///
    /// ```
    /// # use cf_service_tokens_simulator::Simulator;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// let simulator = Simulator::builder().start().await?;
    /// simulator.go_offline().await?;
    /// assert!(reqwest::get(simulator.protected_url()).await.is_err());
    /// simulator.come_back().await?;
    /// assert!(reqwest::get(simulator.protected_url()).await.is_ok());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// The error of the system if another program took the port in the instant in which it
    /// was free, which it never is on Linux. Then new connections are refused, or go to that
    /// program.
    pub async fn go_offline(&self) -> io::Result<()> {
        self.port.go_offline().await
    }

    /// Accepts connections again after [`go_offline`](Self::go_offline), on the same
    /// port.
    ///
    /// See the example of [`go_offline`](Self::go_offline).
    ///
    /// # Errors
    ///
    /// The error of the system if it refuses the port.
    pub async fn come_back(&self) -> io::Result<()> {
        self.port.come_back().await
    }

    /// Closes the port and resets all connections, and returns once they are gone.
    ///
    /// See the example of [`Simulator`].
    pub async fn shutdown(self) {
        self.port.close().await;
    }
}

/// The address by which a client of this machine reaches a listener.
fn address_of_client(listener: SocketAddr) -> SocketAddr {
    let ip = match listener.ip() {
        ip if !ip.is_unspecified() => ip,
        IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    };
    SocketAddr::new(ip, listener.port())
}

impl fmt::Debug for Simulator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Simulator")
            .field("base_url", &self.base_url)
            .field("account_id", &self.account_id())
            .finish_non_exhaustive()
    }
}

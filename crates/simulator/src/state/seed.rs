use std::collections::BTreeMap;
use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};
use rand::rngs::StdRng;

use crate::state::access::Access;
use crate::state::duration::{self, DEFAULT_DURATION, Lifetime};
use crate::state::generator;
use crate::state::secret::{ClientSecret, SecretHash};
use crate::state::token::{StoredToken, Token, TokenField, Withheld};

/// The default of an account's token limit.
const DEFAULT_TOKEN_LIMIT: usize = 50;

/// An account that a simulator starts with, beside its first one.
///
/// Accounts don't see each other's tokens, and each has its own limit of tokens.
///
/// ```
/// use cf_service_tokens_simulator::{SeedAccount, SeedToken};
///
/// let staging = SeedAccount::new("023e105f4ecef8ad9ca31a8372d0c353")
///     .name("Staging")
///     .token(SeedToken::new("CI deploy"))
///     .token_limit(1);
/// ```
#[derive(Clone, Debug)]
pub struct SeedAccount {
    pub(crate) id: String,
    /// `None` for the id.
    pub(crate) name: Option<String>,
    pub(crate) tokens: Vec<SeedToken>,
    pub(crate) token_limit: usize,
    pub(crate) access: Option<Access>,
}

impl SeedAccount {
    /// Creates an account without tokens, which may hold 50.
    ///
    /// The id has letters, digits and `-`, at most 32 of them. A simulator with an
    /// invalid or duplicate id won't start.
    ///
    /// See the example of [`SeedAccount`].
    pub fn new(id: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            name: None,
            tokens: Vec::new(),
            token_limit: DEFAULT_TOKEN_LIMIT,
            access: Some(Access::new()),
        }
    }

    /// Sets the name, of 1 to 100 characters. The default is the id.
    ///
    /// See the example of [`SeedAccount`].
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Sets the Access configuration, or with `None` makes the account one where Access is
    /// not enabled: every call about its Access gets 403, code 9999.
    ///
    /// ```
    /// use cf_service_tokens_simulator::{SeedAccount, Simulator};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let without = SeedAccount::new("a2").access(None);
    /// let simulator = Simulator::builder().account(without).start().await?;
    /// let url = format!("{}/accounts/a2/access/service_tokens", simulator.base_url());
    /// let request = reqwest::Client::new().get(url).bearer_auth(simulator.api_token());
    /// assert_eq!(request.send().await?.status(), 403);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn access(mut self, access: impl Into<Option<Access>>) -> Self {
        self.access = access.into();
        self
    }

    /// Adds a token.
    ///
    /// See the example of [`SeedAccount`].
    #[must_use]
    pub fn token(mut self, token: SeedToken) -> Self {
        self.tokens.push(token);
        self
    }

    /// Sets how many tokens the account may hold. Seeds may exceed it.
    ///
    /// See the example of [`SeedAccount`].
    #[must_use]
    pub fn token_limit(mut self, tokens: usize) -> Self {
        self.token_limit = tokens;
        self
    }
}

/// A token that a simulator starts with.
///
/// Unlike a create call, a seed accepts anything: an unreadable duration, an expiry in
/// the past, fields that responses omit.
///
/// ```
/// use cf_service_tokens_simulator::SeedToken;
/// use chrono::TimeDelta;
///
/// let due = SeedToken::new("CI deploy").expires_in(TimeDelta::days(9));
/// let expired = SeedToken::new("nightly backup").expires_in(TimeDelta::days(-2));
/// let unreadable = SeedToken::new("old importer").duration("1 year");
/// ```
#[derive(Clone)]
pub struct SeedToken {
    name: String,
    duration: String,
    expiry: Option<Moment>,
    created_at: Option<Moment>,
    last_seen_at: Option<Moment>,
    enabled: bool,
    id: Option<String>,
    client_id: Option<String>,
    client_secret: Option<String>,
    client_secret_version: u64,
    allowed_at_app: bool,
    withheld: BTreeMap<TokenField, Withheld>,
}

/// A time, or how far it is from the simulator's start.
#[derive(Clone, Copy, Debug)]
enum Moment {
    At(DateTime<Utc>),
    FromStart(TimeDelta),
}

impl Moment {
    fn resolve(self, start: DateTime<Utc>) -> DateTime<Utc> {
        match self {
            Self::At(time) => time,
            Self::FromStart(distance) => duration::later(start, distance),
        }
    }
}

impl SeedToken {
    /// Creates an enabled token that is created at the simulator's start, for 8760 hours.
    ///
    /// Its id, Client ID and Client Secret come from the simulator's seeded
    /// generator.
    ///
    /// See the example of [`SeedToken`].
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            duration: DEFAULT_DURATION.to_owned(),
            expiry: None,
            created_at: None,
            last_seen_at: None,
            enabled: true,
            id: None,
            client_id: None,
            client_secret: None,
            client_secret_version: 1,
            allowed_at_app: true,
            withheld: BTreeMap::new(),
        }
    }

    /// Sets the text of the token's duration, which responses echo. It is not checked.
    ///
    /// See the example of [`SeedToken`].
    pub fn duration(mut self, text: impl Into<String>) -> Self {
        self.duration = text.into();
        self
    }

    /// Sets the expiry, counted from the simulator's start. A negative time means an
    /// expired token.
    ///
    /// By default the token expires its duration after its creation, or 8760 hours after
    /// it if the duration can't be read.
    ///
    /// See the example of [`SeedToken`].
    pub fn expires_in(mut self, time: TimeDelta) -> Self {
        self.expiry = Some(Moment::FromStart(time));
        self
    }

    /// Sets the expiry.
    ///
    /// ```
    /// use cf_service_tokens_simulator::{SeedToken, Simulator};
    /// use chrono::{TimeDelta, Utc};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// let now = Utc::now();
    /// let seed = SeedToken::new("CI deploy")
    ///     .created_at(now - TimeDelta::days(300))
    ///     .last_seen_at(now - TimeDelta::days(2))
    ///     .expires_at(now + TimeDelta::days(65));
    /// let simulator = Simulator::builder().token(seed).start().await?;
    /// assert_eq!(simulator.tokens()[0].expires_at, now + TimeDelta::days(65));
    /// # Ok(())
    /// # }
    /// ```
    pub fn expires_at(mut self, time: DateTime<Utc>) -> Self {
        self.expiry = Some(Moment::At(time));
        self
    }

    /// Sets the time at which the token was created and last updated.
    ///
    /// The default is its duration before the expiry, but never later than the
    /// simulator's start.
    ///
    /// See the example of [`expires_at`](Self::expires_at).
    pub fn created_at(mut self, time: DateTime<Utc>) -> Self {
        self.created_at = Some(Moment::At(time));
        self
    }

    /// Sets the time at which the protected app last accepted the token. The default is
    /// never.
    ///
    /// See the example of [`expires_at`](Self::expires_at).
    pub fn last_seen_at(mut self, time: DateTime<Utc>) -> Self {
        self.last_seen_at = Some(Moment::At(time));
        self
    }

    /// Like [`last_seen_at`](Self::last_seen_at), counted back from the
    /// simulator's start.
    pub(crate) fn last_seen(mut self, ago: TimeDelta) -> Self {
        self.last_seen_at = Some(Moment::FromStart(-ago));
        self
    }

    /// Disables the token, so that it can't authenticate.
    ///
    /// ```
    /// # use cf_service_tokens_simulator::{SeedToken, Simulator};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// let seed = SeedToken::new("CI deploy").disabled().client_secret_version(3);
    /// let simulator = Simulator::builder().token(seed).start().await?;
    /// let token = &simulator.tokens()[0];
    /// assert_eq!((token.enabled, token.client_secret_version), (false, 3));
    /// # Ok(())
    /// # }
    /// ```
    pub fn disabled(mut self) -> Self {
        self.enabled = false;
        self
    }

    /// Sets the token's id: letters, digits and `-`, at most 36 of them.
    ///
    /// A simulator with an invalid or duplicate id won't start.
    ///
    /// See the example of [`Simulator::token`](crate::Simulator::token).
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// Sets the public half of the token's credentials.
    ///
    /// A simulator with a duplicate Client ID won't start.
    ///
    /// See the example of [`Simulator::protected_url`](crate::Simulator::protected_url).
    pub fn client_id(mut self, client_id: impl Into<String>) -> Self {
        self.client_id = Some(client_id.into());
        self
    }

    /// Sets the current Client Secret, so that a test can use the token without rotating
    /// it first. The running simulator keeps only its hash.
    ///
    /// See the example of [`Simulator::protected_url`](crate::Simulator::protected_url).
    pub fn client_secret(mut self, secret: impl Into<String>) -> Self {
        self.client_secret = Some(secret.into());
        self
    }

    /// Sets the version of the current secret. The default is 1.
    ///
    /// See the example of [`disabled`](Self::disabled).
    pub fn client_secret_version(mut self, version: u64) -> Self {
        self.client_secret_version = version;
        self
    }

    /// Makes the protected app's policies refuse the token: it is valid, and gets 403.
    ///
    /// See the example of [`Simulator::set_allowed_at_app`](crate::Simulator::set_allowed_at_app).
    pub fn not_allowed_at_app(mut self) -> Self {
        self.allowed_at_app = false;
        self
    }

    /// Shows this field as `null` in every response, whatever its value.
    ///
    /// See the example of [`TokenField`].
    pub fn null(mut self, field: TokenField) -> Self {
        self.withheld.insert(field, Withheld::Null);
        self
    }

    /// Leaves this field out of every response, whatever its value.
    ///
    /// See the example of [`TokenField`].
    pub fn absent(mut self, field: TokenField) -> Self {
        self.withheld.insert(field, Withheld::Absent);
        self
    }

    /// Returns the token as it stands when the simulator starts.
    pub(crate) fn plant(
        self,
        account: &str,
        start: DateTime<Utc>,
        rng: &mut StdRng,
    ) -> StoredToken {
        let (expires_at, created_at) = self.lifespan(start);
        // Drawn even where the seed brings its own, so that one seed's id or
        // secret never depends on what another seed brings.
        let id = generator::uuid(rng);
        let client_id = generator::client_id(rng);
        let client_secret = ClientSecret::generate(rng);
        let mut token = Token::new(
            account.to_owned(),
            self.id.unwrap_or(id),
            self.client_id.unwrap_or(client_id),
            self.name,
            self.duration,
            created_at,
            expires_at,
        );
        token.last_seen_at = self.last_seen_at.map(|moment| moment.resolve(start));
        token.enabled = self.enabled;
        token.client_secret_version = self.client_secret_version;
        token.allowed_at_app = self.allowed_at_app;
        StoredToken {
            token,
            secret: match self.client_secret {
                Some(secret) => SecretHash::of(&secret),
                None => client_secret.hash(),
            },
            previous_secret: None,
            enabled_at: None,
            withheld: self.withheld,
        }
    }

    /// When the token expires and when it was created.
    fn lifespan(&self, start: DateTime<Utc>) -> (DateTime<Utc>, DateTime<Utc>) {
        let lifetime = duration::lifetime_or_default(&self.duration);
        let created_at = self.created_at.map(|moment| moment.resolve(start));
        let expires_at = match self.expiry {
            Some(moment) => moment.resolve(start),
            None => lifetime.expiry_from(created_at.unwrap_or(start)),
        };
        let created_at = created_at.unwrap_or_else(|| match lifetime {
            Lifetime::For(length) => duration::later(expires_at, -length).min(start),
            Lifetime::Forever => start,
        });
        (expires_at, created_at)
    }
}

impl fmt::Debug for SeedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SeedToken")
            .field("name", &self.name)
            .field("duration", &self.duration)
            .field("expiry", &self.expiry)
            .field("enabled", &self.enabled)
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    fn start() -> DateTime<Utc> {
        "2026-11-24T05:00:00Z".parse().unwrap()
    }

    fn plant(seed: SeedToken) -> Token {
        let mut rng = StdRng::seed_from_u64(1);
        seed.plant("a1", start(), &mut rng).token
    }

    #[test]
    fn a_life_follows_from_what_is_said_of_it() {
        let fresh = plant(SeedToken::new("x"));
        assert_eq!(fresh.created_at, start());
        assert_eq!(fresh.expires_at, start() + TimeDelta::days(365));

        let due = plant(SeedToken::new("x").expires_in(TimeDelta::days(9)));
        assert_eq!(due.expires_at, start() + TimeDelta::days(9));
        assert_eq!(due.created_at, start() - TimeDelta::days(356));
        assert_eq!(due.updated_at, due.created_at);

        let refreshed = plant(
            SeedToken::new("x")
                .duration("1h")
                .expires_in(TimeDelta::days(300)),
        );
        assert_eq!(refreshed.created_at, start());

        let born = start() - TimeDelta::days(10);
        let old = plant(SeedToken::new("x").duration("24h").created_at(born));
        assert_eq!(old.expires_at, born + TimeDelta::days(1));

        let unreadable = plant(SeedToken::new("x").duration("1 year"));
        assert_eq!(unreadable.duration, "1 year");
        assert_eq!(unreadable.expires_at, start() + TimeDelta::days(365));

        let forever = plant(SeedToken::new("x").duration("forever"));
        assert!(forever.expires_at > start() + TimeDelta::days(36_000));
        assert_eq!(forever.created_at, start());
    }

    #[test]
    fn debug_shows_no_secret() {
        let seed = SeedToken::new("x").client_secret("cfast_secret");
        assert!(!format!("{seed:?}").contains("cfast_secret"));
    }
}

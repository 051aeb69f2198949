use serde::{Deserialize, Serialize};

/// The Access configuration of an account: its organization's settings, and the policies,
/// groups and applications that may name service tokens.
///
/// Rules name service tokens and groups, and applications name policies, by id or by name.
/// A simulator won't start if nothing in the account has that id or name, or if several
/// have the name.
///
/// ```
/// use cf_service_tokens_simulator::{
///     Access, Rule, SeedApp, SeedGroup, SeedPolicy, SeedToken, ServiceTokenInactivity, Simulator,
/// };
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let access = Access::new()
///     .service_token_inactivity(ServiceTokenInactivity::disable_after_days(30))
///     .group(SeedGroup::new("Machines").include(Rule::service_token("CI deploy")))
///     .policy(SeedPolicy::new("Deploy").include(Rule::group("Machines")))
///     .app(SeedApp::new("Dashboard", "dashboard.example.com").reusable_policy("Deploy"));
/// let simulator = Simulator::builder()
///     .token(SeedToken::new("CI deploy").id("f174e90a"))
///     .access(access)
///     .start()
///     .await?;
/// let account = format!("{}/accounts/{}", simulator.base_url(), simulator.account_id());
/// let request = reqwest::Client::new().delete(format!("{account}/access/service_tokens/f174e90a"));
/// let answer = request.bearer_auth(simulator.api_token()).send().await?;
/// assert_eq!(answer.status(), 400, "a group names it");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Access {
    pub(crate) service_token_inactivity: Option<ServiceTokenInactivity>,
    /// `None` if it follows the protected app.
    pub(crate) strict_service_token_auth: Option<bool>,
    pub(crate) policies: Vec<SeedPolicy>,
    pub(crate) groups: Vec<SeedGroup>,
    pub(crate) apps: Vec<SeedApp>,
}

impl Access {
    /// Creates a configuration without policies, groups, applications and clean-up, as
    /// every account has it by default.
    ///
    /// See the example of [`Access`].
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets what happens to inactive service tokens. By default the organization's settings
    /// lack this field, and nothing happens to them.
    ///
    /// See the example of [`Access`].
    #[must_use]
    pub fn service_token_inactivity(mut self, inactivity: ServiceTokenInactivity) -> Self {
        self.service_token_inactivity = Some(inactivity);
        self
    }

    /// Sets the `strict_service_token_auth` that the organization's settings show. By default
    /// it says how the [protected app](crate::AppAuthentication) refuses callers; this method
    /// does not change the app.
    ///
    /// ```
    /// use cf_service_tokens_simulator::{Access, SeedAccount};
    ///
    /// let old = SeedAccount::new("a2").access(Access::new().strict_service_token_auth(false));
    /// ```
    #[must_use]
    pub fn strict_service_token_auth(mut self, strict: bool) -> Self {
        self.strict_service_token_auth = Some(strict);
        self
    }

    /// Adds a reusable policy.
    ///
    /// See the example of [`Access`].
    #[must_use]
    pub fn policy(mut self, policy: SeedPolicy) -> Self {
        self.policies.push(policy);
        self
    }

    /// Adds a group.
    ///
    /// See the example of [`Access`].
    #[must_use]
    pub fn group(mut self, group: SeedGroup) -> Self {
        self.groups.push(group);
        self
    }

    /// Adds an application. The [protected app](crate::Simulator::protected_url) is not
    /// one of them.
    ///
    /// See the example of [`Access`].
    #[must_use]
    pub fn app(mut self, app: SeedApp) -> Self {
        self.apps.push(app);
        self
    }
}

/// The clean-up of inactive service tokens in an organization's settings.
///
/// It applies to a token that is older than the threshold, has not authenticated within
/// it, and is not named directly by a rule of a policy.
///
/// ```
/// use cf_service_tokens_simulator::{Access, SeedToken, ServiceTokenInactivity, Simulator};
/// use chrono::TimeDelta;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// let inactivity = ServiceTokenInactivity::disable_after_days(30);
/// let simulator = Simulator::builder()
///     .token(SeedToken::new("CI deploy"))
///     .access(Access::new().service_token_inactivity(inactivity))
///     .start()
///     .await?;
/// simulator.advance(TimeDelta::days(29));
/// assert!(simulator.tokens()[0].enabled);
/// simulator.advance(TimeDelta::days(1));
/// assert!(!simulator.tokens()[0].enabled);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceTokenInactivity {
    enabled: bool,
    inactivity_threshold_days: u16,
    action: Action,
}

/// The action on inactive tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Action {
    Disable,
    Delete,
}

impl ServiceTokenInactivity {
    /// Disables inactive tokens after this number of days, from 30 to 365.
    ///
    /// See the example of [`ServiceTokenInactivity`].
    pub fn disable_after_days(days: u16) -> Self {
        Self {
            enabled: true,
            inactivity_threshold_days: days,
            action: Action::Disable,
        }
    }

    /// Deletes inactive tokens after this number of days, from 30 to 365.
    ///
    /// ```
    /// use cf_service_tokens_simulator::ServiceTokenInactivity;
    ///
    /// let deletes = ServiceTokenInactivity::delete_after_days(90);
    /// assert_ne!(deletes, deletes.turned_off());
    /// ```
    pub fn delete_after_days(days: u16) -> Self {
        Self {
            action: Action::Delete,
            ..Self::disable_after_days(days)
        }
    }

    /// Turns the clean-up off. The settings still show its threshold and action.
    ///
    /// See the example of [`delete_after_days`](Self::delete_after_days).
    #[must_use]
    pub fn turned_off(mut self) -> Self {
        self.enabled = false;
        self
    }

    /// Refuses a threshold that the API's document doesn't allow.
    pub(crate) fn check(self) -> Result<(), String> {
        let days = self.inactivity_threshold_days;
        if (30..=365).contains(&days) {
            return Ok(());
        }
        Err(format!(
            "an inactivity threshold of {days} days is out of range: use 30 to 365"
        ))
    }

    /// Returns the threshold and the action, unless the clean-up is off.
    pub(crate) fn in_force(self) -> Option<(u16, Action)> {
        self.enabled
            .then_some((self.inactivity_threshold_days, self.action))
    }
}

/// A rule of a policy or a group.
///
/// ```
/// use cf_service_tokens_simulator::{Decision, Rule, SeedGroup, SeedPolicy};
///
/// let machines = SeedGroup::new("Machines")
///     .include(Rule::service_token("CI deploy"))
///     .include(Rule::any_valid_service_token())
///     .exclude(Rule::service_token("old importer"));
/// let staff = SeedPolicy::new("Staff")
///     .decision(Decision::Allow)
///     .include(Rule::email_domain("example.com"))
///     .include(Rule::everyone())
///     .require(Rule::group("Machines"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Rule(pub(crate) Kind);

/// The kinds of rules, in the form that the API shows them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Kind {
    ServiceToken { token_id: String },
    AnyValidServiceToken {},
    Group { id: String },
    EmailDomain { domain: String },
    Everyone {},
}

impl Rule {
    /// Matches the service token of the account with this id or, if none has it, this name.
    ///
    /// See the example of [`Rule`].
    pub fn service_token(id_or_name: impl Into<String>) -> Self {
        Self(Kind::ServiceToken {
            token_id: id_or_name.into(),
        })
    }

    /// Matches every valid service token.
    ///
    /// See the example of [`Rule`].
    pub fn any_valid_service_token() -> Self {
        Self(Kind::AnyValidServiceToken {})
    }

    /// Matches the group of the account with this id or, if none has it, this name. A group
    /// may name groups in turn, itself included.
    ///
    /// See the example of [`Rule`].
    pub fn group(id_or_name: impl Into<String>) -> Self {
        Self(Kind::Group {
            id: id_or_name.into(),
        })
    }

    /// Matches users by the domain of their e-mail address; a rule that concerns no service
    /// token.
    ///
    /// See the example of [`Rule`].
    pub fn email_domain(domain: impl Into<String>) -> Self {
        Self(Kind::EmailDomain {
            domain: domain.into(),
        })
    }

    /// Matches everyone.
    ///
    /// See the example of [`Rule`].
    pub fn everyone() -> Self {
        Self(Kind::Everyone {})
    }
}

/// The decision of a policy about a request that meets its rules.
///
/// See the example of [`Rule`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Decision {
    /// Lets users in.
    Allow,
    /// Keeps users out.
    Deny,
    /// Lets in without an identity, such as by a service token. The dashboard calls it
    /// Service Auth.
    #[default]
    NonIdentity,
    /// Does not protect the application.
    Bypass,
}

/// A policy of an account, or of one of its applications.
///
/// ```
/// use cf_service_tokens_simulator::{Access, Rule, SeedPolicy};
///
/// let policy = SeedPolicy::new("Deploy")
///     .id("699d98642c564d2e855e9661899b7252")
///     .include(Rule::any_valid_service_token());
/// let access = Access::new().policy(policy);
/// ```
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeedPolicy {
    pub(crate) name: String,
    pub(crate) id: Option<String>,
    #[serde(default)]
    pub(crate) decision: Decision,
    #[serde(default)]
    pub(crate) include: Vec<Rule>,
    #[serde(default)]
    pub(crate) require: Vec<Rule>,
    #[serde(default)]
    pub(crate) exclude: Vec<Rule>,
}

impl SeedPolicy {
    /// Creates a policy without rules, whose decision is [`Decision::NonIdentity`].
    ///
    /// See the example of [`SeedPolicy`].
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            id: None,
            decision: Decision::default(),
            include: Vec::new(),
            require: Vec::new(),
            exclude: Vec::new(),
        }
    }

    /// Sets the decision. The default is [`Decision::NonIdentity`].
    ///
    /// See the example of [`Rule`].
    #[must_use]
    pub fn decision(mut self, decision: Decision) -> Self {
        self.decision = decision;
        self
    }
}

/// A group of an account.
///
/// See the example of [`Access`].
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeedGroup {
    pub(crate) name: String,
    pub(crate) id: Option<String>,
    #[serde(default)]
    pub(crate) include: Vec<Rule>,
    #[serde(default)]
    pub(crate) require: Vec<Rule>,
    #[serde(default)]
    pub(crate) exclude: Vec<Rule>,
}

impl SeedGroup {
    /// Creates a group without rules.
    ///
    /// See the example of [`Rule`].
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            id: None,
            include: Vec::new(),
            require: Vec::new(),
            exclude: Vec::new(),
        }
    }
}

/// Defines the setter of the id.
macro_rules! id_setters {
    ($($seed:ident)+) => {
        $(impl $seed {
            /// Sets the id: letters, digits and `-`, at most 36 of them. By default it comes
            /// from the generator.
            ///
            /// See the example of [`SeedPolicy`].
            #[must_use]
            pub fn id(mut self, id: impl Into<String>) -> Self {
                self.id = Some(id.into());
                self
            }
        })+
    };
}

id_setters! { SeedPolicy SeedGroup SeedApp }

/// Defines the setters of rules, which a request or a member must meet.
macro_rules! rule_setters {
    ($($seed:ident: $who:literal;)+) => {
        $(impl $seed {
            #[doc = concat!("Adds a rule of which ", $who, " must meet at least one.")]
            ///
            /// See the example of [`Rule`].
            #[must_use]
            pub fn include(mut self, rule: Rule) -> Self {
                self.include.push(rule);
                self
            }

            #[doc = concat!("Adds a rule that ", $who, " must meet.")]
            ///
            /// See the example of [`Rule`].
            #[must_use]
            pub fn require(mut self, rule: Rule) -> Self {
                self.require.push(rule);
                self
            }

            #[doc = concat!("Adds a rule that ", $who, " must not meet.")]
            ///
            /// See the example of [`Rule`].
            #[must_use]
            pub fn exclude(mut self, rule: Rule) -> Self {
                self.exclude.push(rule);
                self
            }
        })+
    };
}

rule_setters! {
    SeedPolicy: "a request";
    SeedGroup: "a member";
}

/// A self-hosted application of an account.
///
/// ```
/// use cf_service_tokens_simulator::{Access, Decision, Rule, SeedApp, SeedPolicy};
///
/// let staff = SeedPolicy::new("Staff").decision(Decision::Allow).include(Rule::everyone());
/// let scrape = SeedPolicy::new("Scrape").include(Rule::any_valid_service_token());
/// let app = SeedApp::new("Grafana", "grafana.example.com")
///     .policy(scrape)
///     .reusable_policy("Staff")
///     .scim_service_token("CI deploy");
/// let access = Access::new().policy(staff).app(app);
/// ```
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeedApp {
    pub(crate) name: String,
    pub(crate) domain: String,
    pub(crate) id: Option<String>,
    #[serde(default)]
    pub(crate) policies: Vec<SeedPolicy>,
    #[serde(default)]
    pub(crate) reusable_policies: Vec<String>,
    #[serde(default)]
    pub(crate) scim_service_tokens: Vec<String>,
}

impl SeedApp {
    /// Creates an application without policies at this domain, such as
    /// `grafana.example.com`.
    ///
    /// See the example of [`SeedApp`].
    pub fn new(name: impl Into<String>, domain: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            domain: domain.into(),
            id: None,
            policies: Vec::new(),
            reusable_policies: Vec::new(),
            scim_service_tokens: Vec::new(),
        }
    }

    /// Adds a policy of this application alone, which no list of policies shows.
    ///
    /// See the example of [`SeedApp`].
    #[must_use]
    pub fn policy(mut self, policy: SeedPolicy) -> Self {
        self.policies.push(policy);
        self
    }

    /// Applies the policy of the account with this id or, if none has it, this name.
    ///
    /// See the example of [`SeedApp`].
    #[must_use]
    pub fn reusable_policy(mut self, id_or_name: impl Into<String>) -> Self {
        self.reusable_policies.push(id_or_name.into());
        self
    }

    /// Makes the application's SCIM configuration authenticate by the service token of the
    /// account with this id or, if none has it, this name. The configuration shows several
    /// as a list.
    ///
    /// See the example of [`SeedApp`].
    #[must_use]
    pub fn scim_service_token(mut self, id_or_name: impl Into<String>) -> Self {
        self.scim_service_tokens.push(id_or_name.into());
        self
    }
}

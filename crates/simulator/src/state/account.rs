//! The accounts, and the Access configuration of each as it stands.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use rand::rngs::StdRng;
use serde::{Deserialize, Deserializer};

use crate::state::access::{
    Access, Action, Decision, Kind, Rule, SeedApp, SeedGroup, SeedPolicy, ServiceTokenInactivity,
};
use crate::state::generator;
use crate::state::token::{Token, check_id};

/// The longest name that the API's document allows, in characters.
const MAX_NAME_LENGTH: usize = 100;

/// An account without its tokens.
#[derive(Clone)]
pub(crate) struct StoredAccount {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) token_limit: usize,
    /// `None` if Access is not enabled.
    pub(crate) access: Option<StoredAccess>,
}

/// A change of an account. `None` keeps what there is.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AccountChange {
    pub(crate) name: Option<String>,
    pub(crate) token_limit: Option<usize>,
    #[serde(default, deserialize_with = "present")]
    pub(crate) access: Option<Option<Access>>,
}

/// Reads a value that is there, which may be `null`.
pub(crate) fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    from: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(from).map(Some)
}

impl StoredAccount {
    /// Returns the threshold in days and the action of the clean-up of inactive tokens, unless
    /// it is off.
    pub(crate) fn clean_up(&self) -> Option<(&StoredAccess, u16, Action)> {
        let access = self.access.as_ref()?;
        let (days, action) = access.service_token_inactivity?.in_force()?;
        Some((access, days, action))
    }
}

/// An account's Access configuration. Each rule names what it matches by id.
#[derive(Clone)]
pub(crate) struct StoredAccess {
    /// When all of it was set.
    pub(crate) set_at: DateTime<Utc>,
    pub(crate) service_token_inactivity: Option<ServiceTokenInactivity>,
    pub(crate) strict_service_token_auth: Option<bool>,
    pub(crate) policies: Vec<Policy>,
    pub(crate) groups: Vec<Group>,
    pub(crate) apps: Vec<App>,
}

#[derive(Clone)]
pub(crate) struct Policy {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) decision: Decision,
    pub(crate) rules: Rules,
}

#[derive(Clone)]
pub(crate) struct Group {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) rules: Rules,
}

#[derive(Clone)]
pub(crate) struct App {
    pub(crate) id: String,
    pub(crate) aud: String,
    pub(crate) name: String,
    pub(crate) domain: String,
    pub(crate) policies: Vec<Policy>,
    /// The ids of the account's policies that apply as well.
    pub(crate) reusable_policies: Vec<String>,
    /// The tokens by which its SCIM configuration authenticates.
    pub(crate) scim_service_tokens: Vec<ScimServiceToken>,
}

/// A token that a SCIM configuration names. It may be gone.
#[derive(Clone)]
pub(crate) struct ScimServiceToken {
    id: String,
    pub(crate) client_id: String,
}

/// The rules of a policy or a group.
#[derive(Clone)]
pub(crate) struct Rules {
    pub(crate) include: Vec<Rule>,
    pub(crate) require: Vec<Rule>,
    pub(crate) exclude: Vec<Rule>,
}

impl Rules {
    /// Returns whether a rule names this token itself, not through a group.
    fn name_token(&self, id: &str) -> bool {
        let mut rules = self.all();
        rules.any(|Rule(kind)| matches!(kind, Kind::ServiceToken { token_id } if token_id == id))
    }

    fn all(&self) -> impl Iterator<Item = &Rule> {
        let Self {
            include,
            require,
            exclude,
        } = self;
        include.iter().chain(require).chain(exclude)
    }
}

impl StoredAccess {
    /// Returns whether a rule of a policy names this token itself.
    pub(crate) fn policy_names(&self, token_id: &str) -> bool {
        let of_apps = self.apps.iter().flat_map(|app| &app.policies);
        let mut policies = self.policies.iter().chain(of_apps);
        policies.any(|policy| policy.rules.name_token(token_id))
    }

    /// Returns whether a policy, a group or the SCIM configuration of an application names
    /// this token, so that it can't be deleted.
    pub(crate) fn names(&self, token_id: &str) -> bool {
        let mut groups = self.groups.iter();
        let mut scim = self.apps.iter().flat_map(|app| &app.scim_service_tokens);
        self.policy_names(token_id)
            || groups.any(|group| group.rules.name_token(token_id))
            || scim.any(|token| token.id == token_id)
    }
}

/// Refuses a name that the API's document doesn't allow for an account.
pub(crate) fn check_account_name(name: &str) -> Result<(), String> {
    if name.is_empty() || name.chars().count() > MAX_NAME_LENGTH {
        return Err(format!(
            "an account's name must have 1 to {MAX_NAME_LENGTH} characters"
        ));
    }
    Ok(())
}

/// The ids and names of an account's tokens, groups or policies.
struct Directory {
    /// The name of a listed thing, in the singular.
    kind: &'static str,
    entries: Vec<(String, String)>,
}

impl Directory {
    /// Returns the id of the entry with this id or, if none has it, this name.
    fn id_of(&self, id_or_name: &str, user: &str) -> Result<String, String> {
        let kind = self.kind;
        let mut entries = self.entries.iter();
        if entries.any(|(id, _)| id == id_or_name) {
            return Ok(id_or_name.to_owned());
        }
        let mut found = self.entries.iter().filter(|(_, name)| name == id_or_name);
        match (found.next(), found.next()) {
            (Some((id, _)), None) => Ok(id.clone()),
            (Some(_), Some(_)) => Err(format!(
                "{user} names {kind} \"{id_or_name}\", and several have that name: use an id"
            )),
            (None, _) => Err(format!(
                "{user} names {kind} \"{id_or_name}\", which doesn't exist in its account"
            )),
        }
    }
}

/// Turns seeds into what they describe.
struct Planter<'a> {
    rng: &'a mut StdRng,
    /// The ids in use, of policies, groups and applications.
    ids: HashSet<String>,
    tokens: Directory,
    /// Of the tokens, by id.
    client_ids: HashMap<String, String>,
    groups: Directory,
}

impl Planter<'_> {
    /// Returns the seed's own id, or one from the generator.
    fn id(&mut self, own: Option<String>) -> Result<String, String> {
        // Drawn even where the seed brings its own, so that no id depends on another seed.
        let drawn = generator::uuid(self.rng);
        let id = own.unwrap_or(drawn);
        check_id("id", &id, 36)?;
        if !self.ids.insert(id.clone()) {
            return Err(format!("duplicate id \"{id}\""));
        }
        Ok(id)
    }

    /// Makes rules name what they match by id.
    fn rules(&self, rules: Vec<Rule>, user: &str) -> Result<Vec<Rule>, String> {
        let resolved = rules.into_iter().map(|Rule(kind)| {
            Ok(Rule(match kind {
                Kind::ServiceToken { token_id } => Kind::ServiceToken {
                    token_id: self.tokens.id_of(&token_id, user)?,
                },
                Kind::Group { id } => Kind::Group {
                    id: self.groups.id_of(&id, user)?,
                },
                other => other,
            }))
        });
        resolved.collect()
    }

    fn group(&self, id: String, seed: SeedGroup) -> Result<Group, String> {
        let user = format!("group \"{}\"", seed.name);
        Ok(Group {
            id,
            rules: Rules {
                include: self.rules(seed.include, &user)?,
                require: self.rules(seed.require, &user)?,
                exclude: self.rules(seed.exclude, &user)?,
            },
            name: seed.name,
        })
    }

    fn policy(&mut self, seed: SeedPolicy) -> Result<Policy, String> {
        let user = format!("policy \"{}\"", seed.name);
        Ok(Policy {
            id: self.id(seed.id)?,
            decision: seed.decision,
            rules: Rules {
                include: self.rules(seed.include, &user)?,
                require: self.rules(seed.require, &user)?,
                exclude: self.rules(seed.exclude, &user)?,
            },
            name: seed.name,
        })
    }

    fn app(&mut self, seed: SeedApp, policies: &Directory) -> Result<App, String> {
        let user = format!("application \"{}\"", seed.name);
        let own = seed.policies.into_iter().map(|policy| self.policy(policy));
        let own = own.collect::<Result<_, _>>()?;
        let reusable = seed.reusable_policies.iter();
        let reusable = reusable.map(|wanted| policies.id_of(wanted, &user));
        let scim = seed.scim_service_tokens.iter().map(|wanted| {
            let id = self.tokens.id_of(wanted, &user)?;
            let client_id = self.client_ids.get(&id).cloned().unwrap_or_default();
            Ok(ScimServiceToken { id, client_id })
        });
        let scim = scim.collect::<Result<_, String>>()?;
        Ok(App {
            id: self.id(seed.id)?,
            aud: generator::hex(self.rng, 64),
            policies: own,
            reusable_policies: reusable.collect::<Result<_, _>>()?,
            scim_service_tokens: scim,
            name: seed.name,
            domain: seed.domain,
        })
    }
}

impl Access {
    /// Returns the configuration as it stands, or says why it can't be. `tokens` are those
    /// of its account.
    pub(crate) fn plant<'t>(
        self,
        tokens: impl Iterator<Item = &'t Token> + Clone,
        now: DateTime<Utc>,
        rng: &mut StdRng,
    ) -> Result<StoredAccess, String> {
        if let Some(inactivity) = self.service_token_inactivity {
            inactivity.check()?;
        }
        let pair = |one: &String, other: &String| (one.clone(), other.clone());
        let mut planter = Planter {
            rng,
            ids: HashSet::new(),
            tokens: Directory {
                kind: "service token",
                entries: tokens
                    .clone()
                    .map(|token| pair(&token.id, &token.name))
                    .collect(),
            },
            client_ids: tokens
                .map(|token| pair(&token.id, &token.client_id))
                .collect(),
            groups: Directory {
                kind: "group",
                entries: Vec::new(),
            },
        };
        // A group may name a later one, so all ids are there before the first rule is read.
        for group in &self.groups {
            let id = planter.id(group.id.clone())?;
            planter.groups.entries.push((id, group.name.clone()));
        }
        let ids: Vec<_> = planter
            .groups
            .entries
            .iter()
            .map(|(id, _)| id.clone())
            .collect();
        let groups = ids.into_iter().zip(self.groups);
        let groups = groups.map(|(id, seed)| planter.group(id, seed));
        let groups = groups.collect::<Result<_, _>>()?;

        let policies = self.policies.into_iter().map(|seed| planter.policy(seed));
        let policies: Vec<Policy> = policies.collect::<Result<_, _>>()?;
        let directory = Directory {
            kind: "policy",
            entries: policies
                .iter()
                .map(|policy| pair(&policy.id, &policy.name))
                .collect(),
        };
        let apps = self
            .apps
            .into_iter()
            .map(|seed| planter.app(seed, &directory));
        Ok(StoredAccess {
            set_at: now,
            service_token_inactivity: self.service_token_inactivity,
            strict_service_token_auth: self.strict_service_token_auth,
            apps: apps.collect::<Result<_, _>>()?,
            policies,
            groups,
        })
    }
}

//! Finds out what in an account uses its service tokens. The API has no call for that.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::fmt;

use futures_util::future::try_join3;
use serde::Serialize;

use crate::account::Account;
use crate::account::listings::{App, Apps, Group, Groups, Policies, Policy, Target};
use crate::call::pages::{Listing, Pages};
use crate::error::{Error, Prose};
use crate::generated::types::ServiceToken;

impl Account {
    /// Finds out what in the account uses its service tokens: which policies, groups and apps
    /// name one. The API has no call for that, so this lists all of them: the reusable
    /// policies, the groups, and the apps with their policies and SCIM configurations.
    ///
    /// An API token needs the permissions "Access: Apps and Policies Read" and "Access:
    /// Organizations, Identity Providers, and Groups Read", which are not among those for
    /// service tokens. A listing that it has no permission for is left out, and
    /// [`Usage::unread`] returns it. [`TokenUsage::is_used`] then never returns `Some(false)`.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs")); fn main() { neighbours_example(async |client, account| {
    /// let usage = account.usage().await?;
    /// for unread in usage.unread() {
    ///     println!("unknown: {unread}");
    /// }
    /// let deploy = account.service_tokens().find("deploy").await?;
    /// let of_deploy = usage.of(&deploy);
    /// for used_by in &of_deploy.used_by {
    ///     println!("{used_by}"); // policy "CI" (include), in the app "Admin Site"
    /// }
    /// assert_eq!(of_deploy.is_used(), Some(true));
    /// # assert_eq!(of_deploy.used_by[0].to_string(), r#"policy "CI" (include), in the app "Admin Site""#);
    /// # Ok(()) }) }
    /// ```
    ///
    /// # Errors
    ///
    /// Any failure of a call, except a lack of permission. An error of the kind
    /// [`Decode`](crate::ErrorKind::Decode) says that a listing is incomplete, or that a rule
    /// can't be read.
    pub async fn usage(&self) -> Result<Usage, Error> {
        let body_limit = self.transport.settings.body_limit;
        let (policies, groups, apps) = try_join3(
            read(Pages::new(Policies(self.clone()), body_limit)),
            read(Pages::new(Groups(self.clone()), body_limit)),
            read(Pages::new(Apps(self.clone()), body_limit)),
        )
        .await?;
        Ok(Usage::new(policies, groups, apps))
    }
}

/// The entries of a listing, or the permission that the API token lacks.
pub(crate) type Read<T> = Result<Vec<T>, &'static str>;

async fn read<L: Listing>(mut pages: Pages<L>) -> Result<Read<L::Entry>, Error> {
    let mut entries = Vec::new();
    loop {
        match pages.next().await {
            Ok(Some((page, following))) => {
                entries.extend(page);
                pages = following;
            }
            Ok(None) => return Ok(Ok(entries)),
            Err(error) => return error.missing_permission().map(Err).ok_or(error),
        }
    }
}

/// The users of the service tokens of an account: policies, groups and apps; returned by
/// [`Account::usage`](crate::Account::usage).
///
/// See the example there.
#[derive(Clone)]
pub struct Usage {
    /// The policies and groups.
    entries: Vec<Entry>,
    /// The rules, by what they match: the entry that has the rule, and the place.
    rules: HashMap<Target, BTreeSet<(usize, RulePlace)>>,
    /// The apps whose SCIM configurations use a service token, by its Client ID.
    scim: HashMap<String, Vec<AccessObject>>,
    unread: Vec<UnreadListing>,
}

/// A policy or a group.
#[derive(Clone)]
struct Entry {
    object: AccessObject,
    /// The apps that have the policy.
    apps: Vec<AccessObject>,
}

impl Usage {
    /// Builds the usage from the listings.
    pub(crate) fn new(policies: Read<Policy>, groups: Read<Group>, apps: Read<App>) -> Self {
        let mut usage = Self {
            entries: Vec::new(),
            rules: HashMap::new(),
            scim: HashMap::new(),
            unread: Vec::new(),
        };
        // A reusable policy is listed on its own, and in each app that has it.
        let mut known: HashMap<String, usize> = HashMap::new();
        for policy in usage.read_or_note(AccessKind::Policy, policies) {
            usage.add_policy(policy, &mut known);
        }
        for Group(group) in usage.read_or_note(AccessKind::Group, groups) {
            usage.add(AccessKind::Group, group);
        }
        for mut app in usage.read_or_note(AccessKind::App, apps) {
            let object = AccessObject {
                kind: AccessKind::App,
                id: app.id.clone(),
                name: app.name.clone(),
            };
            for policy in app.take_policies() {
                let entry = usage.add_policy(policy, &mut known);
                let apps = &mut usage.entries[entry].apps;
                // The policies of one app come together.
                if apps.last() != Some(&object) {
                    apps.push(object.clone());
                }
            }
            for client_id in app.scim_client_ids() {
                let apps = usage.scim.entry(client_id).or_default();
                if apps.last() != Some(&object) {
                    apps.push(object.clone());
                }
            }
        }
        usage
    }

    fn read_or_note<T>(&mut self, kind: AccessKind, read: Read<T>) -> Vec<T> {
        read.unwrap_or_else(|permission| {
            self.unread.push(UnreadListing { kind, permission });
            Vec::new()
        })
    }

    /// Adds a policy, unless it is known, and its rules. Returns its place in `entries`.
    fn add_policy(&mut self, policy: Policy, known: &mut HashMap<String, usize>) -> usize {
        let Some(id) = policy.id.clone() else {
            return self.add(AccessKind::Policy, policy);
        };
        if let Some(&entry) = known.get(&id) {
            self.add_rules(entry, policy);
            return entry;
        }
        let entry = self.add(AccessKind::Policy, policy);
        known.insert(id, entry);
        entry
    }

    fn add(&mut self, kind: AccessKind, mut policy: Policy) -> usize {
        let entry = self.entries.len();
        self.entries.push(Entry {
            object: AccessObject {
                kind,
                id: policy.id.take(),
                name: policy.name.take(),
            },
            apps: Vec::new(),
        });
        self.add_rules(entry, policy);
        entry
    }

    fn add_rules(&mut self, entry: usize, policy: Policy) {
        for (place, target) in policy.targets() {
            self.rules.entry(target).or_default().insert((entry, place));
        }
    }

    /// Returns what uses a service token: the policies and groups with a rule that names the
    /// token, or that names a group which does, and the apps whose SCIM configuration
    /// authenticates with the token.
    ///
    /// Rules that match [every token](Self::any_valid_service_token) are not included.
    ///
    /// See the example of [`Account::usage`](crate::Account::usage).
    pub fn of(&self, token: &ServiceToken) -> TokenUsage {
        let mut used_by = match &token.id {
            Some(id) => self.reaching(Target::ServiceToken(id.clone())),
            None => Vec::new(),
        };
        // A SCIM configuration names a token by its Client ID.
        let scim = token.client_id.as_ref().and_then(|id| self.scim.get(id));
        used_by.extend(scim.into_iter().flatten().map(|app| UsedBy {
            object: app.clone(),
            place: RulePlace::ScimConfig,
            via: None,
            apps: Vec::new(),
        }));
        let are_read = |kinds: &[AccessKind]| {
            let mut unread = self.unread.iter();
            !unread.any(|unread| kinds.contains(&unread.kind))
        };
        TokenUsage {
            used_by,
            is_complete: self.unread.is_empty() && token.id.is_some() && token.client_id.is_some(),
            are_policies_read: token.id.is_some()
                && are_read(&[AccessKind::Policy, AccessKind::App]),
        }
    }

    /// Returns the policies and groups with a rule that matches every valid service token of
    /// the account, or that names a group with such a rule.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs")); fn main() { neighbours_example(async |client, account| {
    /// for used_by in account.usage().await?.any_valid_service_token() {
    ///     println!("every service token: {used_by}");
    /// #   assert_eq!(used_by.to_string(), r#"group "Machines" (include)"#);
    /// }
    /// # Ok(()) }) }
    /// ```
    pub fn any_valid_service_token(&self) -> Vec<UsedBy> {
        self.reaching(Target::AnyValidServiceToken)
    }

    /// Returns the listings that the API token has no permission for. If there are any, no
    /// token is known to be unused.
    ///
    /// See the example of [`Account::usage`](crate::Account::usage).
    pub fn unread(&self) -> &[UnreadListing] {
        &self.unread
    }

    /// Returns the entries with a rule for the target, or for a group with one, however
    /// deep. Groups may name each other in a circle.
    fn reaching(&self, target: Target) -> Vec<UsedBy> {
        let mut found = Vec::new();
        let mut met = HashSet::new();
        let mut waiting = VecDeque::from([(target, None)]);
        while let Some((target, via)) = waiting.pop_front() {
            for &(index, place) in self.rules.get(&target).into_iter().flatten() {
                let Entry { object, apps } = &self.entries[index];
                found.push(UsedBy {
                    object: object.clone(),
                    place,
                    via: via.clone(),
                    apps: apps.clone(),
                });
                if object.kind == AccessKind::Group
                    && let Some(id) = &object.id
                    && met.insert(id)
                {
                    waiting.push_back((Target::Group(id.clone()), Some(object.clone())));
                }
            }
        }
        found
    }
}

impl fmt::Debug for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Usage")
            .field("unread", &self.unread)
            .finish_non_exhaustive()
    }
}

/// The users of one service token; returned by [`Usage::of`](crate::Usage::of).
///
/// See the example of [`Account::usage`](crate::Account::usage).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct TokenUsage {
    /// Everything that is known to use the token.
    pub used_by: Vec<UsedBy>,
    #[serde(skip)]
    is_complete: bool,
    #[serde(skip)]
    are_policies_read: bool,
}

impl TokenUsage {
    /// Returns whether anything uses the token; `None` if nothing is known to use it, but not
    /// every listing was read.
    ///
    /// Rules that match every service token do not count;
    /// [`Usage::any_valid_service_token`](crate::Usage::any_valid_service_token) returns them.
    ///
    /// See the example of [`Account::usage`](crate::Account::usage).
    pub fn is_used(&self) -> Option<bool> {
        known(!self.used_by.is_empty(), self.is_complete)
    }

    /// Returns whether a rule of a policy names the token itself, not only a group with it;
    /// `None` if no such rule is known, but not every policy was read.
    ///
    /// Such a rule protects the token from the clean-up of inactive tokens; see
    /// [`Organization::clean_up_of`](crate::Organization::clean_up_of).
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs")); fn main() { neighbours_example(async |client, account| {
    /// use cf_service_tokens::CleanUp;
    ///
    /// let deploy = account.service_tokens().find("deploy").await?;
    /// let (organization, usage) = (account.organization().await?, account.usage().await?);
    /// let is_named = usage.of(&deploy).is_named_by_policy();
    /// assert_eq!(organization.clean_up_of(&deploy, is_named), CleanUp::Safe);
    /// # Ok(()) }) }
    /// ```
    pub fn is_named_by_policy(&self) -> Option<bool> {
        let mut used_by = self.used_by.iter();
        let is_named = used_by
            .any(|used_by| used_by.object.kind == AccessKind::Policy && used_by.via.is_none());
        known(is_named, self.are_policies_read)
    }
}

/// Returns whether something was found, if that is certain.
fn known(is_found: bool, is_complete: bool) -> Option<bool> {
    (is_found || is_complete).then_some(is_found)
}

/// A rule or a SCIM configuration that uses a service token.
///
/// See the example of [`Account::usage`](crate::Account::usage).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct UsedBy {
    /// The policy or group that has the rule, or the app that has the SCIM configuration.
    pub object: AccessObject,
    /// Where in the object the token is used.
    pub place: RulePlace,
    /// The group that the rule names; `None` if the rule names the token itself.
    pub via: Option<AccessObject>,
    /// The apps that have the policy.
    pub apps: Vec<AccessObject>,
}

impl fmt::Display for UsedBy {
    /// Writes one line for people, such as `policy "CI" (include), in the app "Admin Site"`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.object, self.place)?;
        if let Some(group) = &self.via {
            write!(f, ", through the {group}")?;
        }
        for (index, app) in self.apps.iter().enumerate() {
            let separator = if index == 0 { ", in the" } else { " and the" };
            write!(f, "{separator} {app}")?;
        }
        Ok(())
    }
}

/// A policy, a group or an app.
///
/// See the example of [`Account::usage`](crate::Account::usage).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct AccessObject {
    /// The kind of object.
    pub kind: AccessKind,
    /// The id, if the API returned one.
    pub id: Option<String>,
    /// The name, if the API returned one.
    pub name: Option<String>,
}

impl fmt::Display for AccessObject {
    /// Writes the kind, and the name or else the id, such as `policy "CI"`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name.as_deref().filter(|name| !name.trim().is_empty());
        match name.or(self.id.as_deref()) {
            Some(name) => write!(f, "{} \"{}\"", self.kind, Prose(name)),
            None => write!(f, "{} without a name", self.kind),
        }
    }
}

/// The kind of an [`AccessObject`].
///
/// ```
/// assert_eq!(cf_service_tokens::AccessKind::Policy.to_string(), "policy");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum AccessKind {
    /// A policy, reusable or of an app.
    Policy,
    /// A group.
    Group,
    /// An app.
    App,
}

impl fmt::Display for AccessKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Policy => "policy",
            Self::Group => "group",
            Self::App => "app",
        })
    }
}

/// The place in a policy, a group or an app that uses a service token.
///
/// ```
/// assert_eq!(cf_service_tokens::RulePlace::Include.to_string(), "include");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RulePlace {
    /// The rules of which at least one must match.
    Include,
    /// The rules that all must match.
    Require,
    /// The rules of which none may match.
    Exclude,
    /// The SCIM configuration of an app.
    ScimConfig,
}

impl fmt::Display for RulePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Include => "include",
            Self::Require => "require",
            Self::Exclude => "exclude",
            Self::ScimConfig => "SCIM configuration",
        })
    }
}

/// A listing that the API token has no permission for; returned by
/// [`Usage::unread`](crate::Usage::unread).
///
/// See the example of [`Account::usage`](crate::Account::usage).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct UnreadListing {
    /// The objects that it lists.
    pub kind: AccessKind,
    /// The permission that the API token lacks, as Cloudflare names it.
    pub permission: &'static str,
}

impl fmt::Display for UnreadListing {
    /// Writes what is not known, and why.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let objects = match self.kind {
            AccessKind::Policy => "policies",
            AccessKind::Group => "groups",
            AccessKind::App => "apps",
        };
        let permission = self.permission;
        write!(
            f,
            "{objects}: this API token lacks the permission \"{permission}\""
        )
    }
}

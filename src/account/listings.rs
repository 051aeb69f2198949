//! Reads the policies, groups and apps of an account, as far as they name service tokens.
//!
//! They are read strictly, unlike service tokens: a rule that is left out would make a token
//! look unused. Rules of other kinds, and all other fields, are ignored.

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use crate::account::Account;
use crate::account::usage::RulePlace;
use crate::answer::payload::Payload;
use crate::answer::read::{Undecodable, Unreadable, exactly_at};
use crate::call::pages::{Listed, Listing, Page};
use crate::error::Error;
use crate::generated::operations::{LIST_ACCESS_APPS, LIST_ACCESS_GROUPS, LIST_ACCESS_POLICIES};
use crate::response::Response;

/// The documented maximum of `per_page` for policies and groups.
const MAX_PER_PAGE: i64 = 1000;
/// The number of apps per page. An app contains its policies, so a page of the documented
/// maximum, 1000, might be larger than the client accepts.
const APPS_PER_PAGE: i64 = 200;
/// The size at which a listing fails. Only a small part of it is kept.
const MAX_LISTING_BYTES: usize = 16 * 1024 * 1024;

/// A policy, reusable or of an app.
#[derive(Debug, Deserialize)]
pub(crate) struct Policy {
    pub(crate) id: Option<String>,
    pub(crate) name: Option<String>,
    include: Option<Vec<Rule>>,
    require: Option<Vec<Rule>>,
    exclude: Option<Vec<Rule>>,
}

/// A group, which has the fields of a policy.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(crate) struct Group(pub(crate) Policy);

/// A rule of a policy or a group.
#[derive(Debug, Deserialize)]
pub(crate) struct Rule {
    service_token: Option<ServiceTokenRule>,
    any_valid_service_token: Option<IgnoredAny>,
    group: Option<GroupRule>,
}

#[derive(Debug, Deserialize)]
struct ServiceTokenRule {
    token_id: String,
}

#[derive(Debug, Deserialize)]
struct GroupRule {
    id: String,
}

/// An app.
#[derive(Debug, Deserialize)]
pub(crate) struct App {
    pub(crate) id: Option<String>,
    pub(crate) name: Option<String>,
    policies: Option<Vec<Policy>>,
    scim_config: Option<ScimConfig>,
}

#[derive(Debug, Deserialize)]
struct ScimConfig {
    authentication: Option<ScimAuthentications>,
}

/// One way to authenticate, or several.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum ScimAuthentications {
    Several(Vec<ScimAuthentication>),
    One(ScimAuthentication),
}

/// A way to authenticate at an app. Its secret is not read.
#[derive(Debug, Deserialize)]
pub(crate) struct ScimAuthentication {
    scheme: Option<String>,
    client_id: Option<String>,
}

/// The condition of a rule.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Target {
    /// The service token with this id.
    ServiceToken(String),
    AnyValidServiceToken,
    /// Whatever the group with this id matches.
    Group(String),
}

impl Policy {
    /// Returns the targets of the rules, with the places of the rules.
    pub(crate) fn targets(self) -> impl Iterator<Item = (RulePlace, Target)> {
        [
            (RulePlace::Include, self.include),
            (RulePlace::Require, self.require),
            (RulePlace::Exclude, self.exclude),
        ]
        .into_iter()
        .flat_map(|(place, rules)| rules.into_iter().flatten().map(move |rule| (place, rule)))
        .flat_map(|(place, rule)| rule.targets().map(move |target| (place, target)))
    }
}

impl Rule {
    fn targets(self) -> impl Iterator<Item = Target> {
        let token = self.service_token.map(|rule| rule.token_id);
        let any = self.any_valid_service_token;
        let group = self.group.map(|rule| rule.id);
        [
            token.map(Target::ServiceToken),
            any.map(|_| Target::AnyValidServiceToken),
            group.map(Target::Group),
        ]
        .into_iter()
        .flatten()
    }
}

impl App {
    /// Takes the policies of the app.
    pub(crate) fn take_policies(&mut self) -> Vec<Policy> {
        self.policies.take().unwrap_or_default()
    }

    /// Returns the Client IDs of the service tokens that its SCIM configuration uses.
    pub(crate) fn scim_client_ids(self) -> impl Iterator<Item = String> {
        let ways = match self.scim_config.and_then(|config| config.authentication) {
            Some(ScimAuthentications::Several(ways)) => ways,
            Some(ScimAuthentications::One(way)) => vec![way],
            None => Vec::new(),
        };
        ways.into_iter()
            .filter(|way| way.scheme.as_deref() == Some("access_service_token"))
            .filter_map(|way| way.client_id)
    }
}

/// Implements `Listed` for types that are read strictly.
macro_rules! listed_strictly {
    ($($entry:ty: $names:literal, |$this:ident| $id:expr;)+) => {
        $(impl Payload for $entry {
            fn read(
                part: &RawValue,
                path: &str,
                _: Option<&RawValue>,
                _: &mut Unreadable,
            ) -> Result<Self, Undecodable> {
                exactly_at(part, path)
            }
        }

        impl Listed for $entry {
            const NAMES: &'static str = $names;
            const MAX_BYTES: usize = MAX_LISTING_BYTES;

            fn id(&self) -> Option<&str> {
                let $this = self;
                $id.as_deref()
            }
        })+
    };
}

listed_strictly! {
    Policy: "policies", |policy| policy.id;
    Group: "groups", |group| group.0.id;
    App: "apps", |app| app.id;
}

/// Defines the listing of an account's entries.
macro_rules! listing {
    ($listing:ident of $entry:ty: $operation:ident, $method:ident, $per_page:ident) => {
        pub(crate) struct $listing(pub(crate) Account);

        impl Listing for $listing {
            type Entry = $entry;

            async fn page(&self, page: u32) -> Result<Response<Page<$entry>>, Error> {
                let Self(account) = self;
                let requests = &account.transport.settings.requests;
                let request = requests.$method(&account.id, Some(page.into()), Some($per_page));
                account
                    .transport
                    .call(&$operation, &account.options, request)
                    .await
            }
        }
    };
}

listing!(Policies of Policy: LIST_ACCESS_POLICIES, list_access_policies, MAX_PER_PAGE);
listing!(Groups of Group: LIST_ACCESS_GROUPS, list_access_groups, MAX_PER_PAGE);
listing!(Apps of App: LIST_ACCESS_APPS, list_access_apps, APPS_PER_PAGE);

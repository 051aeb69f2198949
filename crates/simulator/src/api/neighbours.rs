//! The JSON of what surrounds the service tokens: accounts, Access configurations, and API
//! tokens. It has a subset of the fields that Cloudflare's document lists, and no others.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::api::authentication::SeedApiToken;
use crate::behavior::{AppAuthentication, Behavior};
use crate::state::account::{App, Policy, Rules, StoredAccess, StoredAccount};
use crate::state::token::timestamp;

/// Stands for the Client Secret in a SCIM configuration, which the document requires and the
/// simulator doesn't have.
const HIDDEN: &str = "********";

/// The id of the identity provider in every SCIM configuration.
const IDENTITY_PROVIDER: &str = "698d294c-83ef-44be-b0ba-3d2e9c9a5d0f";

pub(crate) fn account(account: &StoredAccount) -> Value {
    json!({
        "id": account.id,
        "name": account.name,
        "type": "standard",
    })
}

pub(crate) fn verification(token: &SeedApiToken, now: DateTime<Utc>) -> Value {
    let mut verification = json!({
        "id": token.id(),
        "status": token.status(now),
    });
    if let Some(expiry) = token.expiry() {
        verification["expires_on"] = timestamp(expiry);
    }
    verification
}

pub(crate) fn organization(
    account: &StoredAccount,
    access: &StoredAccess,
    behavior: &Behavior,
) -> Value {
    let of_app = behavior.app == AppAuthentication::Strict;
    let mut organization = json!({
        "name": account.name,
        "auth_domain": format!("{}.cloudflareaccess.com", account.id),
        "strict_service_token_auth": access.strict_service_token_auth.unwrap_or(of_app),
        "created_at": timestamp(access.set_at),
        "updated_at": timestamp(access.set_at),
    });
    if let Some(inactivity) = access.service_token_inactivity {
        organization["service_token_inactivity"] = json!(inactivity);
    }
    organization
}

pub(crate) fn policies(access: &StoredAccess) -> Vec<Value> {
    let policies = access.policies.iter().map(|stored| {
        let mut shown = policy(stored, access);
        let mut apps = access.apps.iter().collect::<Vec<_>>();
        apps.retain(|app| app.reusable_policies.contains(&stored.id));
        shown["reusable"] = json!(true);
        shown["app_count"] = json!(apps.len());
        shown
    });
    policies.collect()
}

pub(crate) fn groups(access: &StoredAccess) -> Vec<Value> {
    let groups = access
        .groups
        .iter()
        .map(|group| with_rules(&group.id, &group.name, &group.rules, access));
    groups.collect()
}

pub(crate) fn apps(access: &StoredAccess) -> Vec<Value> {
    access
        .apps
        .iter()
        .map(|stored| app(stored, access))
        .collect()
}

fn app(app: &App, access: &StoredAccess) -> Value {
    let is_applied = |policy: &&Policy| app.reusable_policies.contains(&policy.id);
    let reusable = access.policies.iter().filter(is_applied);
    let policies = app.policies.iter().chain(reusable);
    let policies: Vec<Value> = policies
        .zip(1..)
        .map(|(stored, precedence)| {
            let mut shown = policy(stored, access);
            shown["precedence"] = json!(precedence);
            shown
        })
        .collect();
    let mut shown = json!({
        "id": app.id,
        "aud": app.aud,
        "name": app.name,
        "domain": app.domain,
        "type": "self_hosted",
        "policies": policies,
        "created_at": timestamp(access.set_at),
        "updated_at": timestamp(access.set_at),
    });
    let schemes = app.scim_service_tokens.iter().map(|token| {
        json!({
            "scheme": "access_service_token",
            "client_id": token.client_id,
            "client_secret": HIDDEN,
        })
    });
    let mut schemes: Vec<Value> = schemes.collect();
    let authentication = match schemes.len() {
        0 => return shown,
        1 => schemes.remove(0),
        _ => json!(schemes),
    };
    shown["scim_config"] = json!({
        "idp_uid": IDENTITY_PROVIDER,
        "remote_uri": format!("https://{}/scim/v2", app.domain),
        "authentication": authentication,
    });
    shown
}

fn policy(policy: &Policy, access: &StoredAccess) -> Value {
    let mut shown = with_rules(&policy.id, &policy.name, &policy.rules, access);
    shown["decision"] = json!(policy.decision);
    shown
}

/// The parts that policies and groups have in common.
fn with_rules(id: &str, name: &str, rules: &Rules, access: &StoredAccess) -> Value {
    json!({
        "id": id,
        "name": name,
        "include": rules.include,
        "require": rules.require,
        "exclude": rules.exclude,
        "created_at": timestamp(access.set_at),
        "updated_at": timestamp(access.set_at),
    })
}

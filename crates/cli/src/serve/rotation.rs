//! What the metrics and the page say of rotations.

use std::fmt;

use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;

use super::State;
use super::account::Account;
use super::metrics::{gauge, labels};
use crate::keep::RotationRecord;
use crate::output::{Record as _, bounded};

/// Writes the gauges of all rotation rules. Without rules there are none.
pub(super) fn encode(encoder: &mut DescriptorEncoder<'_>, state: &State) -> fmt::Result {
    let accounts = || state.accounts.values().filter(|a| !a.rules.is_empty());
    if accounts().next().is_none() {
        return Ok(());
    }
    let seconds = Some(&Unit::Seconds);
    for (name, help, value) in [
        (
            "secret_since_timestamp",
            "Since when the token has its newest secret, or longer, for each token that is rotated here.",
            &(|rule: &RotationRecord| rule.secret_since) as &dyn Fn(&RotationRecord) -> _,
        ),
        (
            "rotation_due_timestamp",
            "When the secret of the token is to be rotated, for each token that is rotated here.",
            &|rule| rule.due_at,
        ),
    ] {
        let mut gauge = gauge(encoder, name, help, seconds)?;
        for account in accounts() {
            for rule in &account.rules {
                let (Some(at), Some(id)) = (value(rule), &rule.id) else {
                    continue;
                };
                let [account_id, account_name] = labels(account);
                let name = rule.name.as_deref().unwrap_or(&rule.token);
                let labels = [account_id, account_name, ("id", id), ("name", name)];
                ConstGauge::new(at.timestamp()).encode(gauge.encode_family(&labels)?)?;
            }
        }
    }
    let mut unfinished = gauge(
        encoder,
        "rotations_unfinished",
        "Rotation rules whose last attempt failed.",
        None,
    )?;
    for account in accounts() {
        let count = account.rules.iter().filter(|rule| rule.is_news()).count();
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        ConstGauge::new(count).encode(unfinished.encode_family(&labels(account))?)?;
    }
    Ok(())
}

/// Says which rules of an account could not be followed, and why; `None` if all could.
pub(super) fn problem(account: &Account) -> Option<String> {
    let rules = account.rules.iter().filter(|rule| rule.is_news());
    let words = rules.map(|rule| {
        let error = rule.error.as_deref().unwrap_or("not tried");
        format!("The rotation of {:?}: {error}.", bounded(&rule.token))
    });
    let words: Vec<String> = words.collect();
    (!words.is_empty()).then(|| words.join(" "))
}

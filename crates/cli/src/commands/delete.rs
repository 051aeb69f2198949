//! `delete`: deletes tokens for good.

use std::cell::Cell;

use cf_service_tokens::{ServiceToken, ServiceTokenId, Usage};
use chrono::{DateTime, Utc};
use clap::Args;

use crate::commands::confirm;
use crate::commands::each::{Tokens, each, of_asked};
use crate::commands::select::{self, Chosen, last_seen};
use crate::connection::Connection;
use crate::failure::{self, Exit, Failure};
use crate::output::{self, Output};
use crate::risk;
use crate::secret::journal::Journal;

/// The most users of a token that a failure names.
const MAX_NAMED: usize = 10;

#[derive(Args, Debug)]
#[command(after_long_help = "\
A token that a policy, a group or an app's SCIM configuration names can't be deleted: the
command changes nothing, and lists what names the token. `show` lists it too. To find that
out, the API token needs the permissions \"Access: Organizations, Identity Providers, and
Groups Read\" and \"Access: Apps and Policies Read\".

Examples:
  cf-service-tokens delete grafana
  cf-service-tokens delete --yes grafana deploy")]
pub(crate) struct Delete {
    #[command(flatten)]
    pub(crate) tokens: Tokens,
    /// Skip the confirmation prompt
    #[arg(long, short)]
    pub(crate) yes: bool,
}

pub(crate) async fn delete(
    connection: &Connection,
    journal: Option<&Journal>,
    output: &Output,
    arguments: &Delete,
) -> Result<Exit, Failure> {
    confirm::require_possible(arguments.yes)?;
    let must_list = !arguments.yes;
    let tokens = select::each(connection, &arguments.tokens.tokens, must_list).await?;
    let usage = risk::known(connection.account.usage(), risk::PATIENCE).await;
    if let Ok(usage) = &usage {
        require_unused(connection, usage, &tokens).await?;
    }
    confirm::ask(&question(&tokens, connection.tokens.now()), arguments.yes)?;
    let is_refused = Cell::new(false);
    let exit = each(connection, output, &tokens, "deleted", async |token| {
        let answer = connection.tokens.delete(&token.id).await;
        let is_in_use = answer.as_ref().is_err_and(failure::is_in_use);
        is_refused.set(is_refused.get() || is_in_use);
        let deleted = of_asked(&token.id, answer)?;
        if let Some(journal) = journal {
            forget(journal, &deleted);
        }
        Ok(deleted)
    })
    .await;
    let why_unknown = match &usage {
        Ok(usage) => usage.unread().first().map(ToString::to_string),
        Err(unknown) => Some(unknown.to_string()),
    };
    if let (true, Some(why)) = (is_refused.get(), why_unknown) {
        output::remark(format!("what uses the token is unknown: {why}"));
    }
    exit
}

/// Removes the record of a deleted token from the journal.
fn forget(journal: &Journal, deleted: &ServiceToken) {
    let id = deleted.id.as_deref().unwrap_or_default();
    let forgotten = ServiceTokenId::new(id).map(|id| journal.forget(&id));
    if let Ok(Err(failure)) = forgotten {
        let (line, _) = failure.in_one_line();
        output::remark(format!("the journal still has a record of {id}: {line}"));
    }
}

/// Refuses tokens that something names. The API would refuse them too, but it does not say
/// what names them. Where that is unknown, it is left to the API.
async fn require_unused(
    connection: &Connection,
    usage: &Usage,
    tokens: &[Chosen],
) -> Result<(), Failure> {
    let mut failures = Vec::new();
    for chosen in tokens {
        let token = match &chosen.listed {
            Some(token) => token.clone(),
            // A SCIM configuration names a token by its client id.
            None => match connection.tokens.get(&chosen.id).await {
                Ok(token) => token.into_inner(),
                Err(_) => continue,
            },
        };
        let used_by = usage.of(&token).used_by;
        if used_by.is_empty() {
            continue;
        }
        let what = format!(
            "{} can't be deleted while it is in use",
            named(&token, chosen)
        );
        let mut failure = Failure::new(Exit::Failed, what);
        for used_by in used_by.iter().take(MAX_NAMED) {
            failure = failure.because(format!("used by {used_by}"));
        }
        if let Some(others @ 1..) = used_by.len().checked_sub(MAX_NAMED) {
            failure = failure.because(format!("used by {others} more"));
        }
        failures.push(connection.explain(failure.next(format!(
            "nothing was changed; remove the token there first, or stop it at once with \
             `cf-service-tokens disable {}`",
            chosen.id
        ))));
    }
    let last = failures.pop();
    failures.iter().for_each(Failure::show);
    last.map_or(Ok(()), Err)
}

/// Returns the name and the id of a token.
fn named(token: &ServiceToken, chosen: &Chosen) -> String {
    match &token.name {
        Some(name) => format!("{name:?} ({})", chosen.id),
        None => chosen.id.to_string(),
    }
}

/// Returns the question, with all that tells one token from another.
fn question(tokens: &[Chosen], now: DateTime<Utc>) -> String {
    let shown = |token: &Chosen| {
        let seen = token.listed.as_ref().map(|token| last_seen(token, now));
        let details = [Some(token.id.to_string()), seen];
        let details: Vec<_> = details.into_iter().flatten().collect();
        match token.name() {
            Some(name) => format!("{name:?} ({})", details.join(", ")),
            None => details.join(", "),
        }
    };
    match tokens {
        [token] => format!("Delete {}? It cannot be restored.", shown(token)),
        _ => {
            let tokens: Vec<_> = tokens
                .iter()
                .map(|token| format!("  {}\n", shown(token)))
                .collect();
            format!(
                "{}Delete these {} tokens? They cannot be restored.",
                tokens.concat(),
                tokens.len()
            )
        }
    }
}

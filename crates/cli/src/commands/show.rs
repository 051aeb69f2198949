//! `show`: every detail of one token.

use cf_service_tokens::{ServiceToken, Usage, UsedBy};
use chrono::{DateTime, Utc};
use clap::Args;
use serde::Serialize;

use crate::commands::issue;
use crate::commands::select::{self, Ids};
use crate::connection::Connection;
use crate::failure::{Exit, Failure};
use crate::output::{self, Cell, Output};
use crate::records::TokenRecord;
use crate::risk::{Neighbours, PATIENCE, Risk, RiskRecord};
use crate::secret::journal::Journal;

#[derive(Args, Debug)]
#[command(after_long_help = "\
To find what uses the token and what may end it, the command reads the organization's
settings, and the policies, groups and apps that use tokens. This needs the permissions
\"Access: Organizations, Identity Providers, and Groups Read\" and \"Access: Apps and
Policies Read\"; without one, a note says what is unknown.

Examples:
  cf-service-tokens show deploy
  cf-service-tokens show deploy -o json | jq .used_by")]
pub(crate) struct Show {
    /// The token's name, id or client id, or the first eight or more characters of its id
    pub(crate) token: String,
}

pub(crate) async fn show(
    connection: &Connection,
    journal: Option<&Journal>,
    output: &Output,
    arguments: &Show,
) -> Result<Exit, Failure> {
    let chosen = select::one(connection, &arguments.token, Ids::Prefix).await?;
    let token = connection.tokens.get(&chosen.id).await?;
    let neighbours = Neighbours::read(&connection.account, PATIENCE).await;
    let now = connection.tokens.now();
    let record = ShowRecord::new(&token, &neighbours, journal, now);
    output.record(&record, &record.fields(now))?;
    if !output.quiet {
        neighbours.note().iter().for_each(output::remark);
    }
    Ok(Exit::Success)
}

/// A token, what uses it, and what may end it.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct ShowRecord {
    #[serde(flatten)]
    token: TokenRecord,
    /// The rules and configurations that name the token; null if none is known and not
    /// everything could be read.
    #[cfg_attr(test, schemars(with = "Option<Vec<crate::schemas::UsedBy>>"))]
    used_by: Option<Vec<UsedBy>>,
    /// The rules that match every token; null if they could not be read.
    #[cfg_attr(test, schemars(with = "Option<Vec<crate::schemas::UsedBy>>"))]
    any_valid_service_token: Option<Vec<UsedBy>>,
    risks: Vec<RiskRecord>,
    /// When the newest secret was made, if the journal knows it.
    secret_since: Option<DateTime<Utc>>,
    /// Whether the newest secret may be older.
    secret_may_be_older: Option<bool>,
    #[serde(skip)]
    of_risks: Vec<Risk>,
}

impl ShowRecord {
    fn new(
        token: &ServiceToken,
        neighbours: &Neighbours,
        journal: Option<&Journal>,
        now: DateTime<Utc>,
    ) -> Self {
        let record = TokenRecord::new(token, now);
        let usage = neighbours.usage_of(token);
        let usage = usage.filter(|usage| usage.is_used().is_some());
        let risks = Risk::of(token, record.state, neighbours, journal, now);
        let known = journal.and_then(|journal| journal.known(token.id.as_deref()?));
        let secret_since = known.as_ref().and_then(|known| known.secret_since);
        let is_estimate = known.map(|known| known.is_estimate);
        Self {
            token: record,
            used_by: usage.map(|usage| usage.used_by),
            any_valid_service_token: neighbours
                .usage
                .as_ref()
                .ok()
                .map(Usage::any_valid_service_token),
            risks: RiskRecord::of_all(&risks, now),
            secret_since,
            secret_may_be_older: is_estimate.filter(|_| secret_since.is_some()),
            of_risks: risks,
        }
    }

    fn fields(&self, now: DateTime<Utc>) -> Vec<(&'static str, Cell)> {
        let mut fields = self.token.fields(now);
        if let (Some(since), Some(may_be_older)) = (self.secret_since, self.secret_may_be_older) {
            fields.push(("Secret", issue::age_cell(since, may_be_older, now)));
        }
        let shown = |used_by: &UsedBy| Cell::plain(used_by.to_string());
        match &self.used_by {
            None => fields.push(("Used by", Cell::plain("unknown"))),
            Some(used_by) if used_by.is_empty() => {
                fields.push(("Used by", Cell::plain("no policy, group or app names it")));
            }
            Some(used_by) => fields.extend(lines("Used by", used_by.iter().map(shown))),
        }
        let any = self.any_valid_service_token.iter().flatten();
        fields.extend(lines("Every token", any.map(shown)));
        let risks = self.of_risks.iter().filter(|risk| !risk.is_expiry());
        let risks = risks.map(|risk| Cell::warning(risk.words(now)));
        fields.extend(lines("Risk", risks));
        fields
    }
}

/// Returns fields of which only the first one repeats the name.
fn lines(
    name: &'static str,
    values: impl Iterator<Item = Cell>,
) -> impl Iterator<Item = (&'static str, Cell)> {
    std::iter::once(name)
        .chain(std::iter::repeat(""))
        .zip(values)
}

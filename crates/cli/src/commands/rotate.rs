//! `rotate`: gives a token a new secret, and stores it.

use std::time::Duration;

use cf_service_tokens::RotateServiceToken;
use chrono::TimeDelta;
use clap::Args;

use crate::commands::issue::{self, Destination};
use crate::commands::select::{self, Ids};
use crate::connection::Connection;
use crate::failure::{Exit, Failure};
use crate::output::Output;
use crate::secret::deliver::{Delivery, is_given};
use crate::secret::journal::{Journal, RecordName};
use crate::secret::reading::Reading;
use crate::secret::record::{Intent, Operation};
use crate::secret::recover;
use crate::secret::sink::Sink;
use crate::time;

#[derive(Args, Debug)]
#[command(after_long_help = "\
All users of the token must get the new secret before the old one expires. To keep a
token alive, don't rotate: refresh or renew it, and its secret stays the same.

A token has at most two secrets. So a second rotate ends the previous secret at once,
whatever its grace period, and that may be the one in use. While the journal has a
running grace period, a rotate needs --end-grace or --revoke-now.

A rotate without a response may still take effect. For five minutes the same command
waits on a terminal, and exits with 4 elsewhere. Then it reads the token twice, and goes
on only if nothing has changed it.

The first ctrl-c, SIGTERM or SIGHUP waits for the response, and for the command of
`--secret-to command:`; a second one ends both.

Examples:
  cf-service-tokens rotate grafana --secret-to /etc/deploy/secret
  cf-service-tokens rotate grafana --grace 7d --secret-to env-file:/etc/deploy.env
  cf-service-tokens rotate grafana --secret-to 'command:vault kv put secret/app key=-'")]
pub(crate) struct Rotate {
    /// The token's name, id or client id
    pub(crate) token: String,
    #[command(flatten)]
    pub(crate) destination: Destination,
    /// Grace period in which the old secret still works, from 10m to 365d
    #[arg(long, value_name = "SPAN", default_value = "24h", value_parser = time::grace)]
    pub(crate) grace: Duration,
    /// Rotate during the grace period of an earlier rotate; the previous secret expires
    /// at once
    #[arg(long)]
    pub(crate) end_grace: bool,
    /// End the old secret at once: everything that still uses it breaks
    #[arg(long, conflicts_with = "grace")]
    pub(crate) revoke_now: bool,
}

pub(crate) async fn rotate(
    connection: &Connection,
    journal: &Journal,
    output: Output,
    arguments: Rotate,
) -> Result<Exit, Failure> {
    let Destination {
        secret_to,
        keep_env,
    } = arguments.destination;
    secret_to.require_lasting()?;
    let delivery = Delivery::prepare(connection, journal, secret_to, keep_env)?;
    let sink = delivery.sink.clone();
    // This has the id under which the token is recorded, and the expiry, which a rotate
    // neither changes nor answers.
    let chosen = select::one(connection, &arguments.token, Ids::Whole).await?;
    let reading = Reading::of(connection, &chosen.id).await?;
    let mut record = journal.lock(&RecordName::rotate(&reading.id))?;
    let Reading { token, id, at } =
        recover::settle_rotate(connection, &mut record, reading).await?;
    if !(arguments.end_grace || arguments.revoke_now) {
        recover::require_no_grace(&record, at)?;
    }

    let (request, valid_until) = match arguments.revoke_now {
        true => (RotateServiceToken::revoke_now(), None),
        false => {
            let grace = TimeDelta::from_std(arguments.grace).ok();
            let valid_until = grace.and_then(|grace| at.checked_add_signed(grace));
            let valid_until = valid_until.ok_or_else(|| Failure::usage("--grace is too long"))?;
            let request = RotateServiceToken::grace_until(valid_until);
            (request, Some(valid_until))
        }
    };
    let intent = Intent {
        operation: Operation::Rotate,
        account_id: connection.account_id().to_owned(),
        token_id: Some(id.to_string()),
        name: token.name.clone(),
        client_id: token.client_id.clone().filter(|id| is_given(&id)),
        updated_at: token.updated_at,
        expires_at: token.expires_at.filter(|_| !token.never_expires()),
        old_secret_valid_until: valid_until,
        started_at: at,
        may_arrive_until: at + connection.may_arrive(),
        sink: sink.to_string(),
    };
    let works_until = intent.old_secret_works_until();
    let call = connection.tokens.rotate(&id, &request);
    delivery.carry_out(record, intent, call).await?;
    let output = output.beside_secret(sink == Sink::Stdout);
    issue::show(&output, &sink, &token, Some(works_until), at)
}

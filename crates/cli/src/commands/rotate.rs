//! `rotate`: gives a token a new secret, and stores it.

use std::io::{self, IsTerminal as _};
use std::time::Duration;

use clap::Args;

use crate::commands::issue::{self, Destination, YoungRecord};
use crate::commands::select::{self, Ids};
use crate::connection::Connection;
use crate::failure::{Exit, Failure};
use crate::output::Output;
use crate::secret::binding;
use crate::secret::journal::Journal;
use crate::secret::reading::Reading;
use crate::secret::rotation::{self, Grace, LockedToken, Rotated, Rotation};
use crate::secret::sink::{NamedBy, Sink};
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

The first Ctrl-C, SIGTERM or SIGHUP waits for the response, and for the command of
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
    /// Rotate only if the secret is older than this, such as 90d; otherwise say why not, and
    /// exit with 0
    ///
    /// The age comes from the journal. If the journal does not have it, it counts from the
    /// token's last change. The command finishes an interrupted delivery instead of rotating
    /// again, and fails if the name has come to belong to another token.
    #[arg(long, value_name = "SPAN", value_parser = time::age)]
    pub(crate) if_older_than: Option<Duration>,
}

pub(crate) async fn rotate(
    connection: &Connection,
    journal: &Journal,
    output: Output,
    arguments: Rotate,
) -> Result<Exit, Failure> {
    let rotation = Rotation {
        every: arguments.if_older_than,
        grace: match arguments.revoke_now {
            true => Grace::RevokeNow,
            false => Grace::For(arguments.grace),
        },
        end_grace: arguments.end_grace,
        sink: arguments.destination.secret_to,
        named_by: NamedBy::Option,
        keep_env: arguments.destination.keep_env,
        verify: None,
        then: None,
    };
    let delivery = rotation.prepare(connection, journal)?;
    let asked = &arguments.token;
    let chosen = select::one(connection, asked, Ids::Whole).await?;
    if rotation.every.is_some() && chosen.name().is_some_and(|name| name == asked) {
        let account_id = connection.account_id();
        binding::require_same(journal, account_id, asked, chosen.id.as_str())?;
    }
    // The API may write the id in another way.
    let reading = Reading::of(connection, &chosen.id).await?;
    let waits = io::stderr().is_terminal();
    let token = LockedToken::lock(connection, journal, &reading.id, waits).await?;
    let due = token.due(&rotation);
    let output = output.beside_secret(rotation.sink == Sink::Stdout);
    let young = YoungRecord::new(&token.reading, &due);
    let outcome =
        rotation::carry_out(connection, journal, token, due, &rotation, Some(delivery)).await?;
    if let Some(rotated) = &outcome.rotated {
        let Rotated {
            token,
            sink,
            old_secret_works_until,
            at,
            ..
        } = rotated;
        issue::show(&output, sink, token, Some(*old_secret_works_until), *at)?;
    }
    if let Some(young) = young {
        young.show(&output)?;
    }
    Ok(exit(outcome.faults))
}

/// Shows what somebody must know about although the secret is in its sink.
fn exit(faults: Vec<Failure>) -> Exit {
    faults.iter().for_each(Failure::show);
    match faults.is_empty() {
        true => Exit::Success,
        false => Exit::Failed,
    }
}

//! `rotate`: gives a token a new secret, and stores it.

use cf_service_tokens::{RotateServiceToken, ServiceTokenId};
use chrono::TimeDelta;

use crate::arguments::Rotate;
use crate::commands::issued;
use crate::connection::Connection;
use crate::failure::{Exit, Failure};
use crate::output::Output;
use crate::secret::deliver::{Delivery, is_given};
use crate::secret::journal::{Journal, RecordName};
use crate::secret::reading::Reading;
use crate::secret::record::{Intent, Operation};
use crate::secret::recover;
use crate::secret::sink::Sink;

pub(crate) async fn rotate(
    connection: &Connection,
    journal: &Journal,
    output: Output,
    arguments: Rotate,
) -> Result<Exit, Failure> {
    let asked: ServiceTokenId = arguments.id.parse()?;
    arguments.delivery.secret_to.require_lasting()?;
    let delivery = Delivery::prepare(connection, journal, arguments.delivery)?;
    let sink = delivery.sink.clone();
    // This has the id under which the token is recorded, and the expiry, which a rotate
    // neither changes nor answers.
    let reading = Reading::of(connection, &asked).await?;
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
    issued::show(&output, &sink, &token, Some(works_until), at)
}

//! `rotate`: gives a token a new secret, and stores it.

use cf_service_tokens::{RotateServiceToken, ServiceTokenId};
use chrono::TimeDelta;

use crate::arguments::Rotate;
use crate::commands::issued;
use crate::connection::Connection;
use crate::failure::{Exit, Failure};
use crate::output::Output;
use crate::secret::deliver::Delivery;
use crate::secret::journal::{Journal, RecordName};
use crate::secret::record::{Intent, Operation};
use crate::secret::recover;
use crate::secret::sink::Sink;

pub(crate) async fn rotate(
    connection: &Connection,
    journal: &Journal,
    output: Output,
    arguments: Rotate,
) -> Result<Exit, Failure> {
    let id: ServiceTokenId = arguments.id.parse()?;
    arguments.delivery.secret_to.require_lasting()?;
    let delivery = Delivery::prepare(connection, journal, arguments.delivery)?;
    let sink = delivery.sink.clone();
    // Before the token is read, so that no other run changes it afterwards.
    let mut record = journal.lock(&RecordName::rotate(&id))?;
    // This shows that the id is right, and has the expiry, which a rotate does not change
    // and does not answer.
    let token = connection.tokens.get(&id).await?;
    recover::settle_rotate(&mut record, &token)?;
    let now = connection.tokens.now();
    if !(arguments.end_grace || arguments.revoke_now) {
        recover::require_no_grace(&record, now)?;
    }

    let (request, valid_until) = match arguments.revoke_now {
        true => (RotateServiceToken::revoke_now(), None),
        false => {
            let grace = TimeDelta::from_std(arguments.grace).ok();
            let valid_until = grace.and_then(|grace| now.checked_add_signed(grace));
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
        client_id: token.client_id.clone(),
        updated_at: token.updated_at,
        old_secret_valid_until: valid_until,
        started_at: now,
        sink: sink.to_string(),
    };
    let call = connection.tokens.rotate(&id, &request);
    delivery.carry_out(record, intent, call).await?;
    let output = output.beside_secret(sink == Sink::Stdout);
    issued::show(&output, &sink, &token, Some(valid_until))
}

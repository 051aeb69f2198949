//! `refresh`, `enable`, `disable`: the same for each of several tokens.

use cf_service_tokens::{Error, Response, ServiceToken, UpdateServiceToken};
use chrono::Utc;

use crate::connect::Connection;
use crate::exit::Exit;
use crate::explain::Failure;
use crate::output::Output;
use crate::records::ChangeRecord;

pub(crate) async fn refresh(
    connection: &Connection,
    output: &Output,
    ids: &[String],
) -> Result<Exit, Failure> {
    let tokens = connection.account("refreshed")?;
    each(output, ids, "refreshed", async |id| {
        tokens.refresh(id).await
    })
    .await
}

pub(crate) async fn enable(
    connection: &Connection,
    output: &Output,
    ids: &[String],
    enabled: bool,
) -> Result<Exit, Failure> {
    let request = UpdateServiceToken::new().enabled(enabled);
    let outcome = if enabled { "enabled" } else { "disabled" };
    each(output, ids, outcome, async |id| {
        connection.update(id, &request).await
    })
    .await
}

/// Changes one token after the other, and shows what became of each. One token's
/// failure stops no other, but credentials that are not accepted do.
pub(super) async fn each(
    output: &Output,
    ids: &[String],
    outcome: &'static str,
    change: impl AsyncFn(&str) -> Result<Response<ServiceToken>, Error>,
) -> Result<Exit, Failure> {
    let mut records = Vec::new();
    let mut failures = Vec::new();
    let mut exits = Vec::new();
    for id in ids {
        match change(id).await {
            Ok(token) => {
                exits.push(Exit::Success);
                records.push(ChangeRecord::changed(outcome, &token, Utc::now()));
            }
            Err(error) => {
                let failure = Failure::from(&error);
                exits.push(failure.exit);
                records.push(ChangeRecord::failed(id, &error));
                failures.push(failure);
                if error.is_auth() {
                    break;
                }
            }
        }
    }
    output.outcomes(&records)?;
    for failure in &failures {
        failure.show();
    }
    match exits.last() {
        Some(Exit::Credentials) => Ok(Exit::Credentials),
        _ => Ok(Exit::of_all(exits)),
    }
}

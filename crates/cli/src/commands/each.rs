//! Changes several tokens, one after the other.

use cf_service_tokens::renewal::RenewalError;
use cf_service_tokens::{Error, Response, ServiceToken, ServiceTokenId};
use clap::Args;

use crate::arguments::Format;
use crate::commands::select::Chosen;
use crate::connection::Connection;
use crate::failure::{Exit, Failure};
use crate::output::Output;
use crate::records::ChangeRecord;
use crate::secret::reading;

#[derive(Args, Debug)]
pub(crate) struct Tokens {
    /// The tokens' names, ids or client ids
    #[arg(required = true, value_name = "TOKEN")]
    pub(crate) tokens: Vec<String>,
}

/// Changes one token after the other, and shows the outcome of each. A failure stops no
/// other token, unless the API does not accept the credentials: then the remaining
/// tokens are shown as not tried. Nor does output that can't be written.
pub(crate) async fn each(
    connection: &Connection,
    output: &Output,
    tokens: &[Chosen],
    outcome: &'static str,
    change: impl AsyncFn(&Chosen) -> Result<ServiceToken, RenewalError>,
) -> Result<Exit, Failure> {
    let mut shown = Ok(());
    let mut records = Vec::new();
    let mut failures = Vec::new();
    let mut exits = Vec::new();
    let mut is_over = false;
    for chosen in tokens {
        let record = if is_over {
            exits.push(Exit::Credentials);
            ChangeRecord::not_tried(chosen)
        } else {
            match change(chosen).await {
                Ok(token) => {
                    exits.push(Exit::Success);
                    let token = chosen.complete(token);
                    ChangeRecord::changed(outcome, &token, connection.tokens.now())
                }
                Err(error) => {
                    let mut failure = connection.explain(Failure::from(&error));
                    if tokens.len() > 1 {
                        failure = failure.about(&chosen.to_string());
                    }
                    exits.push(failure.exit);
                    failures.push(failure);
                    is_over =
                        matches!(&error, RenewalError::Call(error) if error.is_unauthenticated());
                    ChangeRecord::failed(chosen, &error)
                }
            }
        };
        match output.format {
            Format::Jsonl => shown = shown.and(output.json_line(&record)),
            _ => records.push(record),
        }
    }
    // A table adds nothing to the only failure.
    let is_told = output.is_table() && tokens.len() == 1 && !failures.is_empty();
    if output.format != Format::Jsonl && !is_told {
        shown = output.outcomes(&records, connection.tokens.now());
    }
    for failure in &failures {
        failure.show();
    }
    Exit::of_all(exits).unless_unwritten(shown)
}

/// Returns the token of an answer, unless the answer is about another token than the one
/// that was asked for.
pub(crate) fn of_asked(
    asked: &ServiceTokenId,
    answer: Result<Response<ServiceToken>, Error>,
) -> Result<ServiceToken, RenewalError> {
    let token = answer.map_err(RenewalError::Call)?.into_inner();
    match &token.id {
        Some(id) if !reading::is_same(asked.as_str(), id) => {
            Err(RenewalError::OtherToken { id: token.id })
        }
        _ => Ok(token),
    }
}

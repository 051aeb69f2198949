//! Renews an account by this SDK: `renew`, or `dry-run`. Ends with a line of
//! JSON: how many tokens were renewed, and what it took.

use std::time::Instant;

use cf_service_tokens::Client;
use cf_service_tokens::renewal::{RenewalOutcome, RenewalPolicy};
use contender::BoxError;

fn main() -> Result<(), BoxError> {
    let dry_run = match std::env::args().nth(1).as_deref() {
        Some("renew") => false,
        Some("dry-run") => true,
        _ => return Err("the argument is `renew` or `dry-run`".into()),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let tokens = Client::from_env()?.default_account()?.service_tokens();
        let policy = RenewalPolicy::new().dry_run(dry_run);
        let started = Instant::now();
        let report = tokens.renew(&policy).await;
        let seconds = started.elapsed().as_secs_f64();
        if let Some(error) = &report.error {
            return Err(error.to_string().into());
        }
        let renewed = report
            .tokens
            .iter()
            .filter(|token| matches!(token.outcome, RenewalOutcome::Renewed { .. }))
            .count();
        println!(
            "{{\"seconds\": {seconds}, \"listed\": {}, \"renewed\": {}, \"peak_kib\": {}}}",
            report.listed,
            renewed,
            contender::peak_kib()?
        );
        Ok(())
    })
}

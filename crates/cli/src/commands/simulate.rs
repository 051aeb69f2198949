//! `simulate`: the simulator in the foreground, with each request shown.

use cf_service_tokens_simulator::{ReceivedRequest, Simulator};
use chrono::Utc;

use crate::arguments::Simulate;
use crate::exit::Exit;
use crate::explain::{self, Failure};
use crate::output::Output;
use crate::signal;

pub(crate) async fn simulate(output: &Output, arguments: &Simulate) -> Result<Exit, Failure> {
    let quiet = output.quiet;
    let simulator = Simulator::builder()
        .believable_account()
        .listen(arguments.listen)
        .on_request(move |request| {
            if !quiet {
                explain::progress(&words(request));
            }
        })
        .start()
        .await
        .map_err(|error| {
            Failure::usage(format!("nothing can be simulated at {}", arguments.listen))
                .because(error)
                .next("choose a free port of this machine, such as 127.0.0.1:0")
        })?;
    // Before the first line: who has read it may send the signal at once.
    let end = signal::end()?;
    for (name, value) in [
        ("CLOUDFLARE_BASE_URL", simulator.base_url()),
        ("CLOUDFLARE_API_TOKEN", simulator.api_token()),
        ("CLOUDFLARE_ACCOUNT_ID", simulator.account_id()),
    ] {
        output.line(&format!("export {name}={value}"))?;
    }
    output.line(&format!(
        "# an app behind Access: {}",
        simulator.protected_url()
    ))?;
    end.await;
    Ok(Exit::Success)
}

fn words(request: &ReceivedRequest) -> String {
    let status = match request.status {
        Some(status) => status.to_string(),
        None => "no answer".to_owned(),
    };
    let query = request.query.as_ref().map(|query| format!("?{query}"));
    format!(
        "{} {} {}{} {status}{}",
        Utc::now().format("%H:%M:%S"),
        request.method,
        request.path,
        query.unwrap_or_default(),
        if request.changed { ", changed" } else { "" },
    )
}

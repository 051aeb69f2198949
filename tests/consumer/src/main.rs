//! Refreshes a token, as a program would that depends on the published crates.

use cf_service_tokens::Client;
use cf_service_tokens_simulator::{SeedToken, Simulator};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let simulator = Simulator::builder().token(SeedToken::new("deploy")).start().await?;
    let id = simulator.tokens()[0].id.clone();
    let (base_url, api_token) = (simulator.base_url(), simulator.api_token());

    let client = Client::builder().base_url(base_url).api_token(api_token).build()?;
    let token = client.account(simulator.account_id())?.service_tokens().refresh(&id).await?;
    assert_eq!(token.id.as_deref(), Some(id.as_str()));
    assert_eq!(simulator.requests().len(), 1);

    let to_cloudflare = Client::builder().api_token("token").build();
    let has_tls = cfg!(any(feature = "default", feature = "all"));
    assert_eq!(to_cloudflare.is_ok(), has_tls, "{to_cloudflare:?}");

    #[cfg(feature = "all")]
    {
        let builder = cf_service_tokens::blocking::Client::builder();
        let builder = builder.base_url(base_url).api_token(api_token);
        let (account, id) = (simulator.account_id().to_owned(), id.clone());
        let waiting = std::thread::spawn(move || {
            let client = builder.build().map_err(|error| error.to_string())?;
            let account = client.account(account).map_err(|error| error.to_string())?;
            account.service_tokens().refresh(id).map(|_| ()).map_err(|error| error.to_string())
        });
        while !waiting.is_finished() {
            tokio::task::yield_now().await;
        }
        waiting.join().map_err(|_| "the thread panicked")??;
        assert_eq!(simulator.requests().len(), 2);
    }
    println!("{token}");
    Ok(())
}

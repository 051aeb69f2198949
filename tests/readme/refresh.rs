use cf_service_tokens::Client;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let client = Client::from_env()?; // CLOUDFLARE_API_TOKEN, CLOUDFLARE_ACCOUNT_ID
    let tokens = client.default_account()?.service_tokens();
    let token = tokens.find("deploy").await?;
    let token = tokens.refresh(&token).await?;
    println!("{token}"); // deploy, enabled, valid until 2027-11-24 12:00 UTC
    Ok(())
}

use std::{env, fs::OpenOptions, io::Write, os::unix::fs::OpenOptionsExt};

use cf_service_tokens::{Client, CreateServiceToken, UpdateServiceToken, external::reqwest};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let tokens = Client::from_env()?.default_account()?.service_tokens();

    // Open the file first: no later call shows the secret again. Only its owner can read it.
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    let mut file = options.open(env::var("SECRET_FILE")?)?;
    let issued = tokens.create(&CreateServiceToken::new("nightly")).await?;
    file.write_all(issued.credentials().expose_secret().as_bytes())?;

    // An app behind Access expects two headers, which any HTTP client can send.
    let headers = issued.credentials().headers()?;
    let app = reqwest::Client::new().get(env::var("APP_URL")?);
    app.headers(headers).send().await?.error_for_status()?;

    // The stream requests one page at a time.
    let mut all = tokens.list().stream();
    while let Some(token) = all.next().await {
        println!("{}", token?);
    }

    let ninety_days = UpdateServiceToken::new().duration("2160h");
    tokens.update(&issued, &ninety_days).await?;
    tokens.delete(&issued).await?;
    Ok(())
}

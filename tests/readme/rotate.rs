use std::{env, fs::OpenOptions, io::Write, os::unix::fs::OpenOptionsExt, time::Duration};

use cf_service_tokens::{Client, RotateServiceToken};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let tokens = Client::from_env()?.default_account()?.service_tokens();
    let token = tokens.find("deploy").await?;
    // Open the file first: no later call shows the secret again. Only its owner can read it.
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    let mut file = options.open(env::var("SECRET_FILE")?)?;
    // Both secrets work for a day, in which the token's clients change over.
    let a_day = RotateServiceToken::grace(Duration::from_secs(24 * 60 * 60));
    let issued = tokens.rotate(&token, &a_day).await?;
    file.write_all(issued.credentials().expose_secret().as_bytes())?;
    file.sync_all()?;
    Ok(())
}

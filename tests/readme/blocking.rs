fn main() -> Result<(), Box<dyn std::error::Error>> {
    let client = cf_service_tokens::blocking::Client::from_env()?;
    let tokens = client.default_account()?.service_tokens();
    let token = tokens.refresh(&tokens.find("deploy")?)?;
    println!("{token}");
    Ok(())
}

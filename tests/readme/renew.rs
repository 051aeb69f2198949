use cf_service_tokens::{Client, renewal::RenewalPolicy};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let tokens = Client::from_env()?.default_account()?.service_tokens();
    let report = tokens.renew(&RenewalPolicy::new()).await;
    println!("{report}"); // 10 tokens: 4 renewed, 6 skipped, 1 of them disabled
    report.into_result()?; // an error that names what failed
    Ok(())
}

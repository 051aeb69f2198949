//! The servers that the contenders talk to.
//!
//! - `canned`: gives every request the answer that the simulator gives to a
//!   refresh, byte for byte but for a rate limit that is never reached. It does
//!   nothing else, so that it is not what a fast contender waits for.
//! - `simulator TOKENS DUE LIMIT`: the simulator, with an account of so many
//!   tokens of which so many are due, and a limit of so many requests a second.
//!
//! Both print what a client needs to know, one `NAME=value` a line, and serve
//! until their standard input ends. The simulator then prints a line of JSON:
//! how many requests it had, how many it refused, how many tokens were renewed.

use std::error::Error;
use std::io::Read;
use std::sync::Arc;

use cf_service_tokens_simulator::{SeedToken, Simulator};
use chrono::{TimeDelta, Utc};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

type BoxError = Box<dyn Error + Send + Sync>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["canned"] => canned().await,
        ["simulator", tokens, due, limit] => {
            simulator(tokens.parse()?, due.parse()?, limit.parse()?).await
        }
        _ => Err("the arguments are `canned`, or `simulator TOKENS DUE LIMIT`".into()),
    }
}

async fn simulator(tokens: usize, due: usize, limit: u32) -> Result<(), BoxError> {
    let mut builder = Simulator::builder();
    for number in 0..tokens {
        let days = if number < due { 9 } else { 200 };
        let name = format!("a token whose name is number {number}");
        builder = builder.token(SeedToken::new(name).expires_in(TimeDelta::days(days)));
    }
    builder = builder.enforce_rate_limit(limit, TimeDelta::seconds(1));
    let simulator = builder.start().await?;
    introduce(&simulator, simulator.base_url());
    wait_for_the_end().await?;

    let requests = simulator.requests();
    let refused = requests.iter().filter(|r| r.status == Some(429)).count();
    let in_300_days = Utc::now() + TimeDelta::days(300);
    let renewed = simulator
        .tokens()
        .iter()
        .filter(|token| token.expires_at > in_300_days)
        .count();
    println!(
        "{{\"requests\": {}, \"refused\": {refused}, \"renewed\": {renewed}}}",
        requests.len()
    );
    Ok(())
}

async fn canned() -> Result<(), BoxError> {
    let simulator = Simulator::builder()
        .token(SeedToken::new("CI deploy").expires_in(TimeDelta::days(9)))
        .enforce_rate_limit(1_000_000_000, TimeDelta::seconds(300))
        .start()
        .await?;
    let answer: Arc<[u8]> = answer_to_a_refresh(&simulator).await?.into();
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    introduce(&simulator, &format!("http://{address}/client/v4"));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, Arc::clone(&answer)));
        }
    });
    wait_for_the_end().await
}

fn introduce(simulator: &Simulator, base_url: &str) {
    let first = simulator.tokens().first().map(|token| token.id.clone());
    println!("BENCH_TOKEN_ID={}", first.unwrap_or_default());
    println!("CLOUDFLARE_BASE_URL={base_url}");
    println!("CLOUDFLARE_API_TOKEN={}", simulator.api_token());
    println!("CLOUDFLARE_ACCOUNT_ID={}", simulator.account_id());
}

async fn wait_for_the_end() -> Result<(), BoxError> {
    tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await??;
    Ok(())
}

/// The simulator's response, as it goes over the wire.
async fn answer_to_a_refresh(simulator: &Simulator) -> Result<Vec<u8>, BoxError> {
    let rest = simulator
        .base_url()
        .strip_prefix("http://")
        .ok_or("the simulator is not at http")?;
    let (host, path) = rest.split_once('/').ok_or("no path")?;
    let token = simulator.tokens().remove(0).id;
    let request = format!(
        "POST /{path}/accounts/{}/access/service_tokens/{token}/refresh HTTP/1.1\r\n\
         host: {host}\r\nauthorization: Bearer {}\r\ncontent-length: 0\r\n\r\n",
        simulator.account_id(),
        simulator.api_token(),
    );
    let mut stream = TcpStream::connect(host).await?;
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    while length(&answer, "HTTP/1.1 200").is_none_or(|length| answer.len() < length) {
        if stream.read_buf(&mut answer).await? == 0 {
            let text = String::from_utf8_lossy(&answer);
            return Err(format!("the simulator refused: {text}").into());
        }
    }
    Ok(answer)
}

/// Gives every request of a connection the answer.
async fn serve(mut stream: TcpStream, answer: Arc<[u8]>) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut received = Vec::with_capacity(4096);
    loop {
        if stream.read_buf(&mut received).await? == 0 {
            return Ok(());
        }
        while let Some(length) = length(&received, "").filter(|length| received.len() >= *length) {
            received.drain(..length);
            stream.write_all(&answer).await?;
        }
    }
}

/// How many bytes a message has, its body included, once its head is there.
fn length(message: &[u8], start: &str) -> Option<usize> {
    const NAME: &[u8] = b"content-length:";
    let head = message.windows(4).position(|end| end == b"\r\n\r\n")? + 4;
    if !message.starts_with(start.as_bytes()) {
        return None;
    }
    let body = message[..head]
        .split(|byte| *byte == b'\n')
        .find(|line| line.len() > NAME.len() && line[..NAME.len()].eq_ignore_ascii_case(NAME))
        .and_then(|line| std::str::from_utf8(&line[NAME.len()..]).ok())
        .and_then(|value| value.trim().parse().ok());
    Some(head + body.unwrap_or(0))
}

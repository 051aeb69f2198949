//! A server that sends the same response to every request.

use std::sync::Arc;

use cf_service_tokens_simulator::{SeedToken, Simulator};
use chrono::TimeDelta;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::{BoxError, NO_LIMIT, introduce, wait_for_the_end};

pub(crate) async fn serve(tls: Option<&str>) -> Result<(), BoxError> {
    let simulator = Simulator::builder()
        .token(SeedToken::new("CI deploy").expires_in(TimeDelta::days(9)))
        .enforce_rate_limit(NO_LIMIT, TimeDelta::seconds(300))
        .start()
        .await?;
    let response: Arc<[u8]> = response_to_a_refresh(&simulator).await?.into();
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(respond(stream, Arc::clone(&response)));
        }
    });
    let base_url = format!("http://{address}/client/v4");
    introduce(&simulator, &base_url, tls).await?;
    wait_for_the_end().await
}

/// Returns the simulator's response as it goes over the wire.
async fn response_to_a_refresh(simulator: &Simulator) -> Result<Vec<u8>, BoxError> {
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
    let mut response = Vec::new();
    while length(&response, "HTTP/1.1 200").is_none_or(|length| response.len() < length) {
        if stream.read_buf(&mut response).await? == 0 {
            let text = String::from_utf8_lossy(&response);
            return Err(format!("the simulator refused: {text}").into());
        }
    }
    Ok(response)
}

/// Sends the response to every request of a connection.
async fn respond(mut stream: TcpStream, response: Arc<[u8]>) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut received = Vec::with_capacity(4096);
    loop {
        if stream.read_buf(&mut received).await? == 0 {
            return Ok(());
        }
        while let Some(length) = length(&received, "").filter(|length| received.len() >= *length) {
            received.drain(..length);
            stream.write_all(&response).await?;
        }
    }
}

/// Returns the length of a message with its body, once its head is there.
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

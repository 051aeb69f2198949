//! Attempts that end before the connection is established, and so have sent nothing.

use std::sync::Mutex;
use std::time::Duration;

use crate::support::{self, ACCOUNT, RawServer, TOKEN, Then, json, read_request};
use cf_service_tokens::{
    Client, Clock, CreateServiceToken, ErrorKind, ManualClock, RateLimit, Retry, ServiceTokens,
};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

const SOON: Duration = Duration::from_millis(300);

/// Returns a success that leaves the connection open.
fn keep_alive() -> String {
    let answer = json("200 OK", r#"{"success":true,"result":{"id":"a"}}"#);
    answer.replace("connection: close\r\n", "")
}

fn tokens(base_url: String) -> ServiceTokens {
    let client = Client::builder()
        .api_token("t")
        .base_url(base_url)
        .retry(Retry::none())
        .build()
        .unwrap();
    client.account(ACCOUNT).unwrap().service_tokens()
}

/// Creates a token with options that leave the attempt little time.
async fn assert_nothing_is_sent(tokens: &ServiceTokens) {
    let request = CreateServiceToken::new("ci");
    for hurried in [
        tokens.with(|call| call.timeout(SOON)),
        tokens.with(|call| call.deadline(SOON)),
    ] {
        let error = hurried.create(&request).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Connect, "{error}");
        assert!(!error.may_have_been_applied(), "{error}");
        assert!(!error.to_string().contains("taken effect"), "{error}");
    }
}

/// Simulates a firewall that drops all packets.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn an_attempt_that_times_out_while_connecting_sent_nothing() {
    let (socket, address) = support::closed_port();
    // The backlog has room for one connection, which is never accepted.
    let _listener = socket.listen(0).unwrap();
    let _first = TcpStream::connect(address).await.unwrap();
    assert_nothing_is_sent(&tokens(format!("http://{address}"))).await;
}

#[cfg(feature = "rustls")]
#[tokio::test]
async fn an_attempt_that_times_out_in_the_tls_handshake_sent_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let tokens = tokens(format!("https://{}", listener.local_addr().unwrap()));
    let accepting = async {
        let mut connections = Vec::new();
        while let Ok((connection, _)) = listener.accept().await {
            connections.push(connection);
        }
    };
    tokio::select! {
        () = assert_nothing_is_sent(&tokens) => {}
        () = accepting => {}
    }
}

#[tokio::test]
async fn an_attempt_on_a_pooled_connection_that_times_out_may_have_been_applied() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let tokens = tokens(format!("http://{}", listener.local_addr().unwrap()));
    let server = tokio::spawn(async move {
        let (mut connection, _) = listener.accept().await.unwrap();
        read_request(&mut connection).await.unwrap();
        connection.write_all(keep_alive().as_bytes()).await.unwrap();
        let second = read_request(&mut connection).await.unwrap();
        assert!(second.starts_with("POST "), "{second}");
        std::future::pending::<()>().await;
    });
    tokens.get(TOKEN).await.unwrap();
    let hurried = tokens.with(|call| call.timeout(Duration::from_secs(1)));
    let request = CreateServiceToken::new("ci");
    let error = hurried.create(&request).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    assert!(error.may_have_been_applied(), "{error}");
    assert!(!server.is_finished(), "the second request arrived");
    server.abort();
}

/// hyper reuses a connection that another call returns to the pool, and continues to
/// connect in the background.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn an_attempt_that_gets_the_connection_of_another_call_may_have_been_applied() {
    let (socket, address) = support::closed_port();
    let listener = socket.listen(0).unwrap();
    let tokens = tokens(format!("http://{address}"));
    let first = tokio::spawn({
        let tokens = tokens.clone();
        async move { tokens.get(TOKEN).await }
    });
    let (mut connection, _) = listener.accept().await.unwrap();
    read_request(&mut connection).await.unwrap();
    // The backlog is full, so the second call's own connection is never established.
    let _filler = TcpStream::connect(address).await.unwrap();
    let second = tokio::spawn(async move {
        let patient = tokens.with(|call| call.timeout(Duration::from_secs(3)));
        patient.create(&CreateServiceToken::new("ci")).await
    });
    tokio::time::sleep(SOON).await;
    connection.write_all(keep_alive().as_bytes()).await.unwrap();
    first.await.unwrap().unwrap();
    assert!(read_request(&mut connection).await.is_some());
    let error = second.await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    assert!(error.may_have_been_applied(), "{error}");
}

/// A clock that advances by a second each time it is read.
struct RunningClock(ManualClock, Mutex<Duration>);

impl Clock for RunningClock {
    fn now(&self) -> chrono::DateTime<chrono::Utc> {
        self.0.now()
    }
    fn elapsed(&self) -> Duration {
        let mut elapsed = self.1.lock().unwrap();
        *elapsed += Duration::from_secs(1);
        *elapsed
    }
    fn sleep(&self, time: Duration) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>> {
        self.0.sleep(time)
    }
}

/// Simulates a machine that is suspended between the start of a call and its first
/// attempt.
#[tokio::test]
async fn a_call_without_time_left_sends_nothing() {
    let server = RawServer::start(("HTTP/1.1 200 OK\r\n\r\n", Then::Close)).await;
    for limit in [RateLimit::none(), RateLimit::default()] {
        for seconds in [1, 2, 3] {
            let client = server
                .builder()
                .rate_limit(limit.clone())
                .deadline(Duration::from_secs(seconds))
                .clock(RunningClock(support::exact_clock(), Mutex::default()))
                .build()
                .unwrap();
            let tokens = client.account(ACCOUNT).unwrap().service_tokens();
            let request = CreateServiceToken::new("ci");
            let error = tokens.create(&request).await.unwrap_err();
            let shown = error.to_string();
            assert!(!error.may_have_been_applied(), "{seconds}: {shown}");
            assert!(!shown.contains("taken effect"), "{seconds}: {shown}");
            if seconds < 3 {
                assert_eq!((error.attempts(), server.requests().len()), (0, 0));
                assert_eq!(error.kind(), ErrorKind::Timeout, "{shown}");
            }
        }
    }
}

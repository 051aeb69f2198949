//! The server: who is answered, and what clients can do to it.

use std::time::Duration;

use cf_service_tokens::renewal::RenewalPolicy;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{Server, World, a_few_tokens};

#[tokio::test]
async fn no_credential_is_in_any_answer() {
    let mut world = World::new(a_few_tokens(), &RenewalPolicy::new()).await;
    world.pass().await;
    for path in ["/", "/metrics", "/healthz", "/readyz", "/nothing"] {
        let answer = world.server.get(path).await;
        let text = format!("{}{}", answer.head, answer.body);
        assert!(!text.contains("cfast_"), "{path}");
        assert!(!text.contains(world.simulator.api_token()), "{path}");
        for token in world.simulator.tokens() {
            assert!(!text.contains(&token.client_id), "{path}");
        }
    }
}

#[tokio::test]
async fn only_this_machine_is_answered_on_a_loopback_address() {
    let world = World::new(a_few_tokens(), &RenewalPolicy::new()).await;
    for (host, status) in [
        ("host: localhost:9464\r\n", 200),
        ("host: LOCALHOST\r\n", 200),
        ("host: 127.0.0.1:9464\r\n", 200),
        ("host: [::1]:9464\r\n", 200),
        ("", 200),
        ("host: attacker.example\r\n", 421),
        ("host: localhost.attacker.example\r\n", 421),
        ("host: 10.0.0.7:9464\r\n", 421),
        ("host: ]\r\n", 421),
    ] {
        for path in ["/", "/metrics", "/healthz", "/readyz"] {
            let answer = world.server.ask(path, host).await;
            let status = if path == "/readyz" && status == 200 {
                503
            } else {
                status
            };
            assert_eq!(answer.status, status, "{path} {host:?}");
        }
    }
    let outside = Server::start(&world.monitor, "0.0.0.0:0").await;
    let answer = outside.ask("/healthz", "host: tokens.example\r\n").await;
    assert_eq!(answer.status, 200, "it was told to");
}

#[tokio::test]
async fn it_is_only_read_and_never_kept_or_framed() {
    let world = World::new(a_few_tokens(), &RenewalPolicy::new()).await;
    let answer = world.server.get("/").await;
    for header in [
        "cache-control: no-store",
        "content-security-policy: frame-ancestors 'none'",
        "content-type: text/html; charset=utf-8",
        "referrer-policy: no-referrer",
        "x-content-type-options: nosniff",
    ] {
        assert!(
            answer.head.contains(header),
            "no {header} in {}",
            answer.head
        );
    }
    assert!(!answer.head.contains("access-control"));
    let mut socket = TcpStream::connect(world.server.address).await.unwrap();
    let request =
        "POST / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 405"), "{answer}");
}

/// A connection that sends this and nothing more.
async fn idle(server: &Server, sent: &str) -> TcpStream {
    let mut socket = TcpStream::connect(server.address).await.unwrap();
    socket.write_all(sent.as_bytes()).await.unwrap();
    socket
}

#[tokio::test]
async fn idle_connections_keep_nobody_out_and_are_closed() {
    let world = World::new(a_few_tokens(), &RenewalPolicy::new()).await;
    let mut sockets = Vec::new();
    for number in 0..200 {
        let sent = ["", "GET / HTTP/1.1\r\nHost: loc"][number % 2];
        sockets.push(idle(&world.server, sent).await);
    }
    let answer = world.server.get("/healthz").await;
    assert_eq!(answer.status, 200);
    // None is held for longer than the time that a head may take.
    for socket in &mut sockets {
        let mut rest = Vec::new();
        let read = timeout(Duration::from_secs(20), socket.read_to_end(&mut rest));
        // A connection that made room for others is reset.
        let _ = read.await.unwrap();
    }
}

#[tokio::test]
async fn a_request_with_a_huge_head_is_refused_and_a_body_is_not_awaited() {
    let world = World::new(a_few_tokens(), &RenewalPolicy::new()).await;
    let padding = format!("host: localhost\r\nx: {}\r\n", "x".repeat(100_000));
    let head = format!("GET /healthz HTTP/1.1\r\n{padding}\r\n");
    let mut socket = TcpStream::connect(world.server.address).await.unwrap();
    let mut answer = Vec::new();
    // The server may close before all is sent.
    let _ = socket.write_all(head.as_bytes()).await;
    let _ = socket.read_to_end(&mut answer).await;
    let answer = String::from_utf8_lossy(&answer);
    assert!(!answer.contains(" 200 "), "{answer}");

    let head = "host: localhost\r\ncontent-length: 1000000\r\n";
    let answer = world.server.ask("/healthz", head).await;
    assert_eq!(answer.status, 200);
}

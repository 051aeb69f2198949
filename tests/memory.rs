//! A hostile answer takes no more memory than the client allows. Alone in its
//! process, so that nothing else counts.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use support::{RawServer, TOKEN, Then};

#[tokio::test]
async fn ten_gigabytes_are_cut_at_the_limit() {
    // A first call, so that what is set up once is there before measuring.
    let small = RawServer::start(support::json("200 OK", "{}"), Then::Close).await;
    small.tokens().refresh(TOKEN).await.unwrap_err();
    let idle = support::peak_memory();

    let head = "HTTP/1.1 200 OK\r\ncontent-length: 10737418240\r\n\r\n ";
    let server = RawServer::start(head, Then::Repeat).await;
    let error = server.tokens().refresh(TOKEN).await.unwrap_err();
    assert!(error.is_body_too_large());
    let grown = support::peak_memory() - idle;
    assert!(grown < 20 * 1024 * 1024, "{grown} bytes more than idle");
}

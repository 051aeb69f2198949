//! The memory that an endless answer takes.

use cf_service_tokens::ErrorKind;
use tokio::runtime::Runtime;

use crate::support::{self, RawServer, TOKEN, Then};

/// Prints the peak memory that an answer of ten gigabytes takes, measured in a process
/// in which nothing else allocates.
#[test]
fn child() {
    support::be_a_child(|_| Runtime::new().unwrap().block_on(growth()).to_string());
}

async fn growth() -> usize {
    // The first call allocates the state that later calls share.
    let small = RawServer::start(support::json("200 OK", "{}")).await;
    small.tokens().refresh(TOKEN).await.unwrap_err();
    let idle = support::peak_memory();

    let head = "HTTP/1.1 200 OK\r\ncontent-length: 10737418240\r\n\r\n ";
    let server = RawServer::start((head, Then::Repeat)).await;
    let error = server.tokens().refresh(TOKEN).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BodyTooLarge);
    support::peak_memory() - idle
}

#[test]
fn an_endless_body_stops_at_the_limit() {
    let growth: usize = support::in_a_child("bodies::child", "measure", &[])
        .parse()
        .unwrap();
    assert!(growth < 20 * 1024 * 1024, "{growth} bytes more than idle");
}

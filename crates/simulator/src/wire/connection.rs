//! One connection: HTTP/1.1, until the client, the simulator or a fault ends it.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};

use crate::wire::delivery::{self, Cut, Scissors};

/// The type of a TLS record that begins a handshake.
const TLS_HANDSHAKE: u8 = 22;
/// A TLS record: an alert, of two bytes, that is fatal, about a failed handshake.
const HANDSHAKE_FAILURE: [u8; 7] = [21, 3, 3, 0, 2, 2, 40];

/// Serves a connection until it ends, or `stop` does.
pub(crate) async fn serve(mut stream: TcpStream, router: Router, mut stop: watch::Receiver<()>) {
    // Small answers should not wait for company. A failure costs nothing else.
    let _ = stream.set_nodelay(true);
    let mut first = [0];
    let begun = tokio::select! {
        begun = stream.peek(&mut first) => begun,
        _ = stop.changed() => return cut(stream, Cut::Reset),
    };
    match begun {
        Ok(1) if first == [TLS_HANDSHAKE] => {
            // An error means that the client has gone, which is all that is wanted.
            tokio::select! {
                _ = refuse_tls(&mut stream) => {}
                _ = stop.changed() => cut(stream, Cut::Reset),
            }
        }
        Ok(1) => serve_http(stream, router, stop).await,
        _ => {}
    }
}

/// The address at the other end of a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) IpAddr);

async fn serve_http(stream: TcpStream, router: Router, mut stop: watch::Receiver<()>) {
    // The client is gone already.
    let Ok(peer) = stream.peer_addr() else {
        return;
    };
    let (sender, mut cuts) = mpsc::channel(1);
    let scissors = Scissors(sender);
    let router = Arc::new(TowerToHyperService::new(router));
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(Peer(peer.ip()));
        let (router, scissors) = (Arc::clone(&router), scissors.clone());
        async move {
            let answer: Response<Body> = router.call(request).await?;
            Ok::<_, std::convert::Infallible>(delivery::deliver(answer, &scissors).await)
        }
    });
    let mut connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    let how = tokio::select! {
        biased;
        // However it ended, the client is gone.
        _ = &mut connection => return,
        how = cuts.recv() => how.unwrap_or(Cut::Reset),
        _ = stop.changed() => Cut::Reset,
    };
    cut(connection.into_parts().io.into_inner(), how);
}

fn cut(stream: TcpStream, how: Cut) {
    if matches!(how, Cut::Reset) {
        // Without it the connection would end in good order, which is all that
        // can be done where the system refuses.
        let _ = stream.set_zero_linger();
    }
    drop(stream);
}

/// Reads the client's hello and answers that no handshake will come of it.
async fn refuse_tls(stream: &mut TcpStream) -> io::Result<()> {
    let mut head = [0; 5];
    stream.read_exact(&mut head).await?;
    let [_, _, _, high, low] = head;
    let mut hello = vec![0; usize::from(u16::from_be_bytes([high, low]))];
    stream.read_exact(&mut hello).await?;
    stream.write_all(&HANDSHAKE_FAILURE).await?;
    stream.shutdown().await?;
    // Were anything left unread, the alert would be lost in a reset.
    tokio::io::copy(stream, &mut tokio::io::sink()).await?;
    Ok(())
}

//! The port, and the task that takes its connections.

pub(crate) mod connection;
pub(crate) mod delivery;

use std::io;
use std::mem;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::{Mutex, watch};
use tokio::task::{JoinHandle, JoinSet};

/// The number of connections that the system keeps until they are accepted.
const BACKLOG: u32 = 1024;

/// A port, on which a router answers while it is open.
pub(crate) struct Port {
    address: SocketAddr,
    router: Router,
    state: Mutex<PortState>,
}

enum PortState {
    Open {
        server: Server,
        /// A second socket with the port, so that no other program gets the port when the
        /// server stops. `None` if the system allows only one, as macOS does.
        spare: Option<TcpSocket>,
    },
    /// The port is bound but not listening: clients are refused, and no other program
    /// can have it.
    Held(TcpSocket),
    /// Not even held: the system would not give it back.
    Lost,
}

/// The task that takes connections. Dropping it closes the port and resets the
/// connections, as soon as the runtime gets to it.
struct Server {
    /// Dropped to stop.
    stop: watch::Sender<()>,
    task: JoinHandle<()>,
}

impl Port {
    pub(crate) fn open(address: SocketAddr, router: Router) -> io::Result<Self> {
        let socket = hold(address)?;
        Ok(Self {
            address: socket.local_addr()?,
            state: Mutex::new(PortState::open(socket, router.clone())?),
            router,
        })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Resets all connections and refuses new ones, from when it returns on.
    pub(crate) async fn go_offline(&self) -> io::Result<()> {
        let mut state = self.state.lock().await;
        if matches!(*state, PortState::Held(_)) {
            return Ok(());
        }
        let mut held = None;
        if let PortState::Open { server, spare } = mem::replace(&mut *state, PortState::Lost) {
            server.stop().await;
            held = spare;
        }
        *state = PortState::Held(match held {
            Some(held) => held,
            None => hold(self.address)?,
        });
        Ok(())
    }

    /// Takes connections again.
    pub(crate) async fn come_back(&self) -> io::Result<()> {
        let mut state = self.state.lock().await;
        let held = match mem::replace(&mut *state, PortState::Lost) {
            PortState::Held(held) => held,
            PortState::Lost => hold(self.address)?,
            open @ PortState::Open { .. } => {
                *state = open;
                return Ok(());
            }
        };
        *state = PortState::open(held, self.router.clone())?;
        Ok(())
    }

    /// Gives the port away and resets its connections; returns once all are gone.
    pub(crate) async fn close(self) {
        if let PortState::Open { server, .. } = self.state.into_inner() {
            server.stop().await;
        }
    }
}

impl PortState {
    /// Takes connections on the port of a socket.
    fn open(socket: TcpSocket, router: Router) -> io::Result<Self> {
        // Linux refuses a second socket once the first one listens.
        let spare = hold(socket.local_addr()?).ok();
        let server = Server::start(socket.listen(BACKLOG)?, router);
        Ok(Self::Open { server, spare })
    }
}

impl Server {
    fn start(listener: TcpListener, router: Router) -> Self {
        let (stop, stopped) = watch::channel(());
        let task = tokio::spawn(accept(listener, router, stopped));
        Self { stop, task }
    }

    async fn stop(self) {
        drop(self.stop);
        let _ = self.task.await;
    }
}

fn hold(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    // The system remembers the connections of before for a while. On Windows
    // the option would mean that others may have the port as well.
    #[cfg(unix)]
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

/// Accepts connections until `stop`, and then waits for them to end.
async fn accept(listener: TcpListener, router: Router, mut stop: watch::Receiver<()>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            _ = stop.changed() => break,
            // Takes those that have ended out of the set.
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(connection::serve(stream, router.clone(), stop.clone()));
                }
                // Out of file descriptors, most likely: some may become free.
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            },
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn no_other_program_gets_the_port_while_the_server_stops() {
        let port = Port::open(([127, 0, 0, 1], 0).into(), Router::new()).unwrap();
        for _ in 0..2 {
            let state = mem::replace(&mut *port.state.lock().await, PortState::Lost);
            let PortState::Open { server, spare } = state else {
                unreachable!("the port is open");
            };
            server.stop().await;
            let other = TcpSocket::new_v4().unwrap().bind(port.address());
            assert_eq!(other.unwrap_err().kind(), io::ErrorKind::AddrInUse);
            *port.state.lock().await = PortState::Held(spare.unwrap());
            port.come_back().await.unwrap();
        }
    }
}

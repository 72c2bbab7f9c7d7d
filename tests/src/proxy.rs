//! A TCP proxy that can be cut, to take a shared server away from one test alone.

use std::net::{Ipv4Addr, SocketAddr};

use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::watch;

/// Forwards connections to a server, until it is cut and after it was restored.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    is_open: watch::Sender<bool>,
    /// Of its own, so that a test that blocks its own thread does not hold it up.
    runtime: Option<Runtime>,
}

impl Proxy {
    /// A proxy that forwards to a server.
    #[must_use]
    pub fn to(target: SocketAddr) -> Self {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("there are free ports");
        listener.set_nonblocking(true).expect("a listener can be asynchronous");
        let address = listener.local_addr().expect("a listener has an address");
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("there are threads");
        let is_open = watch::Sender::new(true);
        runtime.spawn(accept(listener, target, is_open.subscribe()));
        Self { address, is_open, runtime: Some(runtime) }
    }

    /// Where to connect to.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends all connections, and every new one at once.
    pub fn cut(&self) {
        self.is_open.send_replace(false);
    }

    /// Forwards again.
    pub fn restore(&self) {
        self.is_open.send_replace(true);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn accept(listener: std::net::TcpListener, target: SocketAddr, is_open: watch::Receiver<bool>) {
    let listener = TcpListener::from_std(listener).expect("a listener can be asynchronous");
    while let Ok((client, _)) = listener.accept().await {
        if *is_open.borrow() {
            tokio::spawn(forward(client, target, is_open.clone()));
        }
    }
}

async fn forward(mut client: TcpStream, target: SocketAddr, mut is_open: watch::Receiver<bool>) {
    let Ok(mut server) = TcpStream::connect(target).await else { return };
    tokio::select! {
        _ = tokio::io::copy_bidirectional(&mut client, &mut server) => {}
        _ = is_open.wait_for(|is_open| !is_open) => {}
    }
}

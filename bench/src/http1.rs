//! The one thing that is asked over HTTP/1.1: whether a server is well.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// How long an answer may take.
const TIMEOUT: Duration = Duration::from_secs(1);

/// Whether a server answers 200 at this path.
pub fn is_ok(address: SocketAddr, path: &str) -> bool {
    ask(address, path).unwrap_or(false)
}

fn ask(address: SocketAddr, path: &str) -> std::io::Result<bool> {
    let mut connection = TcpStream::connect_timeout(&address, TIMEOUT)?;
    connection.set_read_timeout(Some(TIMEOUT))?;
    write!(connection, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    connection.read_to_end(&mut answer)?;
    Ok(answer.starts_with(b"HTTP/1.1 200"))
}

//! The one thing that is asked over HTTP/1.1: whether a server is ready.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// How long an answer may take.
const TIMEOUT: Duration = Duration::from_secs(1);

/// Whether a server at this address says that it is ready to serve.
pub fn is_ready(admin: SocketAddr) -> bool {
    ask(admin).unwrap_or(false)
}

fn ask(admin: SocketAddr) -> std::io::Result<bool> {
    let mut connection = TcpStream::connect_timeout(&admin, TIMEOUT)?;
    connection.set_read_timeout(Some(TIMEOUT))?;
    write!(connection, "GET /readyz HTTP/1.1\r\nHost: {admin}\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    connection.read_to_end(&mut answer)?;
    Ok(answer.starts_with(b"HTTP/1.1 200"))
}

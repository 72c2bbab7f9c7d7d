//! `muster health`: whether the server beside it is ready, for orchestrators that look by running a command.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, ensure};
use clap::Args;

/// How long connecting, asking and answering may take, each.
const TIMEOUT: Duration = Duration::from_secs(2);

/// An answer of `/readyz` is far shorter.
const ANSWER_BYTES: u64 = 64 * 1024;

#[derive(Debug, Args)]
pub struct Options {
    /// The admin address of the server, as it was told.
    #[arg(long, env = "MUSTER_ADMIN_LISTEN", value_name = "ADDRESS:PORT", default_value = "127.0.0.1:9464")]
    admin_listen: SocketAddr,
}

pub fn run(options: &Options) -> anyhow::Result<()> {
    let address = from_here(options.admin_listen);
    let answer = ask(address).with_context(|| format!("http://{address}/readyz"))?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split(' ').nth(1).unwrap_or_default();
    ensure!(status == "200", "not ready: {status} {body}");
    Ok(())
}

/// A server that listens everywhere is asked at the loopback address.
fn from_here(listen: SocketAddr) -> SocketAddr {
    let host = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(host, listen.port())
}

fn ask(address: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    write!(stream, "GET /readyz HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.take(ANSWER_BYTES).read_to_string(&mut answer)?;
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_listens_everywhere_is_asked_at_loopback() {
        for (listen, asked) in
            [("0.0.0.0:9464", "127.0.0.1:9464"), ("[::]:9464", "[::1]:9464"), ("10.0.0.7:1", "10.0.0.7:1")]
        {
            assert_eq!(from_here(listen.parse().unwrap()), asked.parse().unwrap());
        }
    }
}

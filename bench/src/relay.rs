//! A server that does nothing but pass on: what somebody in a group says goes to all of it, as it came. So it costs what the
//! kernel asks for live events on this machine, and little more.
//!
//! Of HTTP/2 it knows where a frame ends, since the client is the same that Muster is measured with. The first data of a
//! connection are the name of its group, and come back; what follows is passed on.
//!
//! Whoever says something writes it to all connections itself, in the order in which they joined. A task per connection that
//! writes gave 10 to 75 % more deliveries, but not the same ones: whoever was late got several at once, which spares the
//! client its reads, and p99 was 40 to 75 ms, two to seven times that of Muster.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use tokio::net::{TcpListener, TcpStream};

/// What a client of HTTP/2 says first.
const PREFACE_BYTES: usize = 24;
/// The length, the kind, the flags and the stream of a frame.
const FRAME_HEADER_BYTES: usize = 9;
const DATA: u8 = 0;
/// How much is read at once.
const READ_BYTES: usize = 4 * 1024;

/// Who is in a group, in the order in which they joined. They stay until the process ends.
#[derive(Default)]
struct Group(RwLock<Vec<Arc<TcpStream>>>);

/// Groups by their names.
type Groups = Mutex<HashMap<Vec<u8>, Arc<Group>>>;

/// Serves until the process is killed.
pub async fn serve(listen: SocketAddr) -> anyhow::Result<()> {
    let (listener, groups) = (TcpListener::bind(listen).await?, Arc::new(Groups::default()));
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let groups = groups.clone();
        // One that ends is missed by its client.
        tokio::spawn(async move { serve_one(Arc::new(stream), &groups).await });
    }
}

async fn serve_one(stream: Arc<TcpStream>, groups: &Groups) -> io::Result<()> {
    let mut bytes = Vec::with_capacity(READ_BYTES);
    while bytes.len() < PREFACE_BYTES {
        read(&stream, &mut bytes).await?;
    }
    bytes.drain(..PREFACE_BYTES);
    let mut group = None;
    loop {
        let mut taken = 0;
        while let Some(frame) = first_frame(&bytes[taken..]) {
            taken += frame.len();
            if frame[3] == DATA {
                match &group {
                    None => group = Some(join(&stream, frame, groups)?),
                    Some(group) => group.tell(frame)?,
                }
            }
        }
        bytes.drain(..taken);
        read(&stream, &mut bytes).await?;
    }
}

/// Reads what is there.
async fn read(stream: &TcpStream, bytes: &mut Vec<u8>) -> io::Result<()> {
    loop {
        stream.readable().await?;
        match stream.try_read_buf(bytes) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
}

/// The first frame with its header, if it is whole.
fn first_frame(bytes: &[u8]) -> Option<&[u8]> {
    let [a, b, c, ..] = *bytes.first_chunk::<FRAME_HEADER_BYTES>()?;
    bytes.get(..FRAME_HEADER_BYTES + u32::from_be_bytes([0, a, b, c]) as usize)
}

fn join(stream: &Arc<TcpStream>, frame: &[u8], groups: &Groups) -> io::Result<Arc<Group>> {
    let name = frame[FRAME_HEADER_BYTES..].to_vec();
    let group = groups.lock().unwrap_or_else(PoisonError::into_inner).entry(name).or_default().clone();
    group.0.write().unwrap_or_else(PoisonError::into_inner).push(stream.clone());
    write(stream, frame)?;
    Ok(group)
}

impl Group {
    fn tell(&self, frame: &[u8]) -> io::Result<()> {
        let members = self.0.read().unwrap_or_else(PoisonError::into_inner);
        members.iter().try_for_each(|member| write(member, frame))
    }
}

/// Writes all of it at once. A connection that has no room left for one message is one that nobody reads.
fn write(stream: &TcpStream, frame: &[u8]) -> io::Result<()> {
    if stream.try_write(frame)? == frame.len() { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_taken_when_it_is_whole() {
        let bytes = [&[0, 0, 2, DATA, 0, 0, 0, 0, 1, 7, 8], [9; 4].as_slice()].concat();
        assert_eq!(first_frame(&bytes), Some(&bytes[..11]));
        for cut in 0..11 {
            assert_eq!(first_frame(&bytes[..cut]), None);
        }
    }
}

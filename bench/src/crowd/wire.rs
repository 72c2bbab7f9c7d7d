//! A client that costs little: HTTP/2 by hand, as far as calls and streams need it, since the client shares the cores with
//! what is measured. It decodes no headers, so of a call that fails it knows only that it did; whatever ends a stream that
//! does not end by itself is a failure.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::{io, mem};

use anyhow::Context as _;
use prost::Message;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio_util::task::AbortOnDropHandle;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// What the server may send before it is told to go on: as much as the protocol knows. A run is over before.
const WINDOW_BYTES: u32 = (1 << 31) - 1;
/// What the window of a connection is at its beginning.
const FIRST_WINDOW_BYTES: u32 = 65_535;
/// How much is read at once.
const READ_BYTES: usize = 64 * 1024;

/// The length, the kind, the flags and the stream of a frame.
const FRAME_HEADER_BYTES: usize = 9;
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;
const INITIAL_WINDOW_SIZE: u16 = 4;

/// The compression flag and the length of a message.
const MESSAGE_HEADER_BYTES: usize = 5;

/// A connection; it is closed with this value.
pub struct Wire {
    shared: Arc<Shared>,
    _task: AbortOnDropHandle<()>,
}

struct Shared {
    state: Mutex<State>,
    failed: AtomicBool,
}

#[derive(Default)]
struct State {
    output: Vec<u8>,
    /// Who sends it, once there is somebody.
    sender: Option<Waker>,
    /// By their number: the first has 1, the next 3.
    streams: Vec<Option<Stream>>,
}

/// What is done with a message.
type Hears = Box<dyn FnMut(&[u8]) + Send>;

struct Stream {
    /// Told of the first message.
    opened: Option<oneshot::Sender<()>>,
    hears: Hears,
    /// The beginning of a message whose end is still to come.
    partial: Vec<u8>,
    ends: bool,
}

/// A request: what is called, as whom, and the first message.
pub struct Opening<'a, M> {
    pub path: &'a str,
    pub token: &'a str,
    pub message: &'a M,
    /// Whether more messages follow.
    pub goes_on: bool,
    /// Whether the server ends it when it has said everything, as it does a call.
    pub ends: bool,
}

impl Wire {
    pub async fn connect(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let mut state = State { output: PREFACE.to_vec(), ..State::default() };
        let setting = [INITIAL_WINDOW_SIZE.to_be_bytes().as_slice(), &WINDOW_BYTES.to_be_bytes()].concat();
        put_frame(&mut state.output, SETTINGS, 0, 0, &setting);
        put_frame(&mut state.output, WINDOW_UPDATE, 0, 0, &(WINDOW_BYTES - FIRST_WINDOW_BYTES).to_be_bytes());
        let shared = Arc::new(Shared { state: Mutex::new(state), failed: AtomicBool::new(false) });
        let task = AbortOnDropHandle::new(tokio::spawn(serve(shared.clone(), stream)));
        Ok(Self { shared, _task: task })
    }

    /// Opens a stream, and waits for its first message. Every message is handed on, and what hears them is dropped when the
    /// stream ends; returns the stream's number.
    pub async fn open<M: Message>(
        &self,
        opening: Opening<'_, M>,
        hears: impl FnMut(&[u8]) + Send + 'static,
    ) -> anyhow::Result<usize> {
        let (opened, is_open) = oneshot::channel();
        let place = {
            let mut state = self.shared.lock();
            let place = state.streams.len();
            let id = id_of(place);
            put_frame(&mut state.output, HEADERS, END_HEADERS, id, &headers(opening.path, opening.token));
            let flags = if opening.goes_on { 0 } else { END_STREAM };
            put_frame(&mut state.output, DATA, flags, id, &message(opening.message));
            let (opened, hears) = (Some(opened), Box::new(hears));
            state.streams.push(Some(Stream { opened, hears, partial: Vec::new(), ends: opening.ends }));
            state.wake_sender();
            place
        };
        is_open.await.context("a stream was refused")?;
        Ok(place)
    }

    /// Says one more thing on a stream. What the server has room for is not looked at: it is one small message at a time.
    pub fn say(&self, stream: usize, said: &impl Message) {
        let mut state = self.shared.lock();
        put_frame(&mut state.output, DATA, 0, id_of(stream), &message(said));
        state.wake_sender();
    }

    /// Whether a stream ended, or the connection.
    pub fn has_failed(&self) -> bool {
        self.shared.failed.load(Ordering::Relaxed)
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn serve(shared: Arc<Shared>, mut stream: TcpStream) {
    let (mut rest, mut unsent) = (Vec::new(), Vec::new());
    let served = poll_fn(|cx| {
        // One read for all that is there: whatever is shorter than the buffer was the last of it.
        while let Poll::Ready(read) = poll_read(&shared, &mut stream, &mut rest, cx) {
            read?;
        }
        loop {
            if unsent.is_empty() && !shared.lock().take_output(&mut unsent, cx.waker()) {
                return Poll::<io::Result<()>>::Pending;
            }
            let written = ready!(Pin::new(&mut stream).poll_write(cx, &unsent))?;
            unsent.drain(..written);
        }
    });
    if served.await.is_err() {
        shared.failed.store(true, Ordering::Relaxed);
        // Whoever waits for a stream to open waits no longer.
        shared.lock().streams.clear();
    }
}

thread_local! {
    /// What was just read: of every connection in turn, so that an idle one has no memory for it.
    static BUFFER: std::cell::RefCell<Vec<u8>> = std::cell::RefCell::new(vec![0; READ_BYTES]);
}

/// Reads what is there; an incomplete frame is kept for the next time.
fn poll_read(
    shared: &Shared,
    stream: &mut TcpStream,
    rest: &mut Vec<u8>,
    cx: &mut Context<'_>,
) -> Poll<io::Result<()>> {
    BUFFER.with_borrow_mut(|buffer| {
        let mut buffer = ReadBuf::new(buffer);
        ready!(Pin::new(stream).poll_read(cx, &mut buffer))?;
        let bytes = buffer.filled();
        if bytes.is_empty() {
            return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
        }
        let mut state = shared.lock();
        if rest.is_empty() {
            let taken = state.take_frames(bytes)?;
            rest.extend_from_slice(&bytes[taken..]);
        } else {
            rest.extend_from_slice(bytes);
            let taken = state.take_frames(rest)?;
            rest.drain(..taken);
        }
        Poll::Ready(Ok(()))
    })
}

impl State {
    fn wake_sender(&self) {
        if let Some(sender) = &self.sender {
            sender.wake_by_ref();
        }
    }

    /// Takes what is to be sent, and says whether there is anything; if not, the sender is woken when there is.
    fn take_output(&mut self, unsent: &mut Vec<u8>, sender: &Waker) -> bool {
        if self.sender.is_none() {
            self.sender = Some(sender.clone());
        }
        mem::swap(&mut self.output, unsent);
        !unsent.is_empty()
    }

    /// Takes all whole frames, and says how many bytes they had.
    fn take_frames(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut taken = 0;
        while let Some(header) = bytes[taken..].first_chunk::<FRAME_HEADER_BYTES>() {
            let [a, b, c, kind, flags, id @ ..] = *header;
            let length = u32::from_be_bytes([0, a, b, c]) as usize;
            let begin = taken + FRAME_HEADER_BYTES;
            let Some(payload) = bytes.get(begin..begin + length) else { break };
            self.take(kind, flags, u32::from_be_bytes(id), payload)?;
            taken = begin + length;
        }
        Ok(taken)
    }

    fn take(&mut self, kind: u8, flags: u8, id: u32, payload: &[u8]) -> io::Result<()> {
        let place = (id / 2) as usize;
        match kind {
            DATA => {
                if let Some(Some(stream)) = self.streams.get_mut(place) {
                    stream.take(payload);
                }
            }
            SETTINGS if flags & ACK == 0 => put_frame(&mut self.output, SETTINGS, ACK, 0, &[]),
            PING if flags & ACK == 0 => put_frame(&mut self.output, PING, ACK, 0, payload),
            GOAWAY => return Err(io::ErrorKind::ConnectionReset.into()),
            _ => {}
        }
        let ended = kind == RST_STREAM || (matches!(kind, DATA | HEADERS) && flags & END_STREAM != 0);
        if ended && self.streams.get_mut(place).and_then(Option::take).is_none_or(|stream| !stream.ends) {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        Ok(())
    }
}

impl Stream {
    fn take(&mut self, mut data: &[u8]) {
        if self.partial.is_empty() {
            while let Some((message, rest)) = split_message(data) {
                self.hear(message);
                data = rest;
            }
            self.partial.extend_from_slice(data);
            return;
        }
        let whole = [std::mem::take(&mut self.partial).as_slice(), data].concat();
        self.take(&whole);
    }

    fn hear(&mut self, message: &[u8]) {
        // First, for who waits for the first message wants to have heard it.
        (self.hears)(message);
        if let Some(opened) = self.opened.take() {
            // Nobody waits any more if the run was given up.
            let _ = opened.send(());
        }
    }
}

/// The first message, and what follows; nothing if it is not whole.
fn split_message(data: &[u8]) -> Option<(&[u8], &[u8])> {
    let [_flag, length @ ..] = *data.first_chunk::<MESSAGE_HEADER_BYTES>()?;
    let end = MESSAGE_HEADER_BYTES + u32::from_be_bytes(length) as usize;
    Some((data.get(MESSAGE_HEADER_BYTES..end)?, &data[end..]))
}

fn id_of(place: usize) -> u32 {
    u32::try_from(2 * place + 1).unwrap_or(u32::MAX)
}

fn put_frame(output: &mut Vec<u8>, kind: u8, flags: u8, id: u32, payload: &[u8]) {
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes();
    output.extend_from_slice(&length[1..]);
    output.extend_from_slice(&[kind, flags]);
    output.extend_from_slice(&id.to_be_bytes());
    output.extend_from_slice(payload);
}

fn message(message: &impl Message) -> Vec<u8> {
    let mut bytes = vec![0];
    bytes.extend_from_slice(&u32::try_from(message.encoded_len()).unwrap_or(u32::MAX).to_be_bytes());
    message.encode_raw(&mut bytes);
    bytes
}

/// A request's headers (RFC 7541): what the static table knows by its number, the rest as text.
fn headers(path: &str, token: &str) -> Vec<u8> {
    const POST: u8 = 0x83;
    const HTTP: u8 = 0x86;
    const AUTHORITY: &[u8] = &[1];
    const PATH: &[u8] = &[4];
    const CONTENT_TYPE: &[u8] = &[15, 31 - 15];
    const AUTHORIZATION: &[u8] = &[15, 23 - 15];
    let mut block = vec![POST, HTTP];
    let token = format!("Bearer {token}");
    for (name, value) in [
        (AUTHORITY, "bench"),
        (PATH, path),
        (CONTENT_TYPE, "application/grpc"),
        (&[0, 2, b't', b'e'], "trailers"),
        (AUTHORIZATION, token.as_str()),
    ] {
        block.extend_from_slice(name);
        put_length(&mut block, value.len());
        block.extend_from_slice(value.as_bytes());
    }
    block
}

/// A length in seven bits and as many bytes after them as it takes.
fn put_length(block: &mut Vec<u8>, length: usize) {
    const MOST: usize = 127;
    if length < MOST {
        block.push(length.to_le_bytes()[0]);
        return;
    }
    block.push(127);
    let mut rest = length - MOST;
    while rest >= 128 {
        block.push(rest.to_le_bytes()[0] | 128);
        rest >>= 7;
    }
    block.push(rest.to_le_bytes()[0]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_heard_however_they_are_cut() {
        let (tell, heard) = std::sync::mpsc::channel();
        let take = move |message: &[u8]| tell.send(message.to_vec()).unwrap();
        let mut state = State::default();
        let stream = Stream { opened: None, hears: Box::new(take), partial: Vec::new(), ends: false };
        state.streams.push(Some(stream));
        let messages: Vec<Vec<u8>> = (0..20).map(|length| vec![7; length * length]).collect();
        let framed = messages.iter().flat_map(|message| {
            let length = u32::try_from(message.len()).unwrap().to_be_bytes();
            [&[0], length.as_slice(), message].concat()
        });
        let framed: Vec<u8> = framed.collect();
        let mut bytes = Vec::new();
        framed.chunks(33).for_each(|data| put_frame(&mut bytes, DATA, 0, 1, data));
        let mut rest: Vec<u8> = Vec::new();
        for chunk in bytes.chunks(41) {
            rest.extend_from_slice(chunk);
            let taken = state.take_frames(&rest).unwrap();
            rest.drain(..taken);
        }
        assert_eq!(heard.try_iter().collect::<Vec<_>>(), messages);
    }

    #[test]
    fn only_what_ends_by_itself_may_end() {
        let stream = |ends| Some(Stream { opened: None, hears: Box::new(|_| ()), partial: Vec::new(), ends });
        let mut state = State { streams: vec![stream(true), stream(false)], ..State::default() };
        state.take(HEADERS, END_STREAM | END_HEADERS, 1, &[]).unwrap();
        assert!(state.streams[0].is_none());
        assert!(state.take(HEADERS, END_STREAM | END_HEADERS, 1, &[]).is_err(), "it has ended already");
        assert!(state.take(DATA, END_STREAM, 3, &[]).is_err());
    }

    #[test]
    fn lengths_are_written_as_the_protocol_says() {
        for (length, expected) in [(10, vec![10]), (127, vec![127, 0]), (1_337, vec![127, 186, 9])] {
            let mut block = Vec::new();
            put_length(&mut block, length);
            assert_eq!(block, expected);
        }
    }
}

//! A floor: what Redis does and needs when nobody stands in front of it.

use anyhow::{Context, ensure};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tonic::Status;
use url::Url;

use crate::load::{Caller, Dice};
use crate::process::Parties;
use crate::tally::exact;

/// How many commands are sent before their answers are read.
const PIPELINE: usize = 1_000;
/// How many members are added where speed is measured.
const ADDED: usize = 300_000;
/// How long the members of a board are: value, offset and player.
const MEMBER_BYTES: usize = 30;
/// The key of the floor, which goes away by itself if the run is given up.
const KEY: &str = "muster-bench-floor";
/// What is added again and again by who sends one command at a time.
const MEMBER: &str = "element:__rand_int__";
const LIFETIME: &str = "600";

/// The Redis server that is measured along.
pub struct RedisFloor {
    url: Url,
}

impl RedisFloor {
    pub fn new(url: Url) -> Self {
        Self { url }
    }

    /// Who takes part when nobody else does.
    pub fn parties(&self) -> Parties {
        Parties::client().and_listener("redis", self.port())
    }

    /// How many members it adds in a second to one sorted set.
    pub async fn adds_per_second(&self) -> anyhow::Result<f64> {
        let mut redis = self.connect().await?;
        let began = Instant::now();
        redis.fill(ADDED).await?;
        let took = began.elapsed();
        redis.command(&["UNLINK", KEY]).await?;
        Ok(exact(ADDED as u64) / took.as_secs_f64())
    }

    /// So many who add to a sorted set, each on a connection of their own. It is always the same member, as
    /// `redis-benchmark -t zadd` has it: Redis's log does not grow, whose rewriting would come sooner in what is measured.
    pub async fn callers(&self, at_once: u32) -> anyhow::Result<Vec<AddOne>> {
        let mut callers = Vec::new();
        for _ in 0..at_once {
            callers.push(AddOne(self.connect().await?));
        }
        if let Some(AddOne(redis)) = callers.first_mut() {
            redis.command(&["ZADD", KEY, "0", MEMBER]).await?;
            redis.command(&["EXPIRE", KEY, LIFETIME]).await?;
        }
        Ok(callers)
    }

    /// What each of so many members of a sorted set needs, in bytes.
    pub async fn bytes_of_a_member(&self, members: usize) -> anyhow::Result<f64> {
        let mut redis = self.connect().await?;
        let before = redis.used_bytes().await?;
        redis.fill(members).await?;
        let grown = redis.used_bytes().await?.saturating_sub(before);
        redis.command(&["UNLINK", KEY]).await?;
        Ok(exact(grown) / exact(members as u64))
    }

    /// The memory that all data needs.
    pub async fn used_bytes(&self) -> anyhow::Result<u64> {
        self.connect().await?.used_bytes().await
    }

    fn port(&self) -> u16 {
        self.url.port().unwrap_or(6379)
    }

    async fn connect(&self) -> anyhow::Result<Connection> {
        let host = self.url.host_str().context("the URL of Redis has a host")?;
        let stream = TcpStream::connect((host, self.port())).await?;
        stream.set_nodelay(true)?;
        let mut connection = Connection { stream: BufReader::new(stream) };
        if let Some(password) = self.url.password() {
            connection.command(&["AUTH", self.url.username(), password]).await?;
        }
        Ok(connection)
    }
}

/// Adds a member, waits for the answer, and adds it again.
pub struct AddOne(Connection);

impl Caller for AddOne {
    async fn call(&mut self) -> Result<(), Status> {
        let added = self.0.command(&["ZADD", KEY, "0", MEMBER]).await;
        added.map(drop).map_err(|error| Status::unavailable(error.to_string()))
    }
}

struct Connection {
    stream: BufReader<TcpStream>,
}

impl Connection {
    async fn fill(&mut self, members: usize) -> anyhow::Result<()> {
        let mut dice = Dice(0);
        self.command(&["ZADD", KEY, "0", "first"]).await?;
        self.command(&["EXPIRE", KEY, LIFETIME]).await?;
        let mut left = members;
        while left > 0 {
            let count = left.min(PIPELINE);
            let mut commands = Vec::new();
            for _ in 0..count {
                let member: Vec<u8> = std::iter::repeat_with(|| dice.roll().to_be_bytes()).take(4).flatten().collect();
                put(&mut commands, &[b"ZADD", KEY.as_bytes(), b"0", &member[..MEMBER_BYTES]]);
            }
            self.stream.get_mut().write_all(&commands).await?;
            for _ in 0..count {
                self.answer().await?;
            }
            left -= count;
        }
        Ok(())
    }

    async fn used_bytes(&mut self) -> anyhow::Result<u64> {
        let info = self.command(&["INFO", "memory"]).await?;
        let value = info.lines().find_map(|line| line.strip_prefix("used_memory:"));
        Ok(value.context("Redis says what it uses")?.trim().parse()?)
    }

    async fn command(&mut self, words: &[&str]) -> anyhow::Result<String> {
        let mut command = Vec::new();
        put(&mut command, &words.iter().map(|word| word.as_bytes()).collect::<Vec<_>>());
        self.stream.get_mut().write_all(&command).await?;
        self.answer().await
    }

    /// One answer: a line, or a text of a given length.
    async fn answer(&mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        self.stream.read_line(&mut line).await?;
        ensure!(!line.is_empty() && !line.starts_with('-'), "Redis says {line:?}");
        let Some(length) = line.strip_prefix('$') else { return Ok(line) };
        let mut text = vec![0; length.trim().parse::<usize>()? + 2];
        tokio::io::AsyncReadExt::read_exact(&mut self.stream, &mut text).await?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }
}

/// A command as Redis reads it: <https://redis.io/docs/latest/develop/reference/protocol-spec/>.
fn put(into: &mut Vec<u8>, words: &[&[u8]]) {
    into.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
    for word in words {
        into.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        into.extend_from_slice(word);
        into.extend_from_slice(b"\r\n");
    }
}

//! A Kafka server that a test may kill.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use pkg_ambient::Ambient;

/// A directory with Kafka's `lib/*.jar`.
pub const KAFKA_HOME_VARIABLE: &str = "MUSTER_TEST_KAFKA_HOME";
/// How long a server has until it answers. It takes a few seconds, and more on a busy machine.
const START_LIMIT: Duration = Duration::from_mins(1);
const LOOK_INTERVAL: Duration = Duration::from_millis(50);
const CLUSTER: &str = "MusterTestCluster00000";

/// A broker of its own, in a folder of its own, on ports of its own; both are the same after a restart. It is killed when
/// this value is dropped, and the folder is removed.
#[derive(Debug)]
pub struct KafkaServer {
    home: PathBuf,
    folder: PathBuf,
    port: u16,
    process: Option<Child>,
}

impl KafkaServer {
    /// Starts a server and waits until it answers; it blocks.
    ///
    /// # Panics
    /// If `MUSTER_TEST_KAFKA_HOME` is not set or the server does not start.
    #[must_use]
    pub fn start() -> Self {
        let Some(home) = std::env::var_os(KAFKA_HOME_VARIABLE).map(PathBuf::from) else {
            panic!("{KAFKA_HOME_VARIABLE} is not set: run `make test`, which sets it");
        };
        let name = format!("muster-kafka-{}", Ambient::system().id().simple());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir(&folder).expect("a folder can be made");
        let mut server = Self { home, folder, port: free_port(), process: None };
        server.configure();
        let mut format = server.java("kafka.tools.StorageTool");
        format.args(["format", "-t", CLUSTER, "-c", "server.properties"]);
        let formatted = format.output().expect("java starts");
        assert!(formatted.status.success(), "{}", String::from_utf8_lossy(&formatted.stderr));
        server.start_again();
        server
    }

    /// The address, as `host:port`.
    #[must_use]
    pub fn brokers(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Ends the server as `kill -9` does, and waits until it is gone; it blocks.
    ///
    /// # Panics
    /// If it does not run.
    pub fn kill(&mut self) {
        let mut process = self.process.take().expect("the server runs");
        process.kill().expect("it is our own process");
        process.wait().expect("it is our own process");
    }

    /// Starts the server after it was killed, and waits until it answers; it blocks.
    ///
    /// # Panics
    /// If it does not start.
    pub fn start_again(&mut self) {
        let log = File::options().create(true).append(true).open(self.folder.join("server.log")).expect("it is ours");
        let mut command = self.java("kafka.Kafka");
        command.arg("server.properties").stdout(log.try_clone().expect("it is ours")).stderr(log);
        let mut process = command.spawn().expect("java starts");
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        let deadline = Instant::now() + START_LIMIT;
        // It opens the port when it is ready to serve.
        while TcpStream::connect(address).is_err() {
            let ended = process.try_wait().expect("it is our own process");
            assert!(ended.is_none() && Instant::now() < deadline, "the server does not start:\n{}", self.last_words());
            std::thread::sleep(LOOK_INTERVAL);
        }
        self.process = Some(process);
    }

    fn configure(&self) {
        let (port, controller) = (self.port, free_port());
        let properties = format!(
            "process.roles=broker,controller\n\
             node.id=1\n\
             controller.quorum.voters=1@127.0.0.1:{controller}\n\
             listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}\n\
             advertised.listeners=PLAINTEXT://127.0.0.1:{port}\n\
             listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT\n\
             inter.broker.listener.name=PLAINTEXT\n\
             controller.listener.names=CONTROLLER\n\
             log.dirs={}\n\
             offsets.topic.replication.factor=1\n\
             offsets.topic.num.partitions=3\n\
             transaction.state.log.replication.factor=1\n\
             transaction.state.log.min.isr=1\n\
             group.initial.rebalance.delay.ms=0\n\
             group.min.session.timeout.ms=1000\n\
             broker.session.timeout.ms=2000\n\
             broker.heartbeat.interval.ms=500\n\
             auto.create.topics.enable=false\n\
             log.cleaner.dedupe.buffer.size=16777216\n\
             num.network.threads=2\n\
             num.io.threads=2\n\
             background.threads=2\n",
            self.folder.join("data").display(),
        );
        fs::write(self.folder.join("server.properties"), properties).expect("it is ours");
    }

    fn java(&self, class: &str) -> Command {
        let jars = self.home.join("lib").join("*");
        let mut command = Command::new("java");
        command
            .args(["-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp"])
            .arg(jars)
            .arg(class)
            .current_dir(&self.folder)
            .stdin(Stdio::null());
        command
    }

    fn last_words(&self) -> String {
        const LAST_LINES: usize = 20;
        let log = fs::read_to_string(self.folder.join("server.log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(LAST_LINES)..].join("\n")
    }

    /// Where it keeps its files.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

impl Drop for KafkaServer {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            // It may have ended by itself, and the folder is a temporary one.
            let _ = process.kill();
            let _ = process.wait();
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// A port that was free a moment ago. Kafka cannot be given an open socket.
fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("there are free ports");
    listener.local_addr().expect("it is bound").port()
}

//! Password hashing under load: as many threads as there are cores, of low priority, behind a short wait.
//!
//! One hash takes about 15 ms of a core. A login flood must neither starve the calls that need no hash, hence threads
//! that give way to all others, nor queue up without end, hence the shedding.

use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use metrics::Counter;
use pkg_auth::{Argon2id, Scratch, Verdict};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::password::Password;

/// How long a call waits for its turn before it is shed.
pub const MAX_WAIT: Duration = Duration::from_millis(250);

/// How many calls wait at most. More than can be served within [`MAX_WAIT`], so that it bounds memory and the wait bounds
/// the rest.
const MAX_WAITING_PER_THREAD: usize = 64;

/// How many calls have their turn for each thread: one is hashed while the next one reads its account.
const TURNS_PER_THREAD: usize = 2;

/// How much the hashing threads give way to others, in steps of nice(2), which is per thread on Linux only.
#[cfg(target_os = "linux")]
const NICENESS: i32 = 15;

/// Hashes and checks passwords.
#[derive(Clone)]
pub struct PasswordHasher {
    jobs: mpsc::Sender<Job>,
    turns: Arc<Semaphore>,
    /// A permit stands for a call that waits for its turn, or has it.
    places: Arc<Semaphore>,
    /// What an unknown user's password is checked against, to spend the same time on it.
    decoy: Arc<str>,
    shed: Counter,
}

/// The right to have one password hashed next. To be taken before the account is read, so that what is shed has cost
/// the database nothing.
pub struct Turn {
    hasher: PasswordHasher,
    permits: (OwnedSemaphorePermit, OwnedSemaphorePermit),
}

/// Too many passwords wait to be checked.
#[derive(Debug, Clone, Copy, thiserror::Error, PartialEq, Eq)]
#[error("too many passwords wait to be checked")]
pub struct Overloaded;

type Job = Box<dyn FnOnce(&Argon2id, &mut Scratch) + Send>;

impl PasswordHasher {
    /// Starts the threads. They end when the last clone is dropped. `salt` makes the decoy.
    ///
    /// # Panics
    /// If the operating system gives no threads.
    #[must_use]
    pub fn start(threads: usize, algorithm: &Argon2id, salt: [u8; 16]) -> Self {
        let (jobs, queue) = mpsc::channel::<Job>();
        let queue = Arc::new(Mutex::new(queue));
        for number in 0..threads {
            let (queue, algorithm) = (queue.clone(), algorithm.clone());
            std::thread::Builder::new()
                .name(format!("hash-{number}"))
                .spawn(move || work(&queue, &algorithm))
                .expect("the operating system gives threads");
        }
        metrics::describe_counter!("muster_passwords_shed_total", "Passwords not hashed or checked: too many waited.");
        Self {
            jobs,
            turns: Arc::new(Semaphore::new(threads * TURNS_PER_THREAD)),
            places: Arc::new(Semaphore::new(threads * (MAX_WAITING_PER_THREAD + TURNS_PER_THREAD))),
            decoy: algorithm.decoy(salt).into(),
            shed: metrics::counter!("muster_passwords_shed_total"),
        }
    }

    /// Waits for a turn, at most [`MAX_WAIT`]. What finds none is counted.
    pub async fn turn(&self) -> Result<Turn, Overloaded> {
        self.wait_for_turn().await.inspect_err(|Overloaded| self.shed.increment(1))
    }

    async fn wait_for_turn(&self) -> Result<Turn, Overloaded> {
        let place = self.places.clone().try_acquire_owned().map_err(|_| Overloaded)?;
        let turn = tokio::time::timeout(MAX_WAIT, self.turns.clone().acquire_owned());
        let turn = turn.await.map_err(|_| Overloaded)?.map_err(|_| Overloaded)?;
        Ok(Turn { hasher: self.clone(), permits: (turn, place) })
    }

    /// The hash to store for a new password.
    pub async fn hash(&self, password: &Password, salt: [u8; 16]) -> Result<String, Overloaded> {
        let password = password.clone();
        self.turn().await?.run(move |algorithm, scratch| algorithm.hash(password.reveal(), salt, scratch)).await
    }

    /// Checks a password against the hash of an account that was read already.
    pub async fn verify(&self, password: &Password, stored: Option<&str>) -> Result<Verdict, Overloaded> {
        self.turn().await?.verify(password, stored).await
    }
}

impl Turn {
    /// Checks a password. Without a stored hash the answer is [`Verdict::Wrong`], after the same work.
    pub async fn verify(self, password: &Password, stored: Option<&str>) -> Result<Verdict, Overloaded> {
        let password = password.clone();
        let known = stored.is_some();
        let stored: Arc<str> = stored.map_or_else(|| self.hasher.decoy.clone(), Arc::from);
        let verdict = self.run(move |algorithm, scratch| algorithm.verify(password.reveal(), &stored, scratch)).await?;
        Ok(if known { verdict } else { Verdict::Wrong })
    }

    async fn run<T, F>(self, work: F) -> Result<T, Overloaded>
    where
        T: Send + 'static,
        F: FnOnce(&Argon2id, &mut Scratch) -> T + Send + 'static,
    {
        let Self { hasher, permits } = self;
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move |algorithm, scratch| {
            // Nobody listens any more if the caller went away; the permits go back in any case.
            let _ = answer.send(work(algorithm, scratch));
            drop(permits);
        });
        hasher.jobs.send(job).map_err(|_| Overloaded)?;
        answered.await.map_err(|_| Overloaded)
    }
}

fn work(queue: &Mutex<mpsc::Receiver<Job>>, algorithm: &Argon2id) {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::nice(NICENESS) {
        tracing::warn!(%error, "password hashing runs at normal priority");
    }
    let mut scratch = Scratch::default();
    loop {
        let Ok(job) = queue.lock().map(|queue| queue.recv()) else { return };
        let Ok(job) = job else { return };
        job(algorithm, &mut scratch);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    fn password(text: &str) -> Password {
        Password::parse(text).unwrap()
    }

    fn quick() -> Argon2id {
        Argon2id::with_params(64, 1, 1)
    }

    #[tokio::test]
    async fn a_password_is_known_by_its_hash() {
        let hasher = PasswordHasher::start(1, &quick(), [0; 16]);
        let hash = hasher.hash(&password("correct-horse-9"), [1; 16]).await.unwrap();
        assert_eq!(hasher.verify(&password("correct-horse-9"), Some(&hash)).await, Ok(Verdict::Right));
        assert_eq!(hasher.verify(&password("correct-horse-8"), Some(&hash)).await, Ok(Verdict::Wrong));
        assert_eq!(hasher.verify(&password("correct-horse-9"), None).await, Ok(Verdict::Wrong));
    }

    #[tokio::test]
    async fn a_flood_is_shed_and_the_next_call_is_served() {
        let shed = Arc::new(AtomicU64::new(0));
        let counted = Counter::from_arc(shed.clone());
        let hasher = PasswordHasher { shed: counted, ..PasswordHasher::start(1, &quick(), [0; 16]) };
        let (release, held) = mpsc::channel::<()>();
        let blocker = tokio::spawn({
            let turn = hasher.turn().await.unwrap();
            turn.run(move |_, _| held.recv().is_ok())
        });
        let next = hasher.turn().await.unwrap();

        assert_eq!(hasher.verify(&password("anything"), None).await, Err(Overloaded));
        assert_eq!(shed.load(Ordering::Relaxed), 1);

        release.send(()).unwrap();
        assert_eq!(blocker.await.unwrap(), Ok(true));
        assert_eq!(next.verify(&password("anything"), None).await, Ok(Verdict::Wrong));
        assert_eq!(hasher.verify(&password("anything"), None).await, Ok(Verdict::Wrong));
        assert_eq!(shed.load(Ordering::Relaxed), 1);
    }
}

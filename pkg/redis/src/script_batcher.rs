//! Calls of one script that wait at the same time, made as one.

use fred::types::Value;
use pkg_batching::Batcher;

use crate::{Redis, RedisError, Script};

/// After how many bytes of arguments no further call follows in the same run: Redis does nothing else meanwhile.
const RUN_BYTES: usize = 256 * 1024;

/// Runs a script that does the same for many: each call has its keys and its arguments, and the script gets those of one
/// call after the other and answers with a list of their answers. It finds out by itself where a call ends.
///
/// Calls are made in the order in which they came, unless a run hangs. If a run fails all of its calls do: each may or may
/// not have taken effect. On a cluster, where keys of one run lie in one slot, every call is a run of its own. Cloning shares
/// it.
#[derive(Clone, Debug)]
pub struct ScriptBatcher {
    redis: Redis,
    script: &'static Script,
    /// None on a cluster.
    batcher: Option<Batcher<Call, Result<Value, RedisError>>>,
}

#[derive(Debug)]
struct Call {
    keys: Vec<String>,
    arguments: Vec<Value>,
}

impl ScriptBatcher {
    /// Starts on the current runtime.
    #[must_use]
    pub fn spawn(redis: Redis, script: &'static Script) -> Self {
        let runs = redis.clone();
        let batcher = (!redis.is_clustered()).then(|| {
            Batcher::spawn(move |calls| {
                let redis = runs.clone();
                async move { run_all(&redis, script, calls).await }
            })
        });
        Self { redis, script, batcher }
    }

    /// Makes a call, together with others.
    pub async fn call(&self, keys: Vec<String>, arguments: Vec<Value>) -> Result<Value, RedisError> {
        let call = Call { keys, arguments };
        match &self.batcher {
            Some(batcher) => batcher.call(call).await.unwrap_or_else(|_| Err(RedisError::unanswered())),
            None => run(&self.redis, self.script, vec![call]).await?.pop().ok_or_else(RedisError::unanswered),
        }
    }
}

async fn run_all(redis: &Redis, script: &Script, calls: Vec<Call>) -> Vec<Result<Value, RedisError>> {
    let mut answers = Vec::with_capacity(calls.len());
    for calls in runs(calls) {
        let count = calls.len();
        match run(redis, script, calls).await {
            Ok(values) => answers.extend(values.into_iter().map(Ok)),
            Err(error) => answers.extend((0..count).map(|_| Err(error.clone()))),
        }
    }
    answers
}

/// The answers of a script, one for each call.
async fn run(redis: &Redis, script: &Script, calls: Vec<Call>) -> Result<Vec<Value>, RedisError> {
    let count = calls.len();
    let (mut keys, mut arguments) = (Vec::new(), Vec::new());
    for call in calls {
        keys.extend(call.keys);
        arguments.extend(call.arguments);
    }
    match script.run(redis, keys, arguments).await? {
        Value::Array(answers) if answers.len() == count => Ok(answers),
        _ => Err(RedisError::unanswered()),
    }
}

/// Cuts calls into runs that are not too large, unless one call is.
fn runs(calls: Vec<Call>) -> Vec<Vec<Call>> {
    let (mut runs, mut sum) = (vec![Vec::new()], 0);
    for call in calls {
        let bytes: usize = call.arguments.iter().map(bytes).sum();
        match runs.last_mut() {
            Some(run) if run.is_empty() || sum + bytes <= RUN_BYTES => {
                run.push(call);
                sum += bytes;
            }
            _ => {
                runs.push(vec![call]);
                sum = bytes;
            }
        }
    }
    runs
}

fn bytes(argument: &Value) -> usize {
    match argument {
        Value::String(text) => text.len(),
        Value::Bytes(bytes) => bytes.len(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn call(bytes: usize) -> Call {
        Call { keys: Vec::new(), arguments: vec![Value::from(Bytes::from(vec![0; bytes]))] }
    }

    #[test]
    fn a_run_is_not_too_large_unless_one_call_is() {
        let sizes = [1, RUN_BYTES - 1, 1, 2 * RUN_BYTES, 5, 6];
        let counts: Vec<usize> = runs(sizes.map(call).into()).iter().map(Vec::len).collect();
        assert_eq!(counts, [2, 1, 1, 2]);
    }

    mod real_redis {
        use std::sync::LazyLock;

        use futures::future::join_all;

        use super::*;
        use crate::testing::{self, TestRedis};

        static APPEND: LazyLock<Script> = LazyLock::new(|| {
            Script::new(
                "local answers = {}
                 for i, key in ipairs(KEYS) do answers[i] = redis.call('APPEND', key, ARGV[i]) end
                 return answers",
            )
        });

        async fn each_call_gets_its_own_answer(redis: &TestRedis) {
            let batcher = ScriptBatcher::spawn((**redis).clone(), &APPEND);
            for round in 1..=3 {
                let append = async |number: usize| {
                    let key = redis.key(&["text", &number.to_string()]);
                    batcher.call(vec![key], vec![Value::from("x".repeat(number))]).await.unwrap().as_u64()
                };
                let lengths = join_all((0..500).map(append)).await;
                let expected: Vec<_> = (0..500_u64).map(|number| Some(number * round)).collect();
                assert_eq!(lengths, expected);
            }
        }

        #[tokio::test]
        async fn on_one_server_calls_are_made_as_one() {
            each_call_gets_its_own_answer(&testing::redis().await).await;
        }

        #[tokio::test]
        async fn a_call_that_fails_is_told() {
            static FAIL: LazyLock<Script> = LazyLock::new(|| Script::new("return redis.error_reply('ERR no')"));
            let batcher = ScriptBatcher::spawn((*testing::redis().await).clone(), &FAIL);
            let outcome = batcher.call(vec!["key".to_owned()], Vec::new()).await;
            assert!(!outcome.unwrap_err().is_unavailable());
        }

        #[tokio::test]
        async fn on_a_cluster_each_call_is_a_run() {
            each_call_gets_its_own_answer(&testing::cluster().await).await;
        }
    }
}

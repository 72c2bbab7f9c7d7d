//! curl, as a person or a script would use it.

use std::process::Command;

use serde_json::Value;

use crate::process::Process;

/// Calls one server.
#[derive(Debug)]
pub struct Curl {
    base: String,
}

/// An answer over HTTP.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// All header lines, their names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body; null if it is not JSON.
    pub body: Value,
}

impl Curl {
    /// Calls the server at this address.
    #[must_use]
    pub fn to(address: impl std::fmt::Display) -> Self {
        Self { base: format!("http://{address}") }
    }

    /// The status that a path answers with, if anybody answers.
    #[must_use]
    pub fn status(&self, path: &str) -> Option<u16> {
        let mut command = Command::new("curl");
        command.args(["--silent", "--output", "/dev/null", "--write-out", "%{http_code}", "--max-time", "5"]);
        command.arg(format!("{}{path}", self.base));
        Process::run(command).stdout.parse().ok().filter(|status| *status != 0)
    }

    /// The body that a path answers with, whatever it is.
    #[must_use]
    pub fn text(&self, path: &str) -> String {
        let mut command = Command::new("curl");
        command.args(["--silent", "--max-time", "5"]).arg(format!("{}{path}", self.base));
        Process::run(command).stdout
    }

    /// Calls a path with these arguments of curl.
    ///
    /// # Panics
    /// If there is no answer.
    #[must_use]
    pub fn call(&self, path: &str, arguments: &[&str]) -> Answer {
        let mut command = Command::new("curl");
        command.args(["--silent", "--show-error", "--include", "--max-time", "30"]).args(arguments);
        command.arg(format!("{}{path}", self.base));
        let finished = Process::run(command);
        assert!(finished.status.success(), "curl {path}: {}", finished.stderr);
        Answer::parse(&finished.stdout)
    }

    /// Reads a path, with an access token.
    #[must_use]
    pub fn get(&self, path: &str, token: &str) -> Answer {
        self.call(path, &["-H", &authorization(token)])
    }

    /// Posts JSON, without a token.
    #[must_use]
    pub fn post(&self, path: &str, body: &Value) -> Answer {
        self.call(path, &["-d", &body.to_string()])
    }

    /// Posts JSON, with an access token.
    #[must_use]
    pub fn post_as(&self, token: &str, path: &str, body: &Value) -> Answer {
        self.call(path, &["-H", &authorization(token), "-d", &body.to_string()])
    }
}

impl Answer {
    fn parse(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").expect("an answer has a head");
        let mut lines = head.lines();
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|status| status.parse().ok());
        let headers = lines.filter_map(|line| line.split_once(": "));
        Self {
            status: status.expect("an answer has a status"),
            headers: headers.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect(),
            body: serde_json::from_str(body).unwrap_or_default(),
        }
    }

    /// The value of a header that is there once.
    ///
    /// # Panics
    /// If it is there more than once.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|(header, _)| header == name).map(|(_, value)| value.as_str());
        let value = values.next();
        assert_eq!(values.next(), None, "{name} is there twice");
        value
    }

    /// The stable reason of an error; "" if the answer is none of ours.
    #[must_use]
    pub fn reason(&self) -> &str {
        self.detail("google.rpc.ErrorInfo")
            .filter(|info| info["domain"] == "muster")
            .map_or("", |info| text(info, "reason"))
    }

    /// The status and the reason of an error.
    #[must_use]
    pub fn refusal(&self) -> (u16, &str) {
        (self.status, self.reason())
    }

    /// The fields that an error complains of.
    #[must_use]
    pub fn violated_fields(&self) -> Vec<&str> {
        let violations = self.detail("google.rpc.BadRequest").and_then(|detail| detail["fieldViolations"].as_array());
        violations.into_iter().flatten().map(|violation| text(violation, "field")).collect()
    }

    /// A text in the body, by its path: `tokens/accessToken`.
    ///
    /// # Panics
    /// If it is not there.
    #[must_use]
    pub fn text(&self, path: &str) -> String {
        let found = self.body.pointer(&format!("/{path}")).and_then(Value::as_str);
        found.unwrap_or_else(|| panic!("{path} is not in {self:?}")).to_owned()
    }

    fn detail(&self, message: &str) -> Option<&Value> {
        let wanted = format!("type.googleapis.com/{message}");
        self.body["details"].as_array()?.iter().find(|detail| detail["@type"] == wanted.as_str())
    }
}

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value[name].as_str().unwrap_or_default()
}

fn authorization(token: &str) -> String {
    format!("authorization: Bearer {token}")
}

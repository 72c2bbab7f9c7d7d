//! `muster token`: an access token for an operator, signed here and now.

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::ensure;
use clap::{Args, ValueEnum};
use pkg_ambient::Ambient;
use pkg_auth::{Claims, Issuer, MAX_LIFETIME, Role};

use crate::keys::{SIGNING_KEY_FILE, read_key};
use crate::options::TokenNames;

/// Who holds the key may do everything, so nothing else is asked for.
#[derive(Debug, Args)]
pub struct Options {
    /// What the token allows.
    #[arg(long, value_enum, default_value_t = OperatorRole::Admin)]
    role: OperatorRole,

    /// How long it lives; 15 min at most.
    #[arg(long, value_name = "TIME", default_value = "15m", value_parser = humantime::parse_duration)]
    lifetime: Duration,

    /// The private key that signs it; that of the data folder by default.
    #[arg(long, env = "MUSTER_SIGNING_KEY", value_name = "FILE")]
    signing_key: Option<PathBuf>,

    /// The data folder of `muster dev`.
    #[arg(long, env = "MUSTER_DATA", value_name = "FOLDER", default_value = "muster-data")]
    data: PathBuf,

    #[command(flatten)]
    names: TokenNames,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum OperatorRole {
    Admin,
    Server,
}

pub fn run(options: &Options) -> anyhow::Result<()> {
    ensure!((Duration::from_secs(1)..=MAX_LIFETIME).contains(&options.lifetime), "--lifetime is 1s to 15m");
    let ambient = Ambient::system();
    let key = read_key(&options.signing_key.clone().unwrap_or_else(|| options.data.join(SIGNING_KEY_FILE)))?;
    let now = ambient.now();
    let claims = Claims {
        subject: ambient.id(),
        session: ambient.id(),
        role: match options.role {
            OperatorRole::Admin => Role::Admin,
            OperatorRole::Server => Role::Server,
        },
        token_id: ambient.id(),
        issued_at: now,
        expires_at: now + options.lifetime,
    };
    let token = Issuer::new(key, &options.names.token_issuer, &options.names.token_audience).issue(&claims);
    writeln!(std::io::stdout(), "{token}")?;
    Ok(())
}

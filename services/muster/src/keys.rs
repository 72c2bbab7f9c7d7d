//! The keys and secrets of a process: given by files and options, kept in the data folder, or made up.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};
use pkg_ambient::Ambient;
use pkg_auth::{Issuer, Jwk, JwkSet, RefreshSecrets, SigningKey, Verifier};
use secrecy::{ExposeSecret, SecretSlice};

use crate::options::{Mode, SecretOptions, TokenNames, VerifyingOptions};

/// The file of the data folder that holds the signing key.
pub const SIGNING_KEY_FILE: &str = "signing-key.pem";
const REFRESH_SECRET_FILE: &str = "refresh-secret";
/// How the option is called that says whose tokens are accepted.
const ACCEPTED_KEYS: &str = "MUSTER_ACCEPTED_KEYS (--accepted-keys)";

/// What signs and checks tokens.
pub struct Keys {
    signing: SigningKey,
    accepted: Vec<Jwk>,
    refresh: RefreshSecrets,
}

/// What a server needs of the keys.
pub struct TokenTools {
    pub issuer: Issuer,
    pub verifier: Arc<Verifier>,
    pub published: JwkSet,
    pub refresh: RefreshSecrets,
}

/// What a server needs of the keys that signs nothing.
pub struct Verifying {
    pub verifier: Arc<Verifier>,
    pub published: JwkSet,
}

impl Keys {
    /// The keys given by options. Missing ones are refused in production, and made up and forgotten in development.
    pub fn from_options(options: &SecretOptions, mode: Mode, ambient: &Ambient) -> anyhow::Result<Self> {
        let signing = match &options.signing_key {
            Some(file) => read_key(file).context("MUSTER_SIGNING_KEY (--signing-key)")?,
            None if mode == Mode::Production => bail!("MUSTER_SIGNING_KEY (--signing-key) is missing"),
            None => {
                tracing::warn!("no signing key was given: tokens of this process end with it");
                SigningKey::generate(ambient.random())
            }
        };
        let accepted = read_accepted(&options.accepted_keys)?;
        let refresh = match options.refresh_secrets.as_slice() {
            [] if mode == Mode::Production => bail!("MUSTER_REFRESH_SECRETS (--refresh-secrets) is missing"),
            [] => {
                tracing::warn!("no refresh secret was given: device sessions of this process end with it");
                RefreshSecrets::new([ambient.random::<32>()])
            }
            secrets => RefreshSecrets::new(secrets.iter().map(|secret| secret.expose_secret().as_bytes())),
        };
        let refresh = refresh.context("MUSTER_REFRESH_SECRETS (--refresh-secrets)")?;
        Ok(Self { signing, accepted, refresh })
    }

    /// The keys of a data folder, made at its first use.
    pub fn in_folder(folder: &Path, ambient: &Ambient) -> anyhow::Result<Self> {
        let pem = read_or_make(&folder.join(SIGNING_KEY_FILE), || {
            SigningKey::generate(ambient.random()).to_pem().expose_secret().as_bytes().to_vec()
        })?;
        let pem = String::from_utf8(pem.expose_secret().to_vec()).context("the signing key is not text")?;
        let signing =
            SigningKey::from_pem(&pem).with_context(|| format!("{}", folder.join(SIGNING_KEY_FILE).display()))?;
        let secret = read_or_make(&folder.join(REFRESH_SECRET_FILE), || ambient.random::<32>().to_vec())?;
        let refresh = RefreshSecrets::new([secret.expose_secret()])
            .with_context(|| format!("{}", folder.join(REFRESH_SECRET_FILE).display()))?;
        Ok(Self { signing, accepted: vec![], refresh })
    }

    /// Keys that are forgotten at exit.
    pub fn made_up(ambient: &Ambient) -> anyhow::Result<Self> {
        let signing = SigningKey::generate(ambient.random());
        Ok(Self { signing, accepted: vec![], refresh: RefreshSecrets::new([ambient.random::<32>()])? })
    }

    pub fn into_tools(self, names: &TokenNames) -> anyhow::Result<TokenTools> {
        let published = JwkSet::new(std::iter::once(self.signing.public()).chain(self.accepted));
        let verifier = Verifier::new(&published, &names.token_issuer, &names.token_audience)?;
        Ok(TokenTools {
            issuer: Issuer::new(self.signing, &names.token_issuer, &names.token_audience),
            verifier: Arc::new(verifier),
            published,
            refresh: self.refresh,
        })
    }
}

impl Verifying {
    /// The keys given by options.
    pub fn from_options(options: &VerifyingOptions) -> anyhow::Result<Self> {
        let published = JwkSet::new(read_accepted(&options.accepted_keys)?);
        let verifier = Verifier::new(&published, &options.names.token_issuer, &options.names.token_audience);
        Ok(Self { verifier: Arc::new(verifier.context(ACCEPTED_KEYS)?), published })
    }
}

/// Reads a private key.
pub fn read_key(file: &Path) -> anyhow::Result<SigningKey> {
    let pem = fs::read_to_string(file).with_context(|| format!("cannot read the key {}", file.display()))?;
    SigningKey::from_pem(&pem)
        .with_context(|| format!("{} is not an Ed25519 private key (PKCS#8, PEM)", file.display()))
}

fn read_accepted(files: &[PathBuf]) -> anyhow::Result<Vec<Jwk>> {
    files.iter().map(|file| read_public_key(file)).collect::<anyhow::Result<_>>().context(ACCEPTED_KEYS)
}

/// Reads a public key, or the public half of a private one.
fn read_public_key(file: &Path) -> anyhow::Result<Jwk> {
    let pem = fs::read_to_string(file).with_context(|| format!("cannot read the key {}", file.display()))?;
    let key = Jwk::from_pem(&pem).or_else(|_| SigningKey::from_pem(&pem).map(|key| key.public()));
    key.with_context(|| format!("{} is not an Ed25519 key (PEM, public or PKCS#8)", file.display()))
}

/// Reads a secret file, or makes it, readable by its owner alone. It appears under its name whole, and the first of two
/// processes that make it wins.
fn read_or_make(file: &Path, make: impl FnOnce() -> Vec<u8>) -> anyhow::Result<SecretSlice<u8>> {
    if !file.exists() {
        let unfinished = file.with_extension(format!("new-{}", std::process::id()));
        let mut new = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
        new.write_all(&make())?;
        new.sync_all()?;
        let linked = fs::hard_link(&unfinished, file);
        fs::remove_file(&unfinished)?;
        match linked {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error.into()),
            _ => {}
        }
    }
    let secret = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    Ok(secret.into())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_data_folder_keeps_its_keys_and_shows_them_to_nobody_else() {
        let folder = tempfile::tempdir().unwrap();
        let first = Keys::in_folder(folder.path(), &Ambient::system()).unwrap();
        let second = Keys::in_folder(folder.path(), &Ambient::system()).unwrap();
        assert_eq!(first.signing.id(), second.signing.id());
        for file in fs::read_dir(folder.path()).unwrap() {
            assert_eq!(file.unwrap().metadata().unwrap().permissions().mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn production_refuses_missing_secrets() {
        let none = SecretOptions { signing_key: None, accepted_keys: vec![], refresh_secrets: vec![] };
        assert!(Keys::from_options(&none, Mode::Production, &Ambient::system()).is_err());
        assert!(Keys::from_options(&none, Mode::Development, &Ambient::system()).is_ok());
    }
}

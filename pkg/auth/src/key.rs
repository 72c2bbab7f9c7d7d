//! Signing keys and the published set of their public halves.

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair, Signature};
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::EncodingKey;
use secrecy::SecretString;
use serde_json::{Value, json};

/// Octets of an Ed25519 public key.
const PUBLIC_KEY_BYTES: usize = 32;

/// A private Ed25519 key that signs access tokens.
#[derive(Clone)]
pub struct SigningKey {
    /// Parsed once: jsonwebtoken would parse the document again for each token, which takes as long as signing it.
    pair: Arc<Ed25519KeyPair>,
    document: EncodingKey,
    public: Jwk,
}

impl SigningKey {
    /// The key whose private part is `seed`: 32 random bytes, to be forgotten by the caller.
    ///
    /// # Panics
    /// Never: any 32 bytes are an Ed25519 key.
    #[must_use]
    pub fn generate(seed: [u8; 32]) -> Self {
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed).map_err(|_| KeyError::Pem);
        pair.and_then(Self::from_pair).expect("any 32 bytes are an Ed25519 key")
    }

    /// Reads an unencrypted PKCS#8 document, as `openssl genpkey -algorithm ed25519` writes it.
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        let document = EncodingKey::from_ed_pem(pem.as_bytes()).map_err(|_| KeyError::Pem)?;
        let pair = Ed25519KeyPair::from_pkcs8(document.as_bytes()).map_err(|_| KeyError::Pem)?;
        Self::from_pair(pair)
    }

    fn from_pair(pair: Ed25519KeyPair) -> Result<Self, KeyError> {
        let document = pair.to_pkcs8v1().map_err(|_| KeyError::Pem)?;
        let x = pair.public_key().as_ref().try_into().map_err(|_| KeyError::Pem)?;
        let document = EncodingKey::from_ed_der(document.as_ref());
        Ok(Self { pair: Arc::new(pair), document, public: Jwk::from_bytes(x) })
    }

    /// The key as a PKCS#8 document, to be stored where only the issuer can read it.
    #[must_use]
    pub fn to_pem(&self) -> SecretString {
        // The document has 48 octets, so that its text is a single line of 64, as PEM wants them.
        let text = BASE64_STANDARD.encode(self.document.as_bytes());
        format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n").into()
    }

    /// The key's id: the thumbprint of its public half (RFC 7638).
    #[must_use]
    pub fn id(&self) -> &str {
        &self.public.id
    }

    /// The public half, to be published.
    #[must_use]
    pub fn public(&self) -> Jwk {
        self.public.clone()
    }

    /// The `EdDSA` signature of a message (RFC 8032).
    pub(crate) fn sign(&self, message: &[u8]) -> Signature {
        self.pair.sign(message)
    }
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SigningKey").field("id", &self.id()).finish_non_exhaustive()
    }
}

/// A public Ed25519 key (RFC 8037).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Jwk {
    id: String,
    x: [u8; PUBLIC_KEY_BYTES],
}

/// What comes before the key in the `SubjectPublicKeyInfo` of an Ed25519 key (RFC 8410, 10.1).
const PUBLIC_KEY_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

impl Jwk {
    /// Reads a public key, as `openssl pkey -pubout` writes it.
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        let document = pem::parse(pem).map_err(|_| KeyError::Pem)?;
        let x = document.contents().strip_prefix(&PUBLIC_KEY_PREFIX).filter(|_| document.tag() == "PUBLIC KEY");
        let x = x.and_then(|x| x.try_into().ok()).ok_or(KeyError::Pem)?;
        Ok(Self::from_bytes(x))
    }

    fn from_bytes(x: [u8; PUBLIC_KEY_BYTES]) -> Self {
        // RFC 7638: the required members, in alphabetical order, without spaces.
        let members = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, BASE64_URL_SAFE_NO_PAD.encode(x));
        Self { id: BASE64_URL_SAFE_NO_PAD.encode(digest(&SHA256, members.as_bytes())), x }
    }

    /// The key's id, which a token names in its header.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.x
    }

    fn to_value(&self) -> Value {
        let x = BASE64_URL_SAFE_NO_PAD.encode(self.x);
        json!({ "kty": "OKP", "crv": "Ed25519", "x": x, "kid": self.id, "use": "sig", "alg": "EdDSA" })
    }

    /// `None` for a key that is not meant for `EdDSA` signatures: RFC 7517 wants it ignored, not refused.
    fn from_value(key: &Value) -> Result<Option<Self>, KeyError> {
        let is = |name: &str, expected: &str| key[name].as_str() == Some(expected);
        let may_be = |name: &str, expected: &str| key.get(name).is_none() || is(name, expected);
        let signs = is("kty", "OKP") && is("crv", "Ed25519") && may_be("use", "sig") && may_be("alg", "EdDSA");
        if !signs {
            return Ok(None);
        }
        let id = key["kid"].as_str().ok_or(KeyError::Jwk)?;
        let x = key["x"].as_str().ok_or(KeyError::Jwk)?;
        let x = BASE64_URL_SAFE_NO_PAD.decode(x).map_err(|_| KeyError::Jwk)?;
        let x = x.try_into().map_err(|_| KeyError::Jwk)?;
        Ok(Some(Self { id: id.to_owned(), x }))
    }
}

/// The keys whose signatures are good: what the issuer publishes.
///
/// To rotate without an outage, publish the new key first, sign with it once every verifier has it, and keep the old one
/// in the set until the last token that it signed has expired.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JwkSet {
    keys: Vec<Jwk>,
}

impl JwkSet {
    /// A set of keys; their order means nothing.
    #[must_use]
    pub fn new(keys: impl IntoIterator<Item = Jwk>) -> Self {
        Self { keys: keys.into_iter().collect() }
    }

    /// The keys in the set.
    #[must_use]
    pub fn keys(&self) -> &[Jwk] {
        &self.keys
    }

    /// The JSON document to publish (RFC 7517).
    #[must_use]
    pub fn to_json(&self) -> String {
        let keys: Vec<Value> = self.keys.iter().map(Jwk::to_value).collect();
        json!({ "keys": keys }).to_string()
    }

    /// Reads a published document. Keys of other kinds are left out; an Ed25519 key without `kid` or with a malformed
    /// `x` is an error.
    pub fn from_json(document: &str) -> Result<Self, KeyError> {
        let document: Value = serde_json::from_str(document).map_err(|_| KeyError::Document)?;
        let keys = document["keys"].as_array().ok_or(KeyError::Document)?;
        let keys: Result<Vec<_>, _> = keys.iter().filter_map(|key| Jwk::from_value(key).transpose()).collect();
        Ok(Self { keys: keys? })
    }
}

impl FromIterator<Jwk> for JwkSet {
    fn from_iter<I: IntoIterator<Item = Jwk>>(keys: I) -> Self {
        Self::new(keys)
    }
}

/// Why a key or a set of keys cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not an unencrypted Ed25519 key in PKCS#8 and PEM.
    #[error("not an unencrypted Ed25519 private key in PKCS#8 PEM")]
    Pem,
    /// Not a JWK set.
    #[error("not a JWK set")]
    Document,
    /// An Ed25519 key in the set has no `kid` or no `x` of 32 octets.
    #[error("an Ed25519 key of the JWK set is malformed")]
    Jwk,
    /// The set has no Ed25519 key: nothing could ever be verified.
    #[error("the JWK set has no Ed25519 signature key")]
    NoKeys,
    /// Two different keys have the same id.
    #[error("two keys of the JWK set have the same id")]
    AmbiguousId,
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    /// RFC 8037, appendix A: the private and public key, and the thumbprint.
    const RFC_8037_D: &str = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A";
    const RFC_8037_X: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
    const RFC_8037_THUMBPRINT: &str = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k";

    fn rfc_8037_key() -> SigningKey {
        SigningKey::generate(BASE64_URL_SAFE_NO_PAD.decode(RFC_8037_D).unwrap().try_into().unwrap())
    }

    #[test]
    fn a_key_has_the_public_half_and_the_thumbprint_of_rfc_8037() {
        let key = rfc_8037_key();
        assert_eq!(BASE64_URL_SAFE_NO_PAD.encode(key.public().bytes()), RFC_8037_X);
        assert_eq!(key.id(), RFC_8037_THUMBPRINT);
    }

    #[test]
    fn a_key_survives_the_way_through_pem() {
        let key = rfc_8037_key();
        let copy = SigningKey::from_pem(key.to_pem().expose_secret()).unwrap();
        assert_eq!(copy.public(), key.public());
        assert_eq!(copy.to_pem().expose_secret(), key.to_pem().expose_secret());
    }

    #[test]
    fn a_key_is_read_from_what_openssl_writes_and_from_a_document_with_the_public_half() {
        // RFC 8410, section 10.3: the same key in both versions of PKCS#8.
        let v1 = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----\n";
        let v2 = "-----BEGIN PRIVATE KEY-----\nMHICAQEwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\noB8wHQYKKoZIhvcNAQkJFDEPDA1DdXJkbGUgQ2hhaXJzgSEAGb9ECWmEzf6FQbrB\nZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PRIVATE KEY-----\n";
        let x = SigningKey::from_pem(v1).unwrap();
        assert_eq!(SigningKey::from_pem(v2).unwrap().public(), x.public());
        assert_eq!(x.to_pem().expose_secret(), v1);
        // RFC 8410, section 10.1: the public half.
        let public = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n";
        assert_eq!(Jwk::from_pem(public).unwrap(), x.public());
        assert_eq!(Jwk::from_pem(v1), Err(KeyError::Pem));
    }

    #[test]
    fn what_is_not_an_ed25519_private_key_is_refused() {
        let public = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n";
        let x25519 = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VuBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----\n";
        for pem in ["", "a key", public, x25519] {
            assert_eq!(SigningKey::from_pem(pem).err(), Some(KeyError::Pem));
        }
    }

    #[test]
    fn a_debug_print_does_not_show_the_private_key() {
        let key = rfc_8037_key();
        let print = format!("{key:?} {:?}", key.to_pem());
        assert!(print.contains(RFC_8037_THUMBPRINT));
        assert!(!print.contains(RFC_8037_D) && !print.contains("MC4CAQ"));
    }

    #[test]
    fn a_set_is_published_with_every_member_and_read_back() {
        let set = JwkSet::new([rfc_8037_key().public(), SigningKey::generate([7; 32]).public()]);
        let document: Value = serde_json::from_str(&set.to_json()).unwrap();
        let expected = json!({
            "kty": "OKP", "crv": "Ed25519", "x": RFC_8037_X, "kid": RFC_8037_THUMBPRINT, "use": "sig", "alg": "EdDSA",
        });
        assert_eq!(document["keys"][0], expected);
        assert_eq!(JwkSet::from_json(&set.to_json()), Ok(set));
    }

    #[test]
    fn keys_of_other_kinds_and_for_other_uses_are_left_out() {
        let ours = rfc_8037_key().public();
        let mut encrypts = ours.to_value();
        encrypts["use"] = "enc".into();
        let mut other_algorithm = ours.to_value();
        other_algorithm["alg"] = "ES256".into();
        let mut agreement = ours.to_value();
        agreement["crv"] = "X25519".into();
        let secret = json!({ "kty": "oct", "k": "c2VjcmV0", "kid": "a", "alg": "HS256" });
        let document = json!({ "keys": [encrypts, other_algorithm, agreement, secret, 7, ours.to_value()] });
        assert_eq!(JwkSet::from_json(&document.to_string()), Ok(JwkSet::new([ours])));
    }

    #[test]
    fn a_malformed_document_or_key_is_refused() {
        for document in ["", "[]", "{}", r#"{"keys":{}}"#] {
            assert_eq!(JwkSet::from_json(document), Err(KeyError::Document));
        }
        for (member, value) in [("kid", Value::Null), ("x", Value::Null), ("x", "AAAA".into()), ("x", "*".into())] {
            let mut key = rfc_8037_key().public().to_value();
            key[member] = value;
            assert_eq!(JwkSet::from_json(&json!({ "keys": [key] }).to_string()), Err(KeyError::Jwk));
        }
    }
}

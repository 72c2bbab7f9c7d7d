//! The vectors of Project Wycheproof, which know the mistakes of other implementations.

use serde_json::json;

use super::*;

const ED25519: &str = include_str!("../../tests/wycheproof/ed25519.json");
const ED25519_VECTORS: usize = 151;
const JWS: &str = include_str!("../../tests/wycheproof/json_web_signature.json");
const JWS_VECTORS: usize = 401;

#[derive(Deserialize)]
struct Vectors<K, T> {
    groups: Vec<Group<K, T>>,
}

#[derive(Deserialize)]
struct Group<K, T> {
    key: K,
    tests: Vec<T>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SignatureVector {
    tc_id: u32,
    msg: String,
    sig: String,
    result: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct JwsVector {
    tc_id: u32,
    jws: String,
}

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u32> = text.chars().map(|digit| digit.to_digit(16).unwrap()).collect();
    digits.chunks(2).map(|pair| u8::try_from(pair[0] * 16 + pair[1]).unwrap()).collect()
}

/// A verifier that knows one Ed25519 key by any of these ids.
fn verifier(ids: impl IntoIterator<Item = String>) -> Verifier {
    let x = BASE64_URL_SAFE_NO_PAD.encode(SigningKey::generate([1; 32]).public().bytes());
    let keys: Vec<_> =
        ids.into_iter().map(|id| json!({ "kty": "OKP", "crv": "Ed25519", "kid": id, "x": x.clone() })).collect();
    let keys = JwkSet::from_json(&json!({ "keys": keys }).to_string()).unwrap();
    Verifier::new(&keys, "issuer", "audience").unwrap()
}

#[test]
fn ed25519_signatures_are_accepted_exactly_where_they_are_valid() {
    let vectors: Vectors<String, SignatureVector> = serde_json::from_str(ED25519).unwrap();
    let mut seen = 0;
    for group in &vectors.groups {
        let key = DecodingKey::from_ed_der(&unhex(&group.key));
        for vector in &group.tests {
            let signature = BASE64_URL_SAFE_NO_PAD.encode(unhex(&vector.sig));
            let good = signature_is_good(unhex(&vector.msg), &signature, &key);
            assert_eq!(good, vector.result == "valid", "vector {}", vector.tc_id);
            seen += 1;
        }
    }
    assert_eq!(seen, ED25519_VECTORS);
}

#[test]
fn every_jws_of_another_algorithm_is_refused() {
    let vectors: Vectors<serde_json::Value, JwsVector> = serde_json::from_str(JWS).unwrap();
    let mut seen = 0;
    for group in &vectors.groups {
        let published = json!({ "keys": [group.key] }).to_string();
        assert_eq!(JwkSet::from_json(&published), Ok(JwkSet::default()), "a key of another kind is no key");

        // Our key under the id that the vector names: the algorithm has to be the reason.
        let id = group.key["kid"].as_str().unwrap_or("none").to_owned();
        let verifier = verifier([id.clone()]);
        let eddsa = json!({ "alg": "EdDSA", "typ": "at+jwt", "kid": id }).to_string();
        let eddsa = BASE64_URL_SAFE_NO_PAD.encode(eddsa);
        for JwsVector { tc_id, jws } in &group.tests {
            assert_eq!(verifier.authenticate(jws), Err(TokenError::Malformed), "vector {tc_id}");
            let refused = verifier.verify(jws, OffsetDateTime::UNIX_EPOCH);
            assert_eq!(refused, Err(TokenError::Malformed), "vector {tc_id}");

            // The same signature under a header that would be acceptable.
            if let Some((_, rest)) = jws.split_once('.') {
                let relabelled = verifier.authenticate(&format!("{eddsa}.{rest}")).err();
                let reasons = [Some(TokenError::Signature), Some(TokenError::Malformed)];
                assert!(reasons.contains(&relabelled), "vector {tc_id}");
            }
            seen += 1;
        }
    }
    assert_eq!(seen, JWS_VECTORS);
}

#[test]
fn the_signature_of_rfc_8037_is_good_and_its_jws_is_no_access_token() {
    let jws = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.\
               hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
    let key = DecodingKey::from_ed_components("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo").unwrap();
    let (message, signature) = jws.rsplit_once('.').unwrap();
    assert!(signature_is_good(message, signature, &key));
    assert_eq!(verifier(["any".to_owned()]).authenticate(jws), Err(TokenError::Malformed));
}

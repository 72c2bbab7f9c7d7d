use proptest::prelude::*;
use serde_json::{Value, json};
use time::Duration as Span;

use super::*;

const ISSUER: &str = "https://muster.example";
const AUDIENCE: &str = "muster";
/// A moment of 2026, with a fraction: clocks have one, tokens do not.
const NOW: i64 = 1_780_000_000;

fn now() -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(NOW).unwrap()
}

fn key() -> SigningKey {
    SigningKey::generate([1; 32])
}

fn verifier() -> Verifier {
    Verifier::new(&JwkSet::new([key().public()]), ISSUER, AUDIENCE).unwrap()
}

fn claims() -> Claims {
    Claims {
        subject: Uuid::from_u128(1),
        session: Uuid::from_u128(2),
        role: Role::Player,
        token_id: Uuid::from_u128(3),
        issued_at: now(),
        expires_at: now() + MAX_LIFETIME,
    }
}

fn issued() -> String {
    Issuer::new(key(), ISSUER, AUDIENCE).issue(&claims())
}

fn header() -> Value {
    json!({ "alg": "EdDSA", "typ": "at+jwt", "kid": key().id() })
}

fn payload() -> Value {
    let id = |number| Uuid::from_u128(number).to_string();
    json!({
        "iss": ISSUER, "aud": AUDIENCE, "sub": id(1), "sid": id(2), "role": "player", "jti": id(3),
        "iat": NOW, "exp": NOW + 900,
    })
}

fn without(mut object: Value, member: &str) -> Value {
    object.as_object_mut().unwrap().remove(member).unwrap();
    object
}

fn with(mut object: Value, member: &str, value: impl Into<Value>) -> Value {
    object[member] = value.into();
    object
}

fn encode(part: impl AsRef<[u8]>) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(part)
}

/// Any header and payload with a good signature of our key.
fn signed_text(header: &str, payload: &str) -> String {
    let message = format!("{}.{}", encode(header), encode(payload));
    let signature = BASE64_URL_SAFE_NO_PAD.encode(key().sign(message.as_bytes()));
    format!("{message}.{signature}")
}

fn signed(header: &Value, payload: &Value) -> String {
    signed_text(&header.to_string(), &payload.to_string())
}

fn verify_header(header: &Value) -> Result<Claims, TokenError> {
    verifier().verify(&signed(header, &payload()), now())
}

fn verify_payload(payload: &Value) -> Result<Claims, TokenError> {
    verifier().verify(&signed(&header(), payload), now())
}

#[test]
fn an_issued_token_is_verified_with_the_claims_that_it_was_issued_with() {
    for role in Role::ALL {
        let claims = Claims { role, ..claims() };
        let token = Issuer::new(key(), ISSUER, AUDIENCE).issue(&claims);
        assert_eq!(verifier().verify(&token, now()), Ok(claims));
    }
}

#[test]
fn an_issued_token_has_the_documented_header_and_claims() {
    let token = issued();
    let parts: Vec<&str> = token.split('.').collect();
    let [received_header, received_payload] =
        [parts[0], parts[1]].map(|part| serde_json::from_slice::<Value>(&decode(part).unwrap()).unwrap());
    assert_eq!(received_header, header());
    assert_eq!(received_payload, payload());
}

#[test]
fn fractions_of_seconds_are_dropped() {
    let exact = claims();
    let precise = Claims { issued_at: exact.issued_at + Span::milliseconds(700), ..exact };
    let token = Issuer::new(key(), ISSUER, AUDIENCE).issue(&precise);
    assert_eq!(verifier().verify(&token, now()), Ok(exact));
}

#[test]
fn a_token_of_an_old_key_is_good_while_the_key_is_in_the_set() {
    let (old, new) = (key(), SigningKey::generate([2; 32]));
    let token = Issuer::new(old.clone(), ISSUER, AUDIENCE).issue(&claims());
    let during = JwkSet::new([new.public(), old.public()]);
    let during = Verifier::new(&JwkSet::from_json(&during.to_json()).unwrap(), ISSUER, AUDIENCE).unwrap();
    let after = Verifier::new(&JwkSet::new([new.public()]), ISSUER, AUDIENCE).unwrap();

    assert_eq!(during.verify(&token, now()), Ok(claims()));
    assert_eq!(during.verify(&Issuer::new(new, ISSUER, AUDIENCE).issue(&claims()), now()), Ok(claims()));
    assert_eq!(after.verify(&token, now()), Err(TokenError::UnknownKey));
}

#[test]
fn the_id_of_another_key_does_not_help() {
    let other = SigningKey::generate([2; 32]);
    let both = Verifier::new(&JwkSet::new([key().public(), other.public()]), ISSUER, AUDIENCE).unwrap();
    let token = signed(&with(header(), "kid", other.id()), &payload());
    assert_eq!(both.verify(&token, now()), Err(TokenError::Signature));
    assert_eq!(verify_header(&with(header(), "kid", "elsewhere")), Err(TokenError::UnknownKey));
    assert_eq!(verify_header(&without(header(), "kid")), Err(TokenError::Malformed));
}

#[test]
fn a_set_without_keys_or_with_two_of_one_id_makes_no_verifier() {
    let other = SigningKey::generate([2; 32]);
    let document = JwkSet::new([key().public(), other.public()]).to_json();
    let ambiguous = document.replace(other.id(), key().id());
    let verifier = |keys: &JwkSet| Verifier::new(keys, ISSUER, AUDIENCE).err();
    assert_eq!(verifier(&JwkSet::default()), Some(KeyError::NoKeys));
    assert_eq!(verifier(&JwkSet::from_json(&ambiguous).unwrap()), Some(KeyError::AmbiguousId));
    assert_eq!(verifier(&JwkSet::new([key().public(), key().public()])), None);
}

#[test]
fn only_eddsa_is_an_algorithm() {
    for algorithm in ["none", "None", "", "HS256", "ES256", "RS256", "eddsa", "Ed25519"] {
        assert_eq!(verify_header(&with(header(), "alg", algorithm)), Err(TokenError::Malformed), "{algorithm}");
    }
    assert_eq!(verify_header(&without(header(), "alg")), Err(TokenError::Malformed));
}

#[test]
fn a_token_without_a_signature_is_refused() {
    let none = with(header(), "alg", "none");
    let unsigned = format!("{}.{}.", encode(none.to_string()), encode(payload().to_string()));
    assert_eq!(verifier().verify(&unsigned, now()), Err(TokenError::Malformed));
    let stripped = format!("{}.", issued().rsplit_once('.').unwrap().0);
    assert_eq!(verifier().verify(&stripped, now()), Err(TokenError::Signature));
}

#[test]
fn the_public_key_is_no_secret_for_hs256() {
    let public = key().public();
    let document = JwkSet::new([public.clone()]).to_json();
    for secret in [public.bytes(), encode(public.bytes()).as_bytes(), document.as_bytes()] {
        let mut forged = Header::new(Algorithm::HS256);
        forged.typ = Some(TYPE.to_owned());
        forged.kid = Some(public.id().to_owned());
        let secret = jsonwebtoken::EncodingKey::from_secret(secret);
        let token = jsonwebtoken::encode(&forged, &payload(), &secret).unwrap();
        assert_eq!(verifier().verify(&token, now()), Err(TokenError::Malformed));
    }
}

#[test]
fn the_type_is_that_of_an_access_token_in_any_case() {
    for typ in ["at+jwt", "AT+JWT", "application/at+jwt", "application/AT+jwt"] {
        assert_eq!(verify_header(&with(header(), "typ", typ)), Ok(claims()), "{typ}");
    }
    for typ in ["JWT", "jwt", "", "id+jwt", "application/jwt", "at+jwt "] {
        assert_eq!(verify_header(&with(header(), "typ", typ)), Err(TokenError::Malformed), "{typ}");
    }
    assert_eq!(verify_header(&without(header(), "typ")), Err(TokenError::Malformed));
}

#[test]
fn any_critical_extension_is_refused() {
    for crit in [json!(["b64"]), json!(["exp"]), json!([]), json!("exp"), json!({}), Value::Null] {
        assert_eq!(verify_header(&with(header(), "crit", crit.clone())), Err(TokenError::Malformed), "{crit}");
    }
}

#[test]
fn a_key_that_the_token_brings_along_is_never_used() {
    let theirs = SigningKey::generate([9; 32]);
    let document: Value = serde_json::from_str(&JwkSet::new([theirs.public()]).to_json()).unwrap();
    let mut brought = header();
    brought["jwk"] = document["keys"][0].clone();
    brought["jku"] = "https://keys.example/jwks.json".into();
    brought["x5u"] = "https://keys.example/chain.pem".into();
    brought["x5c"] = json!(["MIIB"]);

    let message = format!("{}.{}", encode(brought.to_string()), encode(payload().to_string()));
    let signature = BASE64_URL_SAFE_NO_PAD.encode(theirs.sign(message.as_bytes()));
    assert_eq!(verifier().verify(&format!("{message}.{signature}"), now()), Err(TokenError::Signature));
    assert_eq!(verify_header(&brought), Ok(claims()));
    assert_eq!(verify_header(&with(brought, "kid", theirs.id())), Err(TokenError::UnknownKey));
}

#[test]
fn a_header_or_payload_with_a_member_twice_is_refused() {
    let twice = header().to_string().replace('{', r#"{"alg":"EdDSA","#);
    let token = signed_text(&twice, &payload().to_string());
    assert_eq!(verifier().verify(&token, now()), Err(TokenError::Malformed));
    let twice = payload().to_string().replace('{', r#"{"role":"admin","#);
    let token = signed_text(&header().to_string(), &twice);
    assert_eq!(verifier().verify(&token, now()), Err(TokenError::Claims));
}

#[test]
fn every_claim_is_required() {
    for claim in ["iss", "aud", "sub", "sid", "role", "iat", "exp", "jti"] {
        assert_eq!(verify_payload(&without(payload(), claim)), Err(TokenError::Claims), "{claim}");
        assert_eq!(verify_payload(&with(payload(), claim, Value::Null)), Err(TokenError::Claims), "{claim}");
    }
}

#[test]
fn claims_that_are_malformed_or_of_another_are_refused() {
    let wrong = [
        ("iss", json!("https://muster.example/")),
        ("aud", json!("Muster")),
        ("aud", json!("muster-admin")),
        ("aud", json!(["a", "b"])),
        ("aud", json!([])),
        ("sub", json!("somebody")),
        ("sid", json!(7)),
        ("jti", json!("")),
        ("role", json!("Player")),
        ("role", json!("root")),
        ("role", json!(["player"])),
        ("iat", json!(NOW.to_string())),
        ("exp", json!(1.5)),
        ("exp", json!(i64::MAX)),
        ("iat", json!(i64::MIN)),
        ("exp", json!(u64::MAX)),
        ("nbf", json!("now")),
        ("nbf", json!(i64::MAX)),
    ];
    for (claim, value) in wrong {
        assert_eq!(verify_payload(&with(payload(), claim, value.clone())), Err(TokenError::Claims), "{claim} {value}");
    }
    for payload in ["", "[]", "null", "{}", "\u{0}"] {
        let token = signed_text(&header().to_string(), payload);
        assert_eq!(verifier().verify(&token, now()), Err(TokenError::Claims), "{payload}");
    }
}

#[test]
fn one_of_several_audiences_is_enough() {
    assert_eq!(verify_payload(&with(payload(), "aud", json!(["other", AUDIENCE]))), Ok(claims()));
}

#[test]
fn a_token_ends_when_the_leeway_after_its_expiry_is_over() {
    let end = claims().expires_at + LEEWAY;
    let verify_at = |now| verifier().verify(&issued(), now);
    assert_eq!(verify_at(end - Span::nanoseconds(1)), Ok(claims()));
    assert_eq!(verify_at(end), Err(TokenError::Expired));
    assert_eq!(verify_at(end + Span::days(100)), Err(TokenError::Expired));
}

#[test]
fn a_token_begins_the_leeway_before_it_was_issued() {
    let begin = now() - LEEWAY;
    let verify_at = |now| verifier().verify(&issued(), now);
    assert_eq!(verify_at(begin), Ok(claims()));
    assert_eq!(verify_at(begin - Span::nanoseconds(1)), Err(TokenError::NotYetValid));
}

#[test]
fn nbf_is_honoured_where_it_is_present() {
    let leeway = 5;
    for (not_before, expected) in [
        (NOW - 100, Ok(claims())),
        (NOW + leeway, Ok(claims())),
        (NOW + leeway + 1, Err(TokenError::NotYetValid)),
        (NOW + 800, Err(TokenError::NotYetValid)),
    ] {
        assert_eq!(verify_payload(&with(payload(), "nbf", not_before)), expected);
    }
}

#[test]
fn a_token_may_not_live_longer_than_its_revocation_is_remembered() {
    for (lifetime, expected) in [
        (900, Ok(claims())),
        (901, Err(TokenError::Claims)),
        (100_000_000, Err(TokenError::Claims)),
        (0, Err(TokenError::Claims)),
        (-1, Err(TokenError::Claims)),
    ] {
        assert_eq!(verify_payload(&with(payload(), "exp", NOW + lifetime)), expected, "{lifetime}");
    }
}

#[test]
fn extreme_times_are_no_reason_to_panic() {
    let last = OffsetDateTime::new_utc(time::Date::MAX, time::Time::MIDNIGHT).unix_timestamp();
    let first = OffsetDateTime::new_utc(time::Date::MIN, time::Time::MIDNIGHT).unix_timestamp();
    let times = [first, first + 900, 0, 900, last - 900, last];
    for (iat, exp) in times.iter().flat_map(|iat| times.map(|exp| (*iat, exp))) {
        for now in times.map(|now| OffsetDateTime::from_unix_timestamp(now).unwrap()) {
            let token = signed(&header(), &with(with(payload(), "iat", iat), "exp", exp));
            if verifier().verify(&token, now).is_ok() {
                assert_eq!(exp - iat, 900);
                assert!((iat - 5..exp + 5).contains(&now.unix_timestamp()), "{iat} {exp} {now}");
            }
        }
    }
}

#[test]
fn a_token_of_four_kib_is_read_and_a_longer_one_is_not() {
    let tokens = (2_500..2_800).map(|padding| signed(&header(), &with(payload(), "padding", "x".repeat(padding))));
    let (read, unread): (Vec<_>, Vec<_>) = tokens.partition(|token| token.len() <= MAX_TOKEN_BYTES);
    assert!(read.last().unwrap().len() >= MAX_TOKEN_BYTES - 1);
    assert_eq!(verifier().verify(read.last().unwrap(), now()), Ok(claims()));
    assert_eq!(verifier().verify(&unread[0], now()), Err(TokenError::Malformed));
}

#[test]
fn what_is_not_three_parts_of_base64url_is_malformed() {
    let token = issued();
    let (message, signature) = token.rsplit_once('.').unwrap();
    let (first, second) = message.split_once('.').unwrap();
    for malformed in ["", ".", "..", "...", "a.b.c", signature, message, &format!("={token}"), &format!(" {token}")] {
        assert_eq!(verifier().verify(malformed, now()), Err(TokenError::Malformed), "{malformed}");
    }
    for wrong in [format!("{token}="), format!("{token}."), format!("{first}.{second}.x.{signature}")] {
        assert_eq!(verifier().verify(&wrong, now()), Err(TokenError::Signature), "{wrong}");
    }
}

#[test]
fn roles_are_spelled_as_they_are_read() {
    for role in Role::ALL {
        assert_eq!(role.to_string().parse(), Ok(role));
    }
    assert_eq!("Player".parse::<Role>(), Err(UnknownRole));
}

proptest! {
    #[test]
    fn a_token_with_any_character_replaced_is_refused(position: prop::sample::Index, character in "[A-Za-z0-9_.=-]") {
        let mut token = issued();
        let position = position.index(token.len());
        prop_assume!(token[position..=position] != *character);
        token.replace_range(position..=position, &character);
        prop_assert!(verifier().verify(&token, now()).is_err());
    }

    #[test]
    fn a_token_that_is_cut_or_extended_is_refused(position: prop::sample::Index, extension in "[A-Za-z0-9_.=-]{1,8}") {
        let mut token = issued();
        prop_assert!(verifier().verify(&token[..position.index(token.len())], now()).is_err());
        token.push_str(&extension);
        prop_assert!(verifier().verify(&token, now()).is_err());
    }

    #[test]
    fn no_string_makes_the_verifier_panic(token in ".*", header in ".*", payload in ".*") {
        prop_assert!(verifier().verify(&token, now()).is_err());
        prop_assert!(verifier().verify(&signed_text(&header, &payload), now()).is_err());
    }
}

//! What all requests are made of, parsed.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use pkg_middleware::Problem;
use uuid::Uuid;

const PAGE_SIZE_DEFAULT: usize = 50;
const PAGE_SIZE_MAX: usize = 100;
const UUID_V7: usize = 7;

pub(super) fn id(field: &str, text: &str) -> Result<Uuid, Problem> {
    Uuid::try_parse(text).map_err(|_| Problem::invalid_field(field, "is not a UUID"))
}

/// The id of something that the client creates.
pub(super) fn new_id(field: &str, text: &str) -> Result<Option<Uuid>, Problem> {
    if text.is_empty() {
        return Ok(None);
    }
    let id = Uuid::try_parse(text).ok().filter(|id| id.get_version_num() == UUID_V7);
    id.map(Some).ok_or_else(|| Problem::invalid_field(field, "is not a UUIDv7"))
}

/// As many ids as a batch may have.
pub(super) fn ids(field: &str, texts: &[String], most: usize) -> Result<Vec<Uuid>, Problem> {
    if texts.len() > most {
        return Err(Problem::invalid_field(field, format!("has {most} ids at most")));
    }
    texts.iter().enumerate().map(|(place, text)| id(&format!("{field}[{place}]"), text)).collect()
}

/// The version that a change was made for; 0: any.
pub(super) fn expected_version(field: &str, version: i64) -> Result<Option<i64>, Problem> {
    match version {
        0 => Ok(None),
        1.. => Ok(Some(version)),
        _ => Err(Problem::invalid_field(field, "is not negative")),
    }
}

pub(super) fn page_size(size: i32) -> Result<usize, Problem> {
    match usize::try_from(size) {
        Ok(0) => Ok(PAGE_SIZE_DEFAULT),
        Ok(size @ 1..=PAGE_SIZE_MAX) => Ok(size),
        _ => Err(Problem::invalid_field("page_size", format!("is 1 to {PAGE_SIZE_MAX}, or 0 for {PAGE_SIZE_DEFAULT}"))),
    }
}

/// What a page token says, by a function that knows its content; `None` on the first page.
pub(super) fn page_token<T>(token: &str, read: impl FnOnce(&[u8]) -> Option<T>) -> Result<Option<T>, Problem> {
    if token.is_empty() {
        return Ok(None);
    }
    let content = URL_SAFE_NO_PAD.decode(token).ok();
    let place = content.and_then(|content| read(&content));
    place.map(Some).ok_or_else(|| Problem::invalid_field("page_token", "is not the next_page_token of an answer"))
}

/// The token that asks for what comes after this.
pub(super) fn to_page_token(content: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(content)
}

/// A number in a page token.
pub(super) fn number(content: &[u8]) -> Option<i64> {
    content.try_into().ok().map(i64::from_be_bytes)
}

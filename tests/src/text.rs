//! Names that nobody else has.

use pkg_ambient::Ambient;

/// A password that the rules accept.
pub const PASSWORD: &str = "correct-horse-9";

/// Lower-case hex digits, twice as many as `N`, random.
#[must_use]
pub fn random_text<const N: usize>() -> String {
    let digit = |value: u8| char::from_digit(value.into(), 16).expect("four bits are a digit");
    Ambient::system().random::<N>().iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// A username with capital letters in it.
#[must_use]
pub fn username() -> String {
    format!("Neo_{}", random_text::<8>())
}

/// An e-mail address with capital letters in it.
#[must_use]
pub fn email() -> String {
    format!("Neo.{}@Example.com", random_text::<8>())
}

//! Time zones by their names.

/// The names of the time zone database, release 2025b, one a line.
const NAMES: &str = include_str!("time_zones.txt");
const UTC: &str = "UTC";

/// A time zone that the IANA database knows, such as "Europe/Vienna".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TimeZone(&'static str);

impl TimeZone {
    /// Coordinated universal time.
    pub const UTC: Self = Self(UTC);

    /// `None` if there is no such zone. Names are taken to the letter.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        NAMES.lines().find(|name| *name == text).map(Self)
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_are_known_by_their_names() {
        for name in ["UTC", "Europe/Vienna", "America/Argentina/Buenos_Aires", "Asia/Kolkata", "Pacific/Auckland"] {
            assert_eq!(TimeZone::parse(name).map(TimeZone::name), Some(name));
        }
        assert_eq!(TimeZone::parse("UTC"), Some(TimeZone::UTC));
        for name in ["", "utc", "Europe/Entenhausen", "CEST", "+02:00", "Europe/Vienna "] {
            assert_eq!(TimeZone::parse(name), None, "{name}");
        }
    }
}

//! Parts of the world.

use pkg_api::game::v1 as api;

/// A part of the world where sessions run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Region {
    /// The east of North America.
    NaEast,
    /// The west of North America.
    NaWest,
    /// South America.
    Sa,
    /// The west of Europe.
    EuWest,
    /// The centre of Europe.
    EuCentral,
    /// The north of Europe.
    EuNorth,
    /// The east of Asia.
    AsiaEast,
    /// The south-east of Asia.
    AsiaSouthEast,
    /// The south of Asia.
    AsiaSouth,
    /// Australia, New Zealand and the Pacific.
    Oceania,
    /// The Middle East and the north of Africa.
    Mena,
    /// Africa south of the Sahara.
    Africa,
    /// Everywhere: it does not matter where the players are.
    Global,
}

impl Region {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::NaEast,
        Self::NaWest,
        Self::Sa,
        Self::EuWest,
        Self::EuCentral,
        Self::EuNorth,
        Self::AsiaEast,
        Self::AsiaSouthEast,
        Self::AsiaSouth,
        Self::Oceania,
        Self::Mena,
        Self::Africa,
        Self::Global,
    ];

    /// The region of a message; `None` if it names none.
    #[must_use]
    pub fn from_api(region: api::Region) -> Option<Self> {
        Self::ALL.into_iter().find(|known| api::Region::from(*known) == region)
    }
}

impl From<Region> for api::Region {
    fn from(region: Region) -> Self {
        match region {
            Region::NaEast => Self::NaEast,
            Region::NaWest => Self::NaWest,
            Region::Sa => Self::Sa,
            Region::EuWest => Self::EuWest,
            Region::EuCentral => Self::EuCentral,
            Region::EuNorth => Self::EuNorth,
            Region::AsiaEast => Self::AsiaEast,
            Region::AsiaSouthEast => Self::AsiaSouthEast,
            Region::AsiaSouth => Self::AsiaSouth,
            Region::Oceania => Self::Oceania,
            Region::Mena => Self::Mena,
            Region::Africa => Self::Africa,
            Region::Global => Self::Global,
        }
    }
}

//! How the parts of a session are written into a store.

/// By its name in the API.
pub(crate) mod region {
    use pkg_api::game::v1 as api;
    use pkg_definition::Region;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
    pub(crate) fn serialize<S: Serializer>(region: &Region, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(api::Region::from(*region).as_str_name())
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Region, D::Error> {
        let name = String::deserialize(from)?;
        let region = api::Region::from_str_name(&name).and_then(Region::from_api);
        region.ok_or_else(|| D::Error::custom("not a region"))
    }
}

/// As base64.
pub(crate) mod bytes {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD_NO_PAD;
    use bytes::Bytes;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(bytes: &Bytes, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&STANDARD_NO_PAD.encode(bytes))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Bytes, D::Error> {
        let text = String::deserialize(from)?;
        STANDARD_NO_PAD.decode(text).map(Bytes::from).map_err(D::Error::custom)
    }
}

/// As text.
pub(crate) mod team {
    use pkg_definition::TeamName;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(team: &TeamName, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(team.as_str())
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<TeamName, D::Error> {
        TeamName::parse(&String::deserialize(from)?).ok_or_else(|| D::Error::custom("not a team"))
    }

    pub(crate) mod option {
        use pkg_definition::TeamName;
        use serde::de::Error;
        use serde::{Deserialize, Deserializer, Serialize, Serializer};

        #[expect(clippy::ref_option, reason = "serde asks for it")]
        pub(crate) fn serialize<S: Serializer>(team: &Option<TeamName>, to: S) -> Result<S::Ok, S::Error> {
            team.as_ref().map(TeamName::as_str).serialize(to)
        }

        pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<TeamName>, D::Error> {
            let Some(text) = Option::<String>::deserialize(from)? else { return Ok(None) };
            TeamName::parse(&text).map(Some).ok_or_else(|| D::Error::custom("not a team"))
        }
    }
}

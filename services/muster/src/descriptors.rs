//! `muster descriptors`: the API as Envoy reads it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use prost_reflect::{DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MessageDescriptor};

/// The descriptor set, for the transcoder.
const DESCRIPTOR_SET_FILE: &str = "muster.binpb";
/// The JSON routes and the fields of their messages, for `deployments/envoy/strict_json.lua`.
const TABLES_FILE: &str = "muster_api.lua";

/// Methods of HTTP by their field in `google.api.HttpRule`.
const METHODS: [(&str, &str); 5] =
    [("get", "GET"), ("put", "PUT"), ("post", "POST"), ("delete", "DELETE"), ("patch", "PATCH")];

#[derive(Debug, Args)]
pub struct Options {
    /// Write the files to this folder, which is made if need be.
    #[arg(long, value_name = "FOLDER")]
    output: PathBuf,
}

pub fn run(options: &Options) -> anyhow::Result<()> {
    let folder = &options.output;
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let write = |file: &str, content: &[u8]| {
        let path = folder.join(file);
        fs::write(&path, content).with_context(|| format!("cannot write {}", path.display()))
    };
    write(DESCRIPTOR_SET_FILE, pkg_api::DESCRIPTOR_SET)?;
    write(TABLES_FILE, Tables::of(pkg_api::descriptors()).to_lua()?.as_bytes())
}

/// A way to call a method as JSON.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Route {
    /// Paths with fewer variables come first: they are the ones that are meant.
    variables: usize,
    /// A pattern of Lua.
    path: String,
    method: &'static str,
    /// What the body is, as Lua.
    body: Option<String>,
}

#[derive(Debug, Default)]
struct Tables {
    routes: BTreeSet<Route>,
    /// The fields of each message that may be in a body, and what they are, as Lua.
    messages: BTreeMap<String, BTreeMap<String, String>>,
}

impl Tables {
    fn of(pool: &DescriptorPool) -> Self {
        let mut tables = Self::default();
        let Some(annotation) = pool.get_extension_by_name("google.api.http") else { return tables };
        for method in pool.services().flat_map(|service| service.methods().collect::<Vec<_>>()) {
            let options = method.options();
            let annotated = options.get_extension(&annotation);
            let Some(rule) = annotated.as_message() else { continue };
            tables.add(&method.input(), rule);
            let additional = rule.get_field_by_name("additional_bindings");
            for rule in additional.iter().filter_map(|rules| rules.as_list()).flatten() {
                if let Some(rule) = rule.as_message() {
                    tables.add(&method.input(), rule);
                }
            }
        }
        tables
    }

    fn add(&mut self, input: &MessageDescriptor, rule: &DynamicMessage) {
        let text =
            |name: &str| Some(rule.get_field_by_name(name)?.as_str()?.to_owned()).filter(|text| !text.is_empty());
        let Some((method, template)) = METHODS.iter().find_map(|(field, method)| Some((*method, text(field)?))) else {
            return;
        };
        let body = match text("body").as_deref() {
            None => None,
            Some("*") => Some(self.message(input)),
            Some(name) => input.get_field_by_name(name).map(|field| self.kind(&field)),
        };
        self.routes.insert(Route { variables: template.matches('{').count(), path: pattern(&template), method, body });
    }

    /// What a field holds: `true` for anything, a message's name, or a map's values in brackets.
    fn kind(&mut self, field: &FieldDescriptor) -> String {
        match field.kind() {
            Kind::Message(entry) if field.is_map() => {
                format!("{{ {} }}", self.kind(&entry.map_entry_value_field()))
            }
            Kind::Message(message) => self.message(&message),
            _ => "true".to_owned(),
        }
    }

    fn message(&mut self, message: &MessageDescriptor) -> String {
        let name = message.full_name();
        if name.starts_with("google.protobuf.") {
            return "true".to_owned(); // they have a JSON of their own
        }
        if !self.messages.contains_key(name) {
            self.messages.insert(name.to_owned(), BTreeMap::new()); // messages may contain themselves
            let mut fields = BTreeMap::new();
            for field in message.fields() {
                let kind = self.kind(&field);
                fields.insert(field.name().to_owned(), kind.clone());
                fields.insert(field.json_name().to_owned(), kind);
            }
            self.messages.insert(name.to_owned(), fields);
        }
        format!("{name:?}")
    }

    fn to_lua(&self) -> Result<String, std::fmt::Error> {
        let mut lua = "-- Written by `muster descriptors`.\nreturn {\n  routes = {\n".to_owned();
        for Route { path, method, body, .. } in &self.routes {
            let body = body.as_ref().map(|body| format!(", body = {body}")).unwrap_or_default();
            writeln!(lua, "    {{ method = {method:?}, path = {path:?}{body} }},")?;
        }
        lua.push_str("  },\n  messages = {\n");
        for (name, fields) in &self.messages {
            let fields: Vec<_> = fields.iter().map(|(field, kind)| format!("[{field:?}] = {kind}")).collect();
            writeln!(lua, "    [{name:?}] = {{ {} }},", fields.join(", "))?;
        }
        lua.push_str("  },\n}\n");
        Ok(lua)
    }
}

/// The pattern of Lua that matches the paths of a template.
fn pattern(template: &str) -> String {
    let mut pattern = "^".to_owned();
    let mut rest = template;
    while let Some(character) = rest.chars().next() {
        if let Some((variable, after)) = rest.strip_prefix('{').and_then(|rest| rest.split_once('}')) {
            pattern.push_str(if variable.ends_with("**") { ".+" } else { "[^/:]+" });
            rest = after;
            continue;
        }
        if !character.is_ascii_alphanumeric() && character != '/' {
            pattern.push('%');
        }
        pattern.push(character);
        rest = &rest[character.len_utf8()..];
    }
    pattern + "$"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_become_patterns() {
        assert_eq!(pattern("/v1/auth/users/{user_id}:ban"), "^/v1/auth/users/[^/:]+%:ban$");
        assert_eq!(pattern("/v1/server-credentials"), "^/v1/server%-credentials$");
        assert_eq!(pattern("/v1/{name=boards/**}"), "^/v1/.+$");
    }

    #[test]
    fn bodies_are_described_by_both_names_of_their_fields() {
        let tables = Tables::of(pkg_api::descriptors());
        let route =
            |path: &str, method| tables.routes.iter().find(|route| route.path == path && route.method == method);
        let login = route("^/v1/auth/login$", "POST").expect("the route is annotated");
        assert_eq!(login.body.as_deref(), Some("\"muster.auth.v1.LoginRequest\""));
        let refresh = &tables.messages["muster.auth.v1.RefreshTokenRequest"];
        assert_eq!(refresh.keys().collect::<Vec<_>>(), ["refreshToken", "refresh_token"]);
        assert_eq!(tables.messages["muster.auth.v1.LoginRequest"]["identifier"], "true");
        assert!(route("^/v1/players/me$", "GET").is_some_and(|route| route.body.is_none()));
        assert!(tables.to_lua().is_ok());
    }
}

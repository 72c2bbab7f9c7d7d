//! Where on the pages a name is described.

use std::collections::HashMap;

use crate::{
    api::{Package, local_name, told_with},
    comment::Names,
};

/// The page that leads to all others.
pub(crate) const INDEX: &str = "README.md";

/// What fields and comments name, and no page of a package describes.
const ELSEWHERE: [(&str, &str); 6] = [
    ("google.protobuf.Duration", "README.md#types"),
    ("google.protobuf.FieldMask", "README.md#types"),
    ("google.protobuf.Timestamp", "README.md#types"),
    ("google.rpc.BadRequest", "../api.md#errors"),
    ("google.rpc.ErrorInfo", "../api.md#errors"),
    ("google.rpc.RetryInfo", "../api.md#errors"),
];

/// A page and an anchor for each name.
#[derive(Default)]
pub(crate) struct Places {
    by_full_name: HashMap<String, String>,
    /// The full name of what has this name in its package or its service; none where several have it.
    by_local_name: HashMap<String, Option<String>>,
}

impl Places {
    pub(crate) fn of(packages: &[Package]) -> Self {
        let mut places = Self::default();
        for (name, place) in ELSEWHERE {
            places.by_full_name.insert(name.to_owned(), place.to_owned());
        }
        for package in packages {
            for service in &package.services {
                places.add(package, service.full_name(), service.name());
                for method in service.methods() {
                    places.add(package, method.full_name(), method.name());
                    told_with(&method).for_each(|message| places.add_type(package, message.full_name()));
                }
            }
            package.messages.iter().for_each(|message| places.add_type(package, message.full_name()));
            package.enums.iter().for_each(|r#enum| places.add_type(package, r#enum.full_name()));
        }
        places
    }

    /// A link from a page to what has a full name; the mere name if it is on none.
    pub(crate) fn link(&self, label: &str, full_name: &str, page: &str) -> String {
        match self.by_full_name.get(full_name) {
            Some(place) => format!("[{label}]({})", place.strip_prefix(page).unwrap_or(place)),
            None => format!("`{full_name}`"),
        }
    }

    /// How the comments on a name of a package name others.
    pub(crate) fn names<'p>(&'p self, package: &'p Package, full_name: &'p str) -> impl Names {
        move |word: &str| {
            let found = self.find(word, &package.name).filter(|found| found != full_name)?;
            Some(self.link(word, &found, &package.page))
        }
    }

    /// What a comment calls `Message`, `Method`, `Service.Method`, `package.Service/Method` and the like: in its own
    /// package, or else in the only one that has the name. A single plain word names nothing, since comments speak of
    /// sessions and of an Event in general, too.
    fn find(&self, word: &str, package: &str) -> Option<String> {
        let name = word.replace('/', ".");
        let humps = name.chars().filter(char::is_ascii_uppercase).count();
        let is_name = name.contains('.') || (humps > 1 && name.starts_with(|first: char| first.is_ascii_uppercase()));
        if !is_name {
            return None;
        }
        let in_package = format!("{package}.{name}");
        let known = [in_package, name.clone()].into_iter().find(|name| self.by_full_name.contains_key(name));
        known.or_else(|| self.by_local_name.get(&name).cloned().flatten())
    }

    /// A message or an enum; one within another has the names of both for a heading.
    fn add_type(&mut self, package: &Package, full_name: &str) {
        self.add(package, full_name, local_name(full_name, &package.name));
    }

    fn add(&mut self, package: &Package, full_name: &str, heading: &str) {
        self.by_full_name.insert(full_name.to_owned(), format!("{}#{}", package.page, anchor(heading)));
        for name in [local_name(full_name, &package.name), heading] {
            let known = self.by_local_name.entry(name.to_owned()).or_insert_with(|| Some(full_name.to_owned()));
            if known.as_deref() != Some(full_name) {
                *known = None;
            }
        }
    }
}

/// The anchor that web views of repositories give a heading.
pub(crate) fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|&c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.flat_map(char::to_lowercase).map(|c| if c == ' ' { '-' } else { c }).collect()
}

//! What of an API is public, and what its protos say about it.

use std::collections::{BTreeMap, HashMap};

use prost_reflect::{
    DescriptorPool, EnumDescriptor, FileDescriptor, Kind, MessageDescriptor, MethodDescriptor, ServiceDescriptor,
};

use crate::places::Places;

/// Files whose services are for other services alone end like this.
const INTERNAL: &str = "_internal.proto";

/// The public part of an API.
pub(crate) struct Api {
    /// Ordered by name.
    pub(crate) packages: Vec<Package>,
    pub(crate) places: Places,
    /// By the name of the file and the path within it.
    comments: HashMap<(String, Vec<i32>), String>,
}

/// A package with public services, or one that they need. What is in it is ordered by name.
pub(crate) struct Package {
    pub(crate) name: String,
    /// The name of its page.
    pub(crate) page: String,
    pub(crate) services: Vec<ServiceDescriptor>,
    /// Those that are not told with a method.
    pub(crate) messages: Vec<MessageDescriptor>,
    pub(crate) enums: Vec<EnumDescriptor>,
}

impl Api {
    pub(crate) fn of(pool: &DescriptorPool) -> Self {
        let mut packages = BTreeMap::new();
        let mut reached = Reached::default();
        let mut with_methods = Vec::new();
        for service in pool.services().filter(|service| !service.parent_file().name().ends_with(INTERNAL)) {
            for method in service.methods() {
                reached.message(method.input());
                reached.message(method.output());
                with_methods.extend(told_with(&method));
            }
            Package::named(&mut packages, service.package_name()).services.push(service);
        }

        for message in reached.messages.into_values().filter(|message| !with_methods.contains(message)) {
            Package::named(&mut packages, message.package_name()).messages.push(message);
        }
        for r#enum in reached.enums.into_values() {
            Package::named(&mut packages, r#enum.package_name()).enums.push(r#enum);
        }
        // The types of Google's that everybody knows are described in the index.
        packages.retain(|name, _| !name.starts_with("google."));
        for package in packages.values_mut() {
            package.services.sort_by(|a, b| a.name().cmp(b.name()));
        }

        let packages: Vec<_> = packages.into_values().collect();
        Self { places: Places::of(&packages), packages, comments: comments(pool) }
    }

    /// The comment on what has this path in the file; empty if there is none.
    pub(crate) fn comment(&self, file: &FileDescriptor, path: &[i32]) -> &str {
        self.comments.get(&(file.name().to_owned(), path.to_owned())).map_or("", String::as_str)
    }
}

impl Package {
    fn named<'p>(packages: &'p mut BTreeMap<String, Self>, name: &str) -> &'p mut Self {
        packages.entry(name.to_owned()).or_insert_with(|| Self {
            name: name.to_owned(),
            page: format!("{}.md", name.strip_prefix("muster.").unwrap_or(name)),
            services: Vec::new(),
            messages: Vec::new(),
            enums: Vec::new(),
        })
    }
}

/// The messages that are told with a method: its request and its answer, which no other method has. `buf lint` demands
/// that all methods have such.
pub(crate) fn told_with(method: &MethodDescriptor) -> impl Iterator<Item = MessageDescriptor> {
    let package = method.parent_service().package_name();
    let own = ["Request", "Response"].map(|role| format!("{package}.{}{role}", method.name()));
    [method.input(), method.output()]
        .into_iter()
        .filter(move |message| own.iter().any(|name| name == message.full_name()))
}

/// The name within a package, or the whole if it is not in it.
pub(crate) fn local_name<'n>(full_name: &'n str, package: &str) -> &'n str {
    full_name.strip_prefix(package).and_then(|rest| rest.strip_prefix('.')).unwrap_or(full_name)
}

/// All that methods take and answer.
#[derive(Default)]
struct Reached {
    messages: BTreeMap<String, MessageDescriptor>,
    enums: BTreeMap<String, EnumDescriptor>,
}

impl Reached {
    fn message(&mut self, message: MessageDescriptor) {
        let mut waiting = vec![message];
        while let Some(message) = waiting.pop() {
            if self.messages.contains_key(message.full_name()) {
                continue;
            }
            for kind in message.fields().map(|field| field.kind()) {
                match kind {
                    Kind::Message(message) => waiting.push(message),
                    Kind::Enum(r#enum) => {
                        self.enums.insert(r#enum.full_name().to_owned(), r#enum);
                    }
                    _ => {}
                }
            }
            // The entries of maps are messages too, which nobody wrote.
            if message.is_map_entry() {
                continue;
            }
            self.messages.insert(message.full_name().to_owned(), message);
        }
    }
}

fn comments(pool: &DescriptorPool) -> HashMap<(String, Vec<i32>), String> {
    let mut comments = HashMap::new();
    for file in pool.file_descriptor_protos() {
        for location in file.source_code_info.iter().flat_map(|info| &info.location) {
            if let Some(comment) = &location.leading_comments {
                comments.insert((file.name().to_owned(), location.path.clone()), comment.clone());
            }
        }
    }
    comments
}

//! The page of a package.

use prost_reflect::{EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor, MethodDescriptor, ServiceDescriptor};

use crate::{
    MADE,
    api::{Api, Package, local_name, told_with},
    comment,
    places::INDEX,
    route::routes,
};

/// The Markdown of the page.
pub(crate) fn text(api: &Api, package: &Package) -> String {
    let mut blocks = Writer { api, package }.page();
    blocks.retain(|block| !block.is_empty()); // what has no comment
    blocks.join("\n\n") + "\n"
}

/// Makes the blocks of a page.
struct Writer<'p> {
    api: &'p Api,
    package: &'p Package,
}

impl Writer<'_> {
    fn page(&self) -> Vec<String> {
        let Package { name, services, messages, enums, .. } = self.package;
        let mut blocks = vec![
            format!("{MADE}from proto/{} by `make reference`: change the protos. -->", name.replace('.', "/")),
            format!("# {name}"),
            format!("[All areas]({INDEX})"),
        ];
        blocks.extend(services.iter().map(|service| self.contents(service)));
        blocks.extend(self.list("Messages", messages.iter().map(MessageDescriptor::full_name)));
        blocks.extend(self.list("Enums", enums.iter().map(EnumDescriptor::full_name)));

        blocks.extend(services.iter().flat_map(|service| self.service(service)));
        if !messages.is_empty() {
            blocks.push("## Messages".to_owned());
            blocks.extend(messages.iter().flat_map(|message| self.message("###", message, message.full_name())));
        }
        if !enums.is_empty() {
            blocks.push("## Enums".to_owned());
            blocks.extend(enums.iter().flat_map(|r#enum| self.r#enum(r#enum)));
        }
        blocks
    }

    /// The methods of a service, with what they do in short.
    fn contents(&self, service: &ServiceDescriptor) -> String {
        let head = format!("| {} | |\n|---|---|", self.link(service.full_name()));
        let rows = service.methods().map(|method| {
            let comment = self.api.comment(&method.parent_file(), method.path());
            let summary = comment::summary(comment, &self.names(method.full_name()));
            let link = self.api.places.link(method.name(), method.full_name(), &self.package.page);
            format!("| {link} | {summary} |")
        });
        table(head, rows)
    }

    fn list<'n>(&self, title: &str, full_names: impl Iterator<Item = &'n str>) -> Option<String> {
        let links: Vec<_> = full_names.map(|name| self.link(name)).collect();
        (!links.is_empty()).then(|| format!("{title}: {}", links.join(" · ")))
    }

    fn service(&self, service: &ServiceDescriptor) -> Vec<String> {
        let comment = self.api.comment(&service.parent_file(), service.path());
        let mut blocks =
            vec![format!("## {}", service.name()), comment::text(comment, &self.names(service.full_name()))];
        for method in service.methods() {
            blocks.extend(self.method(&method));
            blocks.extend(told_with(&method).flat_map(|message| self.message("####", &message, method.full_name())));
        }
        blocks
    }

    fn method(&self, method: &MethodDescriptor) -> Vec<String> {
        let comment = self.api.comment(&method.parent_file(), method.path());
        let takes = self.streamed(method.is_client_streaming(), &method.input());
        let answers = self.streamed(method.is_server_streaming(), &method.output());
        let service = method.parent_service().full_name();
        let mut ways = vec![format!("- gRPC: `{service}/{}`, {takes} → {answers}", method.name())];
        ways.extend(routes(method).iter().map(|route| format!("- HTTP: {}", route.long(method))));
        vec![format!("### {}", method.name()), comment::text(comment, &self.names(method.full_name())), ways.join("\n")]
    }

    fn streamed(&self, streams: bool, message: &MessageDescriptor) -> String {
        let link = self.link(message.full_name());
        if streams { format!("stream of {link}") } else { link }
    }

    /// A message; its comment does not link to the section that it stands in.
    fn message(&self, level: &str, message: &MessageDescriptor, section: &str) -> Vec<String> {
        let comment = self.api.comment(&message.parent_file(), message.path());
        let names = self.names(section);
        vec![
            format!("{level} {}", local_name(message.full_name(), &self.package.name)),
            comment::text(comment, &names),
            self.fields(message),
        ]
    }

    /// The fields in the order in which they are declared; those of a oneof stand below it.
    fn fields(&self, message: &MessageDescriptor) -> String {
        let mut fields: Vec<_> = message.fields().collect();
        fields.sort_by(|a, b| a.path().cmp(b.path()));
        if fields.is_empty() {
            return "It has no fields.".to_owned();
        }

        let names = self.names(message.full_name());
        let mut rows = Vec::new();
        let mut last_oneof = None;
        for field in fields {
            let oneof = field.containing_oneof().filter(|oneof| !oneof.is_synthetic());
            if let Some(oneof) = oneof.as_ref().filter(|oneof| last_oneof.as_ref() != Some(*oneof)) {
                let comment = comment::cell(self.api.comment(&oneof.parent_file(), oneof.path()), &names);
                rows.push(format!("| | `{}` | one of | {comment} |", oneof.name()));
            }
            let comment = comment::cell(self.api.comment(&field.parent_file(), field.path()), &names);
            let branch = if oneof.is_some() { "└&nbsp;" } else { "" };
            let kind = self.type_of(&field);
            rows.push(format!("| {} | {branch}`{}` | {kind} | {comment} |", field.number(), field.name()));
            last_oneof = oneof;
        }
        table("| # | field | type | |\n|--:|---|---|---|".to_owned(), rows)
    }

    fn type_of(&self, field: &FieldDescriptor) -> String {
        match field.kind() {
            Kind::Message(entry) if field.is_map() => {
                let key = self.kind(&entry.map_entry_key_field().kind());
                format!("map of {key} to {}", self.kind(&entry.map_entry_value_field().kind()))
            }
            kind if field.is_list() => format!("repeated {}", self.kind(&kind)),
            kind if field.containing_oneof().is_some_and(|oneof| oneof.is_synthetic()) => {
                format!("optional {}", self.kind(&kind))
            }
            kind => self.kind(&kind),
        }
    }

    fn kind(&self, kind: &Kind) -> String {
        match kind {
            Kind::Message(message) => self.link(message.full_name()),
            Kind::Enum(r#enum) => self.link(r#enum.full_name()),
            scalar => format!("{scalar:?}"),
        }
    }

    fn r#enum(&self, r#enum: &EnumDescriptor) -> Vec<String> {
        let comment = self.api.comment(&r#enum.parent_file(), r#enum.path());
        let names = self.names(r#enum.full_name());
        let rows = r#enum.values().map(|value| {
            let comment = comment::cell(self.api.comment(&value.parent_file(), value.path()), &names);
            format!("| {} | `{}` | {comment} |", value.number(), value.name())
        });
        vec![
            format!("### {}", local_name(r#enum.full_name(), &self.package.name)),
            comment::text(comment, &names),
            table("| # | value | |\n|--:|---|---|".to_owned(), rows),
        ]
    }

    /// A link to a service or a type, whose label has the package where that is another one.
    fn link(&self, full_name: &str) -> String {
        let label = local_name(local_name(full_name, &self.package.name), "muster");
        self.api.places.link(label, full_name, &self.package.page)
    }

    fn names<'a>(&'a self, full_name: &'a str) -> impl comment::Names + 'a {
        self.api.places.names(self.package, full_name)
    }
}

/// A table of a head and rows.
pub(crate) fn table(head: String, rows: impl IntoIterator<Item = String>) -> String {
    let mut lines = vec![head];
    lines.extend(rows);
    lines.join("\n")
}

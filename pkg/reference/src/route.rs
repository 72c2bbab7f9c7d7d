//! The HTTP routes of a method, from its `google.api.http` annotation.

use prost_reflect::{DynamicMessage, Kind, MessageDescriptor, MethodDescriptor, Value};

/// One route.
pub(crate) struct Route {
    /// `GET` and so on.
    verb: String,
    path: String,
    /// The field that the body is, or `*` for all that the path does not hold.
    body: Option<String>,
}

impl Route {
    /// The verb and the path, as code.
    pub(crate) fn short(&self) -> String {
        format!("`{} {}`", self.verb, self.path)
    }

    /// The same, and where the fields go that are not in the path.
    pub(crate) fn long(&self, method: &MethodDescriptor) -> String {
        let body = match self.body.as_deref() {
            Some("*") => return self.short() + ", JSON body",
            Some(field) => format!(", `{field}` as JSON body"),
            None => String::new(),
        };
        let query = self.query(&method.input());
        let query = if query.is_empty() { query } else { format!(", query {query}") };
        self.short() + &body + &query
    }

    /// The fields that a query may hold, as code. Maps and lists of messages have no place in it.
    fn query(&self, request: &MessageDescriptor) -> String {
        let in_path: Vec<_> = self.path.split('{').skip(1).filter_map(|rest| rest.split(['}', '=']).next()).collect();
        let is_elsewhere = |name: &str| in_path.contains(&name) || self.body.as_deref() == Some(name);
        let fields = request.fields().filter(|field| !is_elsewhere(field.name()) && !field.is_map());
        let fields = fields.filter(|field| !(field.is_list() && matches!(field.kind(), Kind::Message(_))));
        fields.map(|field| format!("`{}`", field.json_name())).collect::<Vec<_>>().join(", ")
    }
}

/// The routes of a method: none if it has no annotation.
pub(crate) fn routes(method: &MethodDescriptor) -> Vec<Route> {
    let Some(annotation) = method.parent_pool().get_extension_by_name("google.api.http") else { return Vec::new() };
    let options = method.options();
    let annotation = options.get_extension(&annotation);
    let Some(rule) = annotation.as_message() else { return Vec::new() };

    let more = rule.get_field_by_name("additional_bindings");
    let more = more.iter().filter_map(|bindings| bindings.as_list()).flatten().filter_map(Value::as_message);
    [rule].into_iter().chain(more).filter_map(route).collect()
}

fn route(rule: &DynamicMessage) -> Option<Route> {
    let text = |rule: &DynamicMessage, field: &str| rule.get_field_by_name(field)?.as_str().map(str::to_owned);
    let body = text(rule, "body").filter(|body| !body.is_empty());
    let verb = ["get", "put", "post", "delete", "patch"].into_iter().find(|verb| rule.has_field_by_name(verb));
    if let Some(verb) = verb {
        return Some(Route { verb: verb.to_uppercase(), path: text(rule, verb)?, body });
    }
    let custom = rule.get_field_by_name("custom").filter(|_| rule.has_field_by_name("custom"))?;
    let custom = custom.as_message()?;
    Some(Route { verb: text(custom, "kind")?, path: text(custom, "path")?, body })
}

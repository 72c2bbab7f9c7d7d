//! The table of routes, built once from the annotations and searched segment by segment.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use http::uri::PathAndQuery;
use http::{HeaderValue, Method};
use prost_reflect::{
    DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, MethodDescriptor, Value,
};

use crate::fields;
use crate::template::{Segment, Template, TemplateError};

/// Why the annotations of the services make no table of routes.
#[derive(Debug, thiserror::Error)]
pub enum RouteError {
    /// The descriptor pool has no service of this name.
    #[error("there is no service `{0}`")]
    UnknownService(String),
    /// An annotation of the method is not a `google.api.HttpRule` with a method and a path, or nests its bindings.
    #[error("the annotation of `{method}` is malformed")]
    Rule {
        /// The full name of the gRPC method.
        method: String,
    },
    /// A path template does not follow the grammar.
    #[error("the path `{template}` of `{method}` is malformed")]
    Template {
        /// The full name of the gRPC method.
        method: String,
        /// The template.
        template: String,
        /// What is wrong with it.
        source: TemplateError,
    },
    /// An annotation names a field that the message lacks, or one that cannot stand there.
    #[error("`{method}` cannot bind the field `{field}`")]
    Field {
        /// The full name of the gRPC method.
        method: String,
        /// The field as the annotation names it.
        field: String,
    },
    /// Two methods would answer the same requests.
    #[error("the path `{template}` of `{method}` is taken by `{other}`")]
    Clash {
        /// The full name of the gRPC method.
        method: String,
        /// The template.
        template: String,
        /// The full name of the gRPC method that has the path already.
        other: String,
    },
}

/// One way to call one gRPC method.
#[derive(Debug)]
pub(crate) struct Route {
    /// `/package.Service/Method`.
    pub(crate) grpc_path: PathAndQuery,
    pub(crate) method: MethodDescriptor,
    pub(crate) template: Template,
    /// The fields of the template's variables, in their order.
    pub(crate) variables: Vec<Vec<FieldDescriptor>>,
    pub(crate) body: BodyRule,
    /// The field of the answer that is the whole JSON, if not all of it.
    pub(crate) response_body: Option<FieldDescriptor>,
}

/// What the body of a request is.
#[derive(Debug)]
pub(crate) enum BodyRule {
    /// Nothing: it is not read.
    Ignored,
    /// The request message.
    Message,
    /// One of its fields.
    Field(FieldDescriptor),
}

/// What a request may find.
#[derive(Debug)]
pub(crate) enum Lookup<'p> {
    /// A route, and the segments of the path; a verb is the last of them.
    Found(Arc<Route>, Vec<&'p str>),
    /// The path is known, but not with this method; the value of `Allow`.
    WrongMethod(HeaderValue),
    NoPath,
}

/// All routes.
#[derive(Debug, Default)]
pub(crate) struct RouteTable {
    root: Node,
    verbs: HashSet<String>,
    routes: Vec<Arc<Route>>,
}

/// A position in the paths. Each path leads to a node in one way only, so a search visits no node twice.
#[derive(Debug, Default)]
struct Node {
    literals: HashMap<String, Node>,
    single: Option<Box<Node>>,
    rest: Option<Box<Node>>,
    /// The routes that end here, by index.
    ends: Vec<(RuleMethod, usize)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum RuleMethod {
    Only(Method),
    Any,
}

impl RouteTable {
    /// The routes of these services. Methods without an annotation, and those that take a stream, have none.
    pub(crate) fn build<'s>(
        pool: &DescriptorPool,
        services: impl IntoIterator<Item = &'s str>,
    ) -> Result<Self, RouteError> {
        let mut table = Self::default();
        let Some(annotation) = pool.get_extension_by_name("google.api.http") else { return Ok(table) };
        for name in services {
            let service = pool.get_service_by_name(name).ok_or_else(|| RouteError::UnknownService(name.to_owned()))?;
            for method in service.methods().filter(|method| !method.is_client_streaming()) {
                let options = method.options();
                if !options.has_extension(&annotation) {
                    continue;
                }
                let annotated = options.get_extension(&annotation);
                let rule = annotated.as_message().ok_or_else(|| malformed(&method))?;
                table.add(&method, rule)?;
                for additional in messages(rule, "additional_bindings") {
                    if messages(additional, "additional_bindings").next().is_some() {
                        return Err(malformed(&method));
                    }
                    table.add(&method, additional)?;
                }
            }
        }
        Ok(table)
    }

    pub(crate) fn find<'p>(&self, method: &Method, path: &'p str) -> Lookup<'p> {
        let Some(segments) = self.split(path) else { return Lookup::NoPath };
        let found = self.root.search(&segments, &mut |node| node.end_for(method));
        if let Some(route) = found.and_then(|index| self.routes.get(index)) {
            return Lookup::Found(Arc::clone(route), segments);
        }

        let mut allowed = BTreeSet::new();
        self.root.search(&segments, &mut |node| {
            for (method, _) in &node.ends {
                if let RuleMethod::Only(method) = method {
                    allowed.insert(method.as_str());
                }
            }
            None
        });
        let allowed = allowed.into_iter().collect::<Vec<_>>().join(", ");
        match HeaderValue::try_from(allowed) {
            Ok(allowed) if !allowed.is_empty() => Lookup::WrongMethod(allowed),
            _ => Lookup::NoPath,
        }
    }

    /// The segments of a path. A verb counts only if some template has it, else the colon is part of the segment.
    fn split<'p>(&self, path: &'p str) -> Option<Vec<&'p str>> {
        let path = path.strip_prefix('/')?;
        let (path, verb) = match path.rsplit_once(':') {
            Some((before, verb)) if self.verbs.contains(verb) => (before, Some(verb)),
            _ => (path, None),
        };
        let mut segments: Vec<&str> = path.split('/').chain(verb).collect();
        while segments.last().is_some_and(|segment| segment.is_empty()) {
            segments.pop();
        }
        Some(segments)
    }

    fn add(&mut self, method: &MethodDescriptor, rule: &DynamicMessage) -> Result<(), RouteError> {
        let (http_method, text) = pattern(rule).ok_or_else(|| malformed(method))?;
        let template = Template::parse(&text).map_err(|source| RouteError::Template {
            method: method.full_name().to_owned(),
            template: text.clone(),
            source,
        })?;
        let route = Route::new(method, rule, template)?;

        let node = self.root.insert(&route.template);
        if let Some((_, taken)) = node.ends.iter().find(|(known, _)| *known == http_method) {
            return Err(RouteError::Clash {
                method: method.full_name().to_owned(),
                template: text,
                other: self.routes.get(*taken).map_or_else(String::new, |route| route.method.full_name().to_owned()),
            });
        }
        node.ends.push((http_method, self.routes.len()));
        self.verbs.extend(route.template.verb.clone());
        self.routes.push(Arc::new(route));
        Ok(())
    }
}

impl Route {
    fn new(method: &MethodDescriptor, rule: &DynamicMessage, template: Template) -> Result<Self, RouteError> {
        let unknown =
            |field: &str| RouteError::Field { method: method.full_name().to_owned(), field: field.to_owned() };

        let variables = template
            .variables
            .iter()
            .map(|variable| path_field(&method.input(), &variable.field).ok_or_else(|| unknown(&variable.field)))
            .collect::<Result<_, _>>()?;
        let field = |message: MessageDescriptor, name: &str| fields::named(&message, name).ok_or_else(|| unknown(name));
        let body = match text(rule, "body").as_str() {
            "" => BodyRule::Ignored,
            "*" => BodyRule::Message,
            name => BodyRule::Field(field(method.input(), name)?),
        };
        let response_body = match text(rule, "response_body").as_str() {
            "" => None,
            name => Some(field(method.output(), name)?),
        };
        let grpc_path = format!("/{}/{}", method.parent_service().full_name(), method.name());
        let grpc_path = PathAndQuery::try_from(grpc_path).map_err(|_| malformed(method))?;
        Ok(Self { grpc_path, method: method.clone(), template, variables, body, response_body })
    }
}

impl Node {
    fn insert(&mut self, template: &Template) -> &mut Self {
        let mut node = self;
        for segment in &template.segments {
            node = match segment {
                Segment::Literal(text) => node.literals.entry(text.clone()).or_default(),
                Segment::Single => node.single.get_or_insert_default(),
                Segment::Rest => node.rest.get_or_insert_default(),
            };
        }
        match &template.verb {
            Some(verb) => node.literals.entry(verb.clone()).or_default(),
            None => node,
        }
    }

    /// Visits every node where the path may end, literals first, until one gives an index.
    fn search<'n>(&'n self, segments: &[&str], visit: &mut impl FnMut(&'n Node) -> Option<usize>) -> Option<usize> {
        let Some((first, left)) = segments.split_first() else {
            return visit(self).or_else(|| self.rest.as_deref().and_then(visit));
        };
        if let Some(index) = self.literals.get(*first).and_then(|node| node.search(left, visit)) {
            return Some(index);
        }
        if let Some(index) = self.single.as_deref().and_then(|node| node.search(left, visit)) {
            return Some(index);
        }
        // `**` takes all that is left, except for a verb.
        let rest = self.rest.as_deref()?;
        let verb = segments.last().and_then(|last| rest.literals.get(*last));
        if let Some(index) = verb.and_then(&mut *visit) {
            return Some(index);
        }
        visit(rest)
    }

    fn end_for(&self, method: &Method) -> Option<usize> {
        let by = |wanted: &RuleMethod| self.ends.iter().find(|(known, _)| known == wanted).map(|(_, index)| *index);
        by(&RuleMethod::Only(method.clone())).or_else(|| by(&RuleMethod::Any))
    }
}

/// A path variable holds one value.
fn path_field(message: &MessageDescriptor, path: &str) -> Option<Vec<FieldDescriptor>> {
    let fields = fields::resolve(message, path)?;
    let last = fields.last()?;
    (fields::is_bindable(last) && !last.is_list()).then_some(fields)
}

fn pattern(rule: &DynamicMessage) -> Option<(RuleMethod, String)> {
    const SIMPLE: [(&str, Method); 5] = [
        ("get", Method::GET),
        ("put", Method::PUT),
        ("post", Method::POST),
        ("delete", Method::DELETE),
        ("patch", Method::PATCH),
    ];
    for (field, method) in SIMPLE {
        if rule.has_field_by_name(field) {
            return Some((RuleMethod::Only(method), text(rule, field)));
        }
    }
    let custom = rule.get_field_by_name("custom")?;
    let custom = custom.as_message()?;
    let method = match text(custom, "kind").as_str() {
        "*" => RuleMethod::Any,
        kind => RuleMethod::Only(kind.parse().ok()?),
    };
    Some((method, text(custom, "path")))
}

fn text(message: &DynamicMessage, field: &str) -> String {
    message.get_field_by_name(field).and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

fn messages<'m>(message: &'m DynamicMessage, field: &str) -> impl Iterator<Item = &'m DynamicMessage> {
    let values = message
        .fields()
        .find(|(known, _)| known.name() == field && matches!(known.kind(), Kind::Message(_)))
        .and_then(|(_, value)| value.as_list())
        .unwrap_or_default();
    values.iter().filter_map(Value::as_message)
}

fn malformed(method: &MethodDescriptor) -> RouteError {
    RouteError::Rule { method: method.full_name().to_owned() }
}

//! The page that leads to the others.

use crate::{
    api::{Api, Package},
    comment,
    page::table,
    places::INDEX,
    route::{Route, routes},
};

/// What the page says beside its tables.
const PROSE: &str = include_str!("index.md");

/// The Markdown of the page.
pub(crate) fn text(api: &Api) -> String {
    let methods: Vec<_> = api.packages.iter().flat_map(|package| methods(api, package)).collect();
    PROSE.replace("{areas}", &areas(api)).replace("{methods}", &methods.join("\n\n"))
}

fn areas(api: &Api) -> String {
    let rows = api.packages.iter().flat_map(|package| {
        package.services.iter().enumerate().map(move |(number, service)| {
            let area = if number == 0 { format!("[{}]({})", package.name, package.page) } else { String::new() };
            let comment = api.comment(&service.parent_file(), service.path());
            let summary = comment::summary(comment, &|_: &str| None);
            format!("| {area} | {} | {summary} |", api.places.link(service.name(), service.full_name(), INDEX))
        })
    });
    table("| area | service | |\n|---|---|---|".to_owned(), rows)
}

/// A table of methods and routes for each service.
fn methods<'a>(api: &'a Api, package: &'a Package) -> impl Iterator<Item = String> {
    package.services.iter().map(|service| {
        let rows = service.methods().map(|method| {
            let routes: Vec<_> = routes(&method).iter().map(Route::short).collect();
            let link = api.places.link(method.name(), method.full_name(), INDEX);
            let streams = match (method.is_client_streaming(), method.is_server_streaming()) {
                (true, _) => " ⇄",
                (false, true) => " →",
                (false, false) => "",
            };
            format!("| {link}{streams} | {} |", routes.join("<br>"))
        });
        table(format!("| {} | |\n|---|---|", service.full_name()), rows)
    })
}

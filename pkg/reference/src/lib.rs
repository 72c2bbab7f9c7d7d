//! The API reference: Markdown pages, made from the protos.
//!
//! A page for each package, and an index. They hold what clients may call, with all that its methods take and answer:
//! services of a `*_internal.proto` are left out, and so is what only they or the log's records speak of. What the pages
//! say is the comments of the protos, with names linked to where they are described.

mod api;
mod comment;
mod index;
mod page;
mod places;
mod route;

use prost_reflect::DescriptorPool;

use crate::api::Api;

/// A page of the reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The name of its file.
    pub name: String,
    /// Its Markdown.
    pub text: String,
}

/// How every page begins.
pub const MADE: &str = "<!-- Made ";

/// The pages of an API. The descriptors need their source info, or there is nothing to say about them.
#[must_use]
pub fn pages(pool: &DescriptorPool) -> Vec<Page> {
    let api = Api::of(pool);
    let mut pages = vec![Page { name: places::INDEX.to_owned(), text: index::text(&api) }];
    pages.extend(
        api.packages.iter().map(|package| Page { name: package.page.clone(), text: page::text(&api, package) }),
    );
    pages
}

#[cfg(test)]
mod tests;

//! The pages that are checked in, their links, and the pages of a small API that has everything.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    fs,
    path::{Path, PathBuf},
};

use prost_reflect::DescriptorPool;
use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

use crate::{MADE, pages, places::anchor};

/// The root of the repository.
const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

#[test]
fn the_pages_are_what_the_protos_say() {
    let folder = Path::new(ROOT).join("docs/reference");
    let wanted: BTreeMap<_, _> = pages(pkg_api::descriptors()).into_iter().map(|page| (page.name, page.text)).collect();
    let found: BTreeMap<_, _> = files(&folder).into_iter().map(|file| (name(&file), read(&file))).collect();
    let names: BTreeSet<_> = wanted.keys().chain(found.keys()).collect();
    let stale: Vec<_> = names.into_iter().filter(|name| wanted.get(*name) != found.get(*name)).collect();
    assert!(
        stale.is_empty(),
        "docs/reference is not what the protos say: `make reference`, and check it in: {stale:?}"
    );
}

#[test]
fn every_heading_and_type_has_its_own_place() {
    for page in pages(pkg_api::descriptors()) {
        let anchors = anchors(&page.text);
        assert_eq!(anchors.len(), anchors.iter().collect::<HashSet<_>>().len(), "{}: {anchors:?}", page.name);
        assert!(page.text.starts_with(MADE), "{} would not be removed with its package", page.name);
        assert!(!page.text.contains("`google."), "{} names a type that no page describes", page.name);
    }
}

#[test]
fn every_link_in_the_documents_leads_somewhere() {
    let root = Path::new(ROOT);
    let folders = ["", "docs", "docs/reference", "examples/duel", "sdk/typescript"];
    let documents: Vec<_> = folders.iter().flat_map(|folder| files(&root.join(folder))).collect();
    assert!(documents.len() > folders.len(), "{documents:?}");

    let mut known = HashMap::new();
    let mut broken = Vec::new();
    for document in &documents {
        for link in links(&read(document)).into_iter().filter(|link| !link.contains("://")) {
            let (path, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target = if path.is_empty() { document.clone() } else { document.with_file_name(path) };
            let anchors = known.entry(target).or_insert_with_key(|target| {
                target.exists().then(|| fs::read_to_string(target).map_or_else(|_| Vec::new(), |text| anchors(&text)))
            });
            if !anchors.as_ref().is_some_and(|anchors| anchor.is_empty() || anchors.iter().any(|known| known == anchor))
            {
                broken.push(format!("{}: {link}", document.display()));
            }
        }
    }
    assert_eq!(broken, Vec::<String>::new());
}

#[test]
fn a_page_tells_all_that_a_proto_may_hold() {
    let pages = pages(&shop(true));
    let names: Vec<_> = pages.iter().map(|page| page.name.as_str()).collect();
    assert_eq!(names, ["README.md", "shop.v1.md"]);
    assert_eq!(pages[1].text, include_str!("tests/shop.v1.md"));
    assert!(pages[0].text.contains("| [Chat](shop.v1.md#chat) ⇄ |  |"), "{}", pages[0].text);
}

#[test]
fn protos_without_comments_have_pages_too() {
    let page = &pages(&shop(false))[1].text;
    assert!(page.contains("| 1 | `thing_id` | string |  |"), "{page}");
}

#[test]
fn an_api_without_services_has_an_index() {
    assert_eq!(pages(&DescriptorPool::new()).len(), 1);
}

fn shop(with_comments: bool) -> DescriptorPool {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/tests");
    let mut compiler = protox::Compiler::new([folder, Path::new(ROOT).join("proto/third_party")]).unwrap();
    compiler.include_imports(true).include_source_info(with_comments);
    compiler.open_files(["shop.proto", "shop_internal.proto"]).unwrap();
    DescriptorPool::decode(compiler.encode_file_descriptor_set().as_slice()).unwrap()
}

/// The Markdown files of a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.filter(|path| path.extension().is_some_and(|extension| extension == "md")).collect()
}

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_string_lossy().into_owned()
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn markdown(text: &str) -> Parser<'_> {
    Parser::new_ext(text, Options::ENABLE_TABLES)
}

/// Where the links and images of a document lead.
fn links(text: &str) -> Vec<String> {
    let links = markdown(text).filter_map(|event| match event {
        Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => Some(dest_url.into_string()),
        _ => None,
    });
    links.collect()
}

/// The anchors of a document's headings. A second heading of the same words gets a number.
fn anchors(text: &str) -> Vec<String> {
    let mut anchors = Vec::new();
    let mut seen = HashMap::<String, usize>::new();
    let mut heading = None;
    for event in markdown(text) {
        match event {
            Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
            Event::Text(text) | Event::Code(text) => heading.iter_mut().for_each(|heading| heading.push_str(&text)),
            Event::End(TagEnd::Heading(_)) => {
                let words = anchor(&heading.take().unwrap_or_default());
                let earlier = seen.entry(words.clone()).or_default();
                anchors.push(if *earlier == 0 { words } else { format!("{words}-{earlier}") });
                *earlier += 1;
            }
            _ => {}
        }
    }
    anchors
}

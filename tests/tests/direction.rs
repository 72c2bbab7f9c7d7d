//! Holds the direction of the house: `proto → pkg → services/* → services/muster`, and who may know a technology.
//!
//! Crates are found, not listed, so that a new service is held to the same lines. deny.toml holds those between crates
//! of the registry.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

/// The one service that may know the others: it wires them.
const EXECUTABLE: &str = "muster";

#[test]
fn libraries_know_no_service() {
    let workspace = Workspace::read();
    let services = workspace.services();
    for library in workspace.within("pkg") {
        assert_eq!(library.knows(&services), Vec::<&str>::new(), "{} depends on a service", library.name);
    }
}

#[test]
fn services_do_not_know_one_another() {
    let workspace = Workspace::read();
    let services = workspace.services();
    for service in services.iter().filter(|service| service.name != EXECUTABLE) {
        assert_eq!(service.knows(&services), Vec::<&str>::new(), "{} depends on a service", service.name);
    }
}

#[test]
fn stores_alone_know_databases() {
    let allowed = |path: &Path| path.starts_with("store") || path == "store.rs";
    for technology in ["sqlx", "fred"] {
        assert_eq!(Workspace::read().mentions(technology, allowed), Vec::<PathBuf>::new(), "{technology}");
    }
}

#[test]
fn the_outer_rim_alone_knows_grpc() {
    let allowed = |path: &Path| path.starts_with("grpc") || path == "grpc.rs" || path == "lib.rs";
    assert_eq!(Workspace::read().mentions("tonic", allowed), Vec::<PathBuf>::new());
}

#[test]
fn a_mention_is_a_whole_name_outside_comments() {
    for source in ["use sqlx::Row;", "    sqlx_core::row();", "a(&sqlx)"] {
        assert!(mentions(source, "sqlx"), "{source}");
    }
    for source in ["//! Written with sqlx.", "let x = 1; // sqlx does", "use mysqlx::Row;", "sqlxy()"] {
        assert!(!mentions(source, "sqlx"), "{source}");
    }
}

/// The packages of this repository, as cargo sees them.
struct Workspace {
    root: PathBuf,
    packages: Vec<Package>,
}

struct Package {
    name: String,
    directory: PathBuf,
    dependencies: Vec<String>,
}

impl Workspace {
    fn read() -> Self {
        let cargo = env::var_os("CARGO").expect("cargo runs the tests");
        let output = Command::new(cargo)
            .args(["metadata", "--no-deps", "--locked", "--format-version=1"])
            .output()
            .expect("cargo starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

        let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo metadata prints JSON");
        let packages = metadata["packages"].as_array().expect("there are packages");
        Self {
            root: PathBuf::from(text(&metadata["workspace_root"])),
            packages: packages.iter().map(Package::parse).collect(),
        }
    }

    /// The packages whose directories lie in a folder of the root.
    fn within(&self, folder: &str) -> Vec<&Package> {
        let folder = self.root.join(folder);
        let found: Vec<_> = self.packages.iter().filter(|package| package.directory.starts_with(&folder)).collect();
        assert!(!found.is_empty(), "no package in {}", folder.display());
        found
    }

    fn services(&self) -> Vec<&Package> {
        self.within("services")
    }

    /// The sources of services that name a technology and are not allowed to; paths below `src` are asked about. Tests may look
    /// behind ports, and stand in for other services.
    fn mentions(&self, technology: &str, allowed: impl Fn(&Path) -> bool) -> Vec<PathBuf> {
        let mut found = Vec::new();
        for service in self.services() {
            let sources = service.directory.join("src");
            for file in rust_files(&sources) {
                let below = file.strip_prefix(&sources).expect("it was found there");
                let content = fs::read_to_string(&file).expect("sources are readable");
                if !allowed(below) && !is_test(below) && mentions(&content, technology) {
                    found.push(file);
                }
            }
        }
        found
    }
}

impl Package {
    fn parse(package: &Value) -> Self {
        let manifest = Path::new(text(&package["manifest_path"]));
        let dependencies = package["dependencies"].as_array().expect("there are dependencies");
        Self {
            name: text(&package["name"]).to_owned(),
            directory: manifest.parent().expect("a manifest lies in a directory").to_owned(),
            dependencies: dependencies.iter().map(|dependency| text(&dependency["name"]).to_owned()).collect(),
        }
    }

    /// Those of the others that this one depends on, for whatever purpose.
    fn knows<'a>(&self, others: &[&'a Package]) -> Vec<&'a str> {
        let names = others.iter().map(|other| other.name.as_str());
        names.filter(|name| self.dependencies.iter().any(|dependency| dependency == name)).collect()
    }
}

fn text(value: &Value) -> &str {
    value.as_str().expect("it is a string")
}

fn is_test(below: &Path) -> bool {
    below
        .components()
        .any(|part| ["tests", "testing", "tests.rs", "testing.rs"].iter().any(|name| part.as_os_str() == *name))
}

/// Whether code names a crate or one of its family (`tonic`, `tonic_types`); comments may.
fn mentions(source: &str, technology: &str) -> bool {
    let code = source.lines().map(|line| line.split("//").next().unwrap_or(line));
    let mut names = code.flat_map(|line| line.split(|c: char| !c.is_alphanumeric() && c != '_'));
    names.any(|name| name.strip_prefix(technology).is_some_and(|rest| rest.is_empty() || rest.starts_with('_')))
}

fn rust_files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).expect("sources are readable") {
        let path = entry.expect("sources are readable").path();
        if path.is_dir() {
            found.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

//! Compiles every proto of `proto/muster` without protoc, and keeps the descriptor set for reflection and transcoding.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
};

fn main() {
    let root = Path::new("../../proto");
    println!("cargo:rerun-if-changed={}", root.display());

    let mut files = Vec::new();
    protos(&root.join("muster"), &mut files).expect("proto/muster is readable");
    files.push(root.join("third_party/google/rpc/error_details.proto"));
    files.sort();

    // The first one that a file lies in names it: google/rpc/…, as everybody else calls it.
    let mut compiler =
        protox::Compiler::new([root.join("third_party"), root.to_owned()]).expect("the proto directories exist");
    compiler.include_imports(true).include_source_info(true);
    for file in &files {
        compiler.open_file(file).unwrap_or_else(|error| panic!("{error:?}"));
    }

    // Encoded by protox: prost's own descriptor type would drop the google.api.http options.
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    fs::write(out.join("muster.binpb"), compiler.encode_file_descriptor_set()).expect("OUT_DIR is writable");

    let mut files = compiler.file_descriptor_set();
    // google.rpc errors come from tonic-types, and google.api is about the protos themselves: neither is generated here.
    files.file.retain(|file| !matches!(file.package(), "google.api" | "google.rpc"));
    tonic_prost_build::configure().include_file("muster.rs").compile_fds(files).expect("the protos generate");
}

fn protos(directory: &Path, found: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            protos(&path, found)?;
        } else if path.extension().is_some_and(|extension| extension == "proto") {
            found.push(path);
        }
    }
    Ok(())
}

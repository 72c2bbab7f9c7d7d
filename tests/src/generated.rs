//! Code for JavaScript clients, generated from the API as it is now.

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use prost::Message;
use prost::bytes::BufMut;
use prost::encoding::{WireType, encode_key, encode_varint};
use prost_types::compiler::CodeGeneratorResponse;
use tempfile::TempDir;

use crate::test_variable;

/// The fields of `google.protobuf.compiler.CodeGeneratorRequest`.
const FILE_TO_GENERATE: u32 = 1;
const PARAMETER: u32 = 2;
const PROTO_FILE: u32 = 15;

/// The folder of the JavaScript clients.
#[must_use]
pub fn node_client() -> PathBuf {
    PathBuf::from(test_variable("MUSTER_TEST_NODE_CLIENT"))
}

/// Runs protoc-gen-es as a compiler would. The code lies beside the client, whose packages it imports.
#[must_use]
pub fn generate_javascript() -> TempDir {
    let client = node_client();
    let parent = client.join("generated");
    fs::create_dir_all(&parent).expect("the client's folder is ours");
    let folder = tempfile::tempdir_in(&parent).expect("the client's folder is ours");
    let response = run_generator(&client.join("node_modules/.bin/protoc-gen-es"), &request());
    assert_eq!(response.error, None);
    for file in response.file {
        let path = folder.path().join(file.name());
        fs::create_dir_all(path.parent().expect("it lies in the folder")).expect("the folder is ours");
        fs::write(path, file.content()).expect("the folder is ours");
    }
    folder
}
/// Encoded by hand: prost's own types drop the options that they do not know.
fn request() -> Vec<u8> {
    let mut request = Vec::new();
    let mut field = |number, bytes: &[u8]| {
        encode_key(number, WireType::LengthDelimited, &mut request);
        encode_varint(bytes.len() as u64, &mut request);
        request.put_slice(bytes);
    };
    field(PARAMETER, b"target=js,import_extension=js");
    for file in pkg_api::descriptors().files() {
        if !file.name().starts_with("google/protobuf/") {
            field(FILE_TO_GENERATE, file.name().as_bytes());
        }
        field(PROTO_FILE, &file.encode_to_vec());
    }
    request
}

fn run_generator(generator: &Path, request: &[u8]) -> CodeGeneratorResponse {
    let mut child = Command::new(generator)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{} does not start: {error}", generator.display()));
    // It reads all before it writes.
    child.stdin.take().expect("it is piped").write_all(request).expect("the generator reads");
    let mut response = Vec::new();
    child.stdout.take().expect("it is piped").read_to_end(&mut response).expect("the generator writes");
    assert!(child.wait().expect("a child ends").success());
    CodeGeneratorResponse::decode(response.as_slice()).expect("the generator speaks protobuf")
}

//! Bodies that no honest client sends.

use bytes::{BufMut, Bytes, BytesMut};
use prost::Message;
use prost::encoding::{WireType, encode_key, encode_varint};
use prost_reflect::{DynamicMessage, Kind, MessageDescriptor, Value};
use system_tests::frame;

/// What a server takes in one message.
const MESSAGE_LIMIT: usize = 1024 * 1024;
/// What all that is around a text in a message takes at most.
const MARGIN: usize = 64;
/// A field number that no message has.
const UNKNOWN_FIELD: u32 = 100_000;
/// How deep groups lie in one another: deeper than any decoder goes.
const NESTING: usize = 10_000;

/// Bodies for a method with this request, each with a name.
pub fn bodies(request: &MessageDescriptor) -> Vec<(&'static str, Bytes)> {
    let unknown = |length| frame(&text_field(UNKNOWN_FIELD, length));
    let near = frame(&text_of(request, MESSAGE_LIMIT - MARGIN));
    let mut bodies = vec![
        ("an empty message", frame(&[])),
        ("no message", Bytes::new()),
        ("two messages", [frame(&[]), frame(&[])].concat().into()),
        ("half a prefix", frame(&[])[..3].to_vec().into()),
        ("half a message", near.slice(..near.len() / 2)),
        ("a length that is not kept", Bytes::from_static(&[0, 0xff, 0xff, 0xff, 0xff, 1, 2, 3])),
        ("a compressed message", Bytes::from_static(&[1, 0, 0, 0, 1, 0])),
        ("a frame of an unknown kind", Bytes::from_static(&[7, 0, 0, 0, 0])),
        ("bytes after the message", [frame(&[]), Bytes::from_static(b"more")].concat().into()),
        ("a huge text", near),
        ("a text over the limit", frame(&text_of(request, MESSAGE_LIMIT + 1))),
        ("a text far over the limit", frame(&text_of(request, 5 * MESSAGE_LIMIT))),
        ("a huge unknown field", unknown(MESSAGE_LIMIT - MARGIN)),
        ("an unknown field over the limit", unknown(MESSAGE_LIMIT + 1)),
        ("a field that is cut short", frame(&[0x0a, 0x7f, b'x'])),
        ("a key that is no key", frame(&[0x00, 0x00])),
        ("a number that does not end", frame(&[0xff; 32])),
        ("groups in groups", frame(&[0x0b; NESTING])),
        ("random text", frame(b"GET / HTTP/1.1\r\n\r\n")),
    ];
    for field in request.fields() {
        bodies.push(("text that is not UTF-8", frame(&bytes_field(field.number(), b"\xff\xfe\xc0"))));
        bodies.push(("another type", frame(&fixed_field(field.number()))));
        let many = match field.kind() {
            Kind::Message(_) => bytes_field(field.number(), b""),
            _ => bytes_field(field.number(), b"0"),
        };
        bodies.push(("many of one field", frame(&many.repeat(MESSAGE_LIMIT / 4 / many.len()))));
    }
    bodies
}

/// A message with a text so long: in its first text field, or else in one that nobody knows.
fn text_of(request: &MessageDescriptor, length: usize) -> Vec<u8> {
    let field = request.fields().find(|field| field.kind() == Kind::String);
    let Some(field) = field else { return text_field(UNKNOWN_FIELD, length) };
    let text = Value::String("a".repeat(length));
    let mut message = DynamicMessage::new(request.clone());
    message.set_field(&field, if field.is_list() { Value::List(vec![text]) } else { text });
    message.encode_to_vec()
}

fn text_field(number: u32, length: usize) -> Vec<u8> {
    bytes_field(number, &vec![b'a'; length])
}

fn bytes_field(number: u32, value: &[u8]) -> Vec<u8> {
    let mut field = BytesMut::new();
    encode_key(number, WireType::LengthDelimited, &mut field);
    encode_varint(value.len() as u64, &mut field);
    field.put_slice(value);
    field.to_vec()
}

fn fixed_field(number: u32) -> Vec<u8> {
    let mut field = BytesMut::new();
    encode_key(number, WireType::SixtyFourBit, &mut field);
    field.put_u64(u64::MAX);
    field.to_vec()
}

import { create } from "@bufbuild/protobuf";

import { type AttributeValue, AttributeValueSchema } from "./gen/muster/game/v1/attribute_pb.js";

/** Attributes as plain values: a `bigint` is a whole number, kept exactly, and a `number` is a double. */
export type Attributes = Record<string, string | bigint | number | boolean>;

/** Attributes as requests take them. */
export function toAttributes(attributes: Attributes): Record<string, AttributeValue> {
  return mapValues(attributes, (value) => create(AttributeValueSchema, { kind: toKind(value) }));
}

/** Attributes as answers and events bring them. Values of a kind that this version does not know are left out. */
export function fromAttributes(attributes: Record<string, AttributeValue>): Attributes {
  const known = Object.entries(attributes).flatMap(([key, { kind }]) =>
    kind.case ? [[key, kind.value] as const] : [],
  );
  return Object.fromEntries(known);
}

function toKind(value: Attributes[string]): AttributeValue["kind"] {
  switch (typeof value) {
    case "string":
      return { case: "stringValue", value };
    case "bigint":
      return { case: "intValue", value };
    case "number":
      return { case: "floatValue", value };
    case "boolean":
      return { case: "boolValue", value };
  }
}

function mapValues<A, B>(record: Record<string, A>, map: (value: A) => B): Record<string, B> {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, map(value)]));
}

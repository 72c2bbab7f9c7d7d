/** A field of an answer that the API promises to be there. */
export function promised<T>(field: T | undefined): T {
  if (field === undefined) throw new TypeError("the server's answer lacks a field that the API promises");
  return field;
}

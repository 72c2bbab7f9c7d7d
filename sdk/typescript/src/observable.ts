/** A value that changes. */
export interface Observable<T> {
  /** As it is now. */
  readonly value: T;
  /** Calls the listener now and after every change, until the function that it returns is called. */
  observe(listener: (value: T) => void): () => void;
}

/** An observable value, on the side of the one who changes it. */
export class Variable<T> implements Observable<T> {
  readonly #listeners = new Set<(value: T) => void>();
  readonly #report: (error: unknown) => void;
  #value: T;

  /** What listeners throw goes to `report`. */
  constructor(value: T, report: (error: unknown) => void) {
    this.#value = value;
    this.#report = report;
  }

  get value(): T {
    return this.#value;
  }

  /** Tells the listeners, unless the value is the same. */
  set(value: T): void {
    if (Object.is(value, this.#value)) return;
    this.#value = value;
    for (const listener of [...this.#listeners]) this.#tell(listener);
  }

  observe(listener: (value: T) => void): () => void {
    // A function of its own for each call: a listener that is given twice is two listeners.
    const own = (value: T) => listener(value);
    this.#listeners.add(own);
    this.#tell(own);
    return () => void this.#listeners.delete(own);
  }

  #tell(listener: (value: T) => void): void {
    try {
      listener(this.#value);
    } catch (error) {
      this.#report(error);
    }
  }
}

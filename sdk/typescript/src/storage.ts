/** Where tokens and the guest's secret are kept: `sessionStorage`, `localStorage` or anything like them. */
export interface KeyValueStorage {
  getItem(key: string): string | null;
  setItem(key: string, value: string): void;
  removeItem(key: string): void;
}

/** A storage that is gone when the program ends. */
export function memoryStorage(): KeyValueStorage {
  const values = new Map<string, string>();
  return {
    getItem: (key) => values.get(key) ?? null,
    setItem: (key, value) => void values.set(key, value),
    removeItem: (key) => void values.delete(key),
  };
}

/**
 * A storage that never throws. Browsers refuse theirs to some pages, and when it is full: then memory takes its place,
 * and what is kept lasts as long as the page.
 */
export function withoutErrors(storage: KeyValueStorage, report: (error: unknown) => void): KeyValueStorage {
  const memory = memoryStorage();
  let works = true;
  const attempt = <T>(use: (storage: KeyValueStorage) => T): T => {
    if (!works) return use(memory);
    try {
      return use(storage);
    } catch (error) {
      works = false;
      report(error);
      return use(memory);
    }
  };
  return {
    getItem: (key) => attempt((storage) => storage.getItem(key)),
    setItem: (key, value) => attempt((storage) => storage.setItem(key, value)),
    removeItem: (key) => attempt((storage) => storage.removeItem(key)),
  };
}

/** Whether all windows of the browser see what is in it. */
export function isShared(storage: KeyValueStorage): boolean {
  try {
    return storage === globalThis.localStorage;
  } catch {
    return false; // refused to this page
  }
}

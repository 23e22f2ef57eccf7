/**
 * What this browser keeps by itself: drafts and unsent answers. In IndexedDB; where that is refused (private windows, a
 * full disk) in localStorage; where that is refused too as long as the page lives.
 */

import { BASE } from "../lib/address.js";

/** @typedef {"drafts" | "outbox"} Shelf */

const OPEN_MS = 3_000; // some browsers never say that they do not open it
const PREFIX = `refsav${BASE}`;
/** @type {Map<string, any>} what could be kept nowhere else */
const memory = new Map();
/** @type {Promise<IDBDatabase> | null} */
let opened = null;

/**
 * @template T
 * @param {IDBRequest<T>} request
 * @returns {Promise<T>}
 */
function done(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

/**
 * @param {Shelf} shelf
 * @param {IDBTransactionMode} mode
 */
async function open(shelf, mode) {
  opened ??= (async () => {
    const request = indexedDB.open(PREFIX, 1);
    request.onupgradeneeded = () => {
      request.result.createObjectStore("drafts", { keyPath: "key" });
      request.result.createObjectStore("outbox", { keyPath: "key" });
    };
    const late = new Promise((_, reject) => setTimeout(() => reject(new Error("IndexedDB does not open")), OPEN_MS));
    return Promise.race([done(request), /** @type {Promise<never>} */ (late)]);
  })();
  try {
    return (await opened).transaction(shelf, mode, { durability: "strict" }).objectStore(shelf);
  } catch (error) {
    opened = null; // it may open the next time
    throw error;
  }
}

/** @param {Shelf} shelf @param {string} key */
const path = (shelf, key) => `${PREFIX}/${shelf}/${key}`;

/**
 * @param {Shelf} shelf
 * @param {string} key
 * @returns {Promise<any>}
 */
export async function get(shelf, key) {
  const kept = elsewhere(shelf).get(key);
  return kept ?? open(shelf, "readonly").then((store) => done(store.get(key))).catch(() => undefined);
}

/**
 * @param {Shelf} shelf
 * @returns {Promise<any[]>}
 */
export async function all(shelf) {
  const kept = await open(shelf, "readonly").then((store) => done(store.getAll())).catch(() => []);
  const others = elsewhere(shelf);
  return [...kept.filter(({ key }) => !others.has(key)), ...others.values()];
}

/**
 * Resolves when it is on the disk.
 *
 * @param {Shelf} shelf
 * @param {{key: string}} value
 * @returns {Promise<boolean>} false: it is gone when the page is closed
 */
export async function put(shelf, value) {
  try {
    const store = await open(shelf, "readwrite");
    store.put(value);
    await committed(store.transaction);
    forget(shelf, value.key);
    return true;
  } catch {
    return putNow(shelf, value);
  }
}

/**
 * @param {Shelf} shelf
 * @param {string} key
 * @returns {Promise<void>}
 */
export async function remove(shelf, key) {
  forget(shelf, key);
  try {
    const store = await open(shelf, "readwrite");
    store.delete(key);
    await committed(store.transaction);
  } catch {
    // then it is not there
  }
}

/**
 * @param {IDBTransaction} transaction
 * @returns {Promise<void>}
 */
function committed(transaction) {
  return new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve();
    transaction.onabort = transaction.onerror = () => reject(transaction.error);
  });
}

/**
 * As `put`, not in IndexedDB and at once: a page that goes away has no time to wait.
 *
 * @param {Shelf} shelf
 * @param {{key: string}} value
 */
export function putNow(shelf, value) {
  const at = path(shelf, value.key);
  try {
    localStorage.setItem(at, JSON.stringify(value));
    memory.delete(at);
    return true;
  } catch {
    memory.set(at, value);
    return false;
  }
}

/**
 * What of a shelf is not in IndexedDB, by key.
 *
 * @param {Shelf} shelf
 * @returns {Map<string, any>}
 */
function elsewhere(shelf) {
  const stem = path(shelf, "");
  const found = new Map();
  try {
    for (const [at, text] of Object.entries(localStorage)) {
      if (at.startsWith(stem)) found.set(at.slice(stem.length), JSON.parse(text));
    }
  } catch {
    // refused: then nothing is there
  }
  for (const [at, value] of memory) if (at.startsWith(stem)) found.set(at.slice(stem.length), value);
  return found;
}

/** @param {Shelf} shelf @param {string} key */
function forget(shelf, key) {
  memory.delete(path(shelf, key));
  try {
    localStorage.removeItem(path(shelf, key));
  } catch {
    // refused: then nothing is there
  }
}

/** What a tab keeps over a reload; nothing where the browser refuses it. */
export const tabMemory = {
  /** @param {string} name @returns {string | null} */
  get(name) {
    try {
      return sessionStorage.getItem(name);
    } catch {
      return null;
    }
  },
  /** @param {string} name @param {string | null} value  null takes it out */
  set(name, value) {
    try {
      if (value === null) sessionStorage.removeItem(name);
      else sessionStorage.setItem(name, value);
    } catch {
      // then a reload takes the next item, which is this one as long as it is held
    }
  },
};

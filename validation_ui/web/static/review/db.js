/** What this browser keeps by itself: drafts and unsent answers, in IndexedDB. */

import { BASE } from "../lib/address.js";

/** @typedef {"drafts" | "outbox"} Shelf */

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

/** @type {Promise<IDBDatabase> | null} */
let opened = null;

/**
 * @param {Shelf} shelf
 * @param {IDBTransactionMode} mode
 */
async function open(shelf, mode) {
  opened ??= (() => {
    const request = indexedDB.open(`refsav${BASE}`, 1);
    request.onupgradeneeded = () => {
      request.result.createObjectStore("drafts", { keyPath: "key" });
      request.result.createObjectStore("outbox", { keyPath: "key" });
    };
    return done(request);
  })();
  return (await opened).transaction(shelf, mode, { durability: "strict" }).objectStore(shelf);
}

/**
 * @param {Shelf} shelf
 * @param {string} key
 * @returns {Promise<any>}
 */
export const get = async (shelf, key) => done((await open(shelf, "readonly")).get(key));

/**
 * @param {Shelf} shelf
 * @returns {Promise<any[]>}
 */
export const all = async (shelf) => done((await open(shelf, "readonly")).getAll());

/**
 * Resolves when it is on the disk.
 *
 * @param {Shelf} shelf
 * @param {{key: string}} value
 * @returns {Promise<void>}
 */
export async function put(shelf, value) {
  const store = await open(shelf, "readwrite");
  store.put(value);
  await committed(store.transaction);
}

/**
 * @param {Shelf} shelf
 * @param {string} key
 * @returns {Promise<void>}
 */
export async function remove(shelf, key) {
  const store = await open(shelf, "readwrite");
  store.delete(key);
  await committed(store.transaction);
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

/** Requests to the server's API. */

import { address } from "./address.js";

/** A response other than success: `error` is the server's `{code, message, …}`; status 0 means that none came. */
export class ApiError extends Error {
  /**
   * @param {number} status
   * @param {{code: string, message: string, [more: string]: any}} error
   */
  constructor(status, error) {
    super(error.message);
    this.status = status;
    this.code = error.code;
    this.error = error;
  }
}

/**
 * Ask the server.
 *
 * @param {"GET" | "POST" | "PUT" | "PATCH" | "DELETE"} method
 * @param {string} path
 * @param {unknown} [body]  sent as JSON if given
 * @param {{headers?: Record<string, string>, keepalive?: boolean, signal?: AbortSignal}} [options]
 * @returns {Promise<any>}  the JSON of the answer, null if it has none
 * @throws {ApiError}
 */
export async function api(method, path, body, { headers = {}, keepalive = false, signal } = {}) {
  /** @type {Record<string, string>} */
  const sent = { accept: "application/json", ...headers };
  if (method !== "GET") sent["x-csrf-token"] = csrfToken();
  if (body !== undefined) sent["content-type"] = "application/json";
  let answer;
  try {
    answer = await fetch(address(path), {
      method, headers: sent, keepalive, signal: signal ?? null, credentials: "same-origin",
      body: body === undefined ? null : JSON.stringify(body),
    });
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new ApiError(0, { code: "offline", message: "The server cannot be reached. Check the connection." });
  }
  const text = await answer.text(); // empty with 204, whatever its content type
  const json = text && answer.headers.get("content-type")?.startsWith("application/json") ? JSON.parse(text) : null;
  if (answer.ok) return json;
  throw new ApiError(answer.status, json?.error ?? { code: "failure", message: `The server answered ${answer.status}.` });
}

function csrfToken() {
  return document.querySelector('meta[name="csrf-token"]')?.getAttribute("content") ?? "";
}

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
  let text;
  try {
    answer = await fetch(address(path), {
      method, headers: sent, keepalive, signal: signal ?? null, credentials: "same-origin",
      body: body === undefined ? null : JSON.stringify(body),
    });
    text = await answer.text(); // empty with 204, whatever its content type; the connection may break off in it
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new ApiError(0, { code: "offline", message: "The server cannot be reached. Check the connection." });
  }
  const json = text && answer.headers.get("content-type")?.startsWith("application/json") ? JSON.parse(text) : null;
  if (answer.ok && text && json === null) throw new ApiError(0, { code: "foreign", message: FOREIGN });
  if (answer.ok) return json;
  const retry_after_s = Number(answer.headers.get("retry-after")) || undefined;
  throw new ApiError(answer.status, { retry_after_s, ...(json?.error ?? ofStatus(answer.status)) });
}

const FOREIGN = "Something else than the server answered, such as the sign-in page of a network. Check the connection.";

/** What a response means that something between the page and the app sent. @type {Record<number, string>} */
const STATUS_WORDS = {
  403: "Something between this page and the server refused the request. Tell an admin.",
  408: "The request took too long. Check the connection.",
  413: "That is more text than the server takes. Shorten it.",
  429: "Too many requests at once. Wait a little.",
  502: "The server is being started or is down.",
  503: "The server has too much to do, or is down, at present.",
  504: "The server took too long to answer.",
};

/** @param {number} status */
function ofStatus(status) {
  return { code: "failure", message: STATUS_WORDS[status] ?? `The server answered ${status}, which says no more. Tell an admin.` };
}

function csrfToken() {
  return document.querySelector('meta[name="csrf-token"]')?.getAttribute("content") ?? "";
}

/** Addresses of the app. Scripts name them as if it were at the root of its host; it may be below a path, `/refsav`. */

/** The path below which the app is, "" at the root: what is before /static/ in the address of this script. */
export const BASE = new URL("../..", import.meta.url).pathname.replace(/\/$/, "");

/**
 * @param {string} path  begins with a slash; any other address is left as it is
 */
export function address(path) {
  return path.startsWith("/") ? BASE + path : path;
}

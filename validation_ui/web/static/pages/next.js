/**
 * Where to go after the login: an address of this app, else its start.
 *
 * @param {string | null} wanted
 * @param {string} origin
 * @param {string} base  path below which the app is, "" at the root; other apps may be at the same host
 */
export function nextAddress(wanted, origin, base) {
  if (!wanted || !URL.canParse(wanted, origin)) return `${base}/`;
  const url = new URL(wanted, origin);
  const ours = url.origin === origin && (url.pathname === base || url.pathname.startsWith(`${base}/`));
  return ours ? url.pathname + url.search : `${base}/`;
}

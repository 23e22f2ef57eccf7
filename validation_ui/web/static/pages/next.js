/**
 * Where to go after the login: an address of this server, else the start.
 *
 * @param {string | null} wanted
 * @param {string} origin
 */
export function nextAddress(wanted, origin) {
  if (!wanted || !URL.canParse(wanted, origin)) return "/";
  const url = new URL(wanted, origin);
  return url.origin === origin ? url.pathname + url.search : "/";
}

// Addresses: which page the part behind `#` means, and with which filters.
//
// Everything that a page shows can be sent to a colleague as a link, so filters live in the address and nowhere else.

/** What an address says: `#/batches?status=failed` → {path: '/batches', query: {status: 'failed'}}. */
export function whereabouts(hash = location.hash) {
  const [path, query = ''] = hash.replace(/^#/, '').split('?');
  return { path: path || '/', query: Object.fromEntries(new URLSearchParams(query)) };
}

/** The address of a page with these filters; what is empty is left out. */
export function link(path, query = {}) {
  const given = Object.entries(query).filter(([, value]) => value !== undefined && value !== null && value !== '');
  const text = new URLSearchParams(given).toString();
  return `#${path}${text ? `?${text}` : ''}`;
}

/** An id as a part of a path. */
export const segment = (text) => encodeURIComponent(text);

export function go(path, query) {
  location.hash = link(path, query);
}

/** Changes filters of the page at hand; an empty one is dropped, and so is the place in a list. */
export function filter(changes) {
  const { path, query } = whereabouts();
  go(path, { ...query, cursor: undefined, ...changes });
}

/** The first route whose pattern fits, with the values of its `:names`. */
export function routeOf(routes, path) {
  for (const route of routes) {
    const values = fit(route.path.split('/'), path.split('/'));
    if (values) return { route, params: values };
  }
  return undefined;
}

function fit(pattern, path) {
  if (pattern.length !== path.length) return undefined;
  const values = {};
  for (const [at, part] of pattern.entries()) {
    if (part.startsWith(':') && path[at] !== '') values[part.slice(1)] = decoded(path[at]);
    else if (part !== path[at]) return undefined;
  }
  return values;
}

// An address that somebody cut in the middle of an escape still leads to a page that says what is wrong.
function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

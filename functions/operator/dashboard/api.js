// Requests to the API: the token goes with them, and what is refused comes back as a `Problem` that people can read.
//
// Nothing is retried here: a page that refreshes asks again by itself, and a change is a person's decision.
//
// A body that a proxy drops never makes a change of a dry run: what deletes is asked for by POST, a dry run is in the query
// as well, and a header has the length of the body, which the API compares.

import { learn, session } from './session.js';

const TIMEOUT_MS = 29_000;

// Two steps above this file: below `dashboard/<version>/`, whatever stands before `dashboard`.
const BASE = new URL('../../', import.meta.url);

/** An answer that isn't a success, in the words of `application/problem+json` (RFC 9457). */
export class Problem extends Error {
  constructor(members) {
    super(members.detail);
    this.name = 'Problem';
    Object.assign(this, members);
  }
}

/** `get('/migrate', {status: 'open'})`; what is undefined, null or empty isn't asked for. */
export const get = (path, query, signal) => send('GET', path, { query, signal });

/** Any method, with a token of its own where one is given. */
export async function send(method, path, { query, body, signal, token = session.token } = {}) {
  const address = new URL(path.replace(/^\//, ''), BASE);
  for (const [name, value] of Object.entries(query ?? {})) {
    if (value !== undefined && value !== null && value !== '') address.searchParams.set(name, value);
  }
  const headers = { accept: 'application/json, application/problem+json' };
  if (token) headers.authorization = `Bearer ${token}`;
  const text = body === undefined ? undefined : JSON.stringify(body);
  if (text !== undefined) {
    headers['content-type'] = 'application/json';
    headers['granary-body-bytes'] = String(new TextEncoder().encode(text).length);
  }
  if (body?.dryRun === true) address.searchParams.set('dryRun', 'true');
  const timeout = AbortSignal.timeout(TIMEOUT_MS);
  const response = await reach(address, {
    method,
    headers,
    body: text,
    signal: signal ? AbortSignal.any([signal, timeout]) : timeout,
    cache: 'no-store',
    credentials: 'omit',
    redirect: 'error',
  });
  const answer = await read(response, method, path);
  // Unless somebody signed out meanwhile: then it is about nobody.
  if (token === session.token) learn(answer);
  return answer;
}

async function reach(address, request) {
  try {
    return await fetch(address, request);
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    const isSlow = error.name === 'TimeoutError';
    throw new Problem({
      status: 0,
      title: isSlow ? 'No answer' : 'Out of reach',
      detail: isSlow
        ? `The API did not answer within ${TIMEOUT_MS / 1000} seconds.`
        : 'The API is out of reach from this browser.',
      remedy: isSlow
        ? 'It may have done what it was asked all the same: look before you ask again.'
        : 'Check the network; the address is the one this page came from.',
    });
  }
}

async function read(response, method, path) {
  const text = await response.text();
  let body;
  try {
    body = text === '' ? {} : JSON.parse(text);
  } catch {
    body = undefined;
  }
  if (response.ok && body !== undefined)
    return { ...body, status: body.status ?? response.status, accepted: response.status === 202 };
  throw new Problem({
    ...(body ?? {}),
    status: response.status,
    title: body?.title ?? `Status ${response.status}`,
    detail:
      body?.detail ?? body?.message ?? `${method} ${path} was answered with ${response.status} and without a reason.`,
    requestId: body?.requestId ?? response.headers.get('x-request-id') ?? undefined,
  });
}

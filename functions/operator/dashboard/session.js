// Whose desk this is: the token, kept in this tab alone, and what the API said of it.
//
// Closing the tab forgets the token. It is never written into an address, a cookie or a log.

const TOKEN = 'granary.token';

export const session = {
  token: kept(),
  role: null,
  name: null,
  source: null,
  version: null,
};

function kept() {
  try {
    return sessionStorage.getItem(TOKEN);
  } catch {
    return null;
  }
}

/** Keeps a token that the API knows, with what it said. */
export function signIn(token, health) {
  try {
    sessionStorage.setItem(TOKEN, token);
  } catch {
    // Kept in memory alone.
  }
  Object.assign(session, { token });
  learn(health);
}

/** What an answer says of whose token this is. Most say nothing. */
export function learn({ role, name, source, version }) {
  if (role) Object.assign(session, { role, name, source, version });
}

export function signOut() {
  try {
    sessionStorage.removeItem(TOKEN);
  } catch {
    // There was nothing to keep it in.
  }
  Object.assign(session, { token: null, role: null, name: null });
}

/** Whether this token may change things, as far as is known. The API decides; this only spares people a refusal. */
export const mayChange = () => session.role === 'operator';

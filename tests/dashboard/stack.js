// The stack that the tests look at: its addresses, its API, and its ledger, to check at the service behind a page.

import { execFileSync } from 'node:child_process';

export const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium';
export const LAUNCH_ARGS = ['--no-sandbox', '--disable-dev-shm-usage'];

// The work of a tick, and of what it starts. Ticks are called for; nobody waits for the clock.
export const WORK_MS = 60_000;
const STEP_MS = 250;
const HOUR_MS = 3_600_000;
const SEEDED_HOURS = 2;

const needed = (name) =>
  process.env[name] ?? fail(`${name} is not set: run ". .local/env" first, or "make up" where there is no stack yet.`);

function fail(text) {
  throw new Error(text);
}

export const stack = {
  get api() {
    return needed('API_URL').replace(/\/$/, '');
  },
  get desk() {
    return `${this.api}/dashboard/`;
  },
  get operator() {
    return needed('API_TOKEN');
  },
  get viewer() {
    return needed('API_VIEWER_TOKEN');
  },
};

/** Asks the API itself, as an operator. */
export async function ask(method, path, body) {
  const response = await fetch(`${stack.api}${path}`, {
    method,
    headers: { authorization: `Bearer ${stack.operator}`, 'content-type': 'application/json' },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  const answer = await response.json();
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${answer.detail}`);
  return answer;
}

/** Rows of the ledger, each a list of texts. */
export function rows(sql) {
  const url = new URL(needed('LEDGER_URL'));
  const output = execFileSync(
    needed('LEDGER_CLIENT'),
    [
      `--host=${url.hostname}`,
      `--port=${url.port}`,
      `--user=${url.username}`,
      '--protocol=TCP',
      '--batch',
      '--skip-column-names',
      `--execute=${sql}`,
      url.pathname.slice(1),
    ],
    { env: { ...process.env, MYSQL_PWD: decodeURIComponent(url.password) }, encoding: 'utf8' },
  );
  return output
    .split('\n')
    .filter(Boolean)
    .map((line) => line.split('\t'));
}

/** Waits until something holds, and says what it waited for where it never does. */
export async function until(what, holds, deadlineMs = WORK_MS) {
  const end = Date.now() + deadlineMs;
  for (;;) {
    const found = await holds();
    if (found) return found;
    if (Date.now() > end) fail(`after ${deadlineMs / 1000} s still not: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, STEP_MS));
  }
}

/** Calls a function as its schedule does each minute. One that is at work already is no error: the schedule was first. */
export async function tick(name) {
  const address = `${needed('AWS_ENDPOINT_URL')}/2015-03-31/functions/${needed('STACK_NAME')}-${name}/invocations`;
  const response = await fetch(address, { method: 'POST', body: '{}' });
  if (response.status === 429) return;
  const answer = await response.text();
  if (!response.ok || response.headers.has('x-amz-function-error'))
    fail(`the ${name} answered ${response.status}: ${answer}`);
}

/** Ticks until something holds. */
export const ticking = (name, what, holds) => until(what, async () => (await holds()) || (await tick(name), holds()));

/** Test messages in the source. Whoever asks how far they are works on them. */
export async function seed(count) {
  const { operationId, operation } = await ask('POST', '/seed/some-model', { count, hours: SEEDED_HOURS });
  if (!operation || operation.state === 'succeeded') return;
  await until(
    'the test messages are written',
    async () => (await ask('GET', `/operations/${operationId}`)).operation.state === 'succeeded',
  );
}

/** From when on the test messages are: what else is on the stack is other tests' business. */
export const sinceWhen = () => new Date(Date.now() - (SEEDED_HOURS + 1) * HOUR_MS).toISOString();

/** A backfill over the test messages, by its id. */
export const backfill = async (body = {}) =>
  (await ask('POST', '/migrate', { from: sinceWhen(), ...body })).migrationId;

export const isThrough = async (migration) => (await ask('GET', `/migrate/status/${migration}`)).nothingOpen;

/** Test messages, and a backfill that has archived them. */
export async function archived(count) {
  await seed(count);
  const migration = await backfill();
  await ticking('harvester', `migration ${migration} is through`, () => isThrough(migration));
  return migration;
}

/** New batches that nobody has begun with: the export is paused before they are there. */
export async function unbegun(count) {
  await ask('POST', '/pause', { stage: 'export' });
  const before = Number(rows('SELECT COALESCE(MAX(id), 0) FROM batch')[0][0]);
  await seed(count * 20);
  await backfill({ batchSize: 10 });
  const found = () =>
    rows(`SELECT id FROM batch WHERE id > ${before} AND status = 'pending' AND fence = 0 LIMIT ${count}`);
  await ticking('harvester', `${count} batches are on record`, () => found().length === count);
  return found().map(([id]) => id);
}

const ATTEMPTS = [1, 2, 3, 4, 5];
const LONG_AGO = 'UTC_TIMESTAMP(6) - INTERVAL 3 HOUR';

/**
 * Leaves batches that nobody has begun with as five attempts on a full disk would leave them: parked. The attempts are
 * some hours old, since so many failures at once would be an alert of their own.
 */
export function park(batches, reason) {
  for (const id of batches) {
    const attempts = ATTEMPTS.map(
      (number) =>
        `(${id}, ${number}, 1, 'a worker of a test', ${LONG_AGO}, ${LONG_AGO}, 'failed', 'spool', '${reason}')`,
    );
    rows(`START TRANSACTION;
      INSERT INTO attempt (batch_id, number, generation, worker, started_at, ended_at, outcome, error_code, error_text)
        VALUES ${attempts.join(', ')};
      UPDATE batch SET status = 'failed', attempts = 5, fence = 5, parked_at = UTC_TIMESTAMP(6), error_code = 'spool',
        error_text = '${reason}' WHERE id = ${id} AND status = 'pending' AND fence = 0;
      COMMIT`);
  }
}

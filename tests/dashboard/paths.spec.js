// What people on call do: each path at the desk, checked at the service behind it.

import { expect, test } from './desk.js';
import { WORK_MS, archived, ask, isThrough, park, rows, seed, sinceWhen, ticking, unbegun, until } from './stack.js';

test.describe.configure({ timeout: 3 * WORK_MS });

// A test that fails half-way leaves nothing paused or tuned for the next one.
test.afterEach(() => Promise.all([ask('POST', '/resume', {}), ask('POST', '/tune', { maxAttempts: null })]));

const backfills = () => rows("SELECT COUNT(*) FROM migration WHERE kind = 'backfill'")[0][0];
const tuned = () => rows("SELECT setting FROM control WHERE name = 'tune.maxAttempts'").flat();
const maxAttempts = (desk) => desk.panel('Settings').getByRole('row').filter({ hasText: 'Max attempts' });

test('a backfill is foretold, then started, and its page shows it run to its end', async ({ desk }) => {
  const { page } = desk;
  await seed(200);
  const before = backfills();
  await desk.open('/migrations');
  await page.getByRole('button', { name: 'Start a backfill' }).click();
  const dialog = desk.dialog();
  await dialog.getByLabel('From (event time)').fill(sinceWhen());
  await dialog.getByRole('button', { name: 'Show what would happen' }).click();
  await expect(dialog.getByText('In the source', { exact: true }).first()).toBeVisible({ timeout: WORK_MS });
  await desk.isAccessible('the dialog of a backfill');
  expect(backfills(), 'a dry run makes nothing').toBe(before);
  await desk.confirm({ act: 'Start it', reason: 'a test of the dashboard' });
  await expect(page).toHaveURL(/#\/migrations\/[0-9a-f-]{36}$/);
  const id = page.url().split('/').at(-1);
  expect(rows(`SELECT kind FROM migration WHERE id = UNHEX('${id.replaceAll('-', '')}')`)).toEqual([['backfill']]);
  await ticking('harvester', 'the backfill is through', () => isThrough(id));
  await expect(page.getByText('Nothing is open')).toBeVisible({ timeout: WORK_MS });
  await expect(page.getByRole('progressbar', { name: 'Archived' })).toHaveAttribute('aria-valuenow', '100');
  await expect(page.locator('.tile').filter({ hasText: 'Rate' })).toContainText('over the last 15 minutes');
  const chart = desk.panel('Archived in the hours of its range');
  await expect(chart.locator('.plot')).toBeVisible();
  await expect(chart).toContainText(/Messages per minute · [1-9]/);
  await desk.isAccessible('a migration that is through');
  const { entries } = await ask('GET', '/audit?action=migrate.start&limit=1');
  expect(entries[0].reason).toBe('a test of the dashboard');
});

test('a parked batch is found by its cause, retried, and archived', async ({ desk }) => {
  const { page } = desk;
  const batches = await unbegun(2);
  park(batches, 'the disk of a test is full');
  await ask('POST', '/resume', {});
  const parked = rows("SELECT COUNT(*) FROM batch WHERE parked_at IS NOT NULL AND error_code = 'spool'")[0][0];
  await desk.open('/failures');
  const group = desk.panel('spool');
  await expect(group).toContainText('the disk of a test is full');
  await desk.isAccessible('the failures of a cause');
  await group.getByRole('link', { name: batches[0], exact: true }).click();
  await expect(page.getByRole('heading', { name: `Batch ${batches[0]}` })).toBeVisible();
  await expect(page.getByRole('alert')).toContainText('Parked');
  await expect(desk.panel('Attempts').getByRole('listitem')).toHaveCount(5);
  await page.goBack();
  await desk.panel('spool').getByRole('button', { name: 'Retry' }).click();
  await desk.dialog().getByRole('button', { name: 'Show what would happen' }).click();
  await expect(desk.dialog()).toContainText(`${parked} batches would get their attempts again`);
  await desk.confirm({ act: 'Retry them', reason: 'the disk was emptied' });
  await desk.said('will be tried again');
  const isArchived = () =>
    rows(`SELECT id FROM batch WHERE status = 'completed' AND retry_count = 1 AND id IN (${batches.join(', ')})`)
      .length === batches.length;
  await ticking('reaper', 'both batches are archived', isArchived);
  await desk.open(`/batches/${batches[0]}`);
  await expect(desk.panel('Now')).toContainText('success');
});

test('a stage is paused with a reason, every page says so, and it is resumed', async ({ desk }) => {
  const { page } = desk;
  const paused = () => rows("SELECT name FROM control WHERE name LIKE '%export%'").flat();
  await desk.open('/controls');
  await page.getByRole('button', { name: 'Pause export' }).click();
  await expect(desk.dialog()).toContainText('Export: running → paused');
  expect(paused(), 'a dry run pauses nothing').toEqual([]);
  await desk.confirm({ act: 'Pause', reason: 'the bucket is being moved' });
  await desk.said('Export is paused');
  expect(paused()).toHaveLength(1);
  await desk.open('/batches');
  await expect(page.locator('.pauses')).toContainText('the bucket is being moved');
  await desk.isAccessible('a page while a stage is paused');
  await page.getByRole('link', { name: 'To the controls' }).click();
  await page.getByRole('button', { name: 'Resume export' }).click();
  await desk.confirm({ act: 'Resume' });
  await desk.said('Export goes on');
  expect(paused()).toEqual([]);
  await expect(page.locator('.pauses')).toHaveCount(0);
  await desk.open('/audit');
  await expect(page.getByRole('rowheader', { name: 'resume' }).first()).toBeVisible();
});

test('a message is traced to its line in the archive, and its contents stay where they are', async ({ desk }) => {
  const { page } = desk;
  await archived(100);
  const [[id, key]] = rows(
    "SELECT m.message_id, b.object_key FROM message m JOIN batch b ON b.id = m.batch_id WHERE b.status = 'completed' AND m.outcome IS NULL ORDER BY b.id DESC LIMIT 1",
  );
  await desk.open('/trace');
  await page.getByLabel('Message id').fill(id);
  await page.getByLabel('Message id').press('Enter');
  await expect(page.getByText('It is in the archive.')).toBeVisible();
  const archive = desk.panel('In the archive');
  await expect(archive).toContainText(key);
  await expect(archive).toContainText('SHA-256 of the line');
  await expect(archive).toContainText('Its contents are not shown here');
  await desk.isAccessible('the trace of a message');
  await desk.open('/trace/there-is-no-such-message');
  await expect(page.getByText('The ledger has no such message')).toBeVisible();
});

test('what waits to be sent is sent by hand, and archived', async ({ desk }) => {
  const { page } = desk;
  const [batch] = await unbegun(1);
  await desk.open('/controls');
  await ask('POST', '/resume', {});
  await page.getByRole('button', { name: 'Run now' }).click();
  await expect(desk.dialog()).toContainText('to send');
  await desk.confirm({ act: 'Run now', reason: 'nobody waits for the clock' });
  await desk.said('taken back');
  const { entries } = await ask('GET', '/audit?action=migrate.process_all&limit=1');
  expect(entries[0].reason).toBe('nobody waits for the clock');
  const isArchived = () => rows(`SELECT id FROM batch WHERE status = 'completed' AND id = ${batch}`).length === 1;
  await until(`batch ${batch} is archived`, isArchived);
});

test('a setting is changed once its change was foretold, and given back', async ({ desk }) => {
  const before = tuned();
  await desk.open('/controls');
  await maxAttempts(desk).getByRole('button', { name: 'Change' }).click();
  const dialog = desk.dialog();
  await dialog.getByLabel(/^From 1 to/).fill('7');
  await dialog.getByRole('button', { name: 'Show what would happen' }).click();
  await expect(dialog).toContainText(/Max attempts: \d+ → 7/);
  expect(tuned(), 'a dry run changes nothing').toEqual(before);
  await desk.confirm({ act: 'Change', reason: 'a flaky network' });
  await desk.said('is changed');
  expect(tuned()).toEqual(['7']);
  await expect(maxAttempts(desk)).toContainText('tuned');
  await maxAttempts(desk).getByRole('button', { name: 'Reset' }).click();
  await desk.confirm({ act: 'Reset' });
  await desk.said('is reset');
  expect(tuned()).toEqual([]);
});

test('a late answer counts for what was asked, and nobody can leave a question while it is acted upon', async ({
  desk,
}) => {
  const { page } = desk;
  const held = [];
  await page.route('**/tune*', async (route) => {
    if (route.request().method() === 'POST') held.push(route);
    else await route.continue();
  });
  const isHeld = () => expect.poll(() => held.length).toBe(1);
  await desk.open('/controls');
  await maxAttempts(desk).getByRole('button', { name: 'Change' }).click();
  const dialog = desk.dialog();
  const value = dialog.getByLabel(/^From 1 to/);
  const foretell = dialog.getByRole('button', { name: 'Show what would happen' });
  await value.fill('7');
  await foretell.click();
  await isHeld();
  await value.fill('8');
  await held.pop().continue();
  await expect(foretell, 'what was foretold of 7 says nothing of 8').toBeVisible();
  await foretell.click();
  await isHeld();
  await held.pop().continue();
  await expect(dialog).toContainText('→ 8');
  await dialog.getByRole('button', { name: 'Change', exact: true }).click();
  await isHeld();
  await expect(dialog.getByRole('button', { name: 'Cancel' })).toBeDisabled();
  await page.keyboard.press('Escape');
  await page.keyboard.press('Escape');
  await expect(dialog).toContainText('Working…');
  await held.pop().continue();
  await desk.said('is changed');
  await expect(dialog).toHaveCount(0);
  expect(tuned()).toEqual(['8']);
  await page.unrouteAll({ behavior: 'wait' });
});

test('what is large wants its name typed, and closing the question changes nothing', async ({ desk }) => {
  const { page } = desk;
  const purges = () => rows("SELECT COUNT(*) FROM audit WHERE action LIKE 'queue.purge%'")[0][0];
  const before = purges();
  await desk.open('/queues');
  await page.getByRole('button', { name: 'Purge all' }).click();
  const dialog = desk.dialog();
  await expect(dialog).toContainText('would be put back to unsent');
  await expect(dialog.getByRole('button', { name: 'Purge all' })).toBeDisabled();
  await dialog.getByLabel('Type purge-all to confirm').fill('purge-al');
  await expect(dialog.getByRole('button', { name: 'Purge all' })).toBeDisabled();
  await page.keyboard.press('Escape');
  await expect(dialog).toHaveCount(0);
  await expect(page.getByRole('button', { name: 'Purge all' })).toBeFocused();
  expect(purges()).toBe(before);
});

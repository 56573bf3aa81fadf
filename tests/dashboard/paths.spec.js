// What people on call do: each path at the desk, checked at the service behind it.

import { expect, test } from './desk.js';
import { WORK_MS, archived, ask, isThrough, park, rows, seed, sinceWhen, ticking, unbegun } from './stack.js';

test.describe.configure({ timeout: 3 * WORK_MS });

// A test that fails half-way leaves nothing paused for the next one.
test.afterEach(() => ask('POST', '/resume', {}));

const backfills = () => rows("SELECT COUNT(*) FROM migration WHERE kind = 'backfill'")[0][0];

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
  await desk.confirm({ act: 'Pause', reason: 'the bucket is being moved' });
  await desk.said('Export is paused');
  expect(paused()).toHaveLength(1);
  await desk.open('/batches');
  await expect(page.locator('.pauses')).toContainText('the bucket is being moved');
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
  await desk.open('/trace/there-is-no-such-message');
  await expect(page.getByText('The ledger has no such message')).toBeVisible();
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

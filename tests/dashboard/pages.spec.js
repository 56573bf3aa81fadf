// Every page, in both themes and as wide as a phone: it loads, fits, and axe finds nothing serious.

import { PAGES, PHONE, expect, test } from './desk.js';
import { WORK_MS, archived, ask, rows, stack } from './stack.js';

let details = [];

test.beforeAll(async () => {
  test.setTimeout(3 * WORK_MS);
  if (rows("SELECT id FROM batch WHERE status = 'completed' LIMIT 1").length === 0) await archived(100);
  const [[batch]] = rows("SELECT id FROM batch WHERE status = 'completed' ORDER BY id DESC LIMIT 1");
  const [[message]] = rows(`SELECT message_id FROM message WHERE batch_id = ${batch} LIMIT 1`);
  const { migrations } = await ask('GET', '/migrate?limit=1');
  const { operationId } = await ask('POST', '/verify', { quick: true });
  details = [
    `/migrations/${migrations[0].id}`,
    `/batches/${batch}`,
    `/trace/${encodeURIComponent(message)}`,
    `/operations/${operationId}`,
  ];
});

test('every page loads, fits a phone, and axe finds nothing serious in light and dark', async ({ desk }) => {
  test.setTimeout(10 * WORK_MS);
  const { page } = desk;
  const wide = page.viewportSize();
  for (const path of [...PAGES, ...details]) {
    await page.emulateMedia({ colorScheme: 'light' });
    await desk.open(path);
    await desk.isAccessible(path);
    await desk.fits(path);
    await page.emulateMedia({ colorScheme: 'dark' });
    await desk.isReadable(`${path} in the dark`);
    await page.setViewportSize(PHONE);
    await desk.fits(`${path} on a phone`);
    await page.setViewportSize(wide);
  }
});

test.describe('on a phone', () => {
  test.use({ viewport: PHONE, hasTouch: true, isMobile: true });
  test('the pages are a tap away, and a page fits', async ({ desk }) => {
    const { page } = desk;
    await desk.open('/batches');
    await desk.fits('batches');
    await page.getByRole('button', { name: 'Pages' }).tap();
    await page.getByRole('navigation', { name: 'Pages' }).getByRole('link', { name: 'Failures' }).tap();
    await expect(page.getByRole('heading', { name: 'Failures', level: 1 })).toBeVisible();
    await desk.settled();
    await desk.fits('failures');
    await desk.isAccessible('failures on a phone');
  });
});

test('filters live in the address, survive a reload, and can be left', async ({ desk }) => {
  await desk.open('/batches');
  await desk.page.getByLabel('Status', { exact: true }).selectOption('success');
  await expect(desk.page).toHaveURL(/#\/batches\?status=success$/);
  await desk.page.reload();
  await desk.settled();
  await expect(desk.page.getByLabel('Status', { exact: true })).toHaveValue('success');
  await desk.page.getByRole('button', { name: 'Clear filters' }).click();
  await expect(desk.page).toHaveURL(/#\/batches$/);
});

test('what the API refuses is shown in its words', async ({ desk }) => {
  await desk.open('/batches?from=yesterday');
  await expect(desk.page.getByRole('alert')).toContainText('must be a time such as');
  await desk.open('/migrations/0197a1b2-0000-7000-8000-000000000000');
  await expect(desk.page.getByRole('alert')).toContainText('There is no migration');
});

test('the keyboard reaches the page, its windows and its charts', async ({ desk }) => {
  const { page } = desk;
  await desk.open('/windows');
  await page.keyboard.press('Tab');
  await expect(page.getByRole('link', { name: 'Skip to the page' })).toBeFocused();
  await page.keyboard.press('Enter');
  await expect(page.locator('main')).toBeFocused();
  const cell = page.locator('a.cell[tabindex="0"]');
  await cell.focus();
  await page.keyboard.press('Home');
  await page.keyboard.press('Enter');
  await expect(page).toHaveURL(/window=\d+/);
  await desk.open('/');
  await page.locator('.plot').focus();
  await page.keyboard.press('End');
  await expect(page.locator('.chart output')).toContainText('messages');
});

test('every state that windows have in the API’s document has its sign, the best first', async ({ desk }) => {
  const { page } = desk;
  const document = await (await fetch(`${stack.api}/openapi.json`)).json();
  const { schema } = document.paths['/windows'].get.parameters.find(({ name }) => name === 'state');
  await desk.open('/windows');
  const options = page.getByLabel('State', { exact: true }).locator('option');
  expect(await options.evaluateAll((all) => all.map(({ value }) => value))).toEqual(['', ...schema.enum]);
  await expect(page.locator('.calendar-legend .cell')).toHaveCount(schema.enum.length);
});

test('every hour of the calendar shows whether it was read, was empty, or was never harvested', async ({ desk }) => {
  const window = (id, from, to, found) => ({
    ...{ id, from, to, found, recorded: found, adopted: 0, ownedElsewhere: 0, duplicates: 0, withoutId: 0, lateMessages: 0 },
    ...{ kind: 'backfill', migrationId: '0197a1b2-0000-7000-8000-000000000000', state: 'verified', harvest: 'verified' },
  });
  const days = [
    { date: '2026-11-24', state: 'verified', windows: [window(4, '2026-11-24T01:00:00Z', '2026-11-24T02:00:00Z', 3)] },
    {
      date: '2026-11-22',
      state: 'verified',
      windows: [
        window(2, '2026-11-22T03:00:00Z', '2026-11-22T05:00:00Z', 0),
        window(1, '2026-11-22T01:00:00Z', '2026-11-22T02:00:00Z', 5),
      ],
    },
  ];
  await desk.page.route(
    (url) => url.pathname.endsWith('/windows'),
    (route) => route.fulfill({ json: { days, count: 3, nextCursor: null } }),
  );
  await desk.open('/windows');
  const panel = desk.panel('By day');
  await expect(panel.locator('.days a.cell', { hasText: '✓' })).toHaveCount(2);
  await expect(panel.locator('.days a.cell', { hasText: '○' })).toHaveCount(1);
  await expect(panel.locator('.days a.cell.rest')).toHaveCount(1);
  // Between the first window and the last one, and not before or after them.
  await expect(panel.locator('.days .cell.gap[title^="2026-11-22 02:00"]')).toHaveCount(1);
  await expect(panel.locator('.days .cell.gap[title^="2026-11-22 00:00"]')).toHaveCount(0);
  await expect(panel.locator('.between')).toContainText('2026-11-23');
  await expect(panel.locator('.between')).toContainText('never harvested');
});

test('a page of windows without any that were looked for says that there are more', async ({ desk }) => {
  const nothingYet = { days: [], count: 0, nextCursor: '1-1' };
  await desk.page.route(
    (url) => url.pathname.endsWith('/windows'),
    (route) => route.fulfill({ json: nothingYet }),
  );
  await desk.open('/windows?state=failing');
  await expect(desk.panel('By day')).toContainText('there are more on the next page');
  await expect(desk.panel('By day').getByRole('link', { name: 'Next page' })).toBeVisible();
});

test('numbers come by themselves, unless somebody pauses them or looks elsewhere', async ({ desk }) => {
  const { page } = desk;
  await page.clock.install();
  await desk.open('/');
  let asked = 0;
  page.on('request', (request) => {
    if (request.url().endsWith('/overview')) asked += 1;
  });
  await page.clock.runFor(6_000);
  await expect.poll(() => asked).toBeGreaterThan(0);
  await page.getByRole('button', { name: 'Pause live updates' }).click();
  await expect(page.locator('.pulse')).toContainText('Paused');
  const atPause = asked;
  await page.clock.runFor(60_000);
  expect(asked - atPause).toBeLessThanOrEqual(1);
  await page.getByRole('button', { name: 'Pause live updates' }).click();
  await expect.poll(() => asked).toBeGreaterThan(atPause);
  await page.evaluate(() => {
    Object.defineProperty(document, 'hidden', { value: true, configurable: true });
    document.dispatchEvent(new Event('visibilitychange'));
  });
  const atHiding = asked;
  await page.clock.runFor(60_000);
  expect(asked - atHiding).toBeLessThanOrEqual(1);
});

test('times are shown in UTC or here, as somebody chooses', async ({ browser }) => {
  const context = await browser.newContext({ timezoneId: 'Asia/Kolkata' });
  const page = await context.newPage();
  await page.addInitScript((token) => sessionStorage.setItem('granary.token', token), stack.operator);
  await page.goto(`${stack.desk}#/audit`);
  const when = page.locator('tbody time').first();
  await expect(when).toBeVisible();
  const instant = await when.getAttribute('datetime');
  await expect(when).toHaveText(instant.slice(0, 19).replace('T', ' '));
  await page.getByRole('button', { name: 'Local' }).click();
  const here = new Date(Date.parse(instant) + 5.5 * 3_600_000).toISOString();
  await expect(when).toHaveText(here.slice(0, 19).replace('T', ' '));
  await context.close();
});

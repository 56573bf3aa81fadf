// Pictures of every page, light and dark: `node screenshots.js FOLDER`. Two batches are parked for the time being, so
// that the pages for bad days have something to show; they are retried at the end.

import { mkdirSync } from 'node:fs';
import { chromium } from '@playwright/test';
import { PAGES, TOKEN } from './desk.js';
import { CHROMIUM, LAUNCH_ARGS, archived, ask, park, rows, stack, ticking, unbegun } from './stack.js';

const SIZE = { width: 1280, height: 800 };
// Long lists go on as they begin.
const HEIGHT_MAX = 1_500;
const [, , folder = '../../docs/screenshots'] = process.argv;

const nameOf = (path) => path.slice(1) || 'overview';

async function details(parked) {
  const [[batch]] = rows("SELECT id FROM batch WHERE status = 'completed' ORDER BY id DESC LIMIT 1");
  const [[message]] = rows(`SELECT message_id FROM message WHERE batch_id = ${batch} LIMIT 1`);
  const { migrations } = await ask('GET', '/migrate?kind=backfill&limit=1');
  const { operationId } = await ask('POST', '/verify', {});
  await ticking('reaper', 'the verification is over', async () => {
    const { operation } = await ask('GET', `/operations/${operationId}`);
    return operation.state === 'succeeded';
  });
  return {
    migration: `/migrations/${migrations[0].id}`,
    batch: `/batches/${parked}`,
    report: `/operations/${operationId}`,
    message: `/trace/${encodeURIComponent(message)}`,
  };
}

async function take(browser, pages, colorScheme) {
  const context = await browser.newContext({ colorScheme, viewport: SIZE });
  await context.addInitScript(([name, token]) => sessionStorage.setItem(name, token), [TOKEN, stack.operator]);
  const page = await context.newPage();
  for (const [name, path] of Object.entries(pages)) {
    await page.goto(`${stack.desk}#${path}`);
    await page.locator(`[data-path="${path}"]`).waitFor();
    await page.locator('.loading').waitFor({ state: 'detached' });
    const height = await page.evaluate(() => document.documentElement.scrollHeight);
    await page.screenshot({
      path: `${folder}/${name}-${colorScheme}.png`,
      fullPage: true,
      clip: { x: 0, y: 0, width: SIZE.width, height: Math.min(height, HEIGHT_MAX) },
      animations: 'disabled',
    });
  }
  await context.close();
}

async function takeAll() {
  await archived(100);
  const batches = await unbegun(2);
  park(batches, 'no space left on device (os error 28)');
  await ask('POST', '/resume', {});
  const pages = { ...Object.fromEntries(PAGES.map((path) => [nameOf(path), path])), ...(await details(batches[0])) };
  const browser = await chromium.launch({ executablePath: CHROMIUM, args: LAUNCH_ARGS });
  try {
    for (const colorScheme of ['light', 'dark']) await take(browser, pages, colorScheme);
  } finally {
    await browser.close();
    await ask('POST', '/migrate/retry-failed', { cause: 'spool' });
  }
}

mkdirSync(folder, { recursive: true });
await takeAll();

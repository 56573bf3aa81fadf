// What people do at the desk, as verbs; and what must hold on every page.

import { expect, test as base } from '@playwright/test';
import { AxeBuilder } from '@axe-core/playwright';
import { stack } from './stack.js';

export const TOKEN = 'granary.token';
const TAGS = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];
const NODES_SHOWN_MAX = 3;

export const PHONE = { width: 390, height: 844 };

/** A test whose page is a desk with an operator's token; it fails on errors of the page and on requests to elsewhere. */
export const test = base.extend({
  desk: async ({ page }, use) => {
    const troubles = watch(page);
    await page.addInitScript(
      ([name, token]) => {
        if (!sessionStorage.getItem(name)) sessionStorage.setItem(name, token);
      },
      [TOKEN, stack.operator],
    );
    await use(verbs(page));
    expect(troubles, 'errors of the page').toEqual([]);
  },
});
export { expect };

/** Collects what a page must never do. */
export function watch(page) {
  const troubles = [];
  const origin = new URL(stack.api).origin;
  page.on('pageerror', (error) => troubles.push(String(error)));
  page.on('console', (message) => {
    // The browser writes a line for each answer that isn't a success; pages show those.
    if (message.type() === 'error' && !message.text().startsWith('Failed to load resource'))
      troubles.push(message.text());
  });
  page.on('request', (request) => {
    const { protocol, origin: of } = new URL(request.url());
    if (protocol !== 'data:' && of !== origin) troubles.push(`a request to ${request.url()}`);
  });
  return troubles;
}

function verbs(page) {
  return {
    page,

    /** Opens a page of the desk and waits until its numbers are there. */
    async open(path) {
      await page.goto(`${stack.desk}#${path}`);
      await expect(page.locator('[data-path]')).toHaveAttribute('data-path', path.split('?')[0]);
      await this.settled();
    },

    async settled() {
      await expect(page.locator('main h1')).toBeVisible();
      await expect(page.locator('.loading')).toHaveCount(0, { timeout: 20_000 });
    },

    panel: (name) => page.getByRole('region', { name, exact: true }),

    dialog: () => page.getByRole('dialog'),

    /** Asks what would happen, gives a reason, and confirms. */
    async confirm({ reason, act, typed }) {
      const dialog = this.dialog();
      const foretell = dialog.getByRole('button', { name: 'Show what would happen' });
      if (await foretell.isVisible()) await foretell.click();
      if (reason) await dialog.getByLabel(/^Reason/).fill(reason);
      if (typed) await dialog.getByLabel(/^Type /).fill(typed);
      await dialog.getByRole('button', { name: act, exact: true }).click();
      await expect(dialog).toHaveCount(0, { timeout: 30_000 });
    },

    async said(text) {
      await expect(page.locator('.notices')).toContainText(text);
    },

    /** Nothing serious, by axe. */
    isAccessible: (where) => judged(where, axe(page).withTags(TAGS)),

    /** Enough contrast, by axe: what is left to ask of a page in its other colours. */
    isReadable: (where) => judged(where, axe(page).withRules(['color-contrast'])),

    /** Nothing stands out of the page to the right. */
    async fits(where) {
      const [content, width] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
      expect(content, `width at ${where}`).toBeLessThanOrEqual(width);
    },
  };
}

// Rows are alike: the first ones stand for all of them. There are no frames, which is all that the longer way is for.
const axe = (page) =>
  new AxeBuilder({ page })
    .setLegacyMode(true)
    .options({ resultTypes: ['violations'] })
    .exclude('tbody tr:nth-child(n+4)');

async function judged(where, builder) {
  const { violations } = await builder.analyze();
  const serious = violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .map(({ id, nodes }) => `${id}: ${nodes.slice(0, NODES_SHOWN_MAX).map(told).join('; ')}`);
  expect(serious, `axe at ${where}`).toEqual([]);
}

const told = ({ html, failureSummary }) => `${html} (${failureSummary})`;

/** The pages that need no id. */
export const PAGES = [
  '/',
  '/windows',
  '/migrations',
  '/batches',
  '/queues',
  '/failures',
  '/trace',
  '/verify',
  '/alerts',
  '/controls',
  '/operations',
  '/audit',
];

// The runbook: a page that loads without a token, and the links that lead from the desk to its sections.

import { PHONE, expect, test } from './desk.js';
import { stack } from './stack.js';

const RUNBOOK = `${stack.api}/runbook`;

// The section that a link leads to is in sight, and has this name.
async function leadsTo(page, anchor, name) {
  await expect(page).toHaveURL(`${RUNBOOK}#${anchor}`);
  const heading = page.locator(`[id="${anchor}"]`);
  await expect(heading).toHaveText(name);
  await expect(heading).toBeInViewport();
}

test('the runbook loads without a token, fits a phone, and axe finds nothing serious in light and dark', async ({
  desk,
}) => {
  const { page } = desk;
  const answer = await page.request.get(RUNBOOK);
  expect(answer.status()).toBe(200);
  expect(answer.headers()['content-security-policy']).toContain("default-src 'none'");
  await page.emulateMedia({ colorScheme: 'light' });
  await page.goto(`${RUNBOOK}#alert-parked`);
  await leadsTo(page, 'alert-parked', 'Alert parked');
  // The style applies only where its digest is the policy's.
  await expect(page.getByRole('navigation', { name: 'Contents' })).toHaveCSS('position', 'sticky');
  await desk.isAccessible('the runbook');
  await desk.fits('the runbook');
  await page.emulateMedia({ colorScheme: 'dark' });
  await desk.isReadable('the runbook in the dark');
  await page.setViewportSize(PHONE);
  await desk.fits('the runbook on a phone');
});

test('the contents lead to each section, and pages of the dashboard are links', async ({ desk }) => {
  const { page } = desk;
  await page.goto(RUNBOOK);
  await page.getByRole('navigation', { name: 'Contents' }).getByRole('link', { name: 'Alarm ReaperSilent' }).click();
  await leadsTo(page, 'alarm-reapersilent', 'Alarm ReaperSilent');
  await page.getByRole('link', { name: '#/failures', exact: true }).click();
  await expect(page).toHaveURL(/\/dashboard\/#\/failures$/);
});

test('the bar, an alert and a failure lead to their sections', async ({ desk }) => {
  const { page } = desk;
  const createdAt = '2026-11-24T01:00:00Z';
  const answers = {
    '/alerts': {
      alerts: [{ id: 1, kind: 'parked', headline: 'batches are parked', text: 'one', open: true, createdAt }],
      nextCursor: null,
    },
    '/failures': {
      totals: { parkedBatches: 1, retryingBatches: 0, deferredBatches: 0, missingMessages: 1, quarantinedMessages: 0 },
      failures: [
        { cause: 'spool', kind: 'failure', needsPeople: true, messages: 1, parked: { batches: 1, messages: 1 } },
        { cause: 'missing', kind: 'exception', needsPeople: true, messages: 1, batches: 1 },
      ],
    },
  };
  for (const [path, json] of Object.entries(answers)) {
    await page.route(
      (url) => url.pathname.endsWith(path),
      (route) => route.fulfill({ json }),
    );
  }
  await desk.open('/alerts');
  await page.getByRole('link', { name: 'Runbook', exact: true }).click();
  await expect(page.getByRole('heading', { name: 'Runbook', level: 1 })).toBeVisible();
  for (const [path, link, anchor, name] of [
    ['/alerts', 'Runbook: parked', 'alert-parked', 'Alert parked'],
    ['/failures', 'Runbook: spool', 'cause-spool', 'Cause spool'],
    ['/failures', 'Runbook: missing', 'outcome-missing', 'Outcome missing'],
  ]) {
    await desk.open(path);
    await page.getByRole('link', { name: link, exact: true }).click();
    await leadsTo(page, anchor, name);
  }
});

test('a finding leads to its section', async ({ desk }) => {
  const { page } = desk;
  const id = '0197a1b2-0000-7000-8000-000000000000';
  const finding = { kind: 'object_missing', hour: '2026-11-24T01:00:00Z', batch: 7, messages: 3, text: "it isn't there" };
  const operation = {
    ...{ id, operationId: id, kind: 'verify', state: 'succeeded', requestedBy: 'ada', arguments: {} },
    ...{ createdAt: '2026-11-24T02:00:00Z', startedAt: '2026-11-24T02:00:00Z', finishedAt: '2026-11-24T02:01:00Z' },
    result: {
      verdict: 'INCOMPLETE',
      scope: { range: { from: '2026-11-24T01:00:00Z', to: '2026-11-24T02:00:00Z' }, quick: false },
      ...{ counts: {}, repairs: {}, exceptions: [], findings: [finding], findingsByKind: { object_missing: 1 } },
    },
  };
  await page.route(
    (url) => url.pathname.endsWith(`/operations/${id}`),
    (route) => route.fulfill({ json: { operation } }),
  );
  await desk.open(`/operations/${id}`);
  await desk.panel('Findings').getByRole('link', { name: 'object missing', exact: true }).click();
  await leadsTo(page, 'finding-object_missing', 'Finding object_missing');
});

// Who gets in, and what the page does without a token.

import { expect, test, watch } from './desk.js';
import { stack } from './stack.js';

test('the page loads without a token, asks for it, and asks the API for nothing meanwhile', async ({ page }) => {
  const troubles = watch(page);
  const asked = [];
  page.on('request', (request) => asked.push(new URL(request.url()).pathname));
  await page.goto(stack.desk);
  await expect(page.getByRole('heading', { name: 'Sign in to the desk' })).toBeVisible();
  await expect(page.getByLabel('Token')).toBeFocused();
  expect(asked.filter((path) => !path.includes('/dashboard/'))).toEqual([]);
  expect(troubles).toEqual([]);
});

test('a wrong token is refused in the API’s words and is not kept', async ({ page }) => {
  await page.goto(stack.desk);
  await page.getByLabel('Token').fill('wrong');
  await page.getByRole('button', { name: 'Sign in' }).click();
  await expect(page.getByRole('alert')).toContainText('not one of this deployment');
  expect(await page.evaluate(() => JSON.stringify({ ...sessionStorage, ...localStorage }))).not.toContain('wrong');
});

test('a token opens the desk, stays in its tab, and is gone after signing out', async ({ page, context }) => {
  await page.goto(`${stack.desk}#/batches?status=success`);
  await page.getByLabel('Token').fill(stack.operator);
  await page.getByLabel('Token').press('Enter');
  await expect(page.getByRole('heading', { name: 'Batches', level: 1 })).toBeVisible();
  expect(page.url()).toContain('status=success');
  expect(page.url()).not.toContain(stack.operator);
  const other = await context.newPage();
  await other.goto(stack.desk);
  await expect(other.getByRole('heading', { name: 'Sign in to the desk' })).toBeVisible();
  await page.getByRole('button', { name: 'Sign out' }).click();
  await expect(page.getByRole('heading', { name: 'Sign in to the desk' })).toBeVisible();
  expect(await page.evaluate(() => sessionStorage.getItem('granary.token'))).toBeNull();
});

test('nobody is taken for a viewer while a token can’t be checked, and it is checked again', async ({ page }) => {
  const told = [`${stack.api}/health`, `${stack.api}/overview`];
  let isAway = true;
  await page.route(
    (url) => told.includes(url.href),
    (route) => (isAway ? route.abort() : route.continue()),
  );
  await page.addInitScript((token) => sessionStorage.setItem('granary.token', token), stack.operator);
  await page.goto(`${stack.desk}#/queues`);
  await expect(page.getByText('The token could not be checked')).toBeVisible();
  await expect(page.getByText('Your token is being checked.').first()).toBeVisible();
  await expect(page.getByRole('button', { name: 'Purge all' })).toBeDisabled();
  isAway = false;
  await page.getByRole('button', { name: 'Refresh now' }).click();
  await expect(page.getByRole('button', { name: 'Purge all' })).toBeEnabled();
  await expect(page.getByText('The token could not be checked')).toHaveCount(0);
  await page.unrouteAll({ behavior: 'wait' });
});

test('a viewer sees everything and can press nothing that changes', async ({ page }) => {
  await page.addInitScript((token) => sessionStorage.setItem('granary.token', token), stack.viewer);
  await page.goto(`${stack.desk}#/controls`);
  await expect(page.getByText('Your token may look, not change.').first()).toBeVisible();
  await expect(page.getByRole('button', { name: 'Run now' })).toBeDisabled();
  await expect(page.getByRole('button', { name: 'Pause export' })).toBeDisabled();
});

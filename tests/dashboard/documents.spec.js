// The interactive page of the API's document, offline and under its policy.

import { expect, test, watch } from './desk.js';
import { stack } from './stack.js';

for (const path of ['/docs', '/seed/docs']) {
  test(`${path} shows every route, takes a token and tries a route with it`, async ({ page }) => {
    const troubles = watch(page);
    const foreign = [];
    page.on('request', (request) => {
      if (!request.url().startsWith(stack.api) && !request.url().startsWith('data:')) foreign.push(request.url());
    });
    await page.goto(`${stack.api}${path}`);
    const document = await (await fetch(`${stack.api}/openapi.json`)).json();
    const routes = Object.values(document.paths).flatMap(Object.keys).length;
    await expect(page.locator('.opblock')).toHaveCount(routes, { timeout: 30_000 });

    await page.getByRole('button', { name: 'Authorize' }).first().click();
    await page.locator('.auth-container input').fill(stack.viewer);
    await page.locator('.auth-btn-wrapper .authorize').click();
    await page.locator('.btn-done').click();
    const ping = page.locator('.opblock').filter({ hasText: '/db/ping' });
    await ping.locator('.opblock-summary-control').click();
    await ping.locator('.try-out__btn').click();
    const answered = page.waitForResponse((response) => response.url() === `${stack.api}/db/ping`);
    await ping.locator('.btn.execute').click();
    expect((await answered).status()).toBe(200);
    expect(await page.evaluate(() => JSON.stringify({ ...sessionStorage, ...localStorage }))).not.toContain(
      stack.viewer,
    );
    expect(foreign).toEqual([]);
    expect(troubles).toEqual([]);
  });
}

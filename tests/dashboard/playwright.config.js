// The dashboard in a real Chromium, on the deployed stack: `. .local/env` gives its addresses and tokens.
//
// One worker, because pausing, purging and retrying are felt by every other test. Nothing is tried twice: what fails
// now and then is a defect.

import { defineConfig } from '@playwright/test';
import { CHROMIUM, LAUNCH_ARGS } from './stack.js';

export default defineConfig({
  testDir: '.',
  workers: 1,
  retries: 0,
  forbidOnly: true,
  timeout: 60_000,
  expect: { timeout: 10_000 },
  reporter: [['list']],
  outputDir: `${process.env.GRANARY_LOCAL_DIR ?? '../../.local'}/dashboard`,
  use: {
    browserName: 'chromium',
    launchOptions: { executablePath: CHROMIUM, args: LAUNCH_ARGS },
    viewport: { width: 1360, height: 900 },
    screenshot: 'only-on-failure',
  },
});

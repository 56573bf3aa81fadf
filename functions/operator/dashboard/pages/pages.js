// Every page and its address. The last one answers for all addresses that no other page has.

import { overview } from './overview.js';
import { windows } from './windows.js';
import { migrations } from './migrations.js';
import { migration } from './migration.js';
import { batches } from './batches.js';
import { batch } from './batch.js';
import { failures } from './failures.js';
import { queues } from './queues.js';
import { traceSearch, trace } from './trace.js';
import { controls } from './controls.js';
import { audit } from './audit.js';
import { verifications } from './verify.js';
import { operations, operation } from './operations.js';
import { alerts } from './alerts.js';
import { nowhere } from './nowhere.js';

export const pages = [
  overview,
  windows,
  migrations,
  migration,
  batches,
  batch,
  failures,
  queues,
  traceSearch,
  trace,
  controls,
  audit,
  verifications,
  operations,
  operation,
  alerts,
  nowhere,
];

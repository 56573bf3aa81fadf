// Verifications: verdicts that anybody can check, and how to ask for another one.

import { get } from '../api.js';
import { actButton } from '../act.js';
import { h } from '../element.js';
import { stateBadge } from '../badge.js';
import { since } from '../clock.js';
import { between, count, duration } from '../format.js';
import { empty, panel } from '../panel.js';
import { verifiedRange } from '../report.js';
import { segment } from '../router.js';
import { table } from '../table.js';
import { verifyQuestion } from '../verifying.js';

const LIMIT = 50;

export const verifications = {
  path: '/verify',
  everyMs: 5_000,
  title: () => 'Verification',
  lead: () =>
    'The ids at the source = the ids on record = the ids read back from the objects. Complete is a verdict, not an empty queue.',
  acts: (visit) => actButton(visit, verifyQuestion()),
  load: ({ signal }) => get('/verify', { limit: LIMIT }, signal),
  view: ({ data }) =>
    panel(
      { title: 'Verdicts', aside: 'the newest first', flush: true },
      table({
        caption: 'Verifications, the newest first',
        rows: data.verifications,
        key: (one) => one.operationId,
        nothing: empty('Nothing was verified yet', 'A verification changes nothing, and may be asked for at any time.'),
        columns: [
          {
            name: 'Range',
            head: true,
            cell: (one) => h('a', { href: `#/operations/${segment(one.operationId)}` }, verifiedRange(one)),
          },
          { name: 'Verdict', cell: (one) => stateBadge(one.verdict ?? one.state) },
          { name: 'At the source', kind: 'number', cell: (one) => count(one.counts?.source) },
          { name: 'On record', kind: 'number', cell: (one) => count(one.counts?.ledger) },
          { name: 'Read back', kind: 'number', cell: (one) => count(one.counts?.archive) },
          {
            name: 'Missing',
            kind: 'number',
            cell: (one) =>
              one.counts
                ? h('span', { class: one.counts.missing ? 'bad' : undefined }, count(one.counts.missing))
                : '–',
          },
          { name: 'Drifted', kind: 'number', cell: (one) => count(one.counts?.drifted) },
          {
            name: 'Asked for',
            cell: (one) => [since(one.createdAt), h('p', { class: 'aside nowrap' }, `by ${one.requestedBy}`)],
          },
          {
            name: 'Took',
            kind: 'number',
            cell: (one) => (one.finishedAt ? duration(between(one.createdAt, one.finishedAt)) : since(one.createdAt)),
          },
        ],
      }),
    ),
};

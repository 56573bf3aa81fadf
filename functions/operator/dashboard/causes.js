// Why attempts end without an object, by the names that the ledger has for it; a test holds them to the domain's.

export const CAUSES = [
  'source_unavailable',
  'source_refused',
  'source_login',
  'archive_unavailable',
  'archive_refused',
  'mostly_missing',
  'archive_conflict',
  'ledger_unavailable',
  'spool',
  'temp_dir',
  'deadline',
  'shutdown',
  'lease_lost',
  'worker_died',
  'miscount',
  'unexpected',
];

//! A schema that is newer than this program: what a later release's migrations make of it.
//!
//! By default that is one migration for tests alone (`one_ahead.sql`), which allows this program. Where `NEWER_MIGRATIONS` names a folder,
//! it is the migrations in it that this program doesn't know: `local/release last` has the scenarios of the last release run on the schema
//! of the present one. Whether such a schema allows the program is the program's to find out.

use granary_ledger::db::needed_schema;
use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

const FOLDER: &str = "NEWER_MIGRATIONS";
const OLDEST_PROGRAM: &str = "-- oldest program: ";

/// All of them, the oldest first.
pub(crate) static NEWER: LazyLock<Vec<Newer>> = LazyLock::new(|| {
    let Some(folder) = std::env::var_os(FOLDER) else {
        return vec![Newer::for_tests_alone()];
    };
    let known = needed_schema();
    let files = files_in(Path::new(&folder));
    let mut newer: Vec<_> = files.iter().map(|file| Newer::read(file)).collect();
    newer.retain(|migration| migration.version > known);
    newer.sort_by_key(|migration| migration.version);
    newer
});

/// A migration that this program doesn't know.
#[derive(Debug, Hash)]
pub(crate) struct Newer {
    version: u32,
    name: String,
    sql: String,
    oldest_program: Option<u32>,
}

impl Newer {
    fn for_tests_alone() -> Self {
        let known = needed_schema();
        Self {
            version: known + 1,
            name: "one_ahead".to_owned(),
            sql: include_str!("../one_ahead.sql").to_owned(),
            oldest_program: Some(known),
        }
    }

    /// `V<version>__<name>.sql`, whose first line may name the oldest program that it allows.
    fn read(file: &Path) -> Self {
        let stem = file.file_stem().and_then(|stem| stem.to_str());
        let numbered = stem.and_then(|stem| stem.strip_prefix('V')?.split_once("__"));
        let (version, name) = numbered.unwrap_or_else(|| panic!("{} is no migration", file.display()));
        let sql = std::fs::read_to_string(file).expect("a migration is text");
        let oldest_program = sql
            .lines()
            .next()
            .and_then(|line| line.strip_prefix(OLDEST_PROGRAM));
        Self {
            version: version.parse().expect("a migration has a number"),
            name: name.to_owned(),
            oldest_program: oldest_program
                .map(|number| number.trim().parse().expect("a program has a number")),
            sql,
        }
    }

    /// Changes the schema, and writes it down, as the migrator of a later release does.
    pub(crate) async fn apply(&self, conn: &mut Conn) {
        let applied = conn.query_drop(&self.sql).await;
        applied.unwrap_or_else(|error| panic!("{error}: {}", self.name));
        let written = conn
            .exec_drop(
                "INSERT INTO refinery_schema_history (version, name, applied_on, checksum, oldest_program) \
                 VALUES (?, ?, '2030-01-01T00:00:00Z', '0', ?)",
                (self.version, &self.name, self.oldest_program),
            )
            .await;
        written.expect("the migration is written down");
    }
}

/// The files in a folder, in the order of their names.
pub(crate) fn files_in(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("the migrations are there");
    let mut files: Vec<_> = entries.map(|entry| entry.expect("a file").path()).collect();
    files.sort_unstable();
    files
}

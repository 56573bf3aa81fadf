//! Between rows and the words of the domain.

use crate::LedgerError;
use granary_domain::{BatchId, MigrationId};
use jiff::{Timestamp, civil, tz::TimeZone};
use mysql_async::prelude::FromValue;
use mysql_async::{FromValueError, Row, Value};
use uuid::Uuid;

/// An instant as DATETIME(6) in UTC; finer parts are cut.
pub(crate) fn at(instant: Timestamp) -> Value {
    let time = instant.to_zoned(TimeZone::UTC);
    Value::Date(
        time.year().max(0).unsigned_abs(),
        time.month().unsigned_abs(),
        time.day().unsigned_abs(),
        time.hour().unsigned_abs(),
        time.minute().unsigned_abs(),
        time.second().unsigned_abs(),
        u32::from(time.millisecond().unsigned_abs()) * 1_000 + u32::from(time.microsecond().unsigned_abs()),
    )
}

/// A migration's id as BINARY(16).
pub(crate) fn uuid(id: MigrationId) -> Value {
    Value::Bytes(id.0.as_bytes().to_vec())
}

/// An instant read from a DATETIME column.
#[derive(Debug)]
pub(crate) struct Utc(pub(crate) Timestamp);

impl TryFrom<Value> for Utc {
    type Error = FromValueError;
    fn try_from(value: Value) -> Result<Self, FromValueError> {
        let Value::Date(year, month, day, hour, minute, second, micros) = value else {
            return Err(FromValueError(value));
        };
        let instant = || {
            let nanos = i32::try_from(micros).ok()? * 1_000;
            let (year, month, day) = (
                i16::try_from(year).ok()?,
                i8::try_from(month).ok()?,
                i8::try_from(day).ok()?,
            );
            let (hour, minute, second) = (
                i8::try_from(hour).ok()?,
                i8::try_from(minute).ok()?,
                i8::try_from(second).ok()?,
            );
            let time = civil::DateTime::new(year, month, day, hour, minute, second, nanos).ok()?;
            time.to_zoned(TimeZone::UTC)
                .ok()
                .map(|zoned| Self(zoned.timestamp()))
        };
        instant().ok_or(FromValueError(value))
    }
}

impl FromValue for Utc {
    type Intermediate = Self;
}

/// Reads a column by its name. A column that isn't there, or of another type, is a defect: an error, no panic.
pub(crate) trait Columns {
    fn column<T: FromValue>(&mut self, name: &'static str) -> Result<T, LedgerError>;

    fn instant(&mut self, name: &'static str) -> Result<Timestamp, LedgerError> {
        self.column::<Utc>(name).map(|utc| utc.0)
    }

    fn instant_or_null(&mut self, name: &'static str) -> Result<Option<Timestamp>, LedgerError> {
        Ok(self.column::<Option<Utc>>(name)?.map(|utc| utc.0))
    }

    fn migration_id(&mut self, name: &'static str) -> Result<MigrationId, LedgerError> {
        let bytes: Vec<u8> = self.column(name)?;
        Uuid::from_slice(&bytes)
            .map(MigrationId)
            .map_err(|error| unreadable(name, &error))
    }

    fn parsed<T>(&mut self, name: &'static str) -> Result<T, LedgerError>
    where
        T: std::str::FromStr,
        T::Err: std::fmt::Display,
    {
        self.column::<String>(name)?
            .parse()
            .map_err(|error| unreadable(name, &error))
    }

    fn batch_id(&mut self, name: &'static str) -> Result<BatchId, LedgerError> {
        self.column(name).map(BatchId)
    }

    /// UTF-8 kept in a VARBINARY.
    fn text(&mut self, name: &'static str) -> Result<String, LedgerError> {
        String::from_utf8(self.column(name)?).map_err(|error| unreadable(name, &error))
    }

    fn text_or_null(&mut self, name: &'static str) -> Result<Option<String>, LedgerError> {
        let bytes: Option<Vec<u8>> = self.column(name)?;
        bytes
            .map(String::from_utf8)
            .transpose()
            .map_err(|error| unreadable(name, &error))
    }
}

impl Columns for Row {
    fn column<T: FromValue>(&mut self, name: &'static str) -> Result<T, LedgerError> {
        match self.take_opt(name) {
            Some(Ok(value)) => Ok(value),
            Some(Err(error)) => Err(unreadable(name, &error)),
            None => Err(unreadable(name, &"there is no such column")),
        }
    }
}

pub(crate) fn unreadable(column: &str, reason: &dyn std::fmt::Display) -> LedgerError {
    LedgerError::inconsistent("read a row", format!("column {column}: {reason}"))
}

/// Keys that one statement looks up at most. MySQL plans a range for each key. Beyond `range_optimizer_max_mem_size` (8 MiB, less
/// than 4,000 message ids) it reads the whole table instead, and locks it where the statement locks.
pub(crate) const LOOKED_UP_KEYS_MAX: usize = 1_000;

//! A login that may change while the process lives: what a secret holds, read again when a service refuses it.
//!
//! A caller asks with [`Login::current`] and, where the service refuses that, calls [`Login::renew`] with its edition. The
//! secret is read by one caller at a time, as seldom as the schedule in `renewal.rs` says: `AWSCURRENT` first and, where
//! that is refused as well, `AWSPREVIOUS`, since in the middle of a rotation either may be the right one. A secret that can't be
//! read, or understood, leaves the login as it is and is logged. Not responsible for telling people: that the login is
//! refused is an error of its service.

use crate::renewal::Schedule;
use crate::secret::{Fetched, SecretReader, Stage};
use secrecy::{ExposeSecret, SecretString};
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};
use tokio::sync::Mutex;

/// A caller waits for it, with its own work.
const READING_SECS_MAX: u64 = 10;

/// Who asks a service. Cheap to clone; clones share what is read.
pub struct Login<T> {
    inner: Arc<Inner<T>>,
}

struct Inner<T> {
    held: RwLock<Held<T>>,
    /// `None`: it stands in the environment, and stays as it is.
    origin: Option<Origin<T>>,
}

struct Held<T> {
    value: Arc<T>,
    edition: Edition,
}

/// Which of the logins that a process has had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Edition(u64);

/// What became of a refused login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Renewed {
    /// There is another one: try again.
    Changed,
    /// There is none other, or it is too soon to look for one.
    Same,
}

type Parse<T> = dyn Fn(&SecretString) -> Result<T, String> + Send + Sync;

struct Origin<T> {
    reader: SecretReader,
    parse: Box<Parse<T>>,
    versions: Mutex<Versions>,
}

/// What was read, and may be tried.
struct Versions {
    schedule: Schedule,
    /// The newest `AWSCURRENT` that was understood.
    current: SecretString,
    /// Which version is held.
    stage: Stage,
    /// What `AWSCURRENT` was before the last reading. Where the new one is refused at once, the version before it is tried
    /// too, unless that is this one.
    replaced: Option<SecretString>,
}

impl<T> Login<T> {
    /// A login that never changes.
    pub fn fixed(value: T) -> Self {
        Self::new(value, None)
    }

    /// The login that a secret holds.
    pub(crate) fn of_secret(
        secret: Fetched,
        parse: impl Fn(&SecretString) -> Result<T, String> + Send + Sync + 'static,
    ) -> Result<Self, String> {
        let value = parse(&secret.text)?;
        let versions = Versions {
            schedule: Schedule::default(),
            current: secret.text,
            stage: Stage::Current,
            replaced: None,
        };
        Ok(Self::new(
            value,
            Some(Origin {
                reader: secret.reader,
                parse: Box::new(parse),
                versions: Mutex::new(versions),
            }),
        ))
    }

    fn new(value: T, origin: Option<Origin<T>>) -> Self {
        let held = Held {
            value: Arc::new(value),
            edition: Edition(0),
        };
        Self {
            inner: Arc::new(Inner {
                held: RwLock::new(held),
                origin,
            }),
        }
    }

    /// The login to ask with, and its edition.
    pub fn current(&self) -> (Arc<T>, Edition) {
        let held = self.inner.held.read().unwrap_or_else(PoisonError::into_inner);
        (Arc::clone(&held.value), held.edition)
    }

    /// Looks for another login where a service has refused this edition of it.
    pub async fn renew(&self, refused: Edition) -> Renewed {
        let Some(origin) = &self.inner.origin else {
            return Renewed::Same;
        };
        let mut versions = origin.versions.lock().await;
        if self.current().1 != refused {
            return Renewed::Changed;
        }
        let replaced = versions.replaced.take();
        if !versions.schedule.begin(Instant::now(), rand::random()) {
            if let Some(replaced) = replaced {
                return self.fall_back(origin, &mut versions, &replaced).await;
            }
            self.return_to_current(origin, &mut versions);
            return Renewed::Same;
        }
        match origin.read(Stage::Current).await {
            Some((text, value)) if versions.holds_other_than(&text) => {
                self.hold(value);
                versions.replaced = Some(std::mem::replace(&mut versions.current, text));
                versions.stage = Stage::Current;
                origin.told("the secret was read again, and has changed");
                Renewed::Changed
            }
            Some((text, _)) => self.fall_back(origin, &mut versions, &text).await,
            None => Renewed::Same,
        }
    }

    /// The version before the refused one, unless it is a refused one as well.
    async fn fall_back(
        &self,
        origin: &Origin<T>,
        versions: &mut Versions,
        refused: &SecretString,
    ) -> Renewed {
        match origin.read(Stage::Previous).await {
            Some((text, value))
                if [refused, &versions.current]
                    .iter()
                    .all(|tried| differ(tried, &text)) =>
            {
                self.hold(value);
                versions.stage = Stage::Previous;
                origin.told("the secret's current version is refused, and the one before it is tried");
                Renewed::Changed
            }
            Some(_) | None => {
                origin.told("the secret was read again, and no other login is in it");
                Renewed::Same
            }
        }
    }

    /// Both are refused: what the service is told next is what its secret says.
    fn return_to_current(&self, origin: &Origin<T>, versions: &mut Versions) {
        if versions.stage == Stage::Previous
            && let Ok(value) = (origin.parse)(&versions.current)
        {
            self.hold(value);
            versions.stage = Stage::Current;
        }
    }

    fn hold(&self, value: T) {
        let mut held = self.inner.held.write().unwrap_or_else(PoisonError::into_inner);
        held.edition.0 += 1;
        held.value = Arc::new(value);
    }
}

impl Versions {
    /// Where the version before the current one is held, the current one is worth another try.
    fn holds_other_than(&self, text: &SecretString) -> bool {
        self.stage == Stage::Previous || differ(&self.current, text)
    }
}

fn differ(left: &SecretString, right: &SecretString) -> bool {
    left.expose_secret() != right.expose_secret()
}

impl<T> Origin<T> {
    async fn read(&self, stage: Stage) -> Option<(SecretString, T)> {
        let limit = Duration::from_secs(READING_SECS_MAX);
        let read = tokio::time::timeout(limit, Box::pin(self.reader.read(stage))).await;
        let read = read.unwrap_or_else(|_| Err(format!("no answer within {READING_SECS_MAX} s")));
        let parsed = read.and_then(|text| Ok(((self.parse)(&text)?, text)));
        match parsed {
            Ok((value, text)) => Some((text, value)),
            // A secret that was never rotated has no version before the current one.
            Err(why) => {
                let (setting, label) = (self.reader.setting, stage.label());
                tracing::warn!(setting, label, "this version of the secret can't be read: {why}");
                None
            }
        }
    }

    fn told(&self, what: &'static str) {
        tracing::warn!(setting = self.reader.setting, "the login is refused: {what}");
    }
}

impl<T> Clone for Login<T> {
    fn clone(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
        }
    }
}

impl<T> fmt::Debug for Login<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").finish_non_exhaustive()
    }
}

//! Bulk requests of bounded size, two at a time.

use crate::{SeedError, Seeder};
use bytes::Bytes;
use futures::stream::{self, StreamExt, TryStreamExt};

/// Elasticsearch does best with some megabytes.
const BODY_BYTES_MAX: usize = 5 * 1024 * 1024;
const PARALLEL_REQUESTS: usize = 2;

/// Bodies in the making. Documents are appended to the open one, which is closed when it is large enough.
#[derive(Default)]
pub(crate) struct Bodies {
    open: String,
    closed: Vec<Bytes>,
    bytes: u64,
}

impl Bodies {
    /// The body to append whole actions to.
    pub(crate) fn open(&mut self) -> &mut String {
        if self.open.len() >= BODY_BYTES_MAX {
            self.close();
        }
        &mut self.open
    }

    /// What comes next goes into a body of its own.
    pub(crate) fn close(&mut self) {
        self.bytes += self.open.len() as u64;
        let body = std::mem::take(&mut self.open);
        if !body.is_empty() {
            self.closed.push(body.into());
        }
    }
}

impl Seeder {
    /// Sends all bodies, and says how many bytes they had. A document that isn't taken is an error.
    pub(crate) async fn send(&self, bodies: Vec<Bodies>) -> Result<u64, SeedError> {
        let (mut bytes, mut requests) = (0, Vec::new());
        for mut body in bodies {
            body.close();
            bytes += body.bytes;
            requests.extend(body.closed);
        }
        stream::iter(requests)
            .map(|body| async { SeedError::unless_all_taken(self.writer.bulk(body).await?.failed) })
            .buffer_unordered(PARALLEL_REQUESTS)
            .try_collect::<()>()
            .await?;
        Ok(bytes)
    }
}

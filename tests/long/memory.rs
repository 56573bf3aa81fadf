//! Memory, of the exporter and of the node that it reads, whatever documents weigh.

use crate::stage::{Document, Node, Stage};
use granary_domain::BatchStatus;
use serde_json::json;

const FROM: &str = "2026-03-01T10:00:00Z";
const TO: &str = "2026-03-01T11:00:00Z";
const CREATED_AT: &str = "2026-03-01T10:30:00Z";
const KB: usize = 1_000;
const MB: usize = 1_000 * KB;
/// The function has 512 MB.
const EXPORTER_MIB_MAX: u64 = 192;
const NODE_HEAP: &str = "1g";
/// What one request may carry to a node whose heap is small.
const BULK_BYTES_MAX: usize = 20 * MB;

/// Text that does not compress well, different for each document.
struct Noise(String);

impl Noise {
    fn new(bytes_max: usize) -> Self {
        const CHARACTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+-";
        let mut state = 0x9E37_79B9_7F4A_7C15_u64;
        let characters = std::iter::repeat_with(|| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            char::from(CHARACTERS[(state >> 58) as usize])
        });
        Self(characters.take(bytes_max + MB).collect())
    }

    fn document(&self, id: &str, message: &str, number: usize, bytes: usize) -> Document {
        let text = &self.0[number % MB..][..bytes];
        let body = json!({"message_id": message, "created_at": CREATED_AT, "at": CREATED_AT, "text": text});
        Document::raw(id, body.to_string())
    }
}

/// Documents of one size, in one batch.
struct Weights {
    count: usize,
    bytes: usize,
    /// Of a status and of each of two entries of the history.
    metadata_bytes: usize,
}

const CASES: [Weights; 4] = [
    Weights {
        count: 1_000,
        bytes: 500 * KB,
        metadata_bytes: 0,
    },
    Weights {
        count: 640,
        bytes: MB,
        metadata_bytes: 0,
    },
    Weights {
        count: 40,
        bytes: 25 * MB,
        metadata_bytes: 0,
    },
    Weights {
        count: 30,
        bytes: 20 * MB,
        metadata_bytes: 2 * MB,
    },
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e7_memory_is_bounded_whatever_documents_weigh_and_a_small_node_survives() {
    let node = Node::with_heap(NODE_HEAP).await;
    let noise = Noise::new(25 * MB);
    for case in &CASES {
        let mut stage = Stage::on_with(&node, "weights", &[("GRANARY_BATCH_SIZE", "1000")]).await;
        stage.have_metadata().await;
        index(&stage, &noise, case).await;
        stage.backfill(FROM, TO).await;
        stage.harvest().await;
        let exporter = stage.another("exporter", &[]);
        stage.export_all_by(&exporter).await;

        let Weights {
            count,
            bytes,
            metadata_bytes,
        } = case;
        let peak = exporter.peak_memory_mib();
        println!("{count} documents of {bytes} bytes, metadata of {metadata_bytes}: {peak} MiB");
        assert_eq!(stage.batches(BatchStatus::Completed).await, 1);
        let attempts: u64 = stage.row("SELECT COUNT(*) FROM attempt").await;
        let exported: u64 = stage.row("SELECT exported FROM batch").await;
        assert_eq!((attempts, exported), (1, *count as u64));
        assert!(peak <= EXPORTER_MIB_MAX, "{peak} MiB");
        // The node has survived it: it is never restarted, and removes the indices.
        stage.finish().await;
    }
}

async fn index(stage: &Stage, noise: &Noise, case: &Weights) {
    let id = |number: usize| format!("m-{number:05}");
    let messages = |number| noise.document(&id(number), &id(number), number, case.bytes);
    let entry = |number: usize, name: &str| {
        noise.document(
            &format!("{}-{name}", id(number)),
            &id(number),
            number,
            case.metadata_bytes,
        )
    };
    let together = (BULK_BYTES_MAX / case.bytes).max(1);
    for first in (0..case.count).step_by(together) {
        let some = first..case.count.min(first + together);
        stage
            .index_messages(&some.clone().map(messages).collect::<Vec<_>>())
            .await;
        if case.metadata_bytes > 0 {
            let indices = &stage.indices;
            let of = |name| some.clone().map(|number| entry(number, name)).collect::<Vec<_>>();
            indices.write(&indices.status, &of("status")).await;
            for name in ["first", "second"] {
                indices.write(&indices.history, &of(name)).await;
            }
        }
    }
}

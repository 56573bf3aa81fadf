//! `granary trace`: the life of one message. Its contents are shown nowhere.

use super::{Session, jobs};
use crate::cli::Trace;
use crate::ending::Ending;
use crate::sheet::{Field, Kind, Sheet, items};
use crate::wish::Wish;
use serde_json::Value;

const LIFE: &[Field] = &[
    Field("message", "/messageId", Kind::Text),
    Field("state", "/state", Kind::State),
    Field("event time", "/message/eventTime", Kind::Time),
    Field("index", "/message/index", Kind::Text),
    Field("document", "/message/docId", Kind::Text),
    Field("routing", "/message/routing", Kind::Text),
    Field("why not exported", "/message/reason", Kind::Text),
    Field("what to do", "/message/remedy", Kind::Text),
    Field("window", "/window/id", Kind::Number),
    Field("from", "/window/from", Kind::Time),
    Field("to", "/window/to", Kind::Time),
    Field("window's state", "/window/state", Kind::State),
    Field("recorded", "/window/recordedAt", Kind::Time),
    Field("verified", "/window/verifiedAt", Kind::Time),
    Field("migration", "/migration/id", Kind::Text),
    Field("kind", "/migration/kind", Kind::Text),
    Field("batch", "/batch/id", Kind::Number),
    Field("batch's status", "/batch/status", Kind::State),
    Field("cause", "/batch/errorCode", Kind::Text),
    Field("error", "/batch/error", Kind::Text),
    Field("what to do about it", "/batch/remedy", Kind::Text),
    Field("object", "/object/key", Kind::Text),
    Field("its sha256", "/object/sha256", Kind::Text),
    Field("line", "/object/line", Kind::Number),
    Field("line's sha256", "/object/lineSha256", Kind::Text),
    Field("line's bytes", "/object/lineBytes", Kind::Bytes),
    Field("line was", "/object/lineRead", Kind::State),
    Field("since", "/object/lineReason", Kind::Text),
    Field("archived version", "/object/version", Kind::Number),
    Field("at the source since", "/source/change", Kind::State),
    Field("its version there", "/source/version", Kind::Number),
    Field("not known since", "/source/reason", Kind::Text),
];
const SUPERSEDED: &[Field] = &[
    Field("OLD GENERATION", "/generation", Kind::Number),
    Field("OBJECT", "/key", Kind::Text),
    Field("ASKED", "/askedAt", Kind::Time),
    Field("REMOVED", "/removedAt", Kind::Time),
    Field("WHY", "/reason", Kind::Text),
];

pub(super) async fn run(session: &Session, options: &Trace) -> anyhow::Result<Ending> {
    let wish = Wish::new()
        .with("line", options.no_line.then_some("false"))
        .with("source", options.no_source.then_some("false"));
    session.look_at(&path_of(&options.id, wish), described).await
}

/// An id may be made of anything. `.` and `..` would be taken for folders, however they are encoded.
fn path_of(id: &str, wish: Wish) -> String {
    if matches!(id, "." | "..") {
        return wish.with("id", Some(id)).of_path("/messages/trace");
    }
    let mut encoded = String::with_capacity(id.len());
    for byte in id.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    wish.of_path(&format!("/messages/{encoded}/trace"))
}

fn described(answer: &Value) -> Sheet {
    Sheet::new()
        .values(answer, LIFE)
        .table(items(&answer["attempts"]), jobs::ATTEMPTS)
        .table(items(&answer["superseded"]), SUPERSEDED)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sheet::Format;
    use serde_json::json;

    #[test]
    fn whatever_an_id_is_made_of_it_is_asked_for() {
        assert_eq!(path_of("m-1", Wish::new()), "/messages/m-1/trace");
        assert_eq!(
            path_of("a/b?c%d ü", Wish::new()),
            "/messages/a%2Fb%3Fc%25d%20%C3%BC/trace"
        );
        assert_eq!(path_of("..", Wish::new()), "/messages/trace?id=..");
    }

    #[test]
    fn a_life_is_told_from_the_window_to_the_line() {
        let answer = json!({
            "messageId": "m-1", "state": "archived",
            "message": {"docId": "m-1", "index": "messages-1", "routing": null, "eventTime": "2026-11-22T10:00:00Z", "batch": 7},
            "batch": {"id": 7, "status": "success"},
            "window": {"id": 3, "from": "2026-11-22T10:00:00Z", "to": "2026-11-22T11:00:00Z", "state": "verified"},
            "migration": {"id": "m", "kind": "continuous"},
            "attempts": [{"number": 1, "startedAt": "2026-11-22T11:05:00Z", "durationMs": 812, "outcome": "completed", "worker": "w"}],
            "object": {"key": "archive/x.zst", "sha256": "00ff", "line": 17, "lineSha256": "aa", "lineBytes": 812, "version": 3,
                "lineRead": "read"},
            "superseded": [], "source": {"asked": true, "present": true, "version": 4, "change": "updated"},
        });
        insta::assert_snapshot!(described(&answer).render(Format::People), @r"
         message              m-1
         state                archived
         event time           2026-11-22 10:00:00Z
         index                messages-1
         document             m-1
         window               3
         from                 2026-11-22 10:00:00Z
         to                   2026-11-22 11:00:00Z
         window's state       verified
         migration            m
         kind                 continuous
         batch                7
         batch's status       success
         object               archive/x.zst
         its sha256           00ff
         line                 17
         line's sha256        aa
         line's bytes         812 B
         line was             read
         archived version     3
         at the source since  updated
         its version there    4

        ATTEMPT  STARTED                 TOOK  OUTCOME    WORKER  CAUSE  ERROR
              1  2026-11-22 11:05:00Z  812 ms  completed  w       -      -
        ");
    }
}

//! A wire to the real endpoint on which something goes wrong.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

#[derive(Debug, Clone, Copy)]
pub(crate) enum Fault {
    /// The request arrives; the connection is lost after so many bytes of the answer.
    LoseAnswerAfter(usize),
    /// The request doesn't arrive; this status and error code come back.
    Answer(&'static str, &'static str),
}

/// Forwards to the endpoint. The first `times` connections on which `marker` is sent have the fault.
pub(crate) struct FaultyWire {
    pub(crate) address: String,
    left: Arc<AtomicU32>,
}

#[derive(Clone)]
struct Plan {
    upstream: String,
    marker: &'static str,
    fault: Fault,
    left: Arc<AtomicU32>,
}

impl FaultyWire {
    pub(crate) async fn to(endpoint: &str, marker: &'static str, times: u32, fault: Fault) -> Self {
        let upstream = endpoint
            .trim_start_matches("http://")
            .trim_end_matches('/')
            .to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let left = Arc::new(AtomicU32::new(times));
        let plan = Plan {
            upstream,
            marker,
            fault,
            left: left.clone(),
        };
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let plan = plan.clone();
                tokio::spawn(async move { plan.forward(client).await });
            }
        });
        Self { address, left }
    }

    pub(crate) fn all_faults_happened(&self) -> bool {
        self.left.load(Ordering::SeqCst) == 0
    }
}

impl Plan {
    /// Forwards both ways until either side, or the fault, ends it.
    async fn forward(&self, mut client: TcpStream) -> Option<()> {
        let mut upstream = TcpStream::connect(&self.upstream).await.ok()?;
        let (mut request, mut answer) = (vec![0; 65_536], vec![0; 65_536]);
        let (mut is_faulty, mut answered) = (false, 0);
        loop {
            tokio::select! {
                sent = client.read(&mut request) => {
                    let sent = &request[..sent.ok().filter(|sent| *sent > 0)?];
                    is_faulty = is_faulty || (self.is_marked(sent) && self.takes_one());
                    if let (true, Fault::Answer(status, code)) = (is_faulty, self.fault) {
                        return answer_instead(client, status, code).await;
                    }
                    upstream.write_all(sent).await.ok()?;
                }
                got = upstream.read(&mut answer) => {
                    let got = &answer[..got.ok().filter(|got| *got > 0)?];
                    answered += got.len();
                    if let (true, Fault::LoseAnswerAfter(bytes)) = (is_faulty, self.fault) && answered > bytes {
                        return None;
                    }
                    client.write_all(got).await.ok()?;
                }
            }
        }
    }

    fn is_marked(&self, sent: &[u8]) -> bool {
        sent.windows(self.marker.len())
            .any(|window| window == self.marker.as_bytes())
    }

    fn takes_one(&self) -> bool {
        self.left
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1))
            .is_ok()
    }
}

/// Answers, and reads on until the other side has had enough: closing earlier could lose the answer.
async fn answer_instead(mut client: TcpStream, status: &str, code: &str) -> Option<()> {
    let body = format!("<Error><Code>{code}</Code><Message>A fault of the wire.</Message></Error>");
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
    client.write_all(format!("{head}{body}").as_bytes()).await.ok()?;
    client.shutdown().await.ok()?;
    tokio::io::copy(&mut client, &mut tokio::io::sink())
        .await
        .ok()
        .map(drop)
}

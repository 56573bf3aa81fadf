//! A name that leads to a server, as a cluster's does: after a failover to another one. Connections that stand lead to
//! where they led before. All of them can fall silent.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub(crate) struct Forwarder {
    pub(crate) port: u16,
    leads_to: Arc<AtomicU16>,
    is_silent: watch::Sender<bool>,
    accepting: JoinHandle<()>,
}

impl Forwarder {
    /// Leads to a port of this machine.
    pub(crate) async fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let leads_to = Arc::new(AtomicU16::new(port));
        let (is_silent, seen) = watch::channel(false);
        let port = listener.local_addr().unwrap().port();
        let now = Arc::clone(&leads_to);
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(pass_on(client, now.load(Ordering::SeqCst), seen.clone()));
            }
        });
        Self {
            port,
            leads_to,
            is_silent,
            accepting,
        }
    }

    /// New connections lead there from now on.
    pub(crate) fn lead_to(&self, port: u16) {
        self.leads_to.store(port, Ordering::SeqCst);
    }

    /// Connections stand and can be made, and nothing comes through.
    pub(crate) fn fall_silent(&self) {
        self.is_silent.send_replace(true);
    }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn pass_on(client: TcpStream, port: u16, is_silent: watch::Receiver<bool>) {
    let Ok(server) = TcpStream::connect(("127.0.0.1", port)).await else {
        return;
    };
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let asking = tokio::spawn(pump(from_client, to_server, is_silent.clone()));
    pump(from_server, to_client, is_silent).await;
    asking.abort();
}

/// Ends with either side.
async fn pump(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut is_silent: watch::Receiver<bool>) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        let passes = is_silent.wait_for(|is_silent| !is_silent).await.is_ok();
        if !passes || to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}

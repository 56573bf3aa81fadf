//! A network that can fail: a TCP proxy in front of a service.
//!
//! Cut, it breaks off what is connected and whatever connects; stalled, it keeps connections and holds back every
//! byte; with its answers stalled, requests still reach the service; slow, it keeps every piece for a while. It never
//! looks into what it passes on.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use url::Url;

const POLL_INTERVAL: Duration = Duration::from_millis(10);
const POLLS_MAX: u32 = 3_000;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Network {
    Up,
    /// Every piece of every way takes so long.
    Slow {
        latency: Duration,
    },
    Stalled,
    /// From so many bytes of answers on.
    AnswersStalled {
        from: u64,
    },
    Cut,
}

/// Bytes that came so far, over all connections.
#[derive(Debug, Default)]
struct Traffic {
    asked: AtomicU64,
    answered: AtomicU64,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Way {
    Asking,
    Answering,
}

/// A service behind a network of its own. The network ends with this value.
pub(crate) struct Proxy {
    service: Url,
    #[cfg_attr(
        not(feature = "full"),
        allow(dead_code, reason = "only the full suites fail over")
    )]
    behind: Arc<Mutex<SocketAddr>>,
    address: SocketAddr,
    network: watch::Sender<Network>,
    traffic: Arc<Traffic>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    pub(crate) async fn before(service: &str) -> Self {
        let service: Url = service.parse().unwrap();
        let behind = Arc::new(Mutex::new(address_of(&service)));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (network, seen) = watch::channel(Network::Up);
        let traffic = Arc::<Traffic>::default();
        let (leads_to, counted) = (Arc::clone(&behind), traffic.clone());
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let now = *leads_to.lock().unwrap();
                tokio::spawn(pass_on(stream, now, seen.clone(), counted.clone()));
            }
        });
        Self {
            service,
            behind,
            address,
            network,
            traffic,
            accepting,
        }
    }

    /// The service's address, through the proxy.
    pub(crate) fn url(&self) -> String {
        let mut url = self.service.clone();
        url.set_host(Some(&self.address.ip().to_string())).unwrap();
        url.set_port(Some(self.address.port())).unwrap();
        url.to_string()
    }

    /// New connections lead to another service from now on, as a cluster's name does after a failover. Those that stand lead to
    /// where they led before.
    #[cfg(feature = "full")]
    pub(crate) fn lead_to(&self, service: &str) {
        *self.behind.lock().unwrap() = address_of(&service.parse().unwrap());
    }

    pub(crate) fn cut(&self) {
        self.network.send_replace(Network::Cut);
    }

    pub(crate) fn stall(&self) {
        self.network.send_replace(Network::Stalled);
    }

    /// Lets everything through, each piece (64 KiB at most) later than it came.
    pub(crate) fn slow(&self, latency: Duration) {
        self.network.send_replace(Network::Slow { latency });
    }

    /// Lets requests through, and so many bytes more of their answers.
    pub(crate) fn stall_answers_after(&self, bytes: u64) {
        let from = self.traffic.answered.load(Ordering::SeqCst) + bytes;
        self.network.send_replace(Network::AnswersStalled { from });
    }

    /// Bytes that the service was asked so far; what is held back counts.
    pub(crate) fn asked(&self) -> u64 {
        self.traffic.asked.load(Ordering::SeqCst)
    }

    /// Waits until the service is asked anything at all.
    pub(crate) async fn until_asked(&self) {
        self.until_asked_since(0).await;
    }

    /// Waits until the service is asked anything after it was [`asked`](Self::asked) so many bytes.
    pub(crate) async fn until_asked_since(&self, asked: u64) {
        for _ in 0..POLLS_MAX {
            if self.asked() > asked {
                return;
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        panic!("nobody asked {}", self.service.scheme());
    }

    pub(crate) fn restore(&self) {
        self.network.send_replace(Network::Up);
    }
}

fn address_of(service: &Url) -> SocketAddr {
    service.socket_addrs(|| None).unwrap()[0]
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Ends with either side, with the network's cut, or with the proxy.
async fn pass_on(
    client: TcpStream,
    service: SocketAddr,
    network: watch::Receiver<Network>,
    traffic: Arc<Traffic>,
) {
    let mut until_cut = network.clone();
    let passing = async {
        let service = TcpStream::connect(service).await?;
        let (client_sends, client_receives) = client.into_split();
        let (service_sends, service_receives) = service.into_split();
        tokio::try_join!(
            pump(
                client_sends,
                service_receives,
                network.clone(),
                (&traffic, Way::Asking)
            ),
            pump(
                service_sends,
                client_receives,
                network.clone(),
                (&traffic, Way::Answering)
            )
        )
    };
    tokio::select! {
        _ = until_cut.wait_for(|network| *network == Network::Cut) => {}
        // Either side may break off, as in any network.
        _ = passing => {}
    }
}

async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut network: watch::Receiver<Network>,
    (traffic, way): (&Traffic, Way),
) -> io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = from.read(&mut buffer).await?;
        let before = match way {
            Way::Asking => &traffic.asked,
            Way::Answering => &traffic.answered,
        }
        .fetch_add(read as u64, Ordering::SeqCst);
        let passes = |network: &Network| match *network {
            Network::Up | Network::Slow { .. } => true,
            Network::AnswersStalled { from } => way == Way::Asking || before < from,
            Network::Stalled | Network::Cut => false,
        };
        if network.wait_for(passes).await.is_err() {
            return Ok(());
        }
        let now = *network.borrow();
        if let Network::Slow { latency } = now {
            tokio::time::sleep(latency).await;
        }
        if read == 0 {
            return to.shutdown().await;
        }
        to.write_all(&buffer[..read]).await?;
    }
}

//! A network that can fail: a TCP proxy in front of a service.
//!
//! Cut, it breaks off what is connected and whatever connects; stalled, it keeps connections and holds back every
//! byte. It never looks into what it passes on.

use std::io;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use url::Url;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Network {
    Up,
    Stalled,
    Cut,
}

/// A service behind a network of its own. The network ends with this value.
pub(crate) struct Proxy {
    service: Url,
    address: SocketAddr,
    network: watch::Sender<Network>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    pub(crate) async fn before(service: &str) -> Self {
        let service: Url = service.parse().unwrap();
        let behind = service.socket_addrs(|| None).unwrap()[0];
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (network, seen) = watch::channel(Network::Up);
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(pass_on(stream, behind, seen.clone()));
            }
        });
        Self {
            service,
            address,
            network,
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

    pub(crate) fn cut(&self) {
        self.network.send_replace(Network::Cut);
    }

    pub(crate) fn stall(&self) {
        self.network.send_replace(Network::Stalled);
    }

    pub(crate) fn restore(&self) {
        self.network.send_replace(Network::Up);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Ends with either side, with the network's cut, or with the proxy.
async fn pass_on(client: TcpStream, service: SocketAddr, network: watch::Receiver<Network>) {
    let mut until_cut = network.clone();
    let passing = async {
        let service = TcpStream::connect(service).await?;
        let (client_sends, client_receives) = client.into_split();
        let (service_sends, service_receives) = service.into_split();
        tokio::try_join!(
            pump(client_sends, service_receives, network.clone()),
            pump(service_sends, client_receives, network.clone())
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
) -> io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = from.read(&mut buffer).await?;
        if network
            .wait_for(|network| *network == Network::Up)
            .await
            .is_err()
        {
            return Ok(());
        }
        if read == 0 {
            return to.shutdown().await;
        }
        to.write_all(&buffer[..read]).await?;
    }
}

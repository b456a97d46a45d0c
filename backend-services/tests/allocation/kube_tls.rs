//! TLS to the cluster's API: its authority is the one in the service account's folder and no other, and a token that has
//! ended is read anew.

use std::net::SocketAddr;
use std::sync::Arc;

use agones_sdk::allocation::AllocationRequest;
use axum::serve::Listener;
use backend_services::allocation::kubernetes::{KubernetesAllocator, KubernetesFault};
use backend_services::allocation::{AllocationFault, Allocator as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::server::TlsStream;

use crate::agones::Running;
use crate::certs::{Authority, Signed};
use crate::conformance::selection;
use crate::kube_double;
use crate::place::CALL_MAX;
use crate::world::World;

/// Connections whose handshake succeeded.
struct Sealed {
    tcp: TcpListener,
    tls: TlsAcceptor,
}

impl Listener for Sealed {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let Ok((stream, address)) = self.tcp.accept().await else { continue };
            // Whoever does not trust us goes away amid the handshake.
            if let Ok(stream) = self.tls.accept(stream).await {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.tcp.local_addr()
    }
}

fn start(world: World, signed: &Signed) -> Running {
    let chain = CertificateDer::pem_slice_iter(signed.cert.as_bytes()).collect::<Result<Vec<_>, _>>();
    let key = PrivateKeyDer::from_pem_slice(signed.key.as_bytes()).expect("a key");
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(chain.expect("certificates"), key)
        .expect("they go together");
    let tcp = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    tcp.set_nonblocking(true).expect("a socket");
    let address = tcp.local_addr().expect("an address");
    Running::spawn(address, async move {
        let tcp = TcpListener::from_std(tcp).expect("a socket");
        let sealed = Sealed { tcp, tls: TlsAcceptor::from(Arc::new(config)) };
        axum::serve(sealed, kube_double::router(world)).await.expect("it serves");
    })
}

fn account(authority: &str, token: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("ca.crt"), authority).expect("a file");
    std::fs::write(folder.path().join("token"), token).expect("a file");
    folder
}

fn allocator(double: &Running, account: &tempfile::TempDir) -> KubernetesAllocator {
    let url = format!("https://{}", double.address);
    KubernetesAllocator::new(&url, account.path(), selection("arena", "gold"), CALL_MAX).expect("an account")
}

fn request() -> AllocationRequest {
    AllocationRequest::from_fleet("arena", Default::default())
}

#[tokio::test]
async fn the_accounts_authority_is_trusted_and_no_other() {
    let (cluster, stranger) = (Authority::new(), Authority::new());
    let world = World::with(2);
    let double = start(world.clone(), &cluster.server("127.0.0.1"));
    let ours = allocator(&double, &account(&cluster.pem, kube_double::TOKEN));
    assert_eq!(ours.allocate(request()).await.map(|server| server.name), Ok("made-0".to_owned()));
    assert_eq!(ours.ready().await, Some(1));
    // Another authority's word; the right authority's word for another name; nobody's word.
    let other_name = start(world.clone(), &cluster.server("api.test"));
    for (double, authority) in [(&double, &stranger), (&other_name, &cluster)] {
        let answer =
            allocator(double, &account(&authority.pem, kube_double::TOKEN)).allocate(request()).await;
        let Err(AllocationFault::Unreachable(why)) = answer else { panic!("{answer:?}") };
        assert!(why.contains("certificate"), "{why}");
    }
    assert_eq!(world.taken().len(), 1, "nothing was taken by whom they did not trust");
    let plain = format!("http://{}", double.address);
    let account = account(&cluster.pem, kube_double::TOKEN);
    let plain = KubernetesAllocator::new(&plain, account.path(), selection("arena", "gold"), CALL_MAX);
    let answer = plain.expect("an account").allocate(request()).await;
    assert!(matches!(answer, Err(AllocationFault::Unreachable(_))), "{answer:?}");
}

#[tokio::test]
async fn a_token_that_has_ended_is_read_anew_at_once() {
    let cluster = Authority::new();
    let double = start(World::with(2), &cluster.server("127.0.0.1"));
    let account = account(&cluster.pem, "ended");
    let first = allocator(&double, &account);
    let refused = Err(AllocationFault::Refused("401 Unauthorized: Unauthorized".to_owned()));
    assert_eq!(
        first.allocate(request()).await,
        refused,
        "as long as the file has no other, the answer is no"
    );
    // The kubelet has written the next one while the last is still in memory: the same call has it.
    let second = allocator(&double, &account);
    std::fs::write(account.path().join("token"), kube_double::TOKEN).expect("a file");
    assert!(second.allocate(request()).await.is_ok());
    std::fs::write(account.path().join("token"), "another").expect("a file");
    assert!(second.allocate(request()).await.is_ok(), "what still works is kept");
}

#[test]
fn an_authority_that_is_none_is_refused_at_the_start() {
    let account = account("no certificate", kube_double::TOKEN);
    let made =
        KubernetesAllocator::new("https://127.0.0.1:1", account.path(), selection("arena", "gold"), CALL_MAX);
    assert!(matches!(made, Err(KubernetesFault::Client(_))), "{made:?}");
}

//! An autoscaling webhook behind real TLS: its authority is the `caBundle` and no other, and what is not believed changes
//! nothing.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says so by a panic")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use agones_sdk::fleet::scale::FleetAutoscaleReview;
use agones_sdk::fleet::{Autoscaler, Census, Fleet, FleetConfig};
use axum::routing::post;
use axum::serve::Listener;
use axum::{Json, Router};
use data_encoding::BASE64;
use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use serde_json::json;
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::server::TlsStream;

const SOON: Duration = Duration::from_secs(20);

/// An authority: its certificate (PEM), and what signs.
struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let cert = params.self_signed(&key).unwrap();
        Self { pem: cert.pem(), issuer: Issuer::new(params, key) }
    }

    /// For a server of this name.
    fn server(&self, name: &str) -> ServerConfig {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let cert = params.signed_by(&key, &self.issuer).unwrap().pem();
        let chain = CertificateDer::pem_slice_iter(cert.as_bytes()).collect::<Result<Vec<_>, _>>().unwrap();
        let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap();
        ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap()
    }
}

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
            // Whoever does not believe us goes away amid the handshake.
            if let Ok(stream) = self.tls.accept(stream).await {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.tcp.local_addr()
    }
}

/// A webhook that wants so many servers, with this certificate; its port.
async fn webhook(tls: ServerConfig, replicas: u32) -> u16 {
    let tcp = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = tcp.local_addr().unwrap().port();
    let answer = async move |Json(review): Json<FleetAutoscaleReview>| {
        let request = review.request.expect("a question");
        let response = json!({ "uid": request.uid, "scale": true, "replicas": replicas });
        Json(json!({ "request": request, "response": response }))
    };
    let sealed = Sealed { tcp, tls: TlsAcceptor::from(Arc::new(tls)) };
    tokio::spawn(async move { axum::serve(sealed, Router::new().route("/scale", post(answer))).await });
    port
}

/// A policy that asks there, and believes this authority; the system's own without one.
fn policy(port: u16, authority: Option<&Authority>) -> Autoscaler {
    let mut webhook = json!({ "url": format!("https://localhost:{port}/scale") });
    if let Some(authority) = authority {
        webhook["caBundle"] = BASE64.encode(authority.pem.as_bytes()).into();
    }
    let spec = json!({
        "policy": { "type": "Webhook", "webhook": webhook },
        "sync": { "fixedInterval": { "seconds": 1 } },
    });
    Autoscaler::parse(&spec.to_string()).unwrap()
}

async fn until(fleet: &Fleet, what: &str, mut condition: impl FnMut(&Census, &str) -> bool) {
    let give_up = Instant::now() + SOON;
    while !condition(&fleet.census(), &fleet.autoscaling()["fault"].to_string()) {
        assert!(Instant::now() < give_up, "no {what}: {:?} {}", fleet.census(), fleet.autoscaling());
        sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_is_believed_for_its_authority_and_its_name_alone() {
    let folder = TempDir::new().unwrap();
    let (ours, theirs) = (Authority::new(), Authority::new());
    let right = webhook(ours.server("localhost"), 2).await;
    let impostor = webhook(theirs.server("localhost"), 4).await;
    let other_name = webhook(ours.server("scaler.test"), 4).await;
    let command = vec![env!("CARGO_BIN_EXE_fake-server").to_owned(), "--port".into(), "{port}".into()];
    let config = FleetConfig::new("arena", command, folder.path());
    let autoscaler = policy(right, Some(&ours));
    let fleet = Fleet::start(FleetConfig { autoscaler, replicas: 1, ..config }).await.unwrap();
    until(&fleet, "2 ready servers", |census, _| census.ready == 2).await;
    for (port, authority) in [(impostor, Some(&ours)), (other_name, Some(&ours)), (right, None)] {
        fleet.autoscale(policy(port, authority)).unwrap();
        let distrusted = |census: &Census, fault: &str| census.ready == 2 && fault.contains("ertificate");
        until(&fleet, "distrust", distrusted).await;
        fleet.autoscale(policy(right, Some(&ours))).unwrap();
        until(&fleet, "trust", |_, fault| fault == "null").await;
    }
    assert_eq!((fleet.census().ready, fleet.census().desired), (2, 2));
    fleet.drain().await;
}

//! The back ends under test, each with servers behind it and a way to break it.

use std::sync::Arc;
use std::time::Duration;

use agones_sdk::allocation::{AllocatorClient, Authority as AuthorityFile, TlsFiles};
use agones_sdk::fleet::{BufferPolicy, BufferSize, Fleet, FleetConfig};
use backend_services::allocation::Allocator;
use backend_services::allocation::grpc::GrpcAllocator;
use backend_services::allocation::kubernetes::KubernetesAllocator;
use tempfile::TempDir;

use super::certs::Authority;
use super::conformance::selection;
use super::world::World;
use super::{agones, fake_server, kube_double};

/// One call takes no longer.
pub const CALL_MAX: Duration = Duration::from_millis(1500);

/// Which back end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Agones' allocator over mutual TLS.
    Agones,
    /// The Kubernetes API.
    Kubernetes,
    /// The local fleet: real server processes.
    Fleet,
}

/// A back end with servers.
pub struct Place {
    pub allocator: Arc<dyn Allocator>,
    /// What goes wrong next; the servers too, where they are made up.
    pub world: World,
    double: agones::Running,
    pub fleet: Option<Fleet>,
    _folder: TempDir,
}

impl Place {
    /// With so many ready servers, labelled `agones.dev/fleet=arena` and `tier=gold`.
    pub async fn start(kind: Kind, servers: u32) -> Self {
        match kind {
            Kind::Agones => Self::agones(servers),
            Kind::Kubernetes => Self::kubernetes(servers),
            Kind::Fleet => Self::fleet(servers).await,
        }
    }

    fn agones(servers: u32) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let (ours, theirs) = (Authority::new(), Authority::new());
        let world = World::with(usize::try_from(servers).expect("few"));
        let signed = theirs.server("allocator.test");
        let double = agones::start(world.clone(), agones::Source::Made, Some((&signed, &ours)));
        let files = write(&folder, &ours, &theirs, "allocator.test");
        let url = format!("https://{}", double.address);
        let client = AllocatorClient::with_tls(&url, files, CALL_MAX).expect("good files");
        Self {
            allocator: Arc::new(GrpcAllocator::new(client, None)),
            world,
            double,
            fleet: None,
            _folder: folder,
        }
    }

    fn kubernetes(servers: u32) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("token"), kube_double::TOKEN).expect("a file");
        let world = World::with(usize::try_from(servers).expect("few"));
        let double = kube_double::start(world.clone());
        let url = format!("http://{}", double.address);
        let allocator = KubernetesAllocator::new(&url, folder.path(), selection("arena", "gold"), CALL_MAX);
        let allocator = Arc::new(allocator.expect("an account"));
        Self { allocator, world, double, fleet: None, _folder: folder }
    }

    async fn fleet(servers: u32) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut config = FleetConfig::new("arena", fake_server::command(), folder.path());
        config.template.labels = vec![("tier".to_owned(), "gold".to_owned())];
        config.template.env = vec![(fake_server::SWITCH.to_owned(), "1".to_owned())];
        // As many as the test wants and never another: the buffer would bring up one for each that is taken.
        config.autoscaler =
            BufferPolicy { buffer: BufferSize::Count(servers), min: servers, max: servers }.into();
        let fleet = Fleet::start(config).await.expect("a fleet");
        while fleet.census().ready < servers {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let behind =
            AllocatorClient::new(&format!("http://{}", fleet.grpc_addr()), CALL_MAX).expect("a client");
        let world = World::default();
        // In front of it, a double that can lose races and spoil answers, and otherwise passes on.
        let double = agones::start(world.clone(), agones::Source::Fleet(behind), None);
        let client = AllocatorClient::new(&format!("http://{}", double.address), CALL_MAX).expect("a client");
        let http = format!("http://{}", fleet.http_addr());
        let allocator = Arc::new(GrpcAllocator::new(client, Some(&http)));
        Self { allocator, world, double, fleet: Some(fleet), _folder: folder }
    }

    /// Nobody listens there any more.
    pub fn vanish(&mut self) {
        self.double.vanish();
    }

    pub async fn end(self) {
        if let Some(fleet) = self.fleet {
            fleet.drain().await;
        }
    }
}

/// Writes a client certificate of `ours` and the authority of `theirs`.
pub fn write(folder: &TempDir, ours: &Authority, theirs: &Authority, server_name: &str) -> TlsFiles {
    let path = |name: &str| folder.path().join(name);
    let client = ours.client();
    std::fs::write(path("client.crt"), client.cert).expect("a file");
    std::fs::write(path("client.key"), client.key).expect("a file");
    std::fs::write(path("ca.crt"), &theirs.pem).expect("a file");
    TlsFiles {
        client_cert: path("client.crt"),
        client_key: path("client.key"),
        server_ca: AuthorityFile::File(path("ca.crt")),
        server_name: Some(server_name.to_owned()),
    }
}

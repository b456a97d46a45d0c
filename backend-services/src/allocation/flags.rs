//! Where servers come from, as the command line says it: one allocator, or a file of regions and clusters. Owns the
//! file's format; must never know how an allocator is spoken to.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use agones_sdk::allocation::{AllocateError, AllocatorClient, Authority, TlsFiles};
use data_encoding::BASE64;
use serde::Deserialize;

use super::failover::Failover;
use super::grpc::GrpcAllocator;
use super::policy::{AllocationPolicy, Rank};
use super::servers::{Cluster, Region, Servers};
use super::{Allocator, Selection};

/// One call to one endpoint takes no longer.
const CALL_MAX: Duration = Duration::from_secs(5);
/// The port of an endpoint that names none, as Agones takes it.
const PORT_DEFAULT: u16 = 443;

/// Where servers come from.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
pub struct Flags {
    /// The Agones allocator, or our fleet: http://HOST:PORT, or https://HOST:PORT with the three files below;
    /// `kubernetes` for the cluster's own API. Needed for matchmaking.
    #[arg(long, value_name = "URL", conflicts_with = "allocators")]
    pub allocator: Option<String>,
    /// Our certificate for an https allocator, PEM.
    #[arg(long, value_name = "FILE", requires_all = ["allocator_key", "allocator_ca"])]
    pub allocator_cert: Option<PathBuf>,
    /// Its private key, PEM.
    #[arg(long, value_name = "FILE", requires = "allocator_cert")]
    pub allocator_key: Option<PathBuf>,
    /// The authority that signed the allocator's certificate, PEM.
    #[arg(long, value_name = "FILE", requires = "allocator_cert")]
    pub allocator_ca: Option<PathBuf>,
    /// The name in the allocator's certificate, where it is not the URL's host.
    #[arg(long, value_name = "NAME", requires = "allocator_cert")]
    pub allocator_name: Option<String>,
    /// Regions with their clusters instead of one allocator: JSON, see deploy/README.md.
    #[arg(long, value_name = "FILE")]
    pub allocators: Option<PathBuf>,
    /// Folder with a folder for each secret that --allocators names, `tls.crt` and `tls.key` in it.
    #[arg(long, value_name = "FOLDER", requires = "allocators")]
    pub allocator_secrets: Option<PathBuf>,
    /// Allocate from this fleet only.
    #[arg(long, value_name = "NAME")]
    pub fleet: Option<String>,
    /// Servers may hold several matches (`--rooms` there): one in use that has room in its list `rooms` is taken first.
    #[arg(long)]
    pub shared_servers: bool,
    /// The fleet's namespace.
    #[arg(long, default_value = "default", value_name = "NAME")]
    pub namespace: String,
}

/// Why there is nowhere to get servers from.
#[derive(Debug, thiserror::Error)]
pub enum FlagsFault {
    /// Neither flag is given.
    #[error("--allocator is needed for matchmaking (or --allocators, or another --role)")]
    Missing,
    /// A URL or a certificate is wrong.
    #[error(transparent)]
    Client(#[from] AllocateError),
    /// The file cannot be read.
    #[error("--allocators {0} cannot be read")]
    Read(PathBuf, #[source] std::io::Error),
    /// The file is not what it should be.
    #[error("--allocators {0} is not usable: {1}")]
    File(PathBuf, String),
    /// The cluster's API cannot be used.
    #[error("{0}")]
    Kubernetes(String),
}

/// What `--allocators` holds.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    regions: Vec<FileRegion>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileRegion {
    name: String,
    /// The `spec` of one `GameServerAllocationPolicy` each.
    clusters: Vec<AllocationPolicy>,
}

impl Flags {
    /// Whether servers can be had at all.
    pub fn is_given(&self) -> bool {
        self.allocator.is_some() || self.allocators.is_some()
    }

    /// Where servers come from. `fleet_http` is the local fleet's HTTP, which counts what is ready.
    ///
    /// # Errors
    /// One sentence that says which flag or file is wrong.
    pub fn servers(&self, fleet_http: Option<&str>) -> Result<Servers, FlagsFault> {
        if let Some(path) = &self.allocators {
            return self.read_file(path);
        }
        let url = self.allocator.as_deref().ok_or(FlagsFault::Missing)?;
        let selection = self.selection(&self.namespace);
        let allocator: Arc<dyn Allocator> = match url {
            "kubernetes" => kubernetes(&selection)?,
            url => Arc::new(GrpcAllocator::new(self.client(url)?, fleet_http)),
        };
        let cluster = Cluster::new(url.to_owned(), allocator, Rank::default(), selection);
        Ok(Servers::new(vec![Region { name: String::new(), clusters: vec![cluster] }]))
    }

    fn selection(&self, namespace: &str) -> Selection {
        let (namespace, fleet) = (namespace.to_owned(), self.fleet.clone());
        Selection { namespace, fleet, labels: BTreeMap::new(), shared: self.shared_servers }
    }

    fn client(&self, url: &str) -> Result<AllocatorClient, AllocateError> {
        match (&self.allocator_cert, &self.allocator_key, &self.allocator_ca) {
            (Some(cert), Some(key), Some(authority)) => {
                let files = TlsFiles {
                    client_cert: cert.clone(),
                    client_key: key.clone(),
                    server_ca: Authority::File(authority.clone()),
                    server_name: self.allocator_name.clone(),
                };
                AllocatorClient::with_tls(url, files, CALL_MAX)
            }
            _ => AllocatorClient::new(url, CALL_MAX),
        }
    }

    fn read_file(&self, path: &Path) -> Result<Servers, FlagsFault> {
        let text = std::fs::read(path).map_err(|error| FlagsFault::Read(path.to_owned(), error))?;
        let wrong = |why: String| FlagsFault::File(path.to_owned(), why);
        let file: File = serde_json::from_slice(&text).map_err(|error| wrong(error.to_string()))?;
        if file.regions.is_empty() {
            return Err(wrong("it names no region".to_owned()));
        }
        let regions = file.regions.into_iter().map(|region| {
            if region.clusters.is_empty() {
                return Err(wrong(format!("region {:?} has no cluster", region.name)));
            }
            let clusters = region.clusters.iter().map(|policy| self.cluster(policy).map_err(wrong));
            Ok(Region { name: region.name.clone(), clusters: clusters.collect::<Result<_, _>>()? })
        });
        Ok(Servers::new(regions.collect::<Result<_, _>>()?))
    }

    fn cluster(&self, policy: &AllocationPolicy) -> Result<Cluster, String> {
        let info = &policy.connection_info;
        let name = &info.cluster_name;
        if info.allocation_endpoints.is_empty() {
            return Err(format!("cluster {name:?} has no allocationEndpoints"));
        }
        let endpoints = info.allocation_endpoints.iter().map(|endpoint| {
            let url = url(endpoint);
            let client = if url.starts_with("https://") {
                AllocatorClient::with_tls(&url, self.secret(policy)?, CALL_MAX)
            } else {
                AllocatorClient::new(&url, CALL_MAX)
            };
            let client = client.map_err(|error| format!("cluster {name:?}: {error}"))?;
            Ok(Arc::new(GrpcAllocator::new(client, None)) as Arc<dyn Allocator>)
        });
        let failover = Failover::new(endpoints.collect::<Result<_, String>>()?);
        let rank = Rank { priority: policy.priority, weight: policy.weight };
        let namespace = if info.namespace.is_empty() { &self.namespace } else { &info.namespace };
        Ok(Cluster::new(name.clone(), Arc::new(failover), rank, self.selection(namespace)))
    }

    /// The certificates of one cluster: ours from the secret's folder, the authority from the policy.
    fn secret(&self, policy: &AllocationPolicy) -> Result<TlsFiles, String> {
        let info = &policy.connection_info;
        let name = &info.cluster_name;
        let plain = |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || "-.".contains(c));
        if info.secret_name.is_empty() || info.secret_name.starts_with('.') || !plain(&info.secret_name) {
            return Err(format!("cluster {name:?} has no secretName that could be a folder's"));
        }
        let folder = self.allocator_secrets.as_ref().ok_or("--allocator-secrets is needed for https")?;
        let folder = folder.join(&info.secret_name);
        let authority =
            BASE64.decode(info.server_ca.as_bytes()).ok().and_then(|pem| String::from_utf8(pem).ok());
        let authority = authority
            .filter(|pem| pem.contains("-----BEGIN CERTIFICATE-----"))
            .ok_or_else(|| format!("cluster {name:?} has a serverCa that is no PEM certificate in base64"))?;
        Ok(TlsFiles {
            client_cert: folder.join("tls.crt"),
            client_key: folder.join("tls.key"),
            server_ca: Authority::Pem(authority),
            server_name: None,
        })
    }
}

/// An endpoint as a URL: Agones' policies hold hosts, with or without a port.
fn url(endpoint: &str) -> String {
    if endpoint.contains("://") {
        return endpoint.to_owned();
    }
    // A bare IPv6 address has colons too.
    let has_port = endpoint.rsplit_once(':').is_some_and(|(host, port)| {
        !port.is_empty()
            && port.bytes().all(|b| b.is_ascii_digit())
            && (!host.contains(':') || host.ends_with(']'))
    });
    if has_port { format!("https://{endpoint}") } else { format!("https://{endpoint}:{PORT_DEFAULT}") }
}

#[cfg(feature = "kubernetes")]
fn kubernetes(selection: &Selection) -> Result<Arc<dyn Allocator>, FlagsFault> {
    let allocator = super::kubernetes::KubernetesAllocator::in_cluster(selection.clone(), CALL_MAX);
    Ok(Arc::new(allocator.map_err(|fault| FlagsFault::Kubernetes(fault.to_string()))?))
}

#[cfg(not(feature = "kubernetes"))]
fn kubernetes(_selection: &Selection) -> Result<Arc<dyn Allocator>, FlagsFault> {
    Err(FlagsFault::Kubernetes("--allocator kubernetes needs a build with --features kubernetes".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_become_urls() {
        for (endpoint, expected) in [
            ("10.0.0.1", "https://10.0.0.1:443"),
            ("10.0.0.1:8443", "https://10.0.0.1:8443"),
            ("a.example", "https://a.example:443"),
            ("[2001:db8::1]:8443", "https://[2001:db8::1]:8443"),
            ("[2001:db8::1]", "https://[2001:db8::1]:443"),
            ("http://127.0.0.1:7100", "http://127.0.0.1:7100"),
        ] {
            assert_eq!(url(endpoint), expected);
        }
    }

    fn read(json: &str) -> Result<Vec<String>, String> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("allocators.json");
        std::fs::write(&path, json).expect("a file");
        let flags = Flags {
            allocator: None,
            allocator_cert: None,
            allocator_key: None,
            allocator_ca: None,
            allocator_name: None,
            allocators: Some(path),
            allocator_secrets: Some(folder.path().to_owned()),
            fleet: None,
            shared_servers: false,
            namespace: "default".to_owned(),
        };
        let servers = flags.servers(None).map_err(|fault| fault.to_string())?;
        Ok(servers.regions().map(str::to_owned).collect())
    }

    #[tokio::test]
    async fn a_file_of_regions_is_read_or_refused_with_a_sentence() {
        let cluster = |rest: &str| {
            format!(
                r#"{{"regions":[{{"name":"eu","clusters":[{{"connectionInfo":{{"clusterName":"one",{rest}}}}}]}}]}}"#
            )
        };
        let plain = cluster(r#""allocationEndpoints":["http://127.0.0.1:1","http://127.0.0.1:2"]"#);
        assert_eq!(read(&plain), Ok(vec!["eu".to_owned()]));
        for (json, expected) in [
            ("{", "is not usable"),
            (r#"{"regions":[]}"#, "names no region"),
            (r#"{"regions":[{"name":"eu","clusters":[]}]}"#, "region \"eu\" has no cluster"),
            (&cluster(r#""allocationEndpoints":[]"#), "\"one\" has no allocationEndpoints"),
            (&cluster(r#""allocationEndpoints":["10.0.0.1"]"#), "no secretName"),
            (&cluster(r#""allocationEndpoints":["10.0.0.1"],"secretName":"../x""#), "no secretName"),
            (&cluster(r#""allocationEndpoints":["10.0.0.1"],"secretName":"s","serverCa":"AAAA""#), "no PEM"),
        ] {
            let fault = read(json).expect_err(json);
            assert!(fault.contains(expected), "{json}: {fault}");
        }
    }
}

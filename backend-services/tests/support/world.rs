//! Backends over either engine, one node or several, with rules of the test's own. Owns the start; judges nothing.

use backend_services::store::Stores;
use serde_json::Value;
use tempfile::TempDir;

use super::allocator::FakeAllocator;
use super::engines::Servers;
use super::process::Backend;

/// What the nodes stand on; they are started by `node`, as often as a test likes.
pub struct World {
    pub name: &'static str,
    pub allocator: FakeAllocator,
    servers: Option<Servers>,
    folder: TempDir,
    flags: Vec<String>,
}

impl World {
    /// One process with SQLite, and Postgres with Redis for several.
    pub async fn both(modes: &Value, flags: &[&str]) -> [Self; 2] {
        [Self::new("embedded", None, modes, flags).await, Self::production(modes, flags).await]
    }

    pub async fn production(modes: &Value, flags: &[&str]) -> Self {
        Self::new("production", Some(Servers::start()), modes, flags).await
    }

    async fn new(name: &'static str, servers: Option<Servers>, modes: &Value, flags: &[&str]) -> Self {
        let (folder, allocator) = (tempfile::tempdir().expect("a folder"), FakeAllocator::start().await);
        let rules = folder.path().join("rules.json");
        let book = serde_json::json!({ "modes": modes });
        std::fs::write(&rules, book.to_string()).expect("a file");
        let mut all: Vec<String> = flags.iter().map(|&flag| flag.to_owned()).collect();
        all.extend(["--rules".to_owned(), rules.to_str().expect("UTF-8").to_owned()]);
        if let Some(servers) = &servers {
            let stores = ["--database-url".to_owned(), servers.database_url()];
            all.extend(stores.into_iter().chain(["--redis-url".to_owned(), servers.redis_url()]));
        }
        Self { name, allocator, servers, folder, flags: all }
    }

    /// The stores below the nodes, for what no node would do.
    pub async fn stores(&self) -> Stores {
        let servers = self.servers.as_ref().expect("the embedded store belongs to its node alone");
        Stores::production(&servers.database_url(), &servers.redis_url(), 2).await.expect("a store")
    }

    /// Starts a node. The embedded store is for one at a time.
    pub fn node(&self) -> Backend {
        let flags: Vec<&str> = self.flags.iter().map(String::as_str).collect();
        Backend::start_all(self.folder.path(), &self.allocator, &flags)
    }

    /// One node, or two where the store takes them.
    pub fn nodes(&self) -> Vec<Backend> {
        (0..if self.servers.is_some() { 2 } else { 1 }).map(|_| self.node()).collect()
    }
}

//! The arena's server as a process of its own, on free ports.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use netcode_token::Key;
use serde_json::Value;

/// A running server; killed when dropped, and drained by itself if the test dies: its standard input ends then.
pub(crate) struct ServerProcess {
    child: Child,
    pub(crate) udp: SocketAddr,
    pub(crate) admin: SocketAddr,
    /// Where it takes WebSockets, if it was told to.
    pub(crate) websocket: Option<SocketAddr>,
    pub(crate) key: Key,
}

impl ServerProcess {
    /// Starts it stand-alone with a key of its own, and waits until it says that it is ready.
    pub(crate) fn start(args: &[&str]) -> Self {
        let key = Key::generate();
        let mut child = Command::new(env!("CARGO_BIN_EXE_arena-server"))
            .args(["--standalone", "--exit-with-parent", "--bind", "127.0.0.1", "--key", &key.to_hex()])
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the server was built with this test");
        let mut lines =
            BufReader::new(child.stdout.take().expect("it is piped")).lines().map_while(Result::ok);
        let ready =
            lines.find_map(|line| serde_json::from_str::<Value>(&line).ok()).expect("the server gets ready");
        std::thread::spawn(move || lines.count());
        let address = |name: &str| ready[name].as_str().and_then(|text| text.parse().ok());
        let [udp, admin] = ["udp", "admin"].map(|name| address(name).expect("an address"));
        Self { udp, admin, websocket: address("websocket"), key, child }
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

//! A player whose datagrams a real browser carries: Chromium's own WebSocket between a page and a real server process.
//! The page is a carrier and nothing more; the session behind it is the one that every client has.

mod support;

use std::time::{Duration, Instant};

use arena::pilot::{Pilot, Sight};
use data_encoding::BASE64;
use netcode_client::ClientState;
use netcode_wire::Time;
use serde_json::{Value, json};

use support::browser::Browser;
use support::server::ServerProcess;
use support::squad::{Squad, client_of};

const LONG: Duration = Duration::from_secs(30);

/// What the page does: a WebSocket, what came on it, and how it ended.
const PAGE: &str = "
    window.inbox = [];
    window.ended = null;
    window.socket = new WebSocket('URL', 'PROTOCOL');
    socket.binaryType = 'arraybuffer';
    socket.onmessage = (event) => inbox.push(btoa(String.fromCharCode(...new Uint8Array(event.data))));
    socket.onclose = (event) => { window.ended = event.code };";

/// A page with a WebSocket to the server.
struct Page {
    browser: Browser,
}

impl Page {
    fn open(server: &ServerProcess, protocol: &str) -> Self {
        let browser = Browser::start(400, 300);
        // Any page of this machine: those of the wide world may not open sockets to it.
        browser.open(&format!("http://{}/healthz", server.admin));
        let url = format!("ws://{}/", server.websocket.expect("the server was told to take WebSockets"));
        browser.script(&PAGE.replace("URL", &url).replace("PROTOCOL", protocol));
        Self { browser }
    }

    fn wait_until(&self, what: &str, script: &str) {
        self.browser.wait_until(what, script, LONG);
    }

    /// Sends each datagram, and gives those that came since it was last asked.
    fn exchange(&self, outgoing: &[Vec<u8>]) -> Vec<Vec<u8>> {
        let outgoing: Vec<String> = outgoing.iter().map(|datagram| BASE64.encode(datagram)).collect();
        let script = format!(
            "for (const text of {}) socket.send(Uint8Array.from(atob(text), (c) => c.charCodeAt(0)));
             return inbox.splice(0);",
            json!(outgoing)
        );
        let came = self.browser.script(&script);
        let texts = came.as_array().into_iter().flatten().filter_map(Value::as_str);
        texts.map(|text| BASE64.decode(text.as_bytes()).expect("the page encodes")).collect()
    }
}

#[test]
fn a_player_in_a_browser_plays_beside_one_of_udp() {
    let server = ServerProcess::start(&["--seconds", "120", "--websocket-port", "0"]);
    let squad = Squad::start(&server, 1);
    let page = Page::open(&server, "tickwright.datagrams.v1");
    page.wait_until("an open socket", "return socket.readyState === WebSocket.OPEN");
    assert_eq!(page.browser.script("return socket.protocol"), "tickwright.datagrams.v1");

    let (mut client, mut pilot) = (client_of(&server, 7), Pilot::new(7));
    let (start, mut outgoing) = (Instant::now(), Vec::new());
    loop {
        let now = Time::ZERO + start.elapsed();
        for mut datagram in page.exchange(&std::mem::take(&mut outgoing)) {
            client.handle_datagram(now, server.udp, &mut datagram);
        }
        client.advance(now, &mut |_, view| pilot.decide(&Sight::of(view)));
        while client.poll_message().is_some() {}
        while let Some(transmit) = client.poll_transmit() {
            outgoing.push(transmit.bytes.to_vec());
        }
        let sees_both = client.view().iter::<arena::Ship>().count() >= 2;
        if client.predicted().is_some() && sees_both && client.stats().snapshots_received > 60 {
            break;
        }
        assert!(start.elapsed() < LONG, "{:?}, {:?}", client.state(), client.stats());
    }
    assert_eq!(client.state(), ClientState::Connected);
    assert_eq!(page.browser.script("return window.ended"), Value::Null);
    let complaints = page.browser.complaints();
    assert!(!complaints.iter().any(|complaint| complaint.contains("WebSocket")), "{complaints:?}");
    assert!(squad.stop().iter().all(|player| player.connected));
}

#[test]
fn a_page_that_wants_something_else_is_turned_away() {
    let server = ServerProcess::start(&["--seconds", "120", "--websocket-port", "0"]);
    let page = Page::open(&server, "chat");
    // 1006: closed without a closing handshake, for there never was a connection.
    page.wait_until("a closed socket", "return window.ended === 1006");
}

//! The live view as a person sees it: a real server process, real clients over UDP, a real browser. Keeps a picture.

mod support;

use std::path::Path;
use std::time::Duration;

use support::browser::Browser;
use support::server::ServerProcess;
use support::squad::Squad;

const LONG: Duration = Duration::from_secs(30);

#[test]
fn the_page_shows_players_moving_and_one_clients_prediction() {
    let server = ServerProcess::start(&["--seconds", "120"]);
    let squad = Squad::start(&server, 8);
    let browser = Browser::start(1440, 1040);
    browser.open(&format!("http://{}/", server.admin));

    browser.wait_until("eight players", "return document.body.dataset.players === '8'", LONG);
    browser.wait_until("ships that move", "return Number(document.body.dataset.moves) > 160", LONG);
    browser.wait_until("its rows", "return document.querySelectorAll('#players tr').length === 8", LONG);
    browser.script("document.querySelectorAll('#players tr')[2].click()");
    browser.wait_until("the watched client", "return document.querySelector('tr.watched') !== null", LONG);
    browser.wait_until("its error", "return document.getElementById('error').textContent !== '–'", LONG);
    browser.wait_until("a kill", "return document.getElementById('feed').children.length > 0", LONG);
    browser.wait_until(
        "bandwidth",
        "return parseFloat(document.getElementById('down').textContent) > 0",
        LONG,
    );

    keep("live_view.png", &browser.screenshot());
    assert_eq!(browser.complaints(), Vec::<String>::new(), "errors in the page");
    let players = squad.stop();
    assert!(players.iter().all(|player| player.connected), "{players:?}");
    drop(server);
    browser.wait_until("that the server is gone", "return document.body.dataset.state === 'down'", LONG);
}

#[test]
fn the_page_shows_who_won() {
    let server = ServerProcess::start(&["--seconds", "6"]);
    let squad = Squad::start(&server, 4);
    let browser = Browser::start(1100, 900);
    browser.open(&format!("http://{}/", server.admin));
    browser.wait_until("the winner", "return document.querySelector('#over.on b') !== null", LONG);
    let winner = browser.script("return document.querySelector('#over b').textContent");
    assert!(winner.as_str().is_some_and(|text| text.ends_with(" wins")), "{winner}");
    keep("live_view_end.png", &browser.screenshot());
    drop(squad.stop());
}

/// Writes an artefact beside the build's own files: `target/artefacts/NAME`.
fn keep(name: &str, bytes: &[u8]) {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("artefacts");
    std::fs::create_dir_all(&folder).expect("the build folder is ours");
    std::fs::write(folder.join(name), bytes).expect("the build folder is ours");
}

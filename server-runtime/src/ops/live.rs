//! One viewer of the live view: pictures out, the choice of a client in. Must never know what is drawn.

use std::sync::Arc;

use axum::extract::ws::{Message, WebSocket};
use serde::Deserialize;
use tokio::sync::watch;

use crate::room::LiveFrame;

/// Longest message a viewer may send.
pub(super) const MESSAGE_BYTES_MAX: usize = 1024;

/// What a viewer may ask: `{"watch":"<player id>"}`.
#[derive(Deserialize)]
struct Ask {
    watch: String,
}

/// Feeds one viewer until it leaves. A slow viewer skips pictures: only the newest is kept.
pub(super) async fn feed(mut socket: WebSocket, mut frames: watch::Receiver<Arc<LiveFrame>>) {
    let mut chosen: Option<String> = None;
    loop {
        tokio::select! {
            changed = frames.changed() => {
                if changed.is_err() {
                    return;
                }
                let text = frames.borrow_and_update().json(chosen.as_deref());
                if socket.send(Message::text(text)).await.is_err() {
                    return;
                }
            }
            heard = socket.recv() => match heard {
                Some(Ok(Message::Text(text))) => {
                    if let Ok(ask) = serde_json::from_str::<Ask>(&text) {
                        chosen = Some(ask.watch);
                    }
                }
                Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                Some(Ok(_)) => {}
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chosen_client_is_shown() {
        let client = |id: &str| (id.to_owned(), format!(r#"{{"player":"{id}"}}"#));
        let mut frame = LiveFrame { base: r#"{"t":1"#.into(), clients: vec![client("7"), client("8")] };
        let check = |frame: &LiveFrame, chosen, expected: &str| assert_eq!(frame.json(chosen), expected);
        check(&frame, Some("8"), r#"{"t":1,"client":{"player":"8"}}"#);
        check(&frame, None, r#"{"t":1,"client":{"player":"7"}}"#);
        check(&frame, Some("9"), r#"{"t":1,"client":{"player":"7"}}"#);
        frame.clients.clear();
        check(&frame, Some("8"), r#"{"t":1}"#);
        check(&LiveFrame::default(), None, "{}");
    }
}

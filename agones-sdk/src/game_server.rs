//! Owns: reading a GameServer object: its state, labels, annotations and ports.
//! Must never know: where the object came from.

use crate::proto::sdk::GameServer;
use crate::proto::sdk::game_server::{ObjectMeta, Status};
use crate::state::State;

/// What a game server's own labels and annotations are prefixed with.
pub const SDK_PREFIX: &str = "agones.dev/sdk-";

impl GameServer {
    /// The name; empty if the object has none.
    pub fn name(&self) -> &str {
        self.object_meta.as_ref().map_or("", |meta| &meta.name)
    }

    /// The state; `None` if it is missing or one that this version does not know.
    pub fn state(&self) -> Option<State> {
        self.status.as_ref()?.state.parse().ok()
    }

    /// The label under exactly this key.
    pub fn label(&self, key: &str) -> Option<&str> {
        self.object_meta.as_ref()?.labels.get(key).map(String::as_str)
    }

    /// The annotation under exactly this key (an allocation's patch is not prefixed).
    pub fn annotation(&self, key: &str) -> Option<&str> {
        self.object_meta.as_ref()?.annotations.get(key).map(String::as_str)
    }

    /// The annotation that the game server itself set with `SetAnnotation(key)`.
    pub fn own_annotation(&self, key: &str) -> Option<&str> {
        self.annotation(&format!("{SDK_PREFIX}{key}"))
    }

    /// The label that the game server itself set with `SetLabel(key)`.
    pub fn own_label(&self, key: &str) -> Option<&str> {
        self.label(&format!("{SDK_PREFIX}{key}"))
    }

    /// The node's address; empty until Scheduled.
    pub fn address(&self) -> &str {
        self.status.as_ref().map_or("", |status| &status.address)
    }

    /// The port of this name.
    pub fn port(&self, name: &str) -> Option<u16> {
        let ports = &self.status.as_ref()?.ports;
        ports.iter().find(|port| port.name == name).and_then(|port| u16::try_from(port.port).ok())
    }

    /// Unix seconds of creation, as the conformance mode's `setlabel` wants it; 0 if unknown.
    pub fn creation_timestamp(&self) -> i64 {
        self.object_meta.as_ref().map_or(0, |meta| meta.creation_timestamp)
    }

    /// The unique id, as the conformance mode's `setannotation` wants it; empty if unknown.
    pub fn uid(&self) -> &str {
        self.object_meta.as_ref().map_or("", |meta| &meta.uid)
    }

    pub(crate) fn meta_mut(&mut self) -> &mut ObjectMeta {
        self.object_meta.get_or_insert_default()
    }

    pub(crate) fn status_mut(&mut self) -> &mut Status {
        self.status.get_or_insert_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::sdk::game_server::status::Port;

    #[test]
    fn an_empty_object_reads_as_nothing() {
        let server = GameServer::default();
        assert_eq!((server.name(), server.state(), server.port("default")), ("", None, None));
    }

    #[test]
    fn own_annotations_are_found_under_the_prefix() {
        let mut server = GameServer::default();
        server.meta_mut().annotations.insert("agones.dev/sdk-map".into(), "x".into());
        server.status_mut().ports.push(Port { name: "default".into(), port: 7777 });
        server.status_mut().state = "Allocated".into();
        assert_eq!(server.own_annotation("map"), Some("x"));
        assert_eq!(server.annotation("map"), None);
        assert_eq!(server.port("default"), Some(7777));
        assert_eq!(server.state(), Some(State::Allocated));
    }
}

//! Sans-IO connection state machines: sessions (netcode 1.02) around links (acks, channels, fragments).

pub mod channels;
pub mod link;

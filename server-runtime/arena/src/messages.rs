//! What the server tells players besides the world itself. Never knows how it travels.

use netcode_derive::Message;

/// A shot has hit a ship. For sparks and sounds: health itself is replicated.
#[derive(Clone, Debug, PartialEq, Eq, Message)]
pub struct Hit {
    /// The shooter's player id.
    pub shooter: u64,
    /// The player whose ship was hit.
    pub victim: u64,
    /// What is left of the victim.
    pub health: u32,
}

/// A ship was shot down. For the kill feed.
#[derive(Clone, Debug, PartialEq, Eq, Message)]
pub struct Kill {
    /// Who shot it.
    pub killer: u64,
    /// Who lost it.
    pub victim: u64,
}

/// The match is over.
#[derive(Clone, Debug, PartialEq, Eq, Message)]
pub struct MatchEnd {
    /// The final table, best first.
    #[net(max = 256)]
    pub standings: Vec<Place>,
}

/// One line of the final table.
#[derive(Clone, Debug, PartialEq, Eq, Message)]
pub struct Place {
    /// 1 for the winner; equal scores share a place.
    pub placement: u32,
    /// Who.
    pub player: u64,
    /// Points.
    pub score: u32,
    /// Ships shot down.
    pub kills: u32,
    /// Ships lost.
    pub deaths: u32,
}

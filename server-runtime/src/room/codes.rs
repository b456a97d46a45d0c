//! Why this server ends a connection, as the byte in the disconnect packet and in `Control::Goodbye`.

/// The token's user data is no seat, or another player's.
pub const BAD_SEAT: u8 = 1;
/// The server is draining, or its match is over.
pub const NOT_OPEN: u8 = 2;
/// The seat is for another match, or its player is not on the roster.
pub const NOT_YOUR_MATCH: u8 = 3;
/// What the client sent cannot be read.
pub const MALFORMED: u8 = 4;
/// The client lets its reliable messages pile up.
pub const TOO_SLOW: u8 = 5;
/// The match is over and its last messages had their time.
pub const MATCH_OVER: u8 = 6;
/// The match was given up.
pub const MATCH_VOID: u8 = 7;
/// The player's state was not to be had; it may try again.
pub const STATE_AWAY: u8 = 8;
/// The player's state is one that this build cannot read.
pub const STATE_UNREADABLE: u8 = 9;
/// The player plays elsewhere by now: another server has its state.
pub const STATE_TAKEN: u8 = 10;
/// An operator has put the player out of this match.
pub const KICKED: u8 = 11;
/// The player is banned.
pub const BANNED: u8 = 12;
/// The client sent more messages than it may.
pub const FLOOD: u8 = 13;
/// The player did what honest clients do not, more often than this server puts up with.
pub const SUSPICIOUS: u8 = 14;

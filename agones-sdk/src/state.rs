//! Owns: the names of a GameServer's states and which of them are final.
//! Must never know: who moves a server from one to the next.

use std::fmt;
use std::str::FromStr;

/// A GameServer's state, as Agones spells it on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// A port is being chosen.
    PortAllocation,
    /// The pod is being created.
    Creating,
    /// The pod exists, the address is not known yet.
    Starting,
    /// The address is known; the game server has not said Ready.
    Scheduled,
    /// The game server said Ready; the controller has not followed yet.
    RequestReady,
    /// Free to be allocated.
    Ready,
    /// Out of the pool for a while, by its own wish.
    Reserved,
    /// In use.
    Allocated,
    /// Ending.
    Shutdown,
    /// Broken before it could serve.
    Error,
    /// Missed its signs of life, or died.
    Unhealthy,
}

/// A state name that Agones does not have.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("unknown game server state {0:?}")]
pub struct UnknownState(pub String);

impl State {
    /// Every state, in the order of a life.
    pub const ALL: [Self; 11] = [
        Self::PortAllocation,
        Self::Creating,
        Self::Starting,
        Self::Scheduled,
        Self::RequestReady,
        Self::Ready,
        Self::Reserved,
        Self::Allocated,
        Self::Shutdown,
        Self::Error,
        Self::Unhealthy,
    ];

    /// The wire name.
    pub fn name(self) -> &'static str {
        match self {
            Self::PortAllocation => "PortAllocation",
            Self::Creating => "Creating",
            Self::Starting => "Starting",
            Self::Scheduled => "Scheduled",
            Self::RequestReady => "RequestReady",
            Self::Ready => "Ready",
            Self::Reserved => "Reserved",
            Self::Allocated => "Allocated",
            Self::Shutdown => "Shutdown",
            Self::Error => "Error",
            Self::Unhealthy => "Unhealthy",
        }
    }

    /// Whether nothing but the end follows.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Shutdown | Self::Error | Self::Unhealthy)
    }

    /// Whether the server is still on its way to Ready.
    pub fn is_starting(self) -> bool {
        matches!(
            self,
            Self::PortAllocation | Self::Creating | Self::Starting | Self::Scheduled | Self::RequestReady
        )
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for State {
    type Err = UnknownState;

    fn from_str(name: &str) -> Result<Self, UnknownState> {
        Self::ALL.into_iter().find(|state| state.name() == name).ok_or_else(|| UnknownState(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_reads_back() {
        for state in State::ALL {
            assert_eq!(state.name().parse(), Ok(state));
        }
        assert_eq!("ready".parse::<State>(), Err(UnknownState("ready".into())));
    }
}

//! Which transport players come by: the choice, and whether this build has it. Must never open a socket or know what
//! a datagram holds.

use std::fmt;

use clap::ValueEnum;

use crate::options::OptionsError;

/// What carries messages between players and server, chosen by `--transport` on either side; both must agree.
///
/// | value | sessions | datagrams |
/// |---|---|---|
/// | `udp` | ours | UDP |
/// | `websocket` | ours | over WebSocket, for browsers; a server takes UDP players beside them |
/// | `renet` | renet's | UDP |
/// | `laminar` | laminar's, in the clear | UDP |
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, ValueEnum)]
pub enum Transport {
    /// Our own sessions over UDP.
    #[default]
    Udp,
    /// Our own sessions over WebSocket, for browsers.
    #[value(name = "websocket")]
    WebSocket,
    /// renet's sessions over UDP.
    Renet,
    /// laminar's sessions over UDP, unencrypted.
    Laminar,
}

impl Transport {
    /// Every transport there is, in this build or not.
    pub const ALL: [Self; 4] = [Self::Udp, Self::WebSocket, Self::Renet, Self::Laminar];

    /// The word on the command line, which is also the cargo feature's.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::WebSocket => "websocket",
            Self::Renet => "renet",
            Self::Laminar => "laminar",
        }
    }

    /// Whether this build has it.
    #[must_use]
    pub const fn is_built(self) -> bool {
        match self {
            Self::Udp | Self::WebSocket => true,
            Self::Renet => cfg!(feature = "renet"),
            Self::Laminar => cfg!(feature = "laminar"),
        }
    }

    /// Whether its sessions are ours: with all that they have beyond the standard, and for browsers too.
    #[must_use]
    pub const fn is_ours(self) -> bool {
        matches!(self, Self::Udp | Self::WebSocket)
    }

    /// Itself, if this build has it.
    ///
    /// # Errors
    /// It was left out of this build; the message names the cargo feature, and what there is.
    pub fn require(self) -> Result<Self, OptionsError> {
        if self.is_built() {
            return Ok(self);
        }
        let built: Vec<&str> = Self::ALL.into_iter().filter(|t| t.is_built()).map(Self::name).collect();
        Err(OptionsError::NotBuilt { transport: self, built: built.join(", ") })
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_s_words_are_the_names() {
        for transport in Transport::ALL {
            let value = transport.to_possible_value().map(|value| value.get_name().to_owned());
            assert_eq!(value.as_deref(), Some(transport.name()));
        }
    }

    #[test]
    fn what_was_left_out_is_refused_by_name_and_feature() {
        assert_eq!(Transport::Udp.require(), Ok(Transport::Udp));
        for transport in Transport::ALL.into_iter().filter(|transport| !transport.is_built()) {
            let said = transport.require().unwrap_err().to_string();
            let name = transport.name();
            assert!(said.starts_with(&format!("--transport {name} is not in this build")), "{said}");
            assert!(said.contains(&format!("feature `{name}`")) && said.contains("udp"), "{said}");
        }
    }
}

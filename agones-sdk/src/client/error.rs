//! Owns: what can go wrong between a game server and its sidecar.
//! Must never know: how a call is made.

use std::time::Duration;

use tonic::Code;

use crate::state::State;

/// Why a call to the sidecar gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum SdkError {
    /// The environment or the options hold something that is no endpoint.
    #[error("{name} is not usable: {value:?}")]
    Endpoint {
        /// The variable or option at fault.
        name: &'static str,
        /// What it held.
        value: String,
    },
    /// No connection within the time given for it.
    #[error("sidecar at {endpoint} did not answer within {after:?}")]
    Unreachable {
        /// Where it should be.
        endpoint: String,
        /// How long we tried.
        after: Duration,
        /// The last failure.
        #[source]
        source: Option<tonic::transport::Error>,
    },
    /// The call's own deadline passed.
    #[error("sidecar did not answer {call} within {after:?}")]
    Deadline {
        /// The RPC's name.
        call: &'static str,
        /// The deadline.
        after: Duration,
    },
    /// The sidecar refused.
    #[error("sidecar refused {call}: {} ({:?})", .status.message(), .status.code())]
    Refused {
        /// The RPC's name.
        call: &'static str,
        /// Code and message.
        #[source]
        status: Box<tonic::Status>,
    },
    /// The call is illegal in this lifecycle; nothing was sent.
    #[error("{call} was called after Shutdown")]
    AfterShutdown {
        /// The RPC's name.
        call: &'static str,
    },
    /// The server was seen in a state that nothing leaves; nothing was sent.
    #[error("{call} was called in state {state}, which is final")]
    Final {
        /// The RPC's name.
        call: &'static str,
        /// The state it was seen in.
        state: State,
    },
    /// The argument is illegal; nothing was sent.
    #[error("{call} was given {what}")]
    Argument {
        /// The RPC's name.
        call: &'static str,
        /// What was wrong with it.
        what: &'static str,
    },
}

impl SdkError {
    /// The sidecar's status code, where it was the sidecar that refused.
    pub fn code(&self) -> Option<Code> {
        match self {
            Self::Refused { status, .. } => Some(status.code()),
            _ => None,
        }
    }
}

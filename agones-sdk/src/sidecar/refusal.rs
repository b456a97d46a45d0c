//! Owns: the refusals of the SDK contract, their texts, and their status codes in both manners.
//! Must never know: gRPC or HTTP beyond a status code.

use tonic::{Code, Status};

/// Why the sidecar says no. The texts are those of the real local server.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No such counter.
    #[error("not found. {0} Counter not found")]
    NoCounter(String),
    /// No such list.
    #[error("not found. {0} List not found")]
    NoList(String),
    /// The list does not hold the value.
    #[error("not found. Value: {value} not found in List: {list}")]
    NoValue {
        /// The list.
        list: String,
        /// The value.
        value: String,
    },
    /// The list holds the value already.
    #[error("already exists. Value: {value} already in List: {list}")]
    ValueExists {
        /// The list.
        list: String,
        /// The value.
        value: String,
    },
    /// The count would leave its range.
    #[error(
        "out of range. Count must be within range [0,Capacity]. Found Count: {count}, Capacity: {capacity}"
    )]
    CountRange {
        /// The count asked for.
        count: i64,
        /// The capacity it must fit.
        capacity: i64,
    },
    /// A counter's capacity below zero.
    #[error("out of range. Capacity must be greater than or equal to 0. Found Capacity: {0}")]
    CounterCapacity(i64),
    /// A list's capacity out of its range.
    #[error("out of range. Capacity must be within range [0,1000]. Found Capacity: {0}")]
    ListCapacity(i64),
    /// The list is full.
    #[error("out of range. No available capacity. Current Capacity: {capacity}, List Size: {size}")]
    ListFull {
        /// The capacity.
        capacity: i64,
        /// How many values it holds.
        size: usize,
    },
    /// Player tracking: nobody more fits.
    #[error("Players are already at capacity")]
    PlayersFull,
    /// The request lacks a part or holds one that is none.
    #[error("invalid argument. {0}")]
    Invalid(String),
    /// A key that Kubernetes does not take.
    #[error(
        "invalid argument. {0:?} is not a qualified name: one slash at most, and 63 letters, digits, '-', '_', '.' after it"
    )]
    Key(String),
    /// A label's value that Kubernetes does not take.
    #[error("invalid argument. {0:?} is not a label value: at most 63 letters, digits, '-', '_', '.'")]
    LabelValue(String),
    /// More annotations than Kubernetes keeps; the bytes there would be.
    #[error("invalid argument. annotations must not be above 262144 bytes in all, found {0}")]
    Annotations(usize),
    /// A feature gate that is off.
    #[error("{0} not enabled")]
    NotEnabled(&'static str),
}

impl Refusal {
    /// The status code: the documented one when `strict`, otherwise UNKNOWN for nearly all, as the real server
    /// answers in fact.
    pub fn code(&self, strict: bool) -> Code {
        match self {
            // As the real sidecar answers: the one refusal with a code of its own.
            Self::Key(_) | Self::LabelValue(_) | Self::Annotations(_) => Code::InvalidArgument,
            _ if !strict => Code::Unknown,
            Self::NoCounter(_) | Self::NoList(_) | Self::NoValue { .. } => Code::NotFound,
            Self::ValueExists { .. } => Code::AlreadyExists,
            Self::CountRange { .. }
            | Self::CounterCapacity(_)
            | Self::ListCapacity(_)
            | Self::ListFull { .. }
            | Self::PlayersFull => Code::OutOfRange,
            Self::Invalid(_) => Code::InvalidArgument,
            Self::NotEnabled(_) => Code::Unimplemented,
        }
    }

    /// As a gRPC status.
    pub fn status(&self, strict: bool) -> Status {
        Status::new(self.code(strict), self.to_string())
    }
}

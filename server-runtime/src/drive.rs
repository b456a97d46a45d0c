//! Runs a room for real.
use crate::builder::{ServerBuilder, ServerGame};
use crate::options::OptionsError;

/// Why a server could not run, or ended badly.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A setting cannot be used.
    #[error(transparent)]
    Options(#[from] OptionsError),
}

pub(crate) fn run<G: ServerGame>(builder: ServerBuilder<G>) -> Result<(), RunError> {
    drop(builder);
    unimplemented!()
}

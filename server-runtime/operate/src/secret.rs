//! Text that never prints.

use std::convert::Infallible;
use std::str::FromStr;

/// A secret from a command line, an environment or a file. Its `Debug` shows nothing of it.
///
/// ```
/// use operate::Secret;
///
/// let token = Secret::from("hush");
/// assert_eq!(format!("{token:?}"), "Secret(..)");
/// assert_eq!(token.0, "hush");
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl FromStr for Secret {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(text.to_owned()))
    }
}

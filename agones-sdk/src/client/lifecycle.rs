//! Owns: the order in which a game server may ask for its states, checked by the compiler.
//! Must never know: how a call is made.
//!
//! | in | may ask for |
//! |---|---|
//! | [`Starting`] | Ready, Reserved, Allocated, Shutdown |
//! | [`Ready`] | Reserved, Allocated, Shutdown; or wait to be allocated by somebody else |
//! | [`Reserved`] | Ready, Reserved for another time, Allocated, Shutdown |
//! | [`Allocated`] | Ready, Reserved, Shutdown |
//!
//! ```no_run
//! # async fn example() -> Result<(), agones_sdk::client::SdkError> {
//! use agones_sdk::client::{Lifecycle, Sdk, Taken};
//!
//! let sdk = Sdk::from_env().await?;
//! let ready = Lifecycle::new(sdk).ready().await?;       // typed: Lifecycle<Ready>
//! let Taken::Allocated(server, allocated) = ready.allocated().await else { return Ok(()) };
//! println!("match: {:?}", server.annotation("tickwright.dev/match"));
//! allocated.shutdown().await?;                          // the end: nothing is left to call
//! # Ok(())
//! # }
//! ```
//!
//! A call that fails gives the lifecycle back inside its error, so that it can be tried again. What must not be asked
//! for does not compile. Ready says so once:
//!
//! ```compile_fail,E0599
//! # use agones_sdk::client::{Lifecycle, Ready};
//! async fn twice(ready: Lifecycle<Ready>) {
//!     let _ = ready.ready().await;
//! }
//! ```
//!
//! Only who is Ready waits to be taken:
//!
//! ```compile_fail,E0599
//! # use agones_sdk::client::{Lifecycle, Starting};
//! async fn early(starting: Lifecycle<Starting>) {
//!     let _ = starting.allocated().await;
//! }
//! ```
//!
//! After Shutdown there is nothing:
//!
//! ```compile_fail,E0382
//! # use agones_sdk::client::{Allocated, Lifecycle};
//! async fn late(allocated: Lifecycle<Allocated>) {
//!     let _ = allocated.shutdown().await;
//!     let _ = allocated.ready().await;
//! }
//! ```

use std::marker::PhantomData;
use std::time::Duration;

use super::{Sdk, SdkError};
use crate::proto::sdk::GameServer;
use crate::state::State;

/// Not Ready yet.
#[derive(Debug)]
pub enum Starting {}

/// Free to be allocated.
#[derive(Debug)]
pub enum Ready {}

/// Out of the pool for a while.
#[derive(Debug)]
pub enum Reserved {}

/// In use.
#[derive(Debug)]
pub enum Allocated {}

/// A game server's life, in the state `S`. There should be one of them; [`Sdk`] itself asks for what it is told to.
#[derive(Debug)]
pub struct Lifecycle<S> {
    sdk: Sdk,
    state: PhantomData<S>,
}

/// The state was not asked for, or not granted; the lifecycle is as it was.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct Refused<S> {
    /// To try again with.
    pub lifecycle: Lifecycle<S>,
    /// Why not.
    #[source]
    pub error: Box<SdkError>,
}

/// What became of a server that waited.
#[derive(Debug)]
pub enum Taken {
    /// It was allocated; the object carries what the allocation says.
    Allocated(Box<GameServer>, Lifecycle<Allocated>),
    /// It was ended by somebody else: scaled away, or judged unhealthy.
    Ended(State),
}

impl<S> From<Refused<S>> for SdkError {
    fn from(refused: Refused<S>) -> Self {
        *refused.error
    }
}

impl Lifecycle<Starting> {
    /// The life of a server that has asked for nothing yet.
    pub fn new(sdk: Sdk) -> Self {
        Self { sdk, state: PhantomData }
    }
}

impl Lifecycle<Ready> {
    /// Waits, as long as it takes, until somebody allocates this server or ends it.
    pub async fn allocated(self) -> Taken {
        let mut watch = self.sdk.watch();
        loop {
            let server = watch.next().await;
            match server.state() {
                Some(State::Allocated) => return Taken::Allocated(Box::new(server), self.into_state()),
                Some(state) if state.is_final() => return Taken::Ended(state),
                _ => {}
            }
        }
    }
}

/// States from which a server may say that players may come.
pub trait MayBeReady {}
impl MayBeReady for Starting {}
impl MayBeReady for Reserved {}
impl MayBeReady for Allocated {}

/// States from which a server may take itself out of the pool.
pub trait MayAllocate {}
impl MayAllocate for Starting {}
impl MayAllocate for Ready {}
impl MayAllocate for Reserved {}

impl<S: MayBeReady> Lifecycle<S> {
    /// Says that players may come.
    ///
    /// # Errors
    /// The lifecycle as it was, and why.
    pub async fn ready(self) -> Result<Lifecycle<Ready>, Refused<S>> {
        let answer = self.sdk.ready().await;
        self.moved(answer)
    }
}

impl<S: MayAllocate> Lifecycle<S> {
    /// Takes this server out of the pool by its own decision.
    ///
    /// # Errors
    /// The lifecycle as it was, and why.
    pub async fn allocate(self) -> Result<Lifecycle<Allocated>, Refused<S>> {
        let answer = self.sdk.allocate().await;
        self.moved(answer)
    }
}

impl<S> Lifecycle<S> {
    /// Takes this server out of the pool for a time, after which it is Ready again; see [`Sdk::reserve`].
    ///
    /// # Errors
    /// The lifecycle as it was, and why.
    pub async fn reserve(self, period: Duration) -> Result<Lifecycle<Reserved>, Refused<S>> {
        let answer = self.sdk.reserve(period).await;
        self.moved(answer)
    }

    /// Asks for this server's end. Nothing follows.
    ///
    /// # Errors
    /// The lifecycle as it was, and why.
    pub async fn shutdown(self) -> Result<(), Refused<S>> {
        match self.sdk.shutdown().await {
            Ok(()) => Ok(()),
            Err(error) => Err(Refused { lifecycle: self, error: Box::new(error) }),
        }
    }

    /// The calls that are allowed in every state: metadata, counters, lists, health, watch.
    pub fn sdk(&self) -> &Sdk {
        &self.sdk
    }

    fn moved<T>(self, answer: Result<(), SdkError>) -> Result<Lifecycle<T>, Refused<S>> {
        match answer {
            Ok(()) => Ok(self.into_state()),
            Err(error) => Err(Refused { lifecycle: self, error: Box::new(error) }),
        }
    }

    fn into_state<T>(self) -> Lifecycle<T> {
        Lifecycle { sdk: self.sdk, state: PhantomData }
    }
}

//! What a game tells the client: how the player's own entity moves. Must never know ticks of the network.

use netcode_snapshot::{Input, Replicate};
use netcode_wire::Tick;

/// When and how long a step is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepContext {
    /// The tick being simulated: equal on both sides, so it may seed what must be equal.
    pub tick: Tick,
    /// The length of a tick in seconds.
    pub dt: f32,
}

impl StepContext {
    /// The context of `tick` at `tick_hz` ticks a second.
    #[must_use]
    pub fn new(tick: Tick, tick_hz: u16) -> Self {
        Self { tick, dt: 1.0 / f32::from(tick_hz.max(1)) }
    }
}

/// The rules of the predicted component: pure functions that server and client share.
pub trait Game: 'static {
    /// What a player does in one tick.
    type Input: Input;
    /// The one component of the player's own entity that is predicted.
    type State: Replicate + Clone + PartialEq;

    /// Moves `state` by one tick. Pure: equal arguments give equal results on every machine that plays. It is
    /// called through [`step`], which rounds the result onto the wire's grid.
    fn step(state: &mut Self::State, input: &Self::Input, context: StepContext);

    /// Whether two states belong to one life. False between a death and a respawn, or across a teleport: then a
    /// difference is shown at once and is not called a misprediction, and nothing is blended across it.
    fn same_life(_before: &Self::State, _after: &Self::State) -> bool {
        true
    }

    /// How far apart two states look to the player, in the game's unit of length.
    fn distance(a: &Self::State, b: &Self::State) -> f32;

    /// The state between two others, `t` from 0 (`from`) to 1 (`to`): hides corrections and smooths frames.
    fn blend(from: &Self::State, to: &Self::State, t: f32) -> Self::State {
        Self::State::interpolate(from, to, t)
    }
}

/// One step of the game, rounded onto the wire's grid. Server and client both step through this, so that equal
/// inputs give equal bits.
pub fn step<G: Game>(state: &mut G::State, input: &G::Input, context: StepContext) {
    G::step(state, input, context);
    state.snap();
}
